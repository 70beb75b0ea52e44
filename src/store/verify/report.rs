//! A printed report against the log that it speaks of.

use diesel::prelude::*;
use serde_json::Value;

use super::super::schema::event_log;
use super::super::{Journal, ReadError, Reader};
use super::Verdict;
use crate::domain::{Checkpoint, Digest, ReportStamp};

/// What the report says of itself, of the log, and what the log says of it. Its checkpoint is compared like any other
/// that an outside place kept.
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
    let checkpoint = stamp.checkpoint.as_deref().map(Checkpoint::read);
    match checkpoint {
        None => verdict.wrong(name(), "it names no checkpoint"),
        Some(Err(why)) => verdict.wrong(name(), format!("its {why}")),
        Some(Ok(checkpoint)) if stamp.key.as_deref() != Some(checkpoint.key.fingerprint().as_str()) => {
            verdict.wrong(
                name(),
                "its checkpoint was signed with another key than the one that it names",
            );
        }
        Some(Ok(_)) => {}
    }
    let covers = stamp.covers;
    let link = reader.read_blocking(|journal| journal.link_of(covers))?;
    match link {
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
    let said = reader.read_blocking(|journal| journal.said_of_report(&stamp.number.to_string()))?;
    match said {
        Some((_, details)) if details["digest"].as_str() == Some(stamp.content.as_str()) => {}
        Some((event, _)) => verdict.wrong(name(), format!("event {event} says another digest of it")),
        None => verdict.notes.push(format!(
            "The event that says how {} was made is not in the log any more",
            name()
        )),
    }
    Ok(())
}

impl Journal {
    /// The event that a report was made, with its details.
    fn said_of_report(&mut self, number: &str) -> Result<Option<(i64, Value)>, ReadError> {
        let mut before = i64::MAX;
        loop {
            let some: Vec<(i64, Option<String>)> = event_log::table
                .filter(event_log::action.eq("report"))
                .filter(event_log::id.lt(before))
                .order(event_log::id.desc())
                .limit(super::STEP)
                .select((event_log::id, event_log::details))
                .load(&mut self.conn)?;
            let Some((oldest, _)) = some.last() else {
                return Ok(None);
            };
            before = *oldest;
            for (id, details) in some {
                let details: Value = serde_json::from_str(&details.unwrap_or_default()).unwrap_or_default();
                if details["number"] == number {
                    return Ok(Some((id, details)));
                }
            }
        }
    }
}
