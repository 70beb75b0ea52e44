//! Making a report: gathered, drawn, journaled.

use std::io::Write as _;
use std::sync::Arc;

use askama::Template as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::tz::TimeZone;
use tokio::sync::Semaphore;

use crate::domain::{Digest, ReportAsk, bounded};
use crate::engine::{By, Engine, EngineError};
use crate::store::{Journal, ReportDone, ReportRow};
use crate::web::clock::Clock;
use crate::web::words::count;

use super::content::{Content, Making};
use super::gather::gather;

/// What does not fit, told one by one.
const PROBLEMS: usize = 20;
/// Gaps that are named beside the report, and how long each may be, in bytes; the report names all.
const GAPS: usize = 5;
const GAP: usize = 400;
/// One report is made at a time: each holds its rows in memory.
static ONE: Semaphore = Semaphore::const_new(1);

/// Where reports are made.
pub(super) struct Desk<'a> {
    pub(super) engine: &'a Engine,
    pub(super) zone: TimeZone,
    pub(super) organisation: String,
}

impl Desk<'_> {
    /// Gathers, draws and journals one report.
    pub(super) async fn make(self, ask: ReportAsk, by: By) -> Result<ReportRow, EngineError> {
        let turn = self.engine.report_turn(&by)?;
        let _one = ONE
            .acquire()
            .await
            .map_err(|why| EngineError::Internal(why.to_string()))?;
        let engine = self.engine;
        let found = gather(engine, &ask).await?;
        let making = Making {
            organisation: self.organisation,
            version: env!("CARGO_PKG_VERSION"),
            dashboard: engine.dashboard_id().to_owned(),
            keeps_events: engine.keeps_events(),
            keeps_commands: engine.keeps_commands(),
            clock: engine.clock_state().await,
            verdict: Some(verdict(engine).await?),
            witness: witness(engine, &self.zone).await?,
        };
        let begun = engine.begin_report(ask, found.covers, by.clone(), &turn).await?;
        let clock = Clock {
            now: begun.made_at,
            zone: self.zone,
        };
        let (data_dir, row) = (engine.data_dir().to_owned(), begun.clone());
        let done = blocking(move || {
            let mut content = Content::new(&row, &found, &making, &clock, &data_dir);
            let first = drawn(&content)?;
            // Counted in what was drawn, not in what was meant to be.
            content.printed = (
                first.matches("<tr class=\"c\">").count(),
                first.matches("<tr class=\"e\">").count(),
            );
            let text = drawn(&content)?;
            Ok(ReportDone {
                gzip: Arc::from(squeezed(&text)?),
                bytes: i64::try_from(text.len()).unwrap_or(i64::MAX),
                digest: Digest::of(text.as_bytes()),
                first_event: found.first_event,
                last_event: found.last_event,
                events: i64::try_from(found.range_events).unwrap_or(i64::MAX),
                summary: serde_json::json!({
                    "commands": found.totals.commands, "exceptions": found.exceptions_total + found.flows.bad,
                    "pipelines": found.flows.total,
                    "events": found.events_total, "refusals_and_log_ins": found.access_total,
                    "part": row.parameters.part, "parts": found.parts,
                    "printed": { "commands": content.printed.0, "events": content.printed.1 },
                    "all_printed": content.printed == content.expected(),
                    "lacking": found.lacking.len(),
                    "gaps": found.lacking.iter().take(GAPS).map(|gap| bounded(gap, GAP)).collect::<Vec<_>>(),
                }),
            })
        })
        .await?;
        engine.finish_report(begun.id, done, by).await
    }
}

/// The newest checkpoint that a place outside has, in words.
async fn witness(engine: &Engine, zone: &TimeZone) -> Result<Option<String>, EngineError> {
    let last = engine.reader().read(Journal::last_witness).await?;
    let clock = Clock::now(zone.clone());
    Ok(last.map(|witness| {
        let at = clock.when(witness.at).full;
        format!(
            "{} has checkpoint {}, which covers the events up to #{}, since {at}. What came after it has no outside witness yet.",
            witness.name, witness.checkpoint_id, witness.event_id
        )
    }))
}

/// What `audit verify` says now, in words; and whether it is good. Outputs are not read: they may be many and long.
async fn verdict(engine: &Engine) -> Result<(bool, Vec<String>), EngineError> {
    let verdict = engine.verify().await?;
    let mut says = vec![format!(
        "Checked: {} and {} of the chain up to #{}; {}, {} against their events. The files of outputs and of the archive \
         were not read; those of the archive that may have rows of the range were compared with what their sweeps signed, see Gaps.",
        count(i64::try_from(verdict.events).unwrap_or(i64::MAX), "event", "events"),
        count(
            i64::try_from(verdict.checkpoints).unwrap_or(i64::MAX),
            "checkpoint",
            "checkpoints"
        ),
        verdict.last,
        count(
            i64::try_from(verdict.commands).unwrap_or(i64::MAX),
            "final command",
            "final commands"
        ),
        count(
            i64::try_from(verdict.pipelines).unwrap_or(i64::MAX),
            "pipeline",
            "pipelines"
        ),
    )];
    let problems = verdict.problems.iter().take(PROBLEMS);
    says.extend(problems.map(|problem| format!("{}: {}.", problem.what, problem.text)));
    let told = verdict.problems.len().min(PROBLEMS);
    let more = (verdict.problems.len() - told) as u64 + verdict.more;
    if more > 0 {
        says.push(format!(
            "{more} more do not fit; `quarterdeck audit verify` names them."
        ));
    }
    Ok((verdict.fits(), says))
}

fn drawn(content: &Content) -> Result<String, EngineError> {
    content
        .render()
        .map_err(|why| EngineError::Internal(format!("the report could not be drawn: {why}")))
}

fn squeezed(text: &str) -> Result<Vec<u8>, EngineError> {
    let wrong = |why: std::io::Error| EngineError::Internal(format!("the report could not be compressed: {why}"));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes()).map_err(wrong)?;
    gzip.finish().map_err(wrong)
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|why| EngineError::Internal(format!("the report could not be made: {why}")))?
}
