//! Where data goes: stdout, with its errors handled, and without control characters of hosts in a terminal.

use std::io::{IsTerminal as _, Write};

use serde_json::Value;

use crate::domain::bounded;

use super::failure::Failure;

/// Writes what a subcommand prints.
pub(super) struct Out {
    to: Box<dyn Write>,
    terminal: bool,
    json: bool,
}

impl Out {
    pub(super) fn stdout(json: bool) -> Self {
        let stdout = std::io::stdout();
        Self {
            terminal: stdout.is_terminal(),
            to: Box::new(stdout),
            json,
        }
    }

    /// True where data is to be printed as JSON.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// One object, one line.
    pub(super) fn json(&mut self, value: &Value) -> Result<(), Failure> {
        Ok(writeln!(self.to, "{value}")?)
    }

    /// Text, and a line feed.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Failure> {
        if self.terminal {
            writeln!(self.to, "{}", bounded(text, usize::MAX))?;
        } else {
            writeln!(self.to, "{text}")?;
        }
        Ok(())
    }

    /// Aligned columns under their heads.
    pub(super) fn table(&mut self, heads: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
        let widths: Vec<usize> = (0..heads.len())
            .map(|column| {
                let cells = std::iter::once(&heads).chain(rows).filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        for row in std::iter::once(&heads).chain(rows) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            self.line(line.trim_end())?;
        }
        Ok(())
    }

    /// Bytes of a host: as they are, or safe to look at in a terminal.
    pub(super) fn bytes(&mut self, text: &mut Printable, bytes: &[u8]) -> Result<(), Failure> {
        if self.terminal {
            self.to.write_all(text.push(bytes).as_bytes())?;
        } else {
            self.to.write_all(bytes)?;
        }
        self.flush()
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.to.flush()?)
    }
}

/// Turns bytes into text that a terminal may show, piece by piece: a character or a line's end that is
/// cut between two pieces is put together.
#[derive(Default)]
pub(super) struct Printable {
    rest: Vec<u8>,
}

impl Printable {
    fn push(&mut self, bytes: &[u8]) -> String {
        self.rest.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.rest) {
            Err(why) if why.error_len().is_none() => why.valid_up_to(),
            Ok(_) | Err(_) => self.rest.len() - unfinished(&self.rest),
        };
        let whole = if self.rest[..whole].ends_with(b"\r") {
            whole - 1
        } else {
            whole
        };
        let text = String::from_utf8_lossy(&self.rest[..whole]).replace("\r\n", "\n");
        self.rest.drain(..whole);
        bounded(&text, usize::MAX)
    }
}

/// How many bytes at the end begin a character whose rest is not there yet.
fn unfinished(bytes: &[u8]) -> usize {
    (1..=bytes.len().min(3))
        .find(|back| {
            let tail = &bytes[bytes.len() - back..];
            tail[0] >= 0xc2 && matches!(std::str::from_utf8(tail), Err(why) if why.error_len().is_none())
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_cut_in_two_is_put_together() {
        let mut text = Printable::default();
        assert_eq!(text.push(b"a\xc3"), "a");
        assert_eq!(text.push(b"\xa4\r"), "ä");
        assert_eq!(text.push(b"\nb"), "\nb");
        assert_eq!(text.push(b"\xff\x1b[31m\xe2\x82"), "\u{fffd}\\u{1b}[31m");
        assert_eq!(text.push(b"\xac"), "€");
    }
}
