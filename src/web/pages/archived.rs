//! Said where a list is asked for what its table does not hold any more: where the rest is.

use crate::web::Web;
use crate::web::fields::to_query;

use super::export::Places;

/// Where the older rows are.
pub(super) struct Archived {
    pub(super) text: String,
    /// The same list as a file: exports read the archive.
    pub(super) csv: String,
    pub(super) jsonl: String,
    /// The form of a report over the same range, filled in.
    pub(super) report: String,
}

/// What becomes of rows that are past their time, for a sentence.
pub(super) fn taken(web: &Web) -> &'static str {
    match web.engine.policy().archive {
        Some(_) => "sweeps move older ones to the archive",
        None => "sweeps delete older ones, and no archive is kept",
    }
}

/// The range and filters that a list and a report have in common, as they were typed.
pub(super) struct Asked<'a> {
    pub(super) since: &'a str,
    pub(super) until: &'a str,
    pub(super) host: &'a str,
    pub(super) actor: &'a str,
    pub(super) op: &'a str,
}

impl Archived {
    pub(super) fn new(text: String, take: &Places, asked: &Asked<'_>) -> Self {
        let query = to_query([
            ("since", asked.since),
            ("until", asked.until),
            ("host", asked.host),
            ("actor", asked.actor),
            ("op", asked.op),
        ]);
        Self {
            text,
            csv: take.csv.clone(),
            jsonl: take.jsonl.clone(),
            report: format!("/audit{query}"),
        }
    }
}
