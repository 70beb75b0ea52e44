//! `notify list` and `notify test`: who is told what happens, and whether that works.

use serde_json::json;

use super::Context;
use super::failure::Failure;
use super::rows::list;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the places outside that get events, checkpoints or notifications, and how each does
    List,
    /// Send a test message and print how that went
    Test(TestArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct TestArgs {
    /// The name of a [[notify]] in the configuration
    name: String,
}

pub(super) async fn execute(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::List => deliveries(context).await,
        Command::Test(args) => test(args, context).await,
    }
}

async fn deliveries(context: &mut Context) -> Result<(), Failure> {
    let places = list(&context.client()?.get("/deliveries", &[]).await?, "deliveries");
    if context.out.is_json() {
        return places.iter().try_for_each(|place| context.out.json(place));
    }
    let rows: Vec<Vec<String>> = places
        .iter()
        .map(|place| {
            let text = |key: &str| place[key].as_str().unwrap_or_default().to_owned();
            let state = match (place["active"].as_bool(), place["failing_since"].is_null()) {
                (Some(false), _) => "not configured".to_owned(),
                (_, true) => "well".to_owned(),
                (_, false) => format!("takes nothing: {}", text("failure")),
            };
            vec![
                text("kind"),
                text("name"),
                text("target"),
                place["behind"].to_string(),
                state,
            ]
        })
        .collect();
    context.out.table(&["KIND", "NAME", "WHERE", "BEHIND", "STATE"], &rows)
}

async fn test(args: TestArgs, context: &mut Context) -> Result<(), Failure> {
    // The name is one part of the address.
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if args.name.is_empty() || !args.name.chars().all(fits) {
        return Err(Failure::Usage(format!("“{}” is no name of a notification", args.name)));
    }
    let path = format!("/notifications/{}/test", args.name);
    let tested = context.client()?.post(&path, &json!({})).await?;
    let delivered = tested["delivered"] == true;
    if context.out.is_json() {
        context.out.json(&tested)?;
    } else if delivered {
        let target = tested["target"].as_str().unwrap_or_default();
        context.out.line(&format!(
            "{}: the test message arrived ({target}, {} ms)",
            args.name, tested["took_ms"]
        ))?;
    }
    if delivered {
        return Ok(());
    }
    let why = tested["problem"].as_str().unwrap_or("nobody knows why");
    Err(Failure::Other(anyhow::anyhow!(
        "{}: the test message did not arrive: {why}",
        args.name
    )))
}
