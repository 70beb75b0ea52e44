//! `pipeline list`: those that were started, newest first; on request those that can be.

use serde_json::Value;

use crate::domain::{HostName, PipelineStatus};

use super::super::Context;
use super::super::failure::Failure;
use super::super::rows::{name, when};
use super::read::Wanted;
use super::words::PipelineRow;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// With this host, also a removed one
    #[arg(long, value_name = "NAME")]
    host: Option<HostName>,
    /// Of this name
    #[arg(long, value_name = "PIPELINE")]
    name: Option<String>,
    /// Of these statuses, separated by commas: RUNNING, HELD, COMPLETE, PARTIAL, FAILED, CANCELLED
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<PipelineStatus>,
    /// Those that are running or held
    #[arg(long)]
    open: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    /// Those that can be started
    #[arg(long, conflicts_with_all = ["host", "name", "status", "open"])]
    catalog: bool,
}

pub(super) async fn execute(args: Args, context: &mut Context) -> Result<(), Failure> {
    if args.catalog {
        return catalog(context).await;
    }
    let wanted = Wanted {
        host: args.host,
        name: args.name,
        status: args.status,
        open: args.open,
        limit: args.limit,
    };
    let found = context.source()?.pipelines(&wanted).await?;
    if context.out.is_json() {
        return found.iter().try_for_each(|row| context.out.json(row));
    }
    let zone = context.config.zone.clone();
    let mut rows = Vec::with_capacity(found.len());
    for row in &found {
        let row = PipelineRow::read(row, &zone)?;
        rows.push(vec![
            when(row.created_at, &zone),
            row.words(),
            row.name.clone(),
            row.hosts.len().to_string(),
            name(&row.actor),
            row.took(),
            row.id.to_string(),
        ]);
    }
    context
        .out
        .table(&["WHEN", "STATUS", "PIPELINE", "HOSTS", "BY", "TOOK", "ID"], &rows)
}

async fn catalog(context: &mut Context) -> Result<(), Failure> {
    let found = context.source()?.pipeline_definitions().await?;
    if context.out.is_json() {
        return found.iter().try_for_each(|row| context.out.json(row));
    }
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|definition| {
            let text = |key: &str| definition[key].as_str().unwrap_or_default().to_owned();
            vec![text("id"), stages(definition), text("description")]
        })
        .collect();
    context.out.table(&["PIPELINE", "STAGES", "WHAT IT DOES"], &rows)
}

fn stages(definition: &Value) -> String {
    let stages = definition["stages"].as_array().into_iter().flatten();
    let texts: Vec<&str> = stages
        .map(|stage| stage["action"]["op"].as_str().unwrap_or("(wait for a person)"))
        .collect();
    texts.join(" && ")
}
