//! One RFC 5424 message, as bytes: `<PRI>1 TIME HOST quarterdeck PID MSGID [quarterdeck@32473 ...] TEXT`.
//!
//! The facility is `daemon` (3). Values and text are UTF-8; control characters are written as escapes, because many
//! readers end a message at a line feed or at NUL. In values `"`, `\` and `]` stand behind a backslash (section 6.3.3).
//! There is no byte order mark before the text (it is what the RFC calls MSG-ANY): readers show it more often than
//! they need it. 32473 is the enterprise number that RFC 5612 sets aside for documentation.

use std::fmt::Write as _;

/// Facility `daemon`, times eight.
const DAEMON: u8 = 3 << 3;

/// The id of our own structured data.
const SD_ID: &str = "quarterdeck@32473";

/// How much a message matters, as syslog counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// 3
    Error = 3,
    /// 4
    Warning = 4,
    /// 5
    Notice = 5,
    /// 6
    Informational = 6,
}

/// What a message is made of.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// How much it matters.
    pub severity: Severity,
    /// RFC 3339.
    pub time: &'a str,
    /// The machine that it comes from.
    pub host: &'a str,
    /// The process that it comes from.
    pub pid: u32,
    /// Of which type it is.
    pub id: &'a str,
    /// Names (ASCII words) and values.
    pub data: &'a [(&'static str, String)],
    /// For a reader.
    pub text: &'a str,
}

impl Message<'_> {
    /// The message, without any framing.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut line = format!(
            "<{}>1 {} {} quarterdeck {} {} ",
            DAEMON + self.severity as u8,
            self.time,
            word(self.host, 255),
            self.pid,
            word(self.id, 32),
        );
        if self.data.is_empty() {
            line.push('-');
        } else {
            line.push('[');
            line.push_str(SD_ID);
            for (name, value) in self.data {
                let _ = write!(line, " {name}=\"");
                for c in plain(value).chars() {
                    if matches!(c, '"' | '\\' | ']') {
                        line.push('\\');
                    }
                    line.push(c);
                }
                line.push('"');
            }
            line.push(']');
        }
        line.push(' ');
        line.push_str(&plain(self.text));
        line.into_bytes()
    }
}

/// A word of the header: visible ASCII, bounded; `-` for nothing.
fn word(text: &str, most: usize) -> String {
    let visible = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    let word: String = text.chars().take(most).map(visible).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

/// The text with its control characters as escapes.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            plain.extend(c.escape_default());
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_what_the_rfc_says() {
        let data = [("id", "7".to_owned()), ("actor", "a\"b\\c]d\ne".to_owned())];
        let message = Message {
            severity: Severity::Warning,
            time: "2026-11-23T08:00:00.000000Z",
            host: "web 03",
            pid: 42,
            id: "op:a-very-long-name-that-goes-on-and-on",
            data: &data,
            text: "two\nlines\0ä",
        };
        assert_eq!(
            String::from_utf8(message.to_bytes()).expect("UTF-8"),
            "<28>1 2026-11-23T08:00:00.000000Z web_03 quarterdeck 42 op:a-very-long-name-that-goes-on \
             [quarterdeck@32473 id=\"7\" actor=\"a\\\"b\\\\c\\]d\\\\ne\"] two\\nlines\\u{0}ä"
        );
    }
}
