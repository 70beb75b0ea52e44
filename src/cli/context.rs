//! What a subcommand works with: the configuration, where it prints, and the dashboard or journal that it asks.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::Config;
use crate::domain::{Timestamp, spoken};

use super::client::{Client, Remote};
use super::failure::Failure;
use super::out::Out;
use super::source::Source;
use super::{login, secret};

/// What a subcommand works with.
pub(super) struct Context {
    pub(super) config: Config,
    pub(super) out: Out,
    /// A dashboard elsewhere.
    pub(super) remote: Option<Remote>,
}

impl Context {
    /// For what changes something: a dashboard must be running.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        Ok(self.anonymous()?.known_by(self.secret()?))
    }

    /// Without saying who asks: as the account, or as nobody.
    pub(super) fn anonymous(&self) -> Result<Client, Failure> {
        match &self.remote {
            Some(remote) => Client::remote(remote),
            None => Client::connect(&self.config.socket()?)?.ok_or_else(|| not_running(&self.config)),
        }
    }

    /// Which dashboard this is about, as sessions are kept by it.
    pub(super) fn place(&self) -> String {
        match &self.remote {
            Some(remote) => remote.url.clone(),
            None => self.config.data_dir.display().to_string(),
        }
    }

    /// What says who asks, beside the account: a token, else the session of `quarterdeck login`.
    pub(super) fn secret(&self) -> Result<Option<String>, Failure> {
        if let Some(remote) = &self.remote {
            if let Some(file) = &remote.token_file {
                return secret::in_file(file).map(Some);
            }
            if let Ok(token) = std::env::var("QUARTERDECK_TOKEN") {
                return Ok(Some(token));
            }
        }
        Ok(login::session_for(&self.place()))
    }

    /// Sends a wish about one row, and prints that row: as JSON, or as the sentence that is made of it.
    pub(super) async fn wish<R: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &Value,
        sentence: impl FnOnce(R) -> String,
    ) -> Result<(), Failure> {
        let row = self.client()?.post(path, body).await?;
        if self.out.is_json() {
            return self.out.json(&row);
        }
        let said = sentence(R::deserialize(row)?);
        self.out.line(&spoken(&self.config.zone, &said, Timestamp::now()))
    }

    /// For what only reads: the dashboard, or the journal itself.
    pub(super) fn source(&self) -> Result<Source, Failure> {
        if self.remote.is_some() {
            return Ok(Source::Live(self.client()?));
        }
        // In a folder that is too deep for a socket no dashboard runs, but a copied journal may lie there.
        let Ok(socket) = self.config.socket() else {
            return Source::at_rest(&self.config);
        };
        match Client::connect(&socket)? {
            Some(client) => Ok(Source::Live(client.known_by(self.secret()?))),
            None => Source::at_rest(&self.config),
        }
    }
}

fn not_running(config: &Config) -> Failure {
    Failure::Unreachable(format!(
        "no dashboard is running on {}; start it with: quarterdeck serve",
        config.data_dir.display()
    ))
}
