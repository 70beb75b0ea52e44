//! Text of people and hosts, cut and cleaned before it is stored.

/// The most that `error` and `message` hold, in bytes.
pub const MESSAGE_LIMIT: usize = 4096;

/// Cuts `text` to `limit` bytes at a character's edge (with `…` where something went) and writes
/// control characters as escapes, so that it is safe in a terminal, a log line and a page.
/// Line feeds and tabs stay; marks that change the direction of writing are escaped.
#[must_use]
pub fn bounded(text: &str, limit: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(limit) + 4);
    for c in text.chars() {
        let plain = c == '\n' || c == '\t' || !(c.is_control() || turns_the_line(c));
        let piece = if plain {
            c.to_string()
        } else {
            c.escape_default().to_string()
        };
        if clean.len() + piece.len() > limit.saturating_sub('…'.len_utf8()) {
            clean.push('…');
            return clean;
        }
        clean.push_str(&piece);
    }
    clean
}

/// Unicode's bidirectional overrides and isolates, with which a line can show other than it says.
fn turns_the_line(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{061c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_becomes_plain_and_short() {
        assert_eq!(bounded("a\u{1b}[31mb\0\n\tc", 100), "a\\u{1b}[31mb\\u{0}\n\tc");
        assert_eq!(bounded("\u{202e}txt.exe", 100), "\\u{202e}txt.exe");
        let cut = bounded(&"ä".repeat(10_000), MESSAGE_LIMIT);
        assert!(cut.len() <= MESSAGE_LIMIT && cut.ends_with('…'));
    }
}
