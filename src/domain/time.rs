//! The one form in which times are written: UTC, microseconds, fixed width.
//!
//! `YYYY-MM-DD HH:MM:SS.ffffff` sorts as text in the order of time, also beside what SQLite's own
//! `CURRENT_TIMESTAMP` writes, and SQLite's date functions read it. Nothing else writes times.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::schema::{described, format};
use super::{Invalid, Span};

/// An instant, to the microsecond, in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// The clock of this machine, cut to microseconds.
    #[must_use]
    pub fn now() -> Self {
        Self::from_micros(jiff::Timestamp::now().as_microsecond())
    }

    /// From microseconds since 1970, clamped to what a four-digit year can say.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        const LAST: i64 = 253_402_300_799_999_999 - 86_400_000_000; // 9999-12-30, so that any zone can show it
        let micros = micros.clamp(0, LAST);
        Self(jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::UNIX_EPOCH))
    }

    /// Microseconds since 1970.
    #[must_use]
    pub fn as_micros(self) -> i64 {
        self.0.as_microsecond()
    }

    /// The same instant, for showing it in a zone.
    #[must_use]
    pub fn as_jiff(self) -> jiff::Timestamp {
        self.0
    }

    /// This instant plus a span.
    #[must_use]
    pub fn plus(self, span: Span) -> Self {
        Self::from_micros(self.as_micros().saturating_add(span.as_micros()))
    }

    /// This instant less a span.
    #[must_use]
    pub fn minus(self, span: Span) -> Self {
        Self::from_micros(self.as_micros().saturating_sub(span.as_micros()))
    }

    /// How long ago `earlier` was, seen from here; zero where it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Span {
        Span::from_micros(self.as_micros().saturating_sub(earlier.as_micros()))
    }

    /// RFC 3339 with `Z`, for JSON and for `<time datetime>`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        format!("{}Z", self.civil().strftime("%Y-%m-%dT%H:%M:%S%.6f"))
    }

    /// What somebody typed: read in this zone, unless it names its own.
    ///
    /// # Errors
    /// When it is no date or time.
    pub fn read_in(zone: &TimeZone, text: &str) -> Result<Self, Invalid> {
        let plain = text.trim();
        if let Ok(civil) = plain.parse::<DateTime>()
            && !plain.ends_with(['Z', 'z'])
            && let Ok(zoned) = civil.to_zoned(zone.clone())
        {
            return Ok(Self::from_micros(zoned.timestamp().as_microsecond()));
        }
        plain.parse()
    }

    fn civil(self) -> DateTime {
        TimeZone::UTC.to_datetime(self.0)
    }
}

/// The form that the database holds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.civil().strftime("%Y-%m-%d %H:%M:%S%.6f"))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads the database's form, SQLite's `CURRENT_TIMESTAMP` (no fraction), RFC 3339, and a plain date.
impl FromStr for Timestamp {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::from_micros(instant.as_microsecond()));
        }
        let civil = text.parse::<DateTime>().map_err(|_| {
            Invalid::new(
                "time",
                format!("“{text}” is no time; write 2026-11-23, 2026-11-23 14:05 or 2026-11-23T14:05:00Z"),
            )
        })?;
        let instant = TimeZone::UTC
            .to_timestamp(civil)
            .map_err(|_| Invalid::new("time", format!("“{text}” is out of range")))?;
        Ok(Self::from_micros(instant.as_microsecond()))
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_rfc3339())
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

described!(
    Timestamp,
    format(
        "date-time",
        "2026-11-23T08:02:07.000000Z",
        "An instant in UTC; where one is asked for, a plain date will do."
    )
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_has_a_fixed_width_and_reads_sqlites_own_form() {
        let t: Timestamp = "2026-11-23 08:02:07".parse().expect("CURRENT_TIMESTAMP");
        assert_eq!(t.to_string(), "2026-11-23 08:02:07.000000");
        assert_eq!(t.to_rfc3339(), "2026-11-23T08:02:07.000000Z");
        assert_eq!(
            "2026-11-23".parse::<Timestamp>().expect("date").to_string(),
            "2026-11-23 00:00:00.000000"
        );
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    proptest! {
        #[test]
        fn text_order_is_time_order(a in 0i64..4_000_000_000_000_000, b in 0i64..4_000_000_000_000_000) {
            let (x, y) = (Timestamp::from_micros(a), Timestamp::from_micros(b));
            prop_assert_eq!(x.cmp(&y), x.to_string().cmp(&y.to_string()));
            prop_assert_eq!(x.to_string().parse::<Timestamp>().expect("own form"), x);
            prop_assert_eq!(x.to_rfc3339().parse::<Timestamp>().expect("wire form"), x);
            prop_assert_eq!(x.to_string().len(), 26);
        }
    }
}
