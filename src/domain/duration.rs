//! Lengths of time as people write and read them: `90s`, `5m`, `1h 30m`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;

use super::Invalid;
use super::schema::{described, text};

/// A length of time, never negative, to the microsecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(i64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// From microseconds; a negative number is zero.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(if micros < 0 { 0 } else { micros })
    }

    /// From milliseconds; a negative number is zero.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self::from_micros(millis.saturating_mul(1_000))
    }

    /// From seconds; a negative number is zero.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self::from_micros(secs.saturating_mul(1_000_000))
    }

    /// From whole days of 24 hours.
    #[must_use]
    pub const fn from_days(days: i64) -> Self {
        Self::from_secs(days.saturating_mul(86_400))
    }

    /// Microseconds.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0 / 1_000
    }

    /// Whole seconds.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0 / 1_000_000
    }

    /// For timers.
    #[must_use]
    pub const fn to_std(self) -> Duration {
        Duration::from_micros(self.0.unsigned_abs())
    }

    /// For a reader: `0.4 s`, `12 s`, `4:12`, `1:02:03`, `3 d 4 h`.
    #[must_use]
    pub fn human(self) -> String {
        let secs = self.as_secs();
        match secs {
            0..10 => format!("{:.1} s", self.0 as f64 / 1e6),
            10..60 => format!("{secs} s"),
            60..3_600 => format!("{}:{:02}", secs / 60, secs % 60),
            3_600..86_400 => format!("{}:{:02}:{:02}", secs / 3_600, secs % 3_600 / 60, secs % 60),
            _ => format!("{} d {} h", secs / 86_400, secs % 86_400 / 3_600),
        }
    }
}

/// As it is written in a configuration: the largest units first.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", SignedDuration::from_micros(self.0))
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Span {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || {
            Invalid::new(
                "duration",
                format!("“{text}” is no duration; write for example 90s, 5m, 1h 30m or 7d"),
            )
        };
        // Whole days are of 24 hours here; the parser below leaves days to calendars.
        let days = text.trim().strip_suffix('d').and_then(|days| days.parse::<u16>().ok());
        let span: SignedDuration = match days {
            Some(days) => SignedDuration::from_hours(24 * i64::from(days)),
            None => text.trim().parse().map_err(|_| wrong())?,
        };
        if span.is_negative() || span > SignedDuration::from_hours(24 * 3_650) {
            return Err(Invalid::new(
                "duration",
                format!("“{text}” must lie between 0s and 10 years"),
            ));
        }
        i64::try_from(span.as_micros()).map(Self).map_err(|_| wrong())
    }
}

impl serde::Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|wrong: Invalid| serde::de::Error::custom(wrong.problem))
    }
}

/// What is read, as far as one pattern says it; hours go up to ten years.
pub(super) const PATTERN: &str = "([0-9]{1,3}d|(([0-9]{1,4}|[1-7][0-9]{4}|8[0-6][0-9]{3}|87[0-5][0-9]{2})h( ?[0-9]{1,2}m)?( ?[0-9]{1,2}s)?|[0-9]{1,4}m( ?[0-9]{1,2}s)?|[0-9]{1,6}s)( ?[0-9]{1,3}ms)?)";

described!(
    Span,
    text(
        &format!("^{PATTERN}$"),
        "1h 30m",
        "A length of time, up to 10 years: `90s`, `5m`, `1h 30m`, `7d`.",
    )
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, secs) in [
            ("90s", 90),
            ("5m", 300),
            ("1h 30m", 5_400),
            ("1h30m", 5_400),
            ("0s", 0),
            ("7d", 604_800),
            ("d", -1),
            ("1d 2h", -1),
            ("2 days", -1),
        ] {
            match text.parse::<Span>() {
                Ok(span) => assert_eq!(span.as_secs(), secs, "{text}"),
                Err(_) => assert_eq!(secs, -1, "{text}"),
            }
        }
        assert!("-5m".parse::<Span>().is_err());
        assert!("soon".parse::<Span>().is_err());
    }

    #[test]
    fn what_it_writes_it_reads_again() {
        for secs in [0, 1, 59, 60, 3_601, 86_400, 90_061] {
            let span = Span::from_secs(secs);
            assert_eq!(span.to_string().parse::<Span>().expect("own form"), span);
        }
    }

    #[test]
    fn reads_well() {
        assert_eq!(Span::from_millis(432).human(), "0.4 s");
        assert_eq!(Span::from_secs(252).human(), "4:12");
        assert_eq!(Span::from_secs(3_723).human(), "1:02:03");
        assert_eq!(Span::from_secs(3 * 86_400 + 4 * 3_600).human(), "3 d 4 h");
    }
}
