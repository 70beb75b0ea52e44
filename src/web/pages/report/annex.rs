//! The annexes of a report: the ends of outputs, and the definitions that ran.

use std::path::Path;

use crate::domain::{Definition, Digest, bounded};
use crate::store::output;
use crate::web::words::bytes;

use super::content::{Def, Excerpt};
use super::gather::Gathered;

/// Lines, and bytes, of a command's output that are printed.
const EXCERPT: (usize, u64) = (12, 1_500);
/// Excerpts that one part prints at most.
const EXCERPTS: usize = 300;
/// The longest script that is printed, in bytes.
const SCRIPT: usize = 16_000;

/// The ends of outputs, with the digest of the whole; and how many there was no room for.
pub(super) fn excerpts(found: &Gathered, data_dir: &Path) -> (Vec<Excerpt>, usize) {
    let mut excerpts = Vec::new();
    let mut left_out = 0;
    for (at, row) in found.commands.iter().enumerate() {
        let length = u64::try_from(row.output_bytes.unwrap_or(0)).unwrap_or(0);
        if length == 0 {
            continue;
        }
        if excerpts.len() == EXCERPTS {
            left_out += 1;
            continue;
        }
        let from = length.saturating_sub(EXCERPT.1);
        let text = match output::read_range(data_dir, row.id, from, length) {
            Ok(read) => last_lines(&String::from_utf8_lossy(&read)),
            Err(_) => "(its file is not there any more: sweeps archive rows, not outputs)".to_owned(),
        };
        let digest = row.output_sha256.as_ref().map(ToString::to_string).unwrap_or_default();
        excerpts.push(Excerpt {
            row: found.number(at),
            what: format!("{} on {}", row.op, row.host),
            facts: format!("{} in all, SHA-256 {digest}", bytes(length)),
            text,
        });
    }
    (excerpts, left_out)
}

/// The last lines of an output, without colours, and safe.
fn last_lines(text: &str) -> String {
    let plain = without_colours(text);
    let lines: Vec<&str> = plain.lines().collect();
    let from = lines.len().saturating_sub(EXCERPT.0);
    bounded(&lines.get(from..).unwrap_or_default().join("\n"), 3_000)
}

/// Text without the sequences with which a terminal is told of colours.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        if sign == '\r' {
            continue;
        }
        if sign != '\u{1b}' || signs.peek() != Some(&'[') {
            plain.push(sign);
            continue;
        }
        signs.next();
        // Parameters and intermediates, up to the letter that ends it.
        while signs.next_if(|sign| (' '..='?').contains(sign)).is_some() {}
        signs.next_if(|sign| ('@'..='~').contains(sign));
    }
    plain
}

pub(super) fn definitions(found: &Gathered) -> Vec<Def> {
    let all = found.definitions.iter();
    let mut all: Vec<Def> = all.map(|(digest, text)| definition(digest, text.as_ref())).collect();
    all.sort_by(|a, b| (&a.op, &a.digest).cmp(&(&b.op, &b.digest)));
    all
}

fn definition(digest: &Digest, text: Option<&Definition>) -> Def {
    let Some(definition) = text else {
        return Def {
            digest: digest.to_string(),
            op: "not kept any more".to_owned(),
            facts: String::new(),
            parts: Vec::new(),
        };
    };
    let mut facts = vec![format!("up to {}", definition.timeout)];
    facts.extend(definition.run_as.as_ref().map(|user| format!("as {user}")));
    if definition.dangerous {
        facts.push("dangerous: asks before it starts".to_owned());
    }
    if !definition.environment.is_empty() {
        facts.push(format!("with the variables {}", definition.environment.join(", ")));
    }
    let part = |name, text: &Option<String>| text.as_ref().map(|text| (name, bounded(text, SCRIPT)));
    let parts = [
        part("Pre-check", &definition.pre_check),
        Some(("Script", bounded(&definition.script, SCRIPT))),
        part("Post-check", &definition.post_check),
    ];
    Def {
        digest: digest.to_string(),
        op: definition.op.to_string(),
        facts: facts.join("; "),
        parts: parts.into_iter().flatten().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_the_text_stays() {
        assert_eq!(without_colours("\u{1b}[1;31mred\u{1b}[0m\r\nplain"), "red\nplain");
        assert_eq!(without_colours("\u{1b}[38;5;1"), "");
        assert_eq!(last_lines("a\u{1b}]0;title\u{7}b"), "a\\u{1b}]0;title\\u{7}b");
        let many: String = (0..40).map(|line| format!("line {line}\n")).collect();
        assert!(last_lines(&many).starts_with("line 28\n"), "{}", last_lines(&many));
    }
}
