//! `audit report`: an audit report, made by the dashboard that runs as the page makes one, and its page.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::domain::{CommandStatus, HostName, OpId, Paper, ReportNumber, Tag, Timestamp};

use super::super::Context;
use super::super::failure::{Failure, say};
use super::super::history::moment;
use super::super::out::Printable;
use super::export::{Sink, Terminal, Whole};

#[derive(Debug, clap::Args)]
pub(in super::super) struct Args {
    /// today, yesterday, week (today, up to now, and the six days before; the default) or month
    #[arg(long, value_name = "RANGE", conflicts_with_all = ["from", "to"])]
    range: Option<String>,
    /// In place of a range: from this time on: "2026-11-23 14:05" (in the configured zone), or so long ago: 2h, 3d
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Up to this time, which is not part of it; else up to now
    #[arg(long, value_name = "TIME", requires = "from")]
    to: Option<String>,
    /// What is about this host alone, also a removed one
    #[arg(long, value_name = "NAME")]
    host: Option<HostName>,
    /// What is about hosts of this tag alone
    #[arg(long, value_name = "TAG")]
    tag: Option<Tag>,
    /// What is about this op alone
    #[arg(long, value_name = "OP")]
    op: Option<OpId>,
    /// What this person or program did alone: alice, token:ci, system
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// The commands of this status alone
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Without the table of events
    #[arg(long)]
    no_events: bool,
    /// Without the definitions that ran
    #[arg(long)]
    no_definitions: bool,
    /// With the end of each output, and its SHA-256
    #[arg(long)]
    excerpts: bool,
    /// With every host's last success of this op or pipeline
    #[arg(long, value_name = "NAME")]
    coverage: Option<OpId>,
    /// a4 (the default) or letter
    #[arg(long, value_name = "PAPER")]
    paper: Option<Paper>,
    /// Another part of this earlier report, which was too long for one: its range and filters, and the events that it knew
    #[arg(long, value_name = "NUMBER", requires = "part",
        conflicts_with_all = ["range", "from", "to", "host", "tag", "op", "actor", "status", "no_events", "no_definitions", "excerpts", "coverage"])]
    of: Option<ReportNumber>,
    /// Which part that is, from 1
    #[arg(long, value_name = "N", requires = "of")]
    part: Option<u32>,
    /// Write the page to this file, in place of one that is there, once all of it is there; else to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn execute(args: Args, context: &mut Context) -> Result<(), Failure> {
    if context.out.is_json() && args.out.is_none() {
        return Err(Failure::Usage(
            "--json needs --out FILE: the page would stand among the data".to_owned(),
        ));
    }
    let body = body(&args, context)?;
    // Before the report is made: one that cannot be written has a number all the same.
    let file = args
        .out
        .as_deref()
        .map(|path| Whole::beside("--out", path))
        .transpose()?;
    let client = context.client()?;
    let made = client.post_patiently("/reports", &body).await?;
    let number = made["number"].as_str().unwrap_or_default().to_owned();
    let mut page = client.stream(&format!("/reports/{number}"), &[]).await?;
    let Some((mut file, path)) = file.zip(args.out.as_deref()) else {
        let mut terminal = Terminal(&mut context.out, Printable::default());
        while let Some(bytes) = page.next().await? {
            terminal.put(&bytes)?;
        }
        say(&number);
        notes(&made);
        return Ok(());
    };
    while let Some(bytes) = page.next().await? {
        file.put(&bytes)?;
    }
    let bytes = file.finish(path)?;
    if context.out.is_json() {
        context.out.json(&made)?;
    } else {
        context.out.line(&number)?;
    }
    say(&format!("{}: {bytes} bytes", path.display()));
    notes(&made);
    Ok(())
}

/// What whoever asked should know before they sign it.
fn notes(made: &Value) {
    let counted = &made["counted"];
    if counted["all_printed"] != true {
        say("quarterdeck: NOT ALL ROWS ARE PRINTED: what was printed is not what was counted");
    }
    if counted["lacking"].as_u64().unwrap_or(0) > 0 {
        say("quarterdeck: its range has gaps; they are named in section 1");
        for gap in counted["gaps"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            say(&format!("quarterdeck: {gap}"));
        }
    }
    let parts = counted["parts"].as_u64().unwrap_or(1);
    if parts > 1 {
        say(&format!(
            "quarterdeck: this is part {} of {parts}; make the others with --of {} --part N",
            counted["part"],
            made["number"].as_str().unwrap_or_default()
        ));
    }
}

fn body(args: &Args, context: &Context) -> Result<Value, Failure> {
    let time = |text: &Option<String>| {
        let text = text.as_deref();
        text.map(|text| moment(text, &context.config.zone).map(Timestamp::to_rfc3339))
            .transpose()
    };
    let (from, to) = (time(&args.from)?, time(&args.to)?);
    let range = match (&args.range, &from) {
        (Some(range), _) => Some(range.clone()),
        (None, None) if args.of.is_some() => None,
        (None, None) => Some("week".to_owned()),
        (None, Some(_)) => None,
    };
    let status = args.status.as_deref().map(CommandStatus::asked).transpose();
    let status = status.map_err(|wrong| Failure::Usage(format!("--status: {}", wrong.problem)))?;
    let mut body = Map::new();
    let texts = [
        ("range", range),
        ("since", from),
        ("until", to),
        ("host", args.host.as_ref().map(ToString::to_string)),
        ("tag", args.tag.as_ref().map(ToString::to_string)),
        ("op", args.op.as_ref().map(ToString::to_string)),
        ("actor", args.actor.clone()),
        ("status", status.map(|status| status.to_string())),
        ("coverage", args.coverage.as_ref().map(ToString::to_string)),
        ("paper", args.paper.map(|paper| paper.to_string())),
        ("of", args.of.map(|number| number.to_string())),
    ];
    for (name, text) in texts {
        body.extend(text.map(|text| (name.to_owned(), Value::from(text))));
    }
    if args.of.is_none() {
        body.insert("events".to_owned(), json!(!args.no_events));
        body.insert("definitions".to_owned(), json!(!args.no_definitions));
        body.insert("excerpts".to_owned(), json!(args.excerpts));
    }
    body.extend(args.part.map(|part| ("part".to_owned(), json!(part))));
    Ok(Value::Object(body))
}
