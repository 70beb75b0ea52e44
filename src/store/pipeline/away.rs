//! What a start holds: pipelines that waited through a long absence, and those whose next op is dangerous. A person
//! lets them go on; what was started is followed all the same.

use super::super::error::Fault;
use super::super::tx::Tx;
use super::{PipelineRow, hold, pipeline_event};
use crate::domain::{CommandStatus, Level, PipelineStatus, Span, Stage};

/// Holds every RUNNING pipeline where no dashboard ran for `resume_within` or longer, or the database was restored.
/// Part of the transaction that journals the start: a crash right after it does not make the absence short.
pub(in crate::store) fn hold_after_absence(
    tx: &mut Tx<'_>,
    away: Option<Span>,
    resume_within: Span,
    restored: bool,
) -> Result<(), Fault> {
    let why = match away {
        _ if restored => "the database was restored from a backup".to_owned(),
        Some(away) if away >= resume_within => format!("dashboard was away {}", in_words(away)),
        Some(_) | None => return Ok(()),
    };
    for row in running(tx)? {
        held(tx, &row, &why)?;
    }
    Ok(())
}

/// Holds every RUNNING pipeline whose next op is dangerous, or which had asked for such a one that had not started.
pub(in crate::store) fn hold_before_danger(tx: &mut Tx<'_>) -> Result<(), Fault> {
    for row in running(tx)? {
        let stage = match unstarted_danger(tx, &row)? {
            Some(stage) => Some(stage),
            None => {
                let cells = tx.journal.pipeline_cells(row.id)?;
                let orders = tx.journal.pipeline_orders(&row)?;
                let upcoming = row.plan.upcoming(&cells, &orders);
                upcoming.filter(|stage| row.plan.stages[*stage].is_dangerous())
            }
        };
        if let Some(stage) = stage {
            let op = row.plan.stages[stage].text();
            let why = format!("dashboard restarted, and the next op is dangerous: {op}");
            held(tx, &row, &why)?;
        }
    }
    Ok(())
}

fn running(tx: &mut Tx<'_>) -> Result<Vec<PipelineRow>, Fault> {
    let mut open = tx.journal.open_pipelines()?;
    open.retain(|row| row.status == PipelineStatus::Running && row.cancel_mode.is_none());
    Ok(open)
}

fn unstarted_danger(tx: &mut Tx<'_>, row: &PipelineRow) -> Result<Option<usize>, Fault> {
    for id in tx.journal.open_of_pipeline(row.id)? {
        let Some(command) = tx.journal.command(id)? else {
            continue;
        };
        let unstarted = matches!(command.status, CommandStatus::Pending | CommandStatus::Validating);
        let stage = command.stage.and_then(|stage| usize::try_from(stage).ok());
        if let Some(stage) =
            stage.filter(|stage| unstarted && row.plan.stages.get(*stage).is_some_and(Stage::is_dangerous))
        {
            return Ok(Some(stage));
        }
    }
    Ok(None)
}

fn held(tx: &mut Tx<'_>, row: &PipelineRow, why: &str) -> Result<(), Fault> {
    if let Some(row) = hold(tx, row, why, None)? {
        let message = format!(
            "The pipeline “{}” is held: {why}; somebody has to let it go on, or cancel the rest",
            row.name
        );
        tx.event(pipeline_event(&row, Level::Warn, "hold", message))?;
    }
    Ok(())
}

/// "17 min", "61 h".
fn in_words(away: Span) -> String {
    match away.as_secs() {
        secs @ ..60 => format!("{secs} s"),
        secs @ ..7_200 => format!("{} min", secs / 60),
        secs => format!("{} h", secs / 3_600),
    }
}
