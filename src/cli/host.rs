//! `host add`, `list`, `remove`, `test`, `accept`: the fleet.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::domain::{Fingerprint, HostName, Invalid, Reach, RunAs, SpoolDir, Tag};

use super::Context;
use super::confirm::{ask, at_terminal};
use super::failure::Failure;
use super::rows::{CommandRow, ago};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Add a host
    Add(Add),
    /// List the hosts, and what they do
    List,
    /// Remove a host; its history stays
    Remove {
        /// The host's name
        name: HostName,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Reach a host now and say what was found; exit code 3 where it is not reached
    Test {
        /// The host's name
        name: HostName,
    },
    /// Take the key that a host shows as its own, in place of any that was known, and test it
    Accept {
        /// The host's name
        name: HostName,
        /// The key's fingerprint, compared with what the host itself says: `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`
        #[arg(value_name = "SHA256:…")]
        fingerprint: Fingerprint,
    },
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("reach").required(true).args(["ssh", "local"]))]
pub(super) struct Add {
    /// Its name in the dashboard: letters, digits, “-”, “_”, “.”
    name: HostName,
    /// Reach it with the system's ssh; an alias of ~/.ssh/config is an address too
    #[arg(long, value_name = "[USER@]ADDRESS[:PORT]", value_parser = ssh, allow_hyphen_values = true)]
    ssh: Option<Reach>,
    /// It is the dashboard's own machine
    #[arg(long)]
    local: bool,
    /// A tag; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<Tag>,
    /// The folder on the host for its jobs, where it is not the usual one
    #[arg(long, value_name = "DIR")]
    spool: Option<SpoolDir>,
    /// Run its ops as this user, through sudo -n or doas -n
    #[arg(long, value_name = "USER")]
    run_as: Option<RunAs>,
}

fn ssh(text: &str) -> Result<Reach, Invalid> {
    Reach::ssh(text)
}

pub(super) async fn execute(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::Add(add) => self::add(add, context).await,
        Command::List => list(context).await,
        Command::Remove { name, yes } => remove(&name, yes, context).await,
        Command::Test { name } => {
            let path = format!("/hosts/{name}/test");
            tested(&name, &path, &json!({}), context).await
        }
        Command::Accept { name, fingerprint } => {
            let path = format!("/hosts/{name}/accept-key");
            tested(&name, &path, &json!({ "fingerprint": fingerprint }), context).await
        }
    }
}

async fn add(add: Add, context: &mut Context) -> Result<(), Failure> {
    let mut body = json!({"name": add.name, "local": add.local, "tags": add.tags});
    if let Some(reach) = &add.ssh {
        body["ssh"] = json!(reach.to_string());
    }
    if let Some(spool) = &add.spool {
        body["spool"] = json!(spool);
    }
    if let Some(user) = &add.run_as {
        body["run_as"] = json!(user);
    }
    let host = context.client()?.post("/hosts", &body).await?;
    if context.out.is_json() {
        return context.out.json(&host);
    }
    let name = &add.name;
    context.out.line(&format!(
        "added {name}; see whether it can be reached: quarterdeck host test {name}"
    ))
}

/// Its name typed, as on the page; nobody at the terminal says `--yes`.
async fn remove(name: &HostName, yes: bool, context: &mut Context) -> Result<(), Failure> {
    if !yes {
        if !at_terminal() {
            let why = format!("removing {name} from the fleet asks first: give --yes; nothing was changed");
            return Err(Failure::Refused(why));
        }
        let question = format!("{name} leaves the fleet; its history stays. Type its name to go on:");
        if ask(&question)? != name.as_str() {
            return Err(Failure::Refused("that is another name; nothing was changed".to_owned()));
        }
    }
    let host = context.client()?.delete(&format!("/hosts/{name}")).await?;
    if context.out.is_json() {
        return context.out.json(&host);
    }
    context.out.line(&format!("removed {name}; its history stays"))
}

async fn list(context: &mut Context) -> Result<(), Failure> {
    let hosts = context.source()?.hosts().await?;
    if context.out.is_json() {
        return hosts.iter().try_for_each(|host| context.out.json(host));
    }
    let mut rows = Vec::with_capacity(hosts.len());
    for host in &hosts {
        rows.push(vec![
            text(&host["hostname"]),
            text(&host["reach"]),
            state(host, &context.config.zone)?,
            last(host, &context.config.zone)?,
            text(&host["facts"]["os"]),
            tags(host),
        ]);
    }
    context.out.table(
        &["HOST", "REACHED BY", "STATE", "LAST COMMAND", "SYSTEM", "TAGS"],
        &rows,
    )
}

fn state(host: &Value, zone: &TimeZone) -> Result<String, Failure> {
    if !host["open"].is_null() {
        let open = CommandRow::read(&host["open"], zone)?;
        return Ok(format!("{}: {} {}", open.words(), open.op, open.took())
            .trim_end()
            .to_owned());
    }
    Ok(match host["facts"]["reachable"].as_bool() {
        Some(false) => "Unreachable".to_owned(),
        Some(true) | None => "Idle".to_owned(),
    })
}

fn last(host: &Value, zone: &TimeZone) -> Result<String, Failure> {
    if host["last"].is_null() {
        return Ok("-".to_owned());
    }
    let last = CommandRow::read(&host["last"], zone)?;
    let line = last
        .words()
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(50)
        .collect::<String>();
    Ok(format!("{}: {line}, {}", last.op, ago(last.created_at)))
}

fn tags(host: &Value) -> String {
    let tags = host["tags"].as_array().cloned().unwrap_or_default();
    tags.iter().map(text).collect::<Vec<_>>().join(" ")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Asks for what ends in a test of the host, and says how that went.
async fn tested(name: &HostName, path: &str, body: &Value, context: &mut Context) -> Result<(), Failure> {
    let found = context.client()?.post(path, body).await?;
    let problem = found["problem"].as_str().map(str::to_owned);
    if context.out.is_json() {
        context.out.json(&found)?;
    } else if problem.is_none() {
        let facts = &found["facts"];
        context.out.line(&format!(
            "{name} answers in {} ms: {} as user {}",
            found["took_ms"].as_i64().unwrap_or_default(),
            text(&facts["os"]),
            text(&facts["user"])
        ))?;
    }
    match problem {
        Some(problem) => Err(Failure::Unreachable(format!("{name}: {problem}"))),
        None => Ok(()),
    }
}
