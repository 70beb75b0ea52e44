//! The view of the history that a URL asks for: read, and written again as the address of another tab or place.

use crate::domain::{CommandId, CommandStatus, HostName, Invalid};
use crate::store::{Cursor, HistoryFilter};

use super::super::clock::Clock;
use super::super::fields::{Fields, given, parsed, to_query};

/// An orphaned command that is open: its status as the filter writes it, for the journal has one word for both.
pub(super) const FINDING_OUT: &str = "finding-out";

/// The view that a URL asks for, as it was written.
#[derive(Clone, Default)]
pub(super) struct View {
    pub(super) show: String,
    pub(super) host: String,
    pub(super) op: String,
    pub(super) status: String,
    pub(super) actor: String,
    pub(super) pipeline: String,
    pub(super) since: String,
    pub(super) until: String,
    pub(super) before: String,
    pub(super) after: String,
}

/// The same as the journal is asked for it.
pub(super) struct Asked {
    pub(super) host: Option<HostName>,
    pub(super) filter: HistoryFilter,
    pub(super) cursor: Option<Cursor<CommandId>>,
}

impl View {
    pub(super) fn read(fields: &Fields) -> Self {
        let text = |name: &str| fields.owned(name).unwrap_or_default();
        Self {
            show: text("show"),
            host: text("host"),
            op: text("op"),
            status: text("status"),
            actor: text("actor"),
            pipeline: text("pipeline"),
            since: text("since"),
            until: text("until"),
            before: text("before"),
            after: text("after"),
        }
    }

    pub(super) fn asked(&self, clock: &Clock) -> Result<Asked, Invalid> {
        let time = |name: &str, text: &str| given(text).map(|text| clock.read(name, text)).transpose();
        if !["", "attention", "running"].contains(&self.show.as_str()) {
            return Err(Invalid::new("show", "must be attention or running"));
        }
        let cursor = match (parsed("before", &self.before)?, parsed("after", &self.after)?) {
            (Some(id), _) => Some(Cursor::Before(id)),
            (None, Some(id)) => Some(Cursor::After(id)),
            (None, None) => None,
        };
        let finding_out = self.status == FINDING_OUT;
        let status = match given(&self.status) {
            None => None,
            Some(_) if finding_out => Some(CommandStatus::Orphaned),
            Some(text) => Some(CommandStatus::asked(text)?),
        };
        let filter = HistoryFilter {
            op: given(&self.op).map(str::to_owned),
            status: status.into_iter().collect(),
            open_only: self.show == "running" || finding_out,
            ended_only: !finding_out && status == Some(CommandStatus::Orphaned),
            attention_only: self.show == "attention",
            actor: given(&self.actor).map(str::to_owned),
            pipeline: parsed("pipeline", &self.pipeline)?,
            since: time("since", &self.since)?,
            until: time("until", &self.until)?,
            ..HistoryFilter::default()
        };
        Ok(Asked {
            host: parsed("host", &self.host)?,
            filter,
            cursor,
        })
    }

    /// The same view with another tab, at another place.
    pub(super) fn place(&self, show: &str, key: &str, cursor: &str) -> String {
        let query = to_query([
            ("show", show),
            ("host", &self.host),
            ("op", &self.op),
            ("status", &self.status),
            ("actor", &self.actor),
            ("pipeline", &self.pipeline),
            ("since", &self.since),
            ("until", &self.until),
            (key, cursor),
        ]);
        format!("/history{query}")
    }

    pub(super) fn at(&self, cursor: Cursor<CommandId>) -> String {
        match cursor {
            Cursor::Before(id) => self.place(&self.show, "before", &id.to_string()),
            Cursor::After(id) => self.place(&self.show, "after", &id.to_string()),
        }
    }

    /// Where it is now.
    pub(super) fn here(&self) -> String {
        match (given(&self.before), given(&self.after)) {
            (Some(id), _) => self.place(&self.show, "before", id),
            (None, Some(id)) => self.place(&self.show, "after", id),
            (None, None) => self.place(&self.show, "", ""),
        }
    }

    pub(super) fn is_filtered(&self) -> bool {
        let all = [
            &self.host,
            &self.op,
            &self.status,
            &self.actor,
            &self.pipeline,
            &self.since,
            &self.until,
        ];
        all.iter().any(|field| !field.is_empty())
    }
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
        let url = "show=attention&host=web-03&op=switch&status=ERROR&actor=local:alice\
                   &pipeline=0193a5c2-1f60-7c3e-8a4b-5d6e7f809102&since=2026-11-01&until=2026-11-23%2014:05\
                   &before=0193a5c2-1f60-7c3e-8a4b-5d6e7f809103";
        let (view, asked) = view(url);
        let filter = asked.map_err(|wrong| wrong.to_string()).expect("view").filter;
        assert_eq!(view.here(), format!("/history?{url}"));
        assert!(filter.attention_only && filter.pipeline.is_some());
        assert_eq!(filter.status, [CommandStatus::Error]);
    }

    #[test]
    fn what_is_being_found_out_and_what_stays_unknown_are_two_filters() {
        let filter = |query: &str| view(query).1.map_err(|wrong| wrong.to_string()).expect(query).filter;
        let (open, ended) = (filter("status=finding-out"), filter("status=unknown"));
        assert_eq!(
            (&open.status, open.open_only, open.ended_only),
            (&ended.status, true, false)
        );
        assert_eq!((ended.open_only, ended.ended_only), (false, true));
    }

    #[test]
    fn nonsense_is_refused_with_its_field() {
        for (query, field) in [
            ("before=17", "before"),
            ("since=soon", "since"),
            ("status=FINE", "status"),
            ("show=odd", "show"),
            ("host=-x", "host"),
            ("pipeline=x", "pipeline"),
        ] {
            assert_eq!(view(query).1.err().expect(query).field, field);
        }
    }
}
