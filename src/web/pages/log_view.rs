//! The view of the system log that a URL asks for: as it was typed, for its form and its links; and as the journal is
//! asked for it.

use crate::domain::{HostName, Invalid};
use crate::store::{Cursor, EventFilter};

use super::super::clock::Clock;
use super::super::fields::{Fields, given, parsed, to_query};

/// The view that a URL asks for, as it was written.
#[derive(Clone, Default)]
pub(super) struct View {
    pub(super) q: String,
    pub(super) category: String,
    pub(super) level: String,
    pub(super) action: String,
    pub(super) host: String,
    pub(super) actor: String,
    pub(super) since: String,
    pub(super) until: String,
    pub(super) command: String,
    pub(super) pipeline: String,
    pub(super) before: String,
    pub(super) after: String,
}

/// The same as the journal is asked for it.
pub(super) struct Asked {
    pub(super) host: Option<HostName>,
    pub(super) filter: EventFilter,
    pub(super) cursor: Option<Cursor<i64>>,
}

/// A common question, one click.
pub(super) struct Chip {
    pub(super) text: &'static str,
    pub(super) place: String,
    pub(super) chosen: bool,
}

/// Text, category, action and level of each.
const CHIPS: [(&str, &str, &str, &str); 7] = [
    ("Everything", "", "", ""),
    ("Refusals", "", "refused", ""),
    ("Log-ins", "", "session", ""),
    ("Changes", "audit", "", ""),
    ("Recovery", "", "recovery", ""),
    ("Sweeps", "", "sweep", ""),
    ("Errors", "", "", "error"),
];

impl View {
    pub(super) fn read(fields: &Fields) -> Self {
        let text = |name: &str| fields.owned(name).unwrap_or_default();
        Self {
            q: text("q"),
            category: text("category"),
            level: text("level"),
            action: text("action"),
            host: text("host"),
            actor: text("actor"),
            since: text("since"),
            until: text("until"),
            command: text("command"),
            pipeline: text("pipeline"),
            before: text("before"),
            after: text("after"),
        }
    }

    pub(super) fn asked(&self, clock: &Clock) -> Result<Asked, Invalid> {
        let time = |name: &str, text: &str| given(text).map(|text| clock.read(name, text)).transpose();
        let cursor = match (event("before", &self.before)?, event("after", &self.after)?) {
            (Some(id), _) => Some(Cursor::Before(id)),
            (None, Some(id)) => Some(Cursor::After(id)),
            (None, None) => None,
        };
        let filter = EventFilter {
            category: parsed("category", &self.category)?,
            level: parsed("level", &self.level)?,
            actor: given(&self.actor).map(str::to_owned),
            action: given(&self.action).map(str::to_owned),
            since: time("since", &self.since)?,
            until: time("until", &self.until)?,
            command: parsed("command", &self.command)?,
            pipeline: parsed("pipeline", &self.pipeline)?,
            text: parsed("q", &self.q)?,
            host: None,
        };
        Ok(Asked {
            host: parsed("host", &self.host)?,
            filter,
            cursor,
        })
    }

    /// The same view at another place.
    pub(super) fn place(&self, key: &str, cursor: &str) -> String {
        let query = to_query([
            ("q", self.q.as_str()),
            ("category", &self.category),
            ("level", &self.level),
            ("action", &self.action),
            ("host", &self.host),
            ("actor", &self.actor),
            ("since", &self.since),
            ("until", &self.until),
            ("command", &self.command),
            ("pipeline", &self.pipeline),
            (key, cursor),
        ]);
        format!("/log{query}")
    }

    pub(super) fn at(&self, cursor: Cursor<i64>) -> String {
        match cursor {
            Cursor::Before(id) => self.place("before", &id.to_string()),
            Cursor::After(id) => self.place("after", &id.to_string()),
        }
    }

    /// Where it is now.
    pub(super) fn here(&self) -> String {
        match (given(&self.before), given(&self.after)) {
            (Some(id), _) => self.place("before", id),
            (None, Some(id)) => self.place("after", id),
            (None, None) => self.place("", ""),
        }
    }

    pub(super) fn is_filtered(&self) -> bool {
        self.place("", "") != "/log"
    }

    /// The newest events and what comes.
    pub(super) fn is_newest(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }

    /// The common questions, beside whatever else is asked.
    pub(super) fn chips(&self) -> Vec<Chip> {
        let chip = |(text, category, action, level): (_, &str, &str, &str)| {
            let view = Self {
                category: category.to_owned(),
                action: action.to_owned(),
                level: level.to_owned(),
                ..self.clone()
            };
            let place = view.place("", "");
            Chip {
                text,
                chosen: place == self.place("", ""),
                place,
            }
        };
        CHIPS.into_iter().map(chip).collect()
    }
}

/// The number of an event.
fn event(field: &str, text: &str) -> Result<Option<i64>, Invalid> {
    let read = |text: &str| {
        let number = text.parse::<i64>().ok().filter(|number| *number >= 0);
        number.ok_or_else(|| Invalid::new(field, "is no event's number"))
    };
    given(text).map(read).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(query: &str) -> (View, Result<Asked, Invalid>) {
        let view = View::read(&Fields::query(query).expect("query"));
        let asked = view.asked(&Clock::now(jiff::tz::TimeZone::UTC));
        (view, asked)
    }

    #[test]
    fn the_url_reproduces_the_view() {
        let url = "q=%22busy%20with%22&category=audit&level=warn&action=op:&host=web-03&actor=alice&since=2026-11-01\
                   &until=2026-11-23%2014:05&command=0193a5c2-1f60-7c3e-8a4b-5d6e7f809102&before=17";
        let (view, asked) = view(url);
        let asked = asked.map_err(|wrong| wrong.to_string()).expect("view");
        assert_eq!(view.here(), format!("/log?{url}"));
        assert_eq!(asked.cursor, Some(Cursor::Before(17)));
        assert!(view.is_filtered() && !view.is_newest());
        assert_eq!(
            view.at(Cursor::After(3)),
            format!("/log?{url}").replace("before=17", "after=3")
        );
    }

    #[test]
    fn nonsense_is_refused_with_its_field() {
        for (query, field) in [
            ("before=x", "before"),
            ("after=-1", "after"),
            ("before=99999999999999999999", "before"),
            ("q=-+*", "q"),
            ("category=noise", "category"),
            ("level=loud", "level"),
            ("since=soon", "since"),
            ("until=2026-13-01", "until"),
            ("host=-x", "host"),
            ("command=x", "command"),
            ("pipeline=x", "pipeline"),
        ] {
            assert_eq!(view(query).1.err().expect(query).field, field);
        }
    }

    #[test]
    fn a_chip_asks_its_question_beside_the_other_filters() {
        let chosen = |query: &str| -> Vec<(&str, String)> {
            let chips = view(query).0.chips().into_iter().filter(|chip| chip.chosen);
            chips.map(|chip| (chip.text, chip.place)).collect()
        };
        assert_eq!(chosen(""), [("Everything", "/log".to_owned())]);
        assert_eq!(
            chosen("category=audit&before=7"),
            [("Changes", "/log?category=audit".to_owned())]
        );
        assert_eq!(
            chosen("action=refused&host=a"),
            [("Refusals", "/log?action=refused&host=a".to_owned())]
        );
        assert!(chosen("action=refused&level=warn").is_empty());
        let places: Vec<String> = view("q=x&level=warn")
            .0
            .chips()
            .into_iter()
            .map(|chip| chip.place)
            .collect();
        assert_eq!(places[0], "/log?q=x");
        assert_eq!(places[6], "/log?q=x&level=error");
    }
}
