//! Events as pages show them: one line of the log, and one event's own page with everything that is known of it.

use std::collections::HashSet;

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use askama::Template;

use crate::domain::{CommandId, PipelineId, flattened, flattened_without};
use crate::store::{Cursor, EventFilter, EventRow, Journal, ReadError};

use super::super::clock::{Clock, When};
use super::super::error::Problem;
use super::super::frame::{Frame, html};
use super::super::words::{self, Word};
use super::super::{Visitor, Web};

/// In a line of the log so many details are shown, and so much of each; the event's own page has all.
const SHOWN: usize = 12;
const LONGEST: usize = 300;
/// And so much of its sentence.
const SENTENCE: usize = 600;

/// Under this key the details have the record of what ended.
const RECORD: &str = "record";

fn record(row: &EventRow) -> Option<&serde_json::Value> {
    row.details.as_ref()?.get(RECORD)
}

/// What an event is about: a command or a pipeline.
pub(super) struct About {
    pub(super) text: String,
    /// None where it was swept.
    pub(super) place: Option<String>,
}

/// One thing that is known of an event.
pub(super) struct Detail {
    pub(super) key: String,
    pub(super) value: String,
}

/// One event in the log.
pub(super) struct Line {
    pub(super) id: i64,
    pub(super) at: When,
    pub(super) level: Word,
    pub(super) by: String,
    pub(super) action: String,
    pub(super) host: String,
    pub(super) message: String,
    /// Whether there is more of the sentence than that.
    pub(super) shortened: bool,
    pub(super) about: Vec<About>,
    pub(super) details: Vec<Detail>,
    /// Whether there is more of the details than that.
    pub(super) cut: bool,
}

/// What of that which events are about is still in the journal.
#[derive(Default)]
pub(super) struct Kept {
    commands: HashSet<CommandId>,
    pipelines: HashSet<PipelineId>,
}

impl Kept {
    pub(super) fn of(rows: &[EventRow], journal: &mut Journal) -> Result<Self, ReadError> {
        let commands: HashSet<CommandId> = rows.iter().filter_map(|row| row.command_id).collect();
        let commands: Vec<CommandId> = commands.into_iter().collect();
        let gone: HashSet<CommandId> = journal.without_row(&commands)?.into_iter().collect();
        let asked: HashSet<PipelineId> = rows.iter().filter_map(|row| row.pipeline_id).collect();
        let mut pipelines = HashSet::new();
        for id in asked {
            if journal.has_pipeline(id)? {
                pipelines.insert(id);
            }
        }
        Ok(Self {
            commands: commands.into_iter().filter(|id| !gone.contains(id)).collect(),
            pipelines,
        })
    }

    fn about(&self, row: &EventRow) -> Vec<About> {
        let command = row.command_id.map(|id| About {
            text: format!("command {}", id.short()),
            place: self.commands.contains(&id).then(|| format!("/commands/{id}")),
        });
        let pipeline = row.pipeline_id.map(|id| About {
            text: format!("pipeline {}", id.short()),
            place: self.pipelines.contains(&id).then(|| format!("/pipelines/{id}")),
        });
        command.into_iter().chain(pipeline).collect()
    }
}

impl Line {
    pub(super) fn new(row: &EventRow, kept: &Kept, clock: &Clock) -> Self {
        // The record of what ended repeats the sentence, for the chain: it is on the event's own page.
        let all = row.details.iter().flat_map(|all| flattened_without(all, RECORD));
        let (mut details, mut cut) = (Vec::new(), record(row).is_some());
        let whole = clock.spoken(&row.message, row.timestamp);
        let message = short(&whole, SENTENCE);
        for (key, value) in all {
            if details.len() == SHOWN {
                cut = true;
                break;
            }
            let value = clock.spoken_value(&value, row.timestamp);
            let shown = short(&value, LONGEST);
            cut |= shown != value;
            details.push(Detail { key, value: shown });
        }
        Self {
            id: row.id,
            at: clock.when(row.timestamp),
            level: words::level(row.level),
            by: row.actor.name().to_owned(),
            action: row.action.clone(),
            host: row.host.as_ref().map(ToString::to_string).unwrap_or_default(),
            shortened: message != whole,
            message,
            about: kept.about(row),
            details,
            cut,
        }
    }

    /// Where its sentence leads to.
    pub(super) fn place(&self) -> Option<&String> {
        self.about.iter().find_map(|about| about.place.as_ref())
    }

    /// What it is about and is not there any more.
    pub(super) fn gone(&self) -> impl Iterator<Item = &About> {
        self.about.iter().filter(|about| about.place.is_none())
    }
}

/// So many characters of a text, and a sign where there is more.
fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[derive(Template)]
#[template(path = "log/event.html")]
struct EventPage {
    frame: Frame,
    line: Line,
    message: String,
    category: &'static str,
    actor: String,
    all: Vec<Detail>,
    record: Vec<Detail>,
    link: String,
    /// The first checkpoint that covers it: its number, its last event, when it was made.
    covered: Option<(i64, i64, When)>,
    before: Option<i64>,
    after: Option<i64>,
    command: String,
    pipeline: String,
}

/// `/log/{id}`.
pub(in crate::web) async fn show(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let missing = || Problem::swept(&format!("Event #{}", crate::domain::bounded(&id, 40)));
    let number: i64 = id.parse().map_err(|_| missing())?;
    let read = move |journal: &mut Journal| {
        let Some(row) = journal.event(number)? else {
            return Ok(None);
        };
        let any = EventFilter::default();
        let before = journal.events(&any, Some(Cursor::Before(number)), 1)?.rows;
        let after = journal.events(&any, Some(Cursor::After(number)), 1)?.rows;
        let covered = journal.checkpoint_covering(number)?;
        let kept = Kept::of(std::slice::from_ref(&row), journal)?;
        Ok(Some((row, kept, covered, before, after)))
    };
    let found = web.engine.reader().read(read).await?;
    let (row, kept, covered, before, after) = found.ok_or_else(missing)?;
    let clock = web.clock();
    let detail = |(key, value): (String, String)| Detail {
        key,
        value: clock.spoken_value(&value, row.timestamp),
    };
    let all = row.details.iter().flat_map(|all| flattened_without(all, RECORD));
    let record = record(&row).map(flattened).unwrap_or_default();
    html(&EventPage {
        frame: Frame::new(&web, &visitor, "log", format!("Event #{number}")),
        line: Line::new(&row, &kept, &clock),
        message: clock.spoken(&row.message, row.timestamp),
        category: row.category.as_str(),
        actor: row.actor.to_string(),
        all: all.map(detail).collect(),
        record: record.into_iter().map(detail).collect(),
        link: row.link.to_string(),
        covered: covered.map(|made| (made.id, made.event_id, clock.when(made.made_at))),
        before: before.first().map(|row| row.id),
        after: after.first().map(|row| row.id),
        command: row.command_id.map(|id| id.to_string()).unwrap_or_default(),
        pipeline: row.pipeline_id.map(|id| id.to_string()).unwrap_or_default(),
    })
}
