//! `history`: commands, newest first.

use jiff::tz::TimeZone;

use crate::domain::{Actor, CommandStatus, HostName, Span, Timestamp};

use super::Context;
use super::failure::{Failure, say};
use super::rows;
use super::source::Wanted;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Of this host, also of a removed one
    #[arg(long, value_name = "NAME")]
    host: Option<HostName>,
    /// Of this op
    #[arg(long, value_name = "OP")]
    op: Option<String>,
    /// Of these statuses, separated by commas: failed, running, timed-out, ... or ERROR, EXECUTING, TIMEOUT, ...
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = CommandStatus::asked)]
    status: Vec<CommandStatus>,
    /// Only what needs attention: ended badly, and nobody has acknowledged it
    #[arg(long)]
    attention: bool,
    /// By this person or program: alice, or local:alice, user:alice, token:ci
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Asked for at this time or later: "2026-11-23 14:05" (in the configured zone), or so long ago: 2h, 3d
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Asked for before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..))]
    limit: i64,
}

pub(super) async fn execute(args: Args, context: &mut Context) -> Result<(), Failure> {
    let time = |text: Option<String>| text.map(|text| moment(&text, &context.config.zone)).transpose();
    let wanted = Wanted {
        actor: args.actor.as_deref().map(Actor::asked),
        since: time(args.since)?,
        until: time(args.until)?,
        host: args.host,
        op: args.op,
        status: args.status,
        attention: args.attention,
        limit: args.limit,
    };
    let found = context.source()?.history(&wanted).await?;
    if context.out.is_json() {
        return found.iter().try_for_each(|row| context.out.json(row));
    }
    let zone = context.config.zone.clone();
    if found.is_empty() {
        say("no command matches");
    }
    rows::commands(&mut context.out, &found, &zone)
}

/// An instant, or how long ago it was.
pub(super) fn moment(text: &str, zone: &TimeZone) -> Result<Timestamp, Failure> {
    if let Ok(span) = text.parse::<Span>() {
        return Ok(Timestamp::now().minus(span));
    }
    Timestamp::read_in(zone, text).map_err(|wrong| Failure::Usage(format!("{}, or how long ago, as 2h", wrong.problem)))
}
