//! Following a pipeline to its end: a bar that draws over itself on a terminal, plain lines elsewhere. Both go to
//! stderr; what it came to goes to stdout.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::domain::{PipelineId, PipelineStatus};

use super::super::Context;
use super::super::failure::{Failure, say};
use super::super::follow::wait_for_it;
use super::words::PipelineRow;
use super::{show, verdict};

/// Between two looks, at first and in the end.
const SOON: Duration = Duration::from_millis(100);
const LATER: Duration = Duration::from_millis(1_000);

/// Waits for the end, prints the results in groups, and gives the verdict.
pub(super) async fn to_the_end(context: &mut Context, id: PipelineId) -> Result<(), Failure> {
    let mut source = context.source()?;
    let mut progress = Progress::new(context.out.is_json());
    let mut pause = SOON;
    loop {
        match source.pipeline(id, false).await {
            Ok(value) => {
                let row = PipelineRow::read(&value, &context.config.zone)?;
                if progress.show(&row) {
                    pause = SOON;
                }
                if row.is_final() {
                    break;
                }
            }
            Err(Failure::Unreachable(why)) => {
                progress.pause();
                source = wait_for_it(context, &why).await?;
            }
            Err(other) => return Err(other),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LATER);
    }
    progress.end();
    let value = context.source()?.pipeline(id, true).await?;
    report(context, &value).await
}

async fn report(context: &mut Context, value: &Value) -> Result<(), Failure> {
    let row = PipelineRow::read(value, &context.config.zone)?;
    if context.out.is_json() {
        context.out.json(value)?;
        return verdict(row.status);
    }
    show::results(context, value).await?;
    let sentence = row.sentence();
    context
        .out
        .line(&format!("{sentence}  ({}, took {})", row.id, row.took()))?;
    if !matches!(row.status, PipelineStatus::Complete) {
        say(&format!(
            "quarterdeck: try the rest again with: quarterdeck pipeline retry {}",
            row.id
        ));
    }
    verdict(row.status)
}

/// How far it is, on stderr.
enum Progress {
    /// On a terminal.
    Bar(ProgressBar),
    /// A line for what is new, at most one a second: the last one, and when it was written.
    Lines(String, Option<Instant>),
    /// For a program that reads JSON.
    Silent,
}

impl Progress {
    fn new(silent: bool) -> Self {
        if silent {
            return Self::Silent;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Lines(String::new(), None);
        }
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self::Bar(bar)
    }

    /// True where something is new.
    fn show(&mut self, row: &PipelineRow) -> bool {
        let hint = if row.status == PipelineStatus::Held && row.cancel_mode.is_none() {
            format!("; go on with: quarterdeck pipeline continue {}", row.id)
        } else {
            String::new()
        };
        let text = format!("{}{hint}", row.sentence());
        match self {
            Self::Silent => false,
            Self::Lines(last, at) => {
                let news = *last != text;
                if news && (row.is_final() || at.is_none_or(|at| at.elapsed() >= LATER)) {
                    say(&text);
                    *last = text;
                    *at = Some(Instant::now());
                }
                news
            }
            Self::Bar(bar) => {
                let counts = row.counts.unwrap_or_default();
                let news = bar.position() != counts.settled();
                bar.set_length(counts.cells);
                bar.set_position(counts.settled());
                if bar.message().is_empty() {
                    // Only now is there something to draw; the elapsed time goes on between two looks.
                    bar.enable_steady_tick(LATER);
                }
                bar.set_message(crate::domain::bounded(&text, 500));
                news
            }
        }
    }

    /// Makes room for a line of ours.
    fn pause(&self) {
        if let Self::Bar(bar) = self {
            bar.suspend(|| {});
        }
    }

    fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
