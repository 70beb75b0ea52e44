//! `run`: an op on one or several hosts, and on request its output and end.

use std::collections::BTreeSet;

use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::domain::{CommandStatus, HostName, PipelineId};

use super::Context;
use super::client::Client;
use super::confirm::Confirm;
use super::failure::{Failure, say};
use super::follow::{self, Show};
use super::rows::{self, CommandRow};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The op's name; see: quarterdeck op list
    op: String,
    /// A host; may be given several times
    #[arg(long = "host", value_name = "NAME", required = true)]
    hosts: Vec<HostName>,
    #[command(flatten)]
    confirm: Confirm,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Follow the output and wait for the end; the exit code says how it went
    #[arg(long)]
    wait: bool,
}

pub(super) async fn execute(args: Args, context: &mut Context) -> Result<(), Failure> {
    let body = json!({"op": args.op, "hosts": args.hosts, "reason": args.reason});
    let client = context.client()?;
    let hosts = args.hosts.iter().collect::<BTreeSet<_>>().len();
    let dangerous = is_dangerous(&client, &args.op).await?;
    args.confirm.check(&args.op, hosts, dangerous)?;
    let answer = client.post("/commands", &body).await?;
    let started = rows::list(&answer, "commands");
    // On several hosts it is a pipeline of one stage, which may ask for the rest of its commands later.
    let pipeline: Option<PipelineId> = answer["pipeline_id"].as_str().and_then(|id| id.parse().ok());
    let ended = if args.wait {
        let show = match pipeline {
            _ if context.out.is_json() => Show::Nothing,
            None => Show::Plain,
            Some(_) => Show::Prefixed,
        };
        follow::to_the_end(context, started, pipeline, show).await?
    } else {
        started
    };
    report(context, &ended, args.wait)?;
    if let Some(id) = pipeline {
        say(&format!("all of it together: quarterdeck pipeline show {id}"));
    }
    verdict(&ended)
}

/// Whether the catalog has it as dangerous; an op that it does not have is refused when it is asked for.
async fn is_dangerous(client: &Client, op: &str) -> Result<bool, Failure> {
    let ops = rows::list(&client.get("/ops", &[]).await?, "ops");
    Ok(ops.iter().any(|known| known["id"] == op && known["dangerous"] == true))
}

/// Beside the output, the outcome goes to stderr: stdout is the op's own.
fn report(context: &mut Context, rows: &[Value], waited: bool) -> Result<(), Failure> {
    for row in rows {
        if context.out.is_json() {
            context.out.json(row)?;
            continue;
        }
        let row = CommandRow::read(row, &context.config.zone)?;
        let line = format!("{}  ({})", row.sentence(), row.id);
        if waited {
            say(&line);
        } else {
            context.out.line(&line)?;
        }
    }
    Ok(())
}

/// 0 where every command succeeded, was not needed, or is under way; else the worst of what happened.
fn verdict(rows: &[Value]) -> Result<(), Failure> {
    let mut refused = false;
    for row in rows {
        match CommandRow::deserialize(row)?.status {
            CommandStatus::Success
            | CommandStatus::Skipped
            | CommandStatus::Pending
            | CommandStatus::Validating
            | CommandStatus::Executing => {}
            CommandStatus::Blocked => refused = true,
            CommandStatus::Error | CommandStatus::Timeout | CommandStatus::Cancelled | CommandStatus::Orphaned => {
                return Err(Failure::Op);
            }
        }
    }
    if refused { Err(Failure::SaidRefused) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(status: &str) -> Value {
        json!({
            "id": "0192b0a0-0000-7000-8000-000000000000", "host": "web-03", "op": "uptime", "status": status,
            "created_at": "2026-11-23T08:00:00Z", "actor": "local:alice", "definition": "00",
        })
    }

    #[test]
    fn the_exit_code_is_the_worst_of_what_happened() {
        for (statuses, code) in [
            (vec!["SUCCESS"], 0),
            (vec!["SUCCESS", "SKIPPED"], 0),
            (vec!["EXECUTING", "PENDING"], 0),
            (vec!["SUCCESS", "BLOCKED"], 4),
            (vec!["BLOCKED", "ERROR"], 1),
            (vec!["ORPHANED"], 1),
            (vec!["CANCELLED"], 1),
            (vec!["TIMEOUT"], 1),
        ] {
            let rows: Vec<_> = statuses.iter().map(|status| row(status)).collect();
            let found = verdict(&rows).map_or_else(|failure| failure.code(), |()| 0);
            assert_eq!(found, code, "{statuses:?}");
        }
    }
}
