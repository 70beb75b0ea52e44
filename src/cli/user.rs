//! `user add`, `list`, `role`, `passwd`, `totp`, `disable`, `enable`: people, from the dashboard's own machine.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::domain::{Grants, Invalid};

use super::Context;
use super::failure::{Failure, say};
use super::{rows, secret};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a user; the password is asked for, or read from stdin
    Add {
        /// The name: lower-case letters, digits, “-”, “_”, “.”; never used again
        name: String,
        /// What they may do: viewer, operator, admin, dangerous; operator and dangerous also for a tag: operator@lab
        #[arg(long = "role", value_name = "ROLE", required = true, value_parser = grants)]
        roles: Vec<Grants>,
    },
    /// List the users
    List,
    /// Give a user other rights, in place of those that they have
    Role {
        /// The name
        name: String,
        /// As with add; without any, they may nothing
        #[arg(value_name = "ROLE", value_parser = grants)]
        roles: Vec<Grants>,
    },
    /// Set a user's password and end their sessions; it is asked for, or read from stdin
    Passwd {
        /// The name
        name: String,
    },
    /// Remove a user's second factor, because the phone is lost; setting one up is on their own page
    Totp {
        /// The name
        name: String,
        /// Remove it
        #[arg(long, required = true)]
        remove: bool,
    },
    /// Shut a user out and end their sessions; their name stays theirs
    Disable {
        /// The name
        name: String,
    },
    /// Let a user in again
    Enable {
        /// The name
        name: String,
    },
}

pub(super) fn grants(text: &str) -> Result<Grants, Invalid> {
    text.parse()
}

pub(super) async fn execute(command: Command, context: &mut Context) -> Result<(), Failure> {
    let client = context.client()?;
    let (user, did) = match command {
        Command::Add { name, roles } => {
            let password = secret::password(&format!("password of {name}"), true)?;
            let body = json!({"name": name, "password": password, "role": joined(&roles)});
            (client.post("/users", &body).await?, "made")
        }
        Command::List => return list(&client.get("/users", &[]).await?, context),
        Command::Role { name, roles } => {
            let body = json!({"role": joined(&roles)});
            (client.post(&of(&name, "role"), &body).await?, "changed")
        }
        Command::Passwd { name } => {
            let password = secret::password(&format!("new password of {name}"), true)?;
            let body = json!({"password": password});
            (client.post(&of(&name, "password"), &body).await?, "changed")
        }
        Command::Totp { name, .. } => (client.delete(&of(&name, "totp")).await?, "changed"),
        Command::Disable { name } => (client.post(&of(&name, "disable"), &json!({})).await?, "disabled"),
        Command::Enable { name } => (client.post(&of(&name, "enable"), &json!({})).await?, "enabled"),
    };
    if context.out.is_json() {
        return context.out.json(&user);
    }
    let may = may(&user["grants"]);
    context.out.line(&format!("{did} {}: {may}", text(&user["name"])))?;
    if did == "made" || did == "changed" {
        note_tags(context, &may).await?;
    }
    Ok(())
}

/// Says which tags of these grants no host has: a tag that was typed wrong would let somebody do nothing.
pub(super) async fn note_tags(context: &Context, grants: &str) -> Result<(), Failure> {
    let tags: BTreeSet<&str> = grants
        .split_whitespace()
        .filter_map(|grant| grant.split_once('@'))
        .map(|(_, tag)| tag)
        .collect();
    if tags.is_empty() {
        return Ok(());
    }
    let hosts = context.source()?.hosts().await?;
    let has = |host: &Value, tag: &str| {
        host["tags"]
            .as_array()
            .is_some_and(|all| all.iter().any(|own| own == tag))
    };
    for tag in tags {
        if !hosts.iter().any(|host| has(host, tag)) {
            say(&format!(
                "no host has the tag “{tag}” so far: that part allows nothing yet"
            ));
        }
    }
    Ok(())
}

/// The address of something of a user. The name goes into it as it is, so only what a name is made of may.
pub(super) fn of(name: &str, what: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    format!("/users/{plain}/{what}")
}

pub(super) fn joined(roles: &[Grants]) -> String {
    roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn list(answer: &Value, context: &mut Context) -> Result<(), Failure> {
    let users = rows::list(answer, "users");
    if context.out.is_json() {
        return users.iter().try_for_each(|user| context.out.json(user));
    }
    let lines: Vec<Vec<String>> = users
        .iter()
        .map(|user| {
            let factor = if user["second_factor"] == true { "yes" } else { "no" };
            let state = if user["disabled_at"].is_null() { "" } else { "disabled" };
            vec![
                text(&user["name"]),
                may(&user["grants"]),
                factor.to_owned(),
                state.to_owned(),
            ]
        })
        .collect();
    context.out.table(&["NAME", "MAY", "SECOND FACTOR", "STATE"], &lines)
}

pub(super) fn may(grants: &Value) -> String {
    let text = text(grants);
    if text.is_empty() { "nothing".to_owned() } else { text }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
