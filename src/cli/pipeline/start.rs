//! `pipeline start`: ordered stages over many hosts; on request only what would run where, in which order.

use serde_json::{Value, json};

use crate::domain::{HostName, IfBusy, Share, Tag};

use super::super::Context;
use super::super::confirm::Confirm;
use super::super::failure::Failure;
use super::{begun, preview};

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("selection").required(true).multiple(true).args(["hosts", "tags", "all"]))]
pub(in crate::cli) struct Args {
    /// The pipeline's name, or an op's; see: quarterdeck pipeline list --catalog
    name: String,
    /// A host; may be given several times, in the order of their turns
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<HostName>,
    /// Every host with this tag; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<Tag>,
    /// Every host, but for the localhost that was added by itself
    #[arg(long)]
    all: bool,
    /// So many hosts at work at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_parallel: Option<u64>,
    /// Batches, as numbers or shares of all hosts; each goes through all stages before the next one: 1,25%,100%
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    batches: Vec<Share>,
    /// Start nothing further when so many hosts have failed: 3 or 10%
    #[arg(long, value_name = "N|P%")]
    stop_when: Option<Share>,
    /// A host that was not reached counts as failed for --stop-when
    #[arg(long)]
    count_unreachable: bool,
    /// What happens to a busy host: refuse, leave_out, or wait:5m
    #[arg(long, value_name = "HOW")]
    if_busy: Option<IfBusy>,
    #[command(flatten)]
    confirm: Confirm,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print what will run where, in which order, and start nothing
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Wait for the end; the exit code is 0 only where it is complete
    #[arg(long)]
    wait: bool,
}

pub(super) async fn execute(args: Args, context: &mut Context) -> Result<(), Failure> {
    let mut body = body(&args);
    if args.dry_run {
        let found = context.client()?.post("/pipelines/preview", &body).await?;
        return preview::print(context, &found);
    }
    let client = context.client()?;
    // A program that reads JSON is refused like anybody else; what was counted is what is started.
    let found = client.post("/pipelines/preview", &body).await?;
    let dangerous = found["dangerous"] == true;
    let hosts = preview::names(&found)?;
    args.confirm.check(&args.name, hosts.len(), dangerous)?;
    if dangerous || args.confirm.is_given() {
        body["hosts"] = json!(hosts);
        body["tags"] = json!([]);
        body["all"] = json!(false);
    }
    let row = client.post("/pipelines", &body).await?;
    begun(context, row, args.wait).await
}

/// What is not given stays as the catalog has it.
fn body(args: &Args) -> Value {
    let mut body = json!({"name": args.name, "hosts": args.hosts, "tags": args.tags, "all": args.all});
    let given = [
        ("max_parallel", args.max_parallel.map(Value::from)),
        ("batches", (!args.batches.is_empty()).then(|| json!(args.batches))),
        ("stop_when", args.stop_when.map(|share| json!(share))),
        ("count_unreachable", args.count_unreachable.then_some(Value::Bool(true))),
        ("if_busy", args.if_busy.map(|how| json!(how))),
        ("reason", args.reason.clone().map(Value::from)),
    ];
    for (key, value) in given {
        if let Some(value) = value {
            body[key] = value;
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn read(line: &str) -> Result<Value, clap::Error> {
        let words = std::iter::once("start").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| body(&line.args))
    }

    #[test]
    fn what_is_given_is_sent_and_nothing_else() {
        for (line, sent) in [
            (
                "update --all",
                json!({"name": "update", "hosts": [], "tags": [], "all": true}),
            ),
            (
                "update --host b --host a --batches 1,25%,100% --stop-when 10% --if-busy wait:5m --max-parallel 7",
                json!({
                    "name": "update", "hosts": ["b", "a"], "tags": [], "all": false, "batches": [1, "25 %", "100 %"],
                    "stop_when": "10 %", "if_busy": IfBusy::Wait(crate::domain::Span::from_secs(300)),
                    "max_parallel": 7,
                }),
            ),
            (
                "reboot --tag web --if-busy leave_out --stop-when 3 --count-unreachable --reason kernel",
                json!({
                    "name": "reboot", "hosts": [], "tags": ["web"], "all": false, "if_busy": "leave_out",
                    "stop_when": 3, "count_unreachable": true, "reason": "kernel",
                }),
            ),
        ] {
            assert_eq!(read(line).expect(line), sent, "{line}");
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (line, words) in [
            ("update", "--host"),
            ("update --all --batches 1,x", "no number of hosts"),
            ("update --all --batches 0", "no number of hosts"),
            ("update --all --batches 1,101%", "no number of hosts"),
            ("update --all --stop-when 0%", "no number of hosts"),
            ("update --all --if-busy wait", "wait:5m"),
            ("update --all --if-busy wait:soon", "no duration"),
            ("update --all --max-parallel 0", "--max-parallel"),
            ("update --all --dry-run --wait", "cannot be used with"),
        ] {
            let why = read(line).expect_err(line).to_string();
            assert!(why.contains(words), "{line}: {why}");
        }
    }
}
