//! What a report is asked for, as JSON.

use serde::Deserialize;
use utoipa::ToSchema;

use super::super::fields::Fields;
use super::body::Body;
use crate::domain::{Invalid, Timestamp};

/// What a report is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportBody {
    /// `today`, `yesterday`, `week` (today, up to now, and the six days before) or `month`, in the zone of the pages.
    range: Option<String>,
    /// In place of a range: from this time on ...
    since: Option<Timestamp>,
    /// ... up to this one, which is not part of it; without it, up to now.
    until: Option<Timestamp>,
    /// What is about this host alone, by its name.
    host: Option<String>,
    /// What is about hosts of this tag alone.
    tag: Option<String>,
    /// What is about this op alone.
    op: Option<String>,
    /// What this actor did alone: `user:alice`.
    actor: Option<String>,
    /// Commands of this status alone.
    status: Option<String>,
    /// With the table of events; without it, yes.
    events: Option<bool>,
    /// With the end of each output; without it, no.
    excerpts: Option<bool>,
    /// With the definitions that ran; without it, yes.
    definitions: Option<bool>,
    /// With every host's last success of this op or pipeline.
    coverage: Option<String>,
    /// `a4` or `letter`.
    paper: Option<String>,
    /// Which part of the rows, from 1.
    #[schema(minimum = 1)]
    part: Option<u32>,
    /// In place of range and filters: an earlier report by its number, of which this is another part. It has the
    /// same range and filters, and no event that the earlier one did not know.
    of: Option<String>,
}

impl Body for ReportBody {
    const KEYS: &[&str] = &[
        "range",
        "since",
        "until",
        "host",
        "tag",
        "op",
        "actor",
        "status",
        "events",
        "excerpts",
        "definitions",
        "coverage",
        "paper",
        "part",
        "of",
    ];
}

impl ReportBody {
    /// The same as the form of the page sends it.
    pub(super) fn fields(self) -> Result<Fields, Invalid> {
        if self.range.is_some() && (self.since.is_some() || self.until.is_some()) {
            return Err(Invalid::new(
                "range",
                "is given beside since or until; give one of the two",
            ));
        }
        let range = match (self.range, self.since) {
            (Some(range), _) => Some(range),
            (None, Some(_)) => Some("custom".to_owned()),
            (None, None) => None,
        };
        let time = |time: Option<Timestamp>| time.map(Timestamp::to_rfc3339);
        let part = self.of.is_some();
        // A part of an earlier report has what that has; what is said beside it is refused.
        let yes = |wanted: Option<bool>, else_: bool| wanted.unwrap_or(else_ && !part).then(|| "yes".to_owned());
        let fields = [
            ("range", range),
            ("since", time(self.since)),
            ("until", time(self.until)),
            ("host", self.host),
            ("tag", self.tag),
            ("op", self.op),
            ("actor", self.actor),
            ("status", self.status),
            ("events", yes(self.events, true)),
            ("excerpts", yes(self.excerpts, false)),
            ("definitions", yes(self.definitions, true)),
            ("coverage", self.coverage),
            ("paper", self.paper),
            ("part", self.part.map(|part| part.to_string())),
            ("of", self.of),
        ];
        let fields = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Ok(Fields::form(fields.collect()))
    }
}
