//! Following commands to their end: their output as it comes, and the rows that they end with.

use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::domain::PipelineId;

use super::Context;
use super::failure::{Failure, say};
use super::out::{Out, Printable};
use super::rows::CommandRow;
use super::source::Source;

/// Between two looks while something is written, and while nothing is.
const SOON: Duration = Duration::from_millis(150);
const LATER: Duration = Duration::from_millis(1_000);

/// How long a dashboard may be away (it restarts, or is restarted) before we give up on it.
const AWAY: Duration = Duration::from_secs(60);

/// A line is printed in pieces when it is longer than this.
const LINE: usize = 64 * 1024;

/// How output is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// The bytes of one command.
    Plain,
    /// Whole lines, each behind its host's name.
    Prefixed,
    /// Nothing but the rows at the end.
    Nothing,
}

struct Followed {
    row: CommandRow,
    last: Value,
    offset: u64,
    text: Printable,
    partial: Vec<u8>,
    over: bool,
}

/// Follows commands until every one is final, and those that a pipeline still asks for. The rows come back in their
/// order.
pub(super) async fn to_the_end(
    context: &mut Context,
    rows: Vec<Value>,
    mut pipeline: Option<PipelineId>,
    show: Show,
) -> Result<Vec<Value>, Failure> {
    let zone = context.config.zone.clone();
    let mut source = context.source()?;
    let mut all = rows
        .into_iter()
        .map(|row| Followed::new(row, &zone))
        .collect::<Result<Vec<_>, _>>()?;
    let mut pause = SOON;
    while pipeline.is_some() || all.iter().any(|followed| !followed.over) {
        let mut moved = false;
        if let Some(id) = pipeline {
            match more(&source, id, &zone, &mut all).await {
                Ok(true) => pipeline = None,
                Ok(false) => {}
                Err(Failure::Unreachable(why)) => {
                    source = wait_for_it(context, &why).await?;
                    continue;
                }
                Err(other) => return Err(other),
            }
        }
        for followed in all.iter_mut().filter(|followed| !followed.over) {
            match followed.look(&source, &mut context.out, show, &zone).await {
                Ok(news) => moved |= news,
                Err(Failure::Unreachable(why)) => {
                    source = wait_for_it(context, &why).await?;
                    break;
                }
                Err(other) => return Err(other),
            }
        }
        pause = if moved { SOON } else { (pause * 2).min(LATER) };
        if pipeline.is_some() || all.iter().any(|followed| !followed.over) {
            tokio::time::sleep(pause).await;
        }
    }
    Ok(all.into_iter().map(|followed| followed.last).collect())
}

/// Takes in what a pipeline of one stage has asked for since. True where nothing more can come.
async fn more(source: &Source, id: PipelineId, zone: &TimeZone, all: &mut Vec<Followed>) -> Result<bool, Failure> {
    // The pipeline first: when it is over then, no row can come after those that are read now.
    let row = source.pipeline(id, false).await?;
    let newest = all.iter().map(|followed| followed.row.id).max();
    for row in source.pipeline_commands(id, newest).await? {
        all.push(Followed::new(row, zone)?);
    }
    // Its commands end a moment before it does; who waited for it wants to see it ended.
    Ok(!row["finished_at"].is_null())
}

/// The op does not need the dashboard; whoever waits for it does.
pub(super) async fn wait_for_it(context: &Context, why: &str) -> Result<Source, Failure> {
    say(&format!(
        "quarterdeck: {why}; jobs go on on their hosts, waiting for the dashboard to be back"
    ));
    let until = tokio::time::Instant::now() + AWAY;
    loop {
        tokio::time::sleep(LATER).await;
        match context.client() {
            Ok(client) => return Ok(Source::Live(client)),
            Err(Failure::Unreachable(_)) if tokio::time::Instant::now() < until => {}
            Err(failure) => return Err(failure),
        }
    }
}

impl Followed {
    fn new(row: Value, zone: &TimeZone) -> Result<Self, Failure> {
        Ok(Self {
            row: CommandRow::read(&row, zone)?,
            last: row,
            offset: 0,
            text: Printable::default(),
            partial: Vec::new(),
            over: false,
        })
    }

    /// One look: the row first, then its output; what is final before has all of its output after.
    async fn look(&mut self, source: &Source, out: &mut Out, show: Show, zone: &TimeZone) -> Result<bool, Failure> {
        self.last = source.command(self.row.id).await?;
        let row = CommandRow::read(&self.last, zone)?;
        let mut moved = row.status != self.row.status;
        self.row = row;
        moved |= self.drain(source, out, show).await?;
        if self.row.is_final() {
            self.over = true;
            moved = true;
            if !self.partial.is_empty() {
                self.lines(out, b"\n")?;
            }
        }
        Ok(moved)
    }

    /// All of the output that is there and was not shown yet.
    async fn drain(&mut self, source: &Source, out: &mut Out, show: Show) -> Result<bool, Failure> {
        let before = self.offset;
        if show == Show::Nothing {
            return Ok(false);
        }
        loop {
            let bytes = source.output(self.row.id, self.offset).await?;
            if bytes.is_empty() {
                return Ok(self.offset > before);
            }
            self.offset += bytes.len() as u64;
            if show == Show::Plain {
                out.bytes(&mut self.text, &bytes)?;
            } else {
                self.lines(out, &bytes)?;
            }
        }
    }

    fn lines(&mut self, out: &mut Out, bytes: &[u8]) -> Result<(), Failure> {
        for byte in bytes {
            if *byte != b'\n' {
                self.partial.push(*byte);
            }
            if *byte == b'\n' || self.partial.len() >= LINE {
                let line = String::from_utf8_lossy(&self.partial);
                out.line(&format!("{} | {}", self.row.host, line.trim_end_matches('\r')))?;
                self.partial.clear();
            }
        }
        out.flush()
    }
}
