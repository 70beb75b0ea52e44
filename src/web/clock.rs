//! Times on pages: one zone, always named, the exact instant always at hand.

use jiff::tz::TimeZone;

use crate::domain::{Span, Timestamp, spoken, spoken_value};

/// The zone of the pages and the instant at which one page is drawn.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    pub(super) zone: TimeZone,
    pub(super) now: Timestamp,
}

/// One instant as a page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct When {
    /// For `<time datetime>`.
    pub(super) iso: String,
    /// `2026-11-23 14:02:11 UTC`.
    pub(super) full: String,
    /// `14:02:11` today, else `23 Nov 14:02`.
    pub(super) short: String,
    /// The same with its seconds on every day: `23 Nov 14:02:11`.
    pub(super) exact: String,
    /// `14:02:11`.
    pub(super) clock: String,
    /// `Monday, 23 November 2026`.
    pub(super) day: String,
    /// `4 min ago`.
    pub(super) ago: String,
}

impl Clock {
    pub(super) fn now(zone: TimeZone) -> Self {
        Self {
            zone,
            now: Timestamp::now(),
        }
    }

    /// The zone's name as pages show it: `UTC`, `Europe/Vienna`.
    pub(super) fn zone(&self) -> String {
        self.zone.iana_name().unwrap_or("UTC").to_owned()
    }

    pub(super) fn when(&self, instant: Timestamp) -> When {
        let at = instant.as_jiff().to_zoned(self.zone.clone());
        let today = self.now.as_jiff().to_zoned(self.zone.clone()).date();
        let clock = at.strftime("%H:%M:%S").to_string();
        let short = if at.date() == today {
            clock.clone()
        } else if at.year() == today.year() {
            at.strftime("%-d %b %H:%M").to_string()
        } else {
            at.strftime("%Y-%m-%d %H:%M").to_string()
        };
        When {
            iso: instant.to_rfc3339(),
            full: at.strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
            exact: match short == clock {
                true => clock.clone(),
                false => format!("{short}{}", at.strftime(":%S")),
            },
            short,
            clock,
            day: at.strftime("%A, %-d %B %Y").to_string(),
            ago: ago(instant, self.now),
        }
    }

    pub(super) fn maybe(&self, instant: Option<Timestamp>) -> Option<When> {
        instant.map(|instant| self.when(instant))
    }

    /// A journaled sentence with its times in the zone of the pages: one zone on one screen.
    pub(super) fn spoken(&self, text: &str, written: Timestamp) -> String {
        spoken(&self.zone, text, written)
    }

    /// One value of an event's details: an instant in full, else like a sentence.
    pub(super) fn spoken_value(&self, text: &str, written: Timestamp) -> String {
        spoken_value(&self.zone, text, written)
    }

    /// A date or time that somebody typed, read in the zone of the pages unless it names its own.
    pub(super) fn read(&self, field: &str, text: &str) -> Result<Timestamp, crate::domain::Invalid> {
        Timestamp::read_in(&self.zone, text).map_err(|wrong| crate::domain::Invalid::new(field, wrong.problem))
    }
}

fn ago(instant: Timestamp, now: Timestamp) -> String {
    if instant > now.plus(Span::from_secs(1)) {
        return format!("in {}", rough(instant.since(now)));
    }
    match now.since(instant).as_secs() {
        ..10 => "just now".to_owned(),
        _ => format!("{} ago", rough(now.since(instant))),
    }
}

/// `4 min`, `3 h`, `12 days`: the largest unit alone.
pub(super) fn rough(span: Span) -> String {
    let secs = span.as_secs();
    match secs {
        ..60 => format!("{secs} s"),
        60..3_600 => format!("{} min", secs / 60),
        3_600..172_800 => format!("{} h", secs / 3_600),
        _ => format!("{} days", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_one_zone_and_names_it() {
        let clock = Clock {
            zone: TimeZone::get("Europe/Vienna").expect("zone"),
            now: "2026-11-23 13:06:11".parse().expect("time"),
        };
        let when = clock.when("2026-11-23 13:02:07".parse().expect("time"));
        assert_eq!(when.full, "2026-11-23 14:02:07 CET");
        assert_eq!(when.short, "14:02:07");
        assert_eq!(when.exact, "14:02:07");
        let before = clock.when("2026-11-20 18:30:28".parse().expect("time"));
        assert_eq!(
            (before.short.as_str(), before.exact.as_str()),
            ("20 Nov 19:30", "20 Nov 19:30:28")
        );
        assert_eq!(when.ago, "4 min ago");
        assert_eq!(when.iso, "2026-11-23T13:02:07.000000Z");
        assert_eq!(clock.zone(), "Europe/Vienna");
    }

    #[test]
    fn reads_what_was_typed_in_the_zone_of_the_pages() {
        let clock = Clock::now(TimeZone::get("Europe/Vienna").expect("zone"));
        let read = |text| clock.read("since", text).map(|t| t.to_string());
        assert_eq!(read("2026-11-23 14:05").expect("time"), "2026-11-23 13:05:00.000000");
        assert_eq!(
            read("2026-11-23T14:05:00Z").expect("time"),
            "2026-11-23 14:05:00.000000"
        );
        assert_eq!(read("2026-11-23").expect("date"), "2026-11-22 23:00:00.000000");
        assert_eq!(clock.read("since", "soon").expect_err("no time").field, "since");
    }
}
