//! A printed report against what the database says of it: its row, for which events vouch like for others
//! ([`super::rows`]), and its checkpoint, which is compared like any that an outside place kept.

use diesel::prelude::*;
use serde_json::Value;

use super::super::schema::event_log;
use super::super::{Journal, ReadError, Reader};
use super::Verdict;
use crate::domain::{Checkpoint, Digest, ReportStamp};

/// Begins what is said where neither is shown: that it is right, nor that it is not. That is no "fits".
const UNPROVED: &str = "it cannot be proved";

/// What the report says of itself and of the log, and what the database says of it.
pub(super) fn verify(
    reader: &Reader,
    stamp: &ReportStamp,
    content: Option<&str>,
    verdict: &mut Verdict,
) -> Result<(), ReadError> {
    let name = || format!("report {}", stamp.number);
    match content {
        None => verdict.notes.push(format!(
            "Of {} the stamp alone was compared: save its page as one file to compare what it says",
            name()
        )),
        Some(content) if Digest::of(content.as_bytes()) != stamp.content => {
            verdict.wrong(
                name(),
                "what it says is not what its digest is of: the page was altered",
            );
        }
        Some(_) => {}
    }
    let number = stamp.number;
    let row = reader.read_blocking(|journal| journal.report(number))?;
    let Some(row) = row else {
        verdict.wrong(name(), format!("{UNPROVED}: the database has no report of this number"));
        return Ok(());
    };
    let (Some(event), Some(kept)) = (row.event_id, row.stamp.as_deref()) else {
        verdict.wrong(
            name(),
            format!("{UNPROVED}: by the database it was begun, but never made"),
        );
        return Ok(());
    };
    let (is, was) = (stamp.to_string(), kept.to_owned());
    for (is, was) in is.lines().zip(was.lines().chain(std::iter::repeat(""))) {
        if is != was {
            let short = |line: &str| crate::domain::bounded(line, 120);
            verdict.wrong(
                name(),
                format!(
                    "its stamp says “{}”, but the one that was made says “{}”",
                    short(is),
                    short(was)
                ),
            );
        }
    }
    checkpoint(stamp, event, verdict);
    let covers = stamp.covers;
    match reader.read_blocking(|journal| journal.link_of(covers))? {
        Some(link) if stamp.link.as_deref() == Some(link.to_string().as_str()) => {}
        Some(_) => verdict.wrong(
            name(),
            format!("the link of event {covers} is not the one that it printed"),
        ),
        None => verdict.notes.push(format!(
            "Event {covers}, up to which {} reaches, is not in the log any more; its checkpoint was compared",
            name()
        )),
    }
    // Where the event is gone, the digest that a sweep signed vouches for the row; where neither is there, the row was
    // named already as one for which nothing vouches.
    match reader.read_blocking(|journal| journal.said_in(event))? {
        Some(details) if details["number"] != stamp.number.to_string() => {
            verdict.wrong(name(), format!("{UNPROVED}: event {event} is not about it"));
        }
        Some(details) if details["digest"].as_str() != Some(stamp.content.as_str()) => {
            verdict.wrong(name(), format!("event {event} says another digest of it"));
        }
        Some(_) => {}
        None => verdict.notes.push(format!(
            "Event {event}, which says how {} was made, was swept: what the sweep signed of it was compared",
            name()
        )),
    }
    Ok(())
}

fn checkpoint(stamp: &ReportStamp, event: i64, verdict: &mut Verdict) {
    let name = format!("report {}", stamp.number);
    match stamp.checkpoint.as_deref().map(Checkpoint::read) {
        None => verdict.wrong(name, "it names no checkpoint"),
        Some(Err(why)) => verdict.wrong(name, format!("its {why}")),
        Some(Ok(checkpoint)) if stamp.key.as_deref() != Some(checkpoint.key.fingerprint().as_str()) => {
            verdict.wrong(
                name,
                "its checkpoint was signed with another key than the one that it names",
            );
        }
        Some(Ok(checkpoint)) if checkpoint.event_id < event => {
            let text = format!("its checkpoint does not cover event {event}, which says how it was made");
            verdict.wrong(name, text);
        }
        Some(Ok(_)) => {}
    }
}

impl Journal {
    /// The details of an event that says that a report was made.
    fn said_in(&mut self, event: i64) -> Result<Option<Value>, ReadError> {
        let details: Option<Option<String>> = event_log::table
            .find(event)
            .filter(event_log::action.eq("report"))
            .select(event_log::details)
            .get_result(&mut self.conn)
            .optional()?;
        Ok(details.map(|details| serde_json::from_str(&details.unwrap_or_default()).unwrap_or_default()))
    }
}
