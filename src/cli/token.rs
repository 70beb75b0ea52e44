//! `token add`, `list`, `revoke`: programs that may ask over the network.

use serde_json::{Value, json};

use crate::domain::{Grants, Span, Timestamp};

use super::Context;
use super::failure::{Failure, say};
use super::rows;
use super::user::{grants, joined, may, note_tags};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a token; its secret is printed on stdout, this once
    Add {
        /// The name: lower-case letters, digits, “-”, “_”, “.”; never used again
        name: String,
        /// What it may do: viewer, operator, admin, dangerous; operator and dangerous also for a tag: operator@lab
        #[arg(long = "role", value_name = "ROLE", required = true, value_parser = grants)]
        roles: Vec<Grants>,
        /// How long it lasts, for example 90d; until it is revoked, if left away
        #[arg(long, value_name = "TIME")]
        lasts: Option<Span>,
    },
    /// List the tokens
    List,
    /// End a token for ever
    Revoke {
        /// The name
        name: String,
    },
}

pub(super) async fn execute(command: Command, context: &mut Context) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Command::Add { name, roles, lasts } => {
            let roles = joined(&roles);
            let body = json!({"name": name, "role": roles, "lasts": lasts});
            let made = client.post("/tokens", &body).await?;
            if context.out.is_json() {
                return context.out.json(&made);
            }
            say(&format!(
                "the token {name} may: {roles}; keep its secret, it is shown only now:"
            ));
            context.out.line(&text(&made["token"]))?;
            note_tags(context, &roles).await
        }
        Command::List => list(&client.get("/tokens", &[]).await?, context),
        Command::Revoke { name } => {
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
            if !plain {
                return Err(Failure::Usage(format!("there is no token “{name}”")));
            }
            let token = client.delete(&format!("/tokens/{name}")).await?;
            if context.out.is_json() {
                return context.out.json(&token);
            }
            context.out.line(&format!("revoked {name}"))
        }
    }
}

fn list(answer: &Value, context: &mut Context) -> Result<(), Failure> {
    let tokens = rows::list(answer, "tokens");
    if context.out.is_json() {
        return tokens.iter().try_for_each(|token| context.out.json(token));
    }
    let zone = context.config.zone.clone();
    let lines: Vec<Vec<String>> = tokens
        .iter()
        .map(|token| {
            let refused = token["refused"].as_str();
            let end = match (token["revoked_at"].as_str(), refused, token["expires_at"].as_str()) {
                (Some(_), _, _) => "revoked".to_owned(),
                (None, Some(why), _) => format!("refused: {why}"),
                (None, None, Some(at)) => moment(at, &zone),
                (None, None, None) => String::new(),
            };
            let used = token["last_used_at"].as_str();
            let used = used.map_or_else(|| "never".to_owned(), |at| moment(at, &zone));
            vec![
                text(&token["name"]),
                may(&token["grants"]),
                text(&token["created_by"]),
                used,
                end,
            ]
        })
        .collect();
    context
        .out
        .table(&["NAME", "MAY", "MADE BY", "LAST USED", "ENDS"], &lines)
}

/// To the second, with its zone.
fn moment(text: &str, zone: &jiff::tz::TimeZone) -> String {
    text.parse::<Timestamp>()
        .map_or_else(|_| text.to_owned(), |at| rows::when(at, zone))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
