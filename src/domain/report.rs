//! An audit report: what it is called, and what it was asked for. What it says is gathered in `web`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::status::words;
use super::{CommandStatus, HostName, Invalid, OpId, Tag, Timestamp, bounded};

words! {
    /// What a report is printed on.
    Paper, "paper" {
        /// 210 mm by 297 mm.
        A4 = "a4",
        /// 8.5 by 11 inches.
        Letter = "letter",
    }
}

impl Paper {
    /// As a style sheet and a reader know it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::A4 => "A4",
            Self::Letter => "Letter",
        }
    }
}

/// What a report is called: `QD-2026-000001`. The serial rises with every report that this dashboard began, over the
/// years too, and is never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReportNumber {
    year: u16,
    serial: i64,
}

impl ReportNumber {
    /// The number of the report with this serial, which was begun at this time (its year in UTC).
    #[must_use]
    pub fn new(begun: Timestamp, serial: i64) -> Self {
        let year = begun.to_string().get(..4).and_then(|year| year.parse().ok());
        Self {
            year: year.unwrap_or_default(),
            serial,
        }
    }

    /// Which report of this dashboard it is, from 1.
    #[must_use]
    pub const fn serial(self) -> i64 {
        self.serial
    }
}

impl fmt::Display for ReportNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QD-{:04}-{:06}", self.year, self.serial)
    }
}

impl FromStr for ReportNumber {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let parts: Vec<&str> = text.trim().split('-').collect();
        let read = match parts.as_slice() {
            ["QD" | "qd", year, serial] if year.len() == 4 && serial.len() >= 6 && digits(year) && digits(serial) => {
                year.parse().ok().zip(serial.parse().ok())
            }
            _ => None,
        };
        let (year, serial) = read.ok_or_else(|| {
            let problem = format!("“{}” is no report's number; one is QD-2026-000001", bounded(text, 40));
            Invalid::new("number", problem)
        })?;
        Ok(Self { year, serial })
    }
}

/// What a report was asked for. Stored with it, as JSON.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReportAsk {
    /// From this instant on.
    pub since: Timestamp,
    /// Up to this instant, which is not part of it.
    pub until: Timestamp,
    /// What is about this host alone.
    pub host: Option<HostName>,
    /// What is about hosts of this tag alone.
    pub tag: Option<Tag>,
    /// What is about this op alone.
    pub op: Option<OpId>,
    /// What this actor did alone, as it is written: `user:alice`.
    pub actor: Option<String>,
    /// The commands of this status alone.
    pub status: Option<CommandStatus>,
    /// With the table of events.
    pub events: bool,
    /// With the last lines of each command's output.
    pub excerpts: bool,
    /// With the text of the definitions that ran.
    pub definitions: bool,
    /// With every host's last success of this op or pipeline.
    pub coverage: Option<OpId>,
    /// What it is printed on.
    pub paper: Paper,
    /// Which part of the rows, from 1.
    pub part: u32,
    /// Events above this number are not part of it: so that the parts of one report belong together.
    pub up_to: Option<i64>,
    /// The earlier report that this is a part of, by its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

impl ReportAsk {
    /// Whether it looks at a part of its range only. Without the table of events it still counts all of them.
    #[must_use]
    pub const fn is_filtered(&self) -> bool {
        self.host.is_some() || self.tag.is_some() || self.op.is_some() || self.actor.is_some() || self.status.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_and_nothing_else_does() {
        let number = ReportNumber::new("2026-11-23 08:02:07".parse().expect("time"), 7);
        assert_eq!(number.to_string(), "QD-2026-000007");
        assert_eq!(number.to_string().parse::<ReportNumber>().expect("reads"), number);
        let large = ReportNumber::new("2031-01-01".parse().expect("time"), 12_345_678);
        assert_eq!(large.to_string(), "QD-2031-12345678");
        assert_eq!(large.to_string().parse::<ReportNumber>().expect("reads"), large);
        for bad in [
            "",
            "QD-2026-1",
            "QD-2026-+00001",
            "XX-2026-000001",
            "QD-2026-000001-2",
            "../x",
        ] {
            assert_eq!(bad.parse::<ReportNumber>().expect_err(bad).field, "number");
        }
    }
}
