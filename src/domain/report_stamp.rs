//! The machine-readable end of a printed report: what `quarterdeck audit verify --report` reads.
//!
//! ```text
//! quarterdeck report 1
//! number QD-2026-000001
//! made 2026-11-23T15:00:00.000000Z
//! since 2026-11-16T00:00:00.000000Z
//! until 2026-11-23T00:00:00.000000Z
//! first-event 17
//! last-event 4711
//! events 4695
//! covers 4720
//! link 64 hex digits
//! content 64 hex digits
//! checkpoint {"…": …}
//! key 64 hex digits
//! ```
//! One line each, in this order; `-` where there is none. `events` counts those of the range, whatever the filters;
//! `first-event` and `last-event` are the first and last of them; `covers` is the newest event that the report knows
//! and `link` the chain's link at it; `content` is the SHA-256 of the bytes between [`BEGIN`] and [`END`] in the page;
//! `checkpoint` is the checkpoint that was made with it, as one line of JSON, and `key` the fingerprint of its key.

use std::fmt;
use std::str::FromStr;

use super::{Digest, Invalid, ReportNumber, Timestamp, bounded};

/// Stands before the content of a report in its page.
pub const BEGIN: &str = "<!--quarterdeck report content begins-->";
/// Stands behind it.
pub const END: &str = "<!--quarterdeck report content ends-->";

const HEAD: &str = "quarterdeck report 1";

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReportStamp {
    /// What it is called.
    pub number: ReportNumber,
    /// When it was made.
    pub made_at: Timestamp,
    /// From when on it tells.
    pub since: Timestamp,
    /// Up to when, which is not part of it.
    pub until: Timestamp,
    /// The first event of the range.
    pub first_event: Option<i64>,
    /// The last event of the range.
    pub last_event: Option<i64>,
    /// How many events the range had.
    pub events: i64,
    /// The newest event that it knows.
    pub covers: i64,
    /// The chain's link at that event: 64 hex digits.
    pub link: Option<String>,
    /// The SHA-256 of its content.
    pub content: Digest,
    /// The checkpoint that was made with it: one line of JSON.
    pub checkpoint: Option<String>,
    /// The fingerprint of the key that signed the checkpoint.
    pub key: Option<String>,
}

fn or_none<T: fmt::Display>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

impl fmt::Display for ReportStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}")?;
        writeln!(f, "number {}", self.number)?;
        writeln!(f, "made {}", self.made_at.to_rfc3339())?;
        writeln!(f, "since {}", self.since.to_rfc3339())?;
        writeln!(f, "until {}", self.until.to_rfc3339())?;
        writeln!(f, "first-event {}", or_none(self.first_event.as_ref()))?;
        writeln!(f, "last-event {}", or_none(self.last_event.as_ref()))?;
        writeln!(f, "events {}", self.events)?;
        writeln!(f, "covers {}", self.covers)?;
        writeln!(f, "link {}", or_none(self.link.as_ref()))?;
        writeln!(f, "content {}", self.content)?;
        writeln!(f, "checkpoint {}", or_none(self.checkpoint.as_ref()))?;
        writeln!(f, "key {}", or_none(self.key.as_ref()))
    }
}

/// Reads the stamp wherever it stands in a text: a stored one, or one copied from a page.
impl FromStr for ReportStamp {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mut lines = text.lines().map(str::trim).skip_while(|line| *line != HEAD);
        lines
            .next()
            .ok_or_else(|| wrong("has no line “quarterdeck report 1”: this is no report of Quarterdeck"))?;
        let mut next = |name: &str| -> Result<Option<String>, Invalid> {
            let value = lines
                .next()
                .and_then(|line| line.strip_prefix(name)?.strip_prefix(' '))
                .ok_or_else(|| wrong(format!("its line “{name}” is missing")))?;
            Ok((value != "-").then(|| value.to_owned()))
        };
        Ok(Self {
            number: must("number", next("number")?)?,
            made_at: must("made", next("made")?)?,
            since: must("since", next("since")?)?,
            until: must("until", next("until")?)?,
            first_event: number("first-event", next("first-event")?)?,
            last_event: number("last-event", next("last-event")?)?,
            events: number("events", next("events")?)?.ok_or_else(|| wrong("its line “events” is empty"))?,
            covers: number("covers", next("covers")?)?.ok_or_else(|| wrong("its line “covers” is empty"))?,
            link: hex("link", next("link")?)?,
            content: hex("content", next("content")?)?
                .map(Digest::from_stored)
                .ok_or_else(|| wrong("its line “content” is empty"))?,
            checkpoint: next("checkpoint")?,
            key: hex("key", next("key")?)?,
        })
    }
}

