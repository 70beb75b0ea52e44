//! `quarterdeck.toml`, the environment and the flags, read once into a strict [`Config`].
//!
//! A flag wins over the environment, the environment over the file, the file over the default. A key
//! that nobody knows is refused with the nearest known one named, a value that cannot be taken with
//! its file and line: a dashboard that starts has understood everything it was told.
//!
//! [`Config::build`] is a pure function of texts. Only [`Config::load`] looks at the process, and
//! nothing after it reads the environment again.

mod document;
mod keys;
mod net;
mod outside;
mod places;
mod settings;
mod surroundings;
mod tables;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use crate::domain::{Catalog, Outside, Span};

pub use net::Net;
pub use places::Environment;
pub use settings::{Access, Jobs, Keep, Report, Retention, Ssh, Tls};

use keys::KEYS;
use places::Files;
use value::Value;

/// Everything that the dashboard was told, validated.
///
/// Its `Debug` names the ops but not their scripts: whatever may hold a secret stays out of logs.
#[derive(Clone)]
pub struct Config {
    /// The configuration file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// `data_dir`: where the journal, the outputs, the socket and local spools live.
    /// Default: `$STATE_DIRECTORY`, else `$XDG_STATE_HOME/quarterdeck`, else `~/.local/state/quarterdeck`.
    pub data_dir: PathBuf,
    /// `listen`: the address and port of the pages, default `127.0.0.1:7440`. Beyond loopback only with `[tls]`, or
    /// with `--insecure-http`.
    pub listen: SocketAddr,
    /// `names`: further names that a request's Host may carry, beside the address itself and `localhost`.
    pub names: Vec<String>,
    /// `proxies`: networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed, default none.
    pub proxies: Vec<Net>,
    /// `[tls]`: the files with which the pages speak HTTPS; none is HTTP.
    pub tls: Option<Tls>,
    /// `[access]`: sessions and what they take.
    pub access: Access,
    /// `zone`: the IANA time zone of pages and of the command line, default `UTC`. Times are stored in UTC.
    pub zone: TimeZone,
    /// `[retention]`: how long the journal keeps what is final.
    pub retention: Retention,
    /// `[report]`: audit reports.
    pub report: Report,
    /// `[jobs]`: limits of what runs on hosts.
    pub jobs: Jobs,
    /// `[ssh]`: how hosts are dialled.
    pub ssh: Ssh,
    /// `[probe] interval`: how often every host is looked at, default `60s`; `0s` is never.
    pub probe_interval: Option<Span>,
    /// `low_space`: below this much free space in the data folder nothing new is started, default `200MB`.
    pub low_space: u64,
    /// `[[op]]` and `[[pipeline]]`: the built-in ones, extended or replaced by the configured ones.
    pub catalog: Catalog,
    /// `$CREDENTIALS_DIRECTORY`: what systemd hands to the service.
    credentials: Option<PathBuf>,
    /// `[[forward]]`, `[[witness]]`, `[[notify]]`, `public_url`: places outside that hear what happens here, and where
    /// they find the pages.
    pub outside: Outside,
    /// Where keys were given that a start looks at once more.
    places: BTreeMap<&'static str, String>,
    /// The scripts of the file, with their places.
    scripts: Vec<surroundings::ScriptAt>,
}

/// What the command line says about the configuration.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config FILE`.
    pub config: Option<PathBuf>,
    /// `--data-dir FOLDER`.
    pub data_dir: Option<PathBuf>,
    /// `--listen ADDRESS:PORT`.
    pub listen: Option<String>,
    /// `--insecure-http`: others may reach the pages, and read what goes there.
    pub insecure_http: bool,
}

/// Why the configuration cannot be taken: where it stands, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ConfigError {
    /// `FILE:LINE`, the environment variable or the flag.
    pub place: String,
    /// The key, what is wrong with it and how to mend it.
    pub problem: String,
}

impl ConfigError {
    fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            problem: problem.into(),
        }
    }
}

/// Variables that are no keys: where the file is, and what the program's own log shows
/// (`QUARTERDECK_LOG_FILTER`, in the words of tracing's `EnvFilter`; default `info`).
/// `QUARTERDECK_URL` and `QUARTERDECK_TOKEN` are for the command line alone.
const OTHER_VARIABLES: [&str; 4] = [
    "QUARTERDECK_CONFIG",
    "QUARTERDECK_LOG_FILTER",
    "QUARTERDECK_URL",
    "QUARTERDECK_TOKEN",
];

