//! `pipeline retry`: a new pipeline over the hosts that did not pass, each from the stage where it stopped. The set is
//! shown before it starts.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::{IdPart, Timestamp, spoken};

use super::super::Context;
use super::super::confirm::{Confirm, ask, at_terminal};
use super::super::failure::{Failure, say};
use super::begun;
use super::words::hosts;

/// Hosts that are shown, one a line.
const SHOWN: usize = 50;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The pipeline's id, its beginning, or the short form that pages show
    id: IdPart,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    confirm: Confirm,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print what would be tried again, and start nothing
    #[arg(long, conflicts_with_all = ["wait", "yes", "confirm"])]
    dry_run: bool,
    /// Wait for the end; the exit code is 0 only where it is complete
    #[arg(long)]
    wait: bool,
}

#[derive(Deserialize)]
struct Preview {
    name: String,
    hosts: Vec<(String, usize, String)>,
    #[serde(default)]
    left_out: Vec<(String, String)>,
    #[serde(default)]
    changed: Vec<String>,
    #[serde(default)]
    dangerous: bool,
}

pub(super) async fn execute(args: Args, context: &mut Context) -> Result<(), Failure> {
    let path = format!("/pipelines/{}/retry", args.id);
    let client = context.client()?;
    let found = client.get(&path, &[]).await?;
    show(&args, context, &found)?;
    if args.dry_run {
        return Ok(());
    }
    let preview = Preview::deserialize(&found)?;
    // The number of hosts, where it is asked for, is an answer already.
    let number = preview.dangerous && preview.hosts.len() > 1;
    if !args.yes && !number && !args.confirm.is_given() && !asked()? {
        say("nothing was started");
        return Err(Failure::Op);
    }
    args.confirm
        .check(&preview.name, preview.hosts.len(), preview.dangerous)?;
    let row = client.post(&path, &json!({"reason": args.reason})).await?;
    begun(context, row, args.wait).await
}

/// Among what a program reads there is only one object: the set, or the pipeline.
fn show(args: &Args, context: &mut Context, found: &Value) -> Result<(), Failure> {
    if context.out.is_json() && args.dry_run {
        return context.out.json(found);
    }
    if context.out.is_json() && args.yes {
        return Ok(());
    }
    for line in lines(&Preview::deserialize(found)?) {
        let line = spoken(&context.config.zone, &line, Timestamp::now());
        if context.out.is_json() {
            say(&crate::domain::bounded(&line, usize::MAX));
        } else {
            context.out.line(&line)?;
        }
    }
    context.out.flush()
}

fn lines(preview: &Preview) -> Vec<String> {
    let mut lines = vec![format!(
        "{} would be tried again on {}:",
        preview.name,
        hosts(preview.hosts.len())
    )];
    for (host, stage, why) in preview.hosts.iter().take(SHOWN) {
        let why = why.lines().next().unwrap_or_default();
        lines.push(format!("  {host} from stage {}: {why}", stage + 1));
    }
    if let Some(more) = preview.hosts.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        lines.push(format!("  and {more} more"));
    }
    for (host, why) in &preview.left_out {
        lines.push(format!("  left out: {host} ({why})"));
    }
    if !preview.changed.is_empty() {
        lines.push(format!(
            "  note: the definition is another one today of {}",
            preview.changed.join(", ")
        ));
    }
    lines
}

/// Asks whoever sits at the terminal.
fn asked() -> Result<bool, Failure> {
    if !at_terminal() {
        return Err(Failure::Usage(
            "nobody is there to be asked: give --yes to start it, or --dry-run to see it".to_owned(),
        ));
    }
    let answer = ask("Start it? [y/N]")?;
    Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_is_shown_host_by_host() {
        let many: Vec<_> = (0..60)
            .map(|n| (format!("h{n}"), 1, "switch failed".to_owned()))
            .collect();
        let preview = Preview {
            name: "update".to_owned(),
            hosts: many,
            left_out: vec![("gone".to_owned(), "it was removed".to_owned())],
            changed: vec!["switch".to_owned()],
            dangerous: false,
        };
        let text = lines(&preview).join("\n");
        for part in [
            "update would be tried again on 60 hosts:",
            "  h0 from stage 2: switch failed",
            "  and 10 more",
            "left out: gone (it was removed)",
            "another one today of switch",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