impl ReportStamp {
    /// Reads the stamp out of a saved page.
    ///
    /// # Errors
    /// Where there is none, or a line of it cannot be read.
    pub fn of_page(page: &str) -> Result<Self, Invalid> {
        let at = page
            .rfind(HEAD)
            .ok_or_else(|| wrong("holds no report of Quarterdeck"))?;
        let text = page.get(at..).unwrap_or_default();
        unescaped(text.split("</pre>").next().unwrap_or_default()).parse()
    }
}

/// The content of a report in its saved page: the bytes that its digest is of.
#[must_use]
pub fn content_of(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once(BEGIN)?;
    rest.rsplit_once(END).map(|(content, _)| content)
}

fn wrong(problem: impl Into<String>) -> Invalid {
    Invalid::new("report", problem)
}

fn must<T: FromStr<Err = Invalid>>(name: &str, value: Option<String>) -> Result<T, Invalid> {
    let value = value.ok_or_else(|| wrong(format!("its line “{name}” is empty")))?;
    value
        .parse()
        .map_err(|why: Invalid| wrong(format!("its line “{name}”: {}", why.problem)))
}

fn number(name: &str, value: Option<String>) -> Result<Option<i64>, Invalid> {
    value
        .map(|text| {
            let bad = || wrong(format!("its line “{name}”: “{}” is no number", bounded(&text, 40)));
            text.parse().map_err(|_| bad())
        })
        .transpose()
}

fn hex(name: &str, value: Option<String>) -> Result<Option<String>, Invalid> {
    match value {
        Some(text) if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Err(wrong(format!("its line “{name}” is not 64 hex digits")))
        }
        value => Ok(value),
    }
}

/// What a page's text says, for the few signs that a template escapes.
fn unescaped(text: &str) -> String {
    [
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&lt;", "<"),
        ("&#62;", ">"),
        ("&gt;", ">"),
        ("&#38;", "&"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (escaped, sign)| text.replace(escaped, sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> ReportStamp {
        let time = |text: &str| text.parse::<Timestamp>().expect("time");
        ReportStamp {
            number: "QD-2026-000001".parse().expect("number"),
            made_at: time("2026-11-23 15:00:00"),
            since: time("2026-11-16"),
            until: time("2026-11-23"),
            first_event: Some(17),
            last_event: Some(4_711),
            events: 4_695,
            covers: 4_720,
            link: Some("ab".repeat(32)),
            content: Digest::of(b"content"),
            checkpoint: Some(r#"{"event_id":4721,"kind":"report","key":"<&'>"}"#.to_owned()),
            key: Some("cd".repeat(32)),
        }
    }

    #[test]
    fn what_is_printed_reads_back() {
        let full = stamp();
        assert_eq!(full.to_string().parse::<ReportStamp>().expect("reads"), full);
        let bare = ReportStamp {
            first_event: None,
            last_event: None,
            events: 0,
            link: None,
            checkpoint: None,
            key: None,
            ..stamp()
        };
        assert_eq!(bare.to_string().parse::<ReportStamp>().expect("reads"), bare);
        assert!(bare.to_string().ends_with("checkpoint -\nkey -\n"), "{bare}");
    }

    #[test]
    fn a_saved_page_gives_content_and_stamp() {
        let escaped = stamp()
            .to_string()
            .replace('&', "&#38;")
            .replace('"', "&#34;")
            .replace('<', "&#60;")
            .replace('\'', "&#39;")
            .replace('>', "&#62;");
        // A message that looks like the end, or like a stamp, stands before the real one.
        let page = format!("<html>{BEGIN}<p>quarterdeck report 1\n</p>{END}<pre id=\"stamp\">{escaped}</pre></html>");
        assert_eq!(content_of(&page), Some("<p>quarterdeck report 1\n</p>"));
        assert_eq!(ReportStamp::of_page(&page).expect("reads"), stamp());
        assert_eq!(content_of("<html></html>"), None);
    }

    #[test]
    fn what_is_no_stamp_is_refused_with_its_line() {
        let text = stamp().to_string();
        for (from, to, says) in [
            (
                "quarterdeck report 1",
                "quarterdeck report 9",
                "no report of Quarterdeck",
            ),
            ("events 4695", "events many", "“events”"),
            ("number QD-2026-000001", "number 1", "“number”"),
            ("covers 4720\n", "", "“covers” is missing"),
            ("link ab", "link zz", "“link”"),
            ("made 2026", "made soon 2026", "“made”"),
        ] {
            let why = text.replace(from, to).parse::<ReportStamp>().expect_err(to);
            assert!(why.problem.contains(says), "{to}: {why}");
        }
    }
}