impl Config {
    /// Finds and reads the file, looks at the environment, and builds.
    ///
    /// # Errors
    /// Says which key in which place cannot be taken, and what would be right.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        let env: Environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let found = match places::files(&env, flags) {
            Files::Named(path) => Some(read(&path)?),
            Files::Default(paths) => match paths.into_iter().find(|path| path.exists()) {
                Some(path) => Some(read(&path)?),
                None => None,
            },
        };
        let file = found.as_ref().map(|(path, text)| (path.as_path(), text.as_str()));
        let mut config = Self::build(file, &env, flags)?;
        let data_dir = std::path::absolute(&config.data_dir);
        config.data_dir = data_dir.map_err(|why| ConfigError::new("data_dir", why.to_string()))?;
        Ok(config)
    }

    /// Builds from the file (path and text), the environment and the flags alone.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn build(file: Option<(&Path, &str)>, env: &Environment, flags: &Flags) -> Result<Self, ConfigError> {
        let mut config = Self::unset();
        let mut listen_at = "listen".to_owned();
        if let Some((path, text)) = file {
            let document = document::read(path, text)?;
            for entry in document.entries {
                let known = KEYS.iter().find(|key| key.0 == entry.key);
                let key = known.ok_or_else(|| ConfigError::new(&entry.place, keys::unknown(&entry.key)))?;
                key.set(&mut config, &entry.value, &entry.place)?;
                if key.0 == "listen" {
                    listen_at.clone_from(&entry.place);
                }
            }
            config.catalog = document.catalog;
            config.scripts = document.scripts;
            let public_url = config.outside.public_url.take();
            config.outside = Outside {
                public_url,
                ..document.outside.read(env)?
            };
            config.file = Some(path.to_owned());
        }
        for (name, text) in env.iter().filter(|(name, _)| name.starts_with("QUARTERDECK_")) {
            if OTHER_VARIABLES.contains(&name.as_str()) {
                continue;
            }
            let known = KEYS.iter().find(|key| key.variable() == *name);
            let key = known.ok_or_else(|| ConfigError::new("environment", keys::unknown_variable(name)))?;
            key.set(&mut config, &Value::from_env(text), name)?;
            if key.0 == "listen" {
                listen_at.clone_from(name);
            }
        }
        if let Some(text) = &flags.listen {
            config.listen = keys::listen(text).map_err(|problem| ConfigError::new("--listen", problem))?;
            "--listen".clone_into(&mut listen_at);
        }
        if let Some(tls) = &config.tls
            && (tls.certificate.as_os_str().is_empty() || tls.key.as_os_str().is_empty())
        {
            return Err(ConfigError::new(
                "tls",
                "needs both tls.certificate and tls.key; one of them is missing",
            ));
        }
        if let Some(audit) = config.retention.audit
            && audit.is_less_than(config.retention.events)
        {
            return Err(ConfigError::new(
                "retention.audit_days",
                "must not be fewer than retention.events_days: it keeps what people did for longer than the rest",
            ));
        }
        if config.tls.is_none() && !flags.insecure_http {
            keys::loopback_only(config.listen).map_err(|problem| ConfigError::new(&listen_at, problem))?;
        }
        if let Some(path) = &flags.data_dir {
            config.data_dir.clone_from(path);
        }
        if config.data_dir.as_os_str().is_empty() {
            config.data_dir = places::data_dir(env)?;
        }
        outside::keep_out_of(&config.data_dir, &config.outside)?;
        config.credentials = places::credentials(env);
        Ok(config)
    }

    /// The Unix socket for programs, in the data folder.
    ///
    /// # Errors
    /// When the folder's path is too long for a socket in it; reading the journal there is still possible.
    pub fn socket(&self) -> Result<PathBuf, ConfigError> {
        places::socket(&self.data_dir)
    }

    /// The file of a systemd credential, where the service was given one of this name.
    #[must_use]
    pub fn credential(&self, name: &str) -> Option<PathBuf> {
        let file = self.credentials.as_ref()?.join(name);
        file.exists().then_some(file)
    }

    /// The defaults, without a data folder.
    fn unset() -> Self {
        Self {
            file: None,
            data_dir: PathBuf::new(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7440)),
            names: Vec::new(),
            proxies: Vec::new(),
            tls: None,
            access: Access {
                session: Span::from_days(7),
                idle: Span::from_days(1),
                require_totp: Vec::new(),
            },
            zone: TimeZone::UTC,
            retention: Retention {
                events: Keep::Days(7),
                audit: None,
                commands: Keep::Days(30),
                archive: true,
                archive_days: Keep::Days(400),
            },
            report: Report {
                organisation: String::new(),
                keep: Keep::Days(400),
            },
            jobs: Jobs {
                resume_within: Span::from_secs(15 * 60),
                kill_grace: Span::from_secs(10),
                output_limit: 64 << 20,
                follow_limit: 200,
                precheck_limit: Span::from_secs(60),
                orphan_after: Span::from_secs(15 * 60),
                local_spool: None,
            },
            ssh: Ssh {
                program: PathBuf::from("ssh"),
                config_file: None,
                connect_timeout: Span::from_secs(10),
                dials: 8,
                channels: 4,
            },
            probe_interval: Some(Span::from_secs(60)),
            low_space: 200_000_000,
            catalog: Catalog::new(Vec::new()).unwrap_or_default(),
            credentials: None,
            outside: Outside::default(),
            places: BTreeMap::new(),
            scripts: Vec::new(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ops: Vec<_> = self.catalog.iter().map(|op| op.id.as_str()).collect();
        f.debug_struct("Config")
            .field("file", &self.file)
            .field("data_dir", &self.data_dir)
            .field("listen", &self.listen)
            .field("names", &self.names)
            .field("proxies", &self.proxies)
            .field("tls", &self.tls)
            .field("access", &self.access)
            .field("zone", &self.zone.iana_name())
            .field("retention", &self.retention)
            .field("report", &self.report)
            .field("jobs", &self.jobs)
            .field("ssh", &self.ssh)
            .field("probe_interval", &self.probe_interval)
            .field("low_space", &self.low_space)
            .field("ops", &ops)
            .field("outside", &self.outside)
            .finish()
    }
}

fn read(path: &Path) -> Result<(PathBuf, String), ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok((path.to_owned(), text)),
        Err(why) => Err(ConfigError::new(
            path.display().to_string(),
            format!("cannot be read: {why}"),
        )),
    }
}

#[cfg(test)]
mod tests;
