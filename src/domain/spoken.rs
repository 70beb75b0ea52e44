//! What was journaled in UTC, said in the zone of whoever reads it: one zone on one screen.

use jiff::tz::TimeZone;

use super::{Span, Timestamp};

const UTC: &str = " UTC";

/// A journaled sentence with its times (`2026-11-23 09:38:21 UTC`, `09:38:21 UTC`, `09:38 UTC`) in this zone, with its name. A time
/// without a date is the last one before `written`.
#[must_use]
pub fn spoken(zone: &TimeZone, text: &str, written: Timestamp) -> String {
    let mut spoken = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((head, tail)) = rest.split_once(UTC) {
        match last_moment(zone, head, written) {
            Some((before, moment)) => {
                spoken.push_str(before);
                spoken.push_str(&moment);
            }
            None => {
                spoken.push_str(head);
                spoken.push_str(UTC);
            }
        }
        rest = tail;
    }
    spoken.push_str(rest);
    spoken
}

/// One value of an event's details: where it is an instant as the journal writes it (UTC, without saying so), that
/// instant in this zone, with its name and to the microsecond; else like a sentence.
#[must_use]
pub fn spoken_value(zone: &TimeZone, text: &str, written: Timestamp) -> String {
    match text.parse::<Timestamp>() {
        Ok(instant)
            if [instant.to_string(), instant.to_rfc3339()]
                .iter()
                .any(|own| own == text) =>
        {
            let at = instant.as_jiff().to_zoned(zone.clone());
            at.strftime("%Y-%m-%d %H:%M:%S%.6f %Z").to_string()
        }
        Ok(_) | Err(_) => spoken(zone, text, written),
    }
}

/// The moment at the end of a text, in this zone, and what is before it.
fn last_moment<'t>(zone: &TimeZone, head: &'t str, written: Timestamp) -> Option<(&'t str, String)> {
    for (length, form) in [
        (26, "%Y-%m-%d %H:%M:%S %Z"),
        (19, "%Y-%m-%d %H:%M:%S %Z"),
        (16, "%Y-%m-%d %H:%M %Z"),
        (8, "%H:%M:%S %Z"),
        (5, "%H:%M %Z"),
    ] {
        let Some((before, text)) = head.len().checked_sub(length).and_then(|at| head.split_at_checked(at)) else {
            continue;
        };
        let instant = if length < 10 {
            let day: String = written.to_string().chars().take(10).collect();
            let Ok(instant) = format!("{day} {text}").parse::<Timestamp>() else {
                continue;
            };
            if instant > written {
                instant.minus(Span::from_days(1))
            } else {
                instant
            }
        } else {
            let Ok(instant) = text.parse::<Timestamp>() else {
                continue;
            };
            instant
        };
        let at = instant.as_jiff().to_zoned(zone.clone());
        return Some((before, at.strftime(form).to_string()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journaled_sentence_speaks_in_the_zone_of_its_reader() {
        let zone = TimeZone::get("Europe/Vienna").expect("zone");
        let written: Timestamp = "2026-11-23 00:10:00".parse().expect("time");
        for (text, spoken) in [
            ("busy with switch since 09:38 UTC", "busy with switch since 10:38 CET"),
            ("again after 00:09:41 UTC, in", "again after 01:09:41 CET, in"),
            ("since 23:50 UTC, ü", "since 00:50 CET, ü"),
            ("seen 2026-07-01 09:38:21 UTC.", "seen 2026-07-01 11:38:21 CEST."),
            ("since 2026-07-01 09:38:21.000001 UTC", "since 2026-07-01 11:38:21 CEST"),
            ("times are in UTC", "times are in UTC"),
            ("ü UTC UTC", "ü UTC UTC"),
        ] {
            assert_eq!(super::spoken(&zone, text, written), spoken);
        }
    }

    #[test]
    fn an_instant_among_details_names_its_zone() {
        let zone = TimeZone::get("Europe/Vienna").expect("zone");
        let written: Timestamp = "2026-11-23 00:10:00".parse().expect("time");
        for (value, spoken) in [
            ("2026-11-20 18:30:22.971829", "2026-11-20 19:30:22.971829 CET"),
            ("2026-07-20T18:30:22.971829Z", "2026-07-20 20:30:22.971829 CEST"),
            ("2026-11-20", "2026-11-20"),
            ("busy since 18:26 UTC", "busy since 19:26 CET"),
            ("3", "3"),
        ] {
            assert_eq!(spoken_value(&zone, value, written), spoken);
        }
    }
}
