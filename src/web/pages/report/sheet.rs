//! The style sheet of one report's paper.

use crate::domain::Paper;
use crate::store::ReportRow;

/// The style sheet of one report's paper: size, running header and foot. Chromium has neither running elements nor
/// named strings, so the words stand in it literally.
pub(super) fn paper_css(row: &ReportRow, organisation: &str) -> String {
    let size = match row.paper {
        Paper::A4 => "A4",
        Paper::Letter => "letter",
    };
    let digest = row.digest.as_ref().map(ToString::to_string).unwrap_or_default();
    let first = digest.get(..16).unwrap_or("not whole");
    format!(
        "@page {{\n  size: {size};\n  margin: 20mm 14mm 19mm;\n  font: 8pt sans-serif;\n  @top-left {{ content: \"{}\"; }}\n  \
         @top-right {{ content: \"Audit report\"; }}\n  \
         @bottom-left {{ content: \"{}\"; }}\n  @bottom-center {{ content: \"SHA-256 {first}\"; }}\n  \
         @bottom-right {{ content: \"Page \" counter(page) \" of \" counter(pages); }}\n}}\n",
        css_text(organisation),
        row.number,
    )
}

/// Text inside the quotes of a style sheet: what is no plain letter is written as its number.
fn css_text(text: &str) -> String {
    use std::fmt::Write as _;
    let mut safe = String::with_capacity(text.len());
    for sign in text.chars() {
        if sign.is_alphanumeric() || " .,&()-+/".contains(sign) {
            safe.push(sign);
        } else {
            let _ = write!(safe, "\\{:x} ", u32::from(sign));
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(css_text("Ä & Co. (Wien)"), "Ä & Co. (Wien)");
        assert_eq!(
            css_text("a\"; } body { display: none"),
            "a\\22 \\3b  \\7d  body \\7b  display\\3a  none"
        );
        assert_eq!(css_text("a\\\n<"), "a\\5c \\a \\3c ");
    }
}
