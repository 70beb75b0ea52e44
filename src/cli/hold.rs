//! `hold add`, `list`, `release`: ranges of time of which no sweep takes anything.

use serde_json::{Value, json};

use crate::domain::Timestamp;

use super::Context;
use super::failure::Failure;
use super::history::moment;
use super::rows::{name, when};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Hold a range: no sweep takes anything of it until it is released
    Add(Add),
    /// List the holds, those that were released as well
    List,
    /// Release a hold: sweeps may take what it held
    #[command(alias = "lift")]
    Release {
        /// The hold's number
        #[arg(value_parser = clap::value_parser!(i64).range(1..))]
        number: i64,
        /// Why, for the journal
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// From this time on: "2026-11-23 14:05" (in the configured zone), or so long ago: 2h, 3d
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Up to this time; without an end, if left away
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Why, for the journal: a case, a request
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(super) async fn execute(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::Add(args) => add(args, context).await,
        Command::List => list(context).await,
        Command::Release { number, reason } => {
            let path = format!("/holds/{number}/release");
            let hold = context.client()?.post(&path, &json!({"reason": reason})).await?;
            if context.out.is_json() {
                return context.out.json(&hold);
            }
            let what = range(&hold, context);
            context.out.line(&format!(
                "hold {number} on {what} is released; sweeps may take what it held"
            ))
        }
    }
}

async fn add(args: Add, context: &mut Context) -> Result<(), Failure> {
    let zone = context.config.zone.clone();
    let from = moment(&args.from, &zone)?;
    let mut body = json!({"from": from, "reason": args.reason});
    if let Some(until) = &args.until {
        body["until"] = json!(moment(until, &zone)?);
    }
    let hold = context.client()?.post("/holds", &body).await?;
    if context.out.is_json() {
        return context.out.json(&hold);
    }
    let what = range(&hold, context);
    context.out.line(&format!(
        "hold {} on {what}: no sweep takes anything of it. Release it with: quarterdeck hold release {} --reason …",
        hold["id"], hold["id"]
    ))
}

async fn list(context: &mut Context) -> Result<(), Failure> {
    let holds = context.source()?.holds().await?;
    if context.out.is_json() {
        return holds.iter().try_for_each(|hold| context.out.json(hold));
    }
    let mut rows = Vec::with_capacity(holds.len());
    for hold in &holds {
        let text = |key: &str| hold[key].as_str().unwrap_or_default().to_owned();
        let released = match time(hold, "released_at", context) {
            None => "stands".to_owned(),
            Some(at) => format!("{at} by {}: {}", name(&text("released_by")), text("release_reason")),
        };
        rows.push(vec![
            hold["id"].to_string(),
            time(hold, "from_at", context).unwrap_or_default(),
            time(hold, "until_at", context).unwrap_or_else(|| "no end".to_owned()),
            text("reason"),
            name(&text("placed_by")),
            released,
        ]);
    }
    let heads = ["NUMBER", "FROM", "UNTIL", "REASON", "PLACED BY", "RELEASED"];
    context.out.table(&heads, &rows)
}

fn time(hold: &Value, key: &str, context: &Context) -> Option<String> {
    let at: Timestamp = hold[key].as_str()?.parse().ok()?;
    Some(when(at, &context.config.zone))
}

/// `everything since 2026-11-01 00:00:00 UTC`.
fn range(hold: &Value, context: &Context) -> String {
    let from = time(hold, "from_at", context).unwrap_or_default();
    match time(hold, "until_at", context) {
        None => format!("everything since {from}"),
        Some(until) => format!("everything from {from} to {until}"),
    }
}
