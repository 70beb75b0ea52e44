//! `log`: events, oldest first, and on request those that come.

use std::time::Duration;

use serde_json::Value;

use crate::store::SearchText;

use super::Context;
use super::client::Client;
use super::failure::{Failure, say};
use super::rows;

/// How long one request waits for news, in seconds.
const WAIT: u64 = 30;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Go on with what comes
    #[arg(long)]
    follow: bool,
    /// At most so many of the last ones
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    /// Only those with these words in message or details; a "phrase in quotes", begin*
    #[arg(long, value_name = "WORDS")]
    search: Option<SearchText>,
}

pub(super) async fn execute(args: Args, context: &mut Context) -> Result<(), Failure> {
    let client = if args.follow { Some(context.client()?) } else { None };
    let last = context.source()?.last_events(args.limit, args.search.as_ref()).await?;
    print(context, &last)?;
    match client {
        Some(client) => follow(context, client, newest(&last).unwrap_or(0), args.search).await,
        None => Ok(()),
    }
}

async fn follow(
    context: &mut Context,
    mut client: Client,
    mut after: i64,
    search: Option<SearchText>,
) -> Result<(), Failure> {
    loop {
        let mut query = vec![("after", after.to_string()), ("wait", WAIT.to_string())];
        query.extend(search.iter().map(|text| ("q", text.to_string())));
        match client.get("/events", &query).await {
            Ok(answer) => {
                let events = rows::list(&answer, "events");
                if events.is_empty() {
                    // A dashboard that is stopping answers at once.
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                after = newest(&events).unwrap_or(after);
                print(context, &events)?;
            }
            Err(Failure::Unreachable(why)) => {
                say(&format!("quarterdeck: {why}; waiting for it to be back"));
                client = back(context).await?;
            }
            Err(failure) => return Err(failure),
        }
    }
}

async fn back(context: &Context) -> Result<Client, Failure> {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        match context.client() {
            Err(Failure::Unreachable(_)) => {}
            answer => return answer,
        }
    }
}

fn newest(events: &[Value]) -> Option<i64> {
    events.iter().filter_map(|event| event["id"].as_i64()).max()
}

fn print(context: &mut Context, events: &[Value]) -> Result<(), Failure> {
    let zone = context.config.zone.clone();
    for event in events {
        if context.out.is_json() {
            context.out.json(event)?;
        } else {
            rows::event(&mut context.out, event, &zone)?;
        }
    }
    context.out.flush()
}
