//! Rows in words: what a reader sees of a command, an event, a host.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Actor, CommandStatus, Span, Timestamp, bounded};
use crate::store::{CommandRow, EventLine};
use crate::web::clock::Clock;
use crate::web::words::{self, count};

use super::content::{CommandLine, CoverLine, Event, Exception, Total};
use super::gather::{Covered, Gathered, is_unexplained};

/// The longest message that is printed, in bytes; the log has the rest.
const MESSAGE: usize = 1_500;
/// An outcome that was learned this much after the end was settled later.
const LATE: Span = Span::from_secs(30);

/// Files of the archive that are named; of more, the first and the last ones.
const FILES: usize = 6;

/// The names of files, oldest first.
fn files(names: &BTreeSet<String>) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if names.len() <= FILES {
        return names.join(", ");
    }
    let (first, last) = (&names[..FILES / 2], &names[names.len() - FILES / 2..]);
    format!(
        "{} files, the first {}, the last {}",
        names.len(),
        first.join(", "),
        last.join(", ")
    )
}

/// Says rows in words.
pub(super) struct Said<'a> {
    pub(super) clock: &'a Clock,
    pub(super) found: &'a Gathered,
    /// Whether each time names its offset: in a range over a change of clocks.
    pub(super) named: bool,
}

impl Said<'_> {
    /// For a table, before which the zone is named.
    pub(super) fn at(&self, at: Timestamp) -> String {
        let full = self.clock.when(at).full;
        match full.rsplit_once(' ') {
            Some((plain, _)) if !self.named => plain.to_owned(),
            _ => full,
        }
    }

    pub(super) fn integrity(&self) -> Vec<(&'static str, String)> {
        let found = self.found;
        let between = match (found.first_event, found.last_event) {
            (Some(first), Some(last)) => {
                let whole = match self.missing() {
                    0 => "contiguous: no number is missing".to_owned(),
                    missing if found.lacking.is_empty() => {
                        format!("NOT contiguous: {missing} numbers are missing, and no sweep says that it took them")
                    }
                    missing => format!("NOT contiguous: {missing} numbers are missing; see Gaps"),
                };
                format!(
                    "#{first} to #{last}, {} in the range; {whole}",
                    count(found.range_events, "event", "events")
                )
            }
            _ => "none in the range".to_owned(),
        };
        vec![
            ("Events of the range", between),
            ("Events known", format!("up to #{}", found.covers)),
            (
                "From the archive",
                match found.archived {
                    (0, 0) => "nothing: all of it stood in the tables".to_owned(),
                    (events, commands) => format!(
                        "{} and {}, which sweeps had moved there, into {}",
                        count(i64::try_from(events).unwrap_or(i64::MAX), "event", "events"),
                        count(i64::try_from(commands).unwrap_or(i64::MAX), "command", "commands"),
                        files(&found.archives)
                    ),
                },
            ),
            (
                "What the filters let through",
                format!(
                    "{}, {}",
                    count(found.totals.commands, "command", "commands"),
                    count(found.events_total, "event", "events")
                ),
            ),
        ]
    }

    /// What of the range is neither in the tables nor in the archive.
    pub(super) fn gaps(&self, made: Timestamp) -> Vec<String> {
        let lacking = self.found.lacking.iter();
        lacking
            .map(|text| format!("{}.", self.clock.spoken(text, made)))
            .collect()
    }

    /// What people keep from the sweeps.
    pub(super) fn held(&self) -> Vec<String> {
        let held = &self.found.held;
        let holds = held.holds.iter().map(|hold| {
            format!(
                "Hold {} on {}, placed by {} at {}: {}",
                hold.id,
                self.clock.spoken(&hold.range(), hold.placed_at),
                hold.placed_by,
                self.at(hold.placed_at),
                bounded(&hold.reason, MESSAGE)
            )
        });
        let mark = |what: String, by: Option<&Actor>, at: Option<Timestamp>, reason: Option<&String>| {
            format!(
                "{what}, kept by {} since {}: {}",
                by.map(ToString::to_string).unwrap_or_default(),
                at.map(|at| self.at(at)).unwrap_or_default(),
                bounded(reason.map_or("no reason", String::as_str), MESSAGE)
            )
        };
        let commands = held.commands.iter().map(|row| {
            let what = format!("Command {}, {} on {}", row.id, row.op, row.host);
            mark(what, row.kept_by.as_ref(), row.kept_at, row.kept_reason.as_ref())
        });
        let pipelines = held.pipelines.iter().map(|row| {
            let what = format!("Pipeline {}, {}", row.id, row.name);
            mark(what, row.kept_by.as_ref(), row.kept_at, row.kept_reason.as_ref())
        });
        holds.chain(commands).chain(pipelines).collect()
    }

    pub(super) fn totals(&self) -> Vec<Total> {
        let totals = &self.found.totals;
        let plain = |counts: &BTreeMap<String, usize>| -> Vec<(String, usize)> {
            let mut rows: Vec<_> = counts.iter().map(|(name, count)| (name.clone(), *count)).collect();
            rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            rows
        };
        let all = CommandStatus::ALL.iter();
        let by_status = all.filter_map(|status| Some((status.name().to_owned(), *totals.by_status.get(status)?)));
        let of_commands = |title, rows| Total {
            title,
            of: "Commands",
            rows,
            all: totals.commands,
        };
        vec![
            of_commands("By outcome", by_status.collect()),
            of_commands("By op", plain(&totals.by_op)),
            of_commands("By host", plain(&totals.by_host)),
            of_commands("By actor", plain(&totals.by_actor)),
            Total {
                title: "By outcome",
                of: "Pipelines",
                rows: self.flow_totals(),
                all: self.found.flows.total,
            },
        ]
    }

    fn how(&self, row: &CommandRow) -> String {
        bounded(&words::status(row, self.clock).text, MESSAGE)
    }

    pub(super) fn exception(&self, row: &CommandRow) -> Exception {
        let mut why = Vec::new();
        if row.status.needs_attention() || row.status == CommandStatus::Blocked {
            why.push(self.how(row));
        }
        if let Some(by) = &row.resolved_by {
            why.push(format!("Resolved by hand: {by}"));
        }
        if is_unexplained(row, self.found.definition_of(row)) {
            why.push("Dangerous, and no reason was given".to_owned());
        }
        if let Some(by) = &row.acknowledged_by {
            why.push(format!("Acknowledged by {by}"));
        }
        Exception {
            at: self.at(row.created_at),
            what: format!("{} on {}", row.op, row.host),
            by: row.actor.to_string(),
            why,
            row: self
                .found
                .commands
                .iter()
                .position(|printed| printed.id == row.id)
                .map(|at| self.found.number(at)),
        }
    }

    pub(super) fn command(&self, at: usize, row: &CommandRow) -> CommandLine {
        let late = matches!((row.finished_at, row.settled_at), (Some(end), Some(known)) if known.since(end) > LATE);
        let mut evidence = Vec::new();
        evidence.extend(self.place(row));
        let how = self.how(row);
        if let Some(asked) = row
            .started_at
            .filter(|at| at.since(row.created_at) >= Span::from_secs(60))
        {
            evidence.push(format!(
                "Asked for at {}, {} before.",
                self.at(row.created_at),
                asked.since(row.created_at).human()
            ));
        }
        let error = row.error.as_ref().map(|error| self.clock.spoken(error, row.created_at));
        if let Some(error) = error.filter(|error| !how.contains(error.as_str())) {
            evidence.push(bounded(&error, MESSAGE));
        }
        if row.status != CommandStatus::Success || late || row.resolved_by.is_some() {
            evidence.extend(words::evidence(row).map(|text| bounded(&text, MESSAGE)));
        }
        if let (true, Some(known)) = (late, row.settled_at) {
            evidence.push(format!("Known since {}.", self.at(known)));
        }
        if let (Some(by), Some(at)) = (&row.stop_by, row.stop_at) {
            let note = row
                .stop_note
                .as_ref()
                .map(|note| format!(": {note}"))
                .unwrap_or_default();
            evidence.push(bounded(
                &format!("Stop asked for by {by} at {}{note}", self.at(at)),
                MESSAGE,
            ));
        }
        if let Some(by) = &row.resolved_by {
            evidence.push(format!("Resolved by hand by {by}."));
            if let (Some(word), Some(at)) = (&row.late_word, row.late_at) {
                evidence.push(bounded(&format!("At {} the host said: {word}.", self.at(at)), MESSAGE));
            }
        }
        if let (Some(by), Some(at)) = (&row.acknowledged_by, row.acknowledged_at) {
            let note = row.acknowledged_note.as_deref().unwrap_or("no note");
            evidence.push(bounded(
                &format!("Acknowledged by {by} at {}: {note}", self.at(at)),
                MESSAGE,
            ));
        }
        CommandLine {
            row: self.found.number(at),
            id: row.id.to_string(),
            from: self.at(row.started_at.unwrap_or(row.created_at)),
            to: row.finished_at.map_or_else(|| "open".to_owned(), |end| self.at(end)),
            took: match (row.started_at, row.finished_at) {
                (Some(began), Some(end)) => end.since(began).human(),
                (None, Some(_)) => "–".to_owned(),
                (_, None) => "open".to_owned(),
            },
            by: row.actor.to_string(),
            op: row.op.to_string(),
            host: row.host.clone(),
            bad: row.status.needs_attention() || row.status == CommandStatus::Blocked,
            how: match row.exit_code {
                Some(code) if !how.contains("exit") => format!("{how}, exit {code}"),
                _ => how,
            },
            evidence,
            reason: match row.reason.as_deref().map(str::trim) {
                None | Some("") => "none given".to_owned(),
                Some(reason) => bounded(reason, MESSAGE),
            },
        }
    }

    pub(super) fn event(&self, event: &EventLine) -> Event {
        Event {
            id: event.id,
            at: self.at(event.timestamp),
            level: words::level(event.level).text,
            by: match &event.address {
                Some(address) => format!("{}\nfrom {}", event.actor, bounded(address, 100)),
                None => event.actor.to_string(),
            },
            action: event.action.clone(),
            host: event.host.clone().unwrap_or_default(),
            message: bounded(&self.clock.spoken(&event.message, event.timestamp), MESSAGE),
        }
    }

    pub(super) fn covered(&self, covered: &Covered) -> CoverLine {
        let gone = covered
            .host
            .removed_at
            .map(|at| format!("removed from the fleet at {}", self.at(at)));
        let (at, note) = match (&covered.success, &covered.attempt) {
            (Some((at, by, id)), _) => (self.at(*at), format!("by {by}, {id}")),
            (None, Some(row)) => (
                "none".to_owned(),
                format!("last attempt {}: {}", self.at(row.created_at), self.how(row)),
            ),
            (None, None) => ("none".to_owned(), String::new()),
        };
        let notes: Vec<String> = [Some(note).filter(|note| !note.is_empty()), gone]
            .into_iter()
            .flatten()
            .collect();
        CoverLine {
            host: covered.host.hostname.to_string(),
            at,
            note: notes.join("; "),
            missing: covered.success.is_none(),
        }
    }
}
