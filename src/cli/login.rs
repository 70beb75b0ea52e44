//! `login`, `logout`: people act under their own name instead of the account's, or a token's. The session is kept in a
//! file of theirs alone, by the dashboard that it is for.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use serde_json::json;

use super::failure::Failure;
use super::{Context, secret};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The user's name
    name: String,
}

pub(super) async fn log_in(args: Args, context: &mut Context) -> Result<(), Failure> {
    let client = context.anonymous()?;
    let password = secret::password(&format!("password of {}", args.name), false)?;
    let code = secret::plain("code of the second factor (empty: none)")?;
    let body = json!({"name": args.name, "password": password, "code": code});
    let answer = client.post("/login", &body).await?;
    let session = answer["session"].as_str().unwrap_or_default().to_owned();
    let mut kept = read();
    kept.insert(context.place(), session);
    write(&kept)?;
    context
        .out
        .line(&format!("you act as {} now; quarterdeck logout ends it", args.name))
}

pub(super) async fn log_out(context: &mut Context) -> Result<(), Failure> {
    let mut kept = read();
    if !kept.contains_key(&context.place()) {
        return Err(Failure::Usage("you are not logged in here".to_owned()));
    }
    let ended = match context.client() {
        Ok(client) => client.post("/logout", &json!({})).await.map(|_| ()),
        Err(why) => Err(why),
    };
    kept.remove(&context.place());
    write(&kept)?;
    match ended {
        // It had ended already.
        Err(Failure::Refused(_)) => Ok(()),
        ended => ended,
    }
}

/// The session for a dashboard, where somebody logged in to it.
pub(super) fn session_for(place: &str) -> Option<String> {
    read().remove(place)
}

fn file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
    Some(state.join("quarterdeck-login.json"))
}

fn read() -> BTreeMap<String, String> {
    let text = file().and_then(|file| fs::read(file).ok()).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Written beside and renamed, so that it is whole, and nobody else's at any instant.
fn write(kept: &BTreeMap<String, String>) -> Result<(), Failure> {
    let file = file().ok_or_else(|| Failure::Usage("there is no HOME to keep the session in".to_owned()))?;
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = file.with_extension("new");
    let _ = fs::remove_file(&new);
    let mut open = fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    open.write_all(&serde_json::to_vec(kept)?)?;
    Ok(fs::rename(new, file)?)
}
