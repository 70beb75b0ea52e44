//! Every key of the configuration in one table: its name, and what its value becomes.
//!
//! Its variable in the environment follows from the name (`retention.events_days` is
//! `QUARTERDECK_RETENTION_EVENTS_DAYS`), so that a key cannot be known in one place and not in the other.

use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::tz::TimeZone;

use crate::domain::{Invalid, Span, nearest};

use super::value::Value;
use super::{Config, ConfigError, Tls, outside, tables};

/// One key: its name with its section, and what its value becomes.
pub(super) struct Key(pub(super) &'static str, fn(&mut Config, &Value) -> Result<(), String>);

/// Every key there is, beside `[[op]]`.
pub(super) const KEYS: &[Key] = &[
    Key("data_dir", |c, v| v.path().map(|path| c.data_dir = path)),
    Key("listen", |c, v| listen(v.text()?).map(|listen| c.listen = listen)),
    Key("names", |c, v| names(v.list()?).map(|names| c.names = names)),
    Key("proxies", |c, v| {
        let nets: Result<_, String> = v.list()?.iter().map(|net| net.parse()).collect();
        nets.map(|nets| c.proxies = nets)
    }),
    Key("tls.certificate", |c, v| {
        v.path()
            .map(|path| c.tls.get_or_insert_with(Tls::default).certificate = path)
    }),
    Key("tls.key", |c, v| {
        v.path().map(|path| c.tls.get_or_insert_with(Tls::default).key = path)
    }),
    Key("access.session", |c, v| {
        v.span(MINUTE..=Span::from_days(90)).map(|span| c.access.session = span)
    }),
    Key("access.idle", |c, v| {
        v.span(MINUTE..=Span::from_days(90)).map(|span| c.access.idle = span)
    }),
    Key("access.require_totp", |c, v| {
        let roles: Result<_, String> = v
            .list()?
            .iter()
            .map(|role| role.parse().map_err(|wrong: Invalid| wrong.problem))
            .collect();
        roles.map(|roles| c.access.require_totp = roles)
    }),
    Key("zone", |c, v| zone(v.text()?).map(|zone| c.zone = zone)),
    Key("public_url", |c, v| {
        outside::public_url(v.text()?).map(|url| c.outside.public_url = Some(url))
    }),
    Key("low_space", |c, v| {
        v.bytes(0..=1 << 40).map(|bytes| c.low_space = bytes)
    }),
    Key("retention.events_days", |c, v| {
        v.days().map(|keep| c.retention.events = keep)
    }),
    Key("retention.audit_days", |c, v| {
        v.days().map(|keep| c.retention.audit = Some(keep))
    }),
    Key("retention.archive", |c, v| {
        v.flag().map(|flag| c.retention.archive = flag)
    }),
    Key("retention.archive_days", |c, v| {
        v.days().map(|keep| c.retention.archive_days = keep)
    }),
    Key("retention.commands_days", |c, v| {
        v.days().map(|keep| c.retention.commands = keep)
    }),
    Key("report.organisation", |c, v| {
        let text = v.text()?;
        if text.chars().count() > 80 || text.chars().any(char::is_control) {
            return Err("is a name of at most 80 characters, on one line".to_owned());
        }
        c.report.organisation = text.trim().to_owned();
        Ok(())
    }),
    Key("report.keep_days", |c, v| v.days().map(|keep| c.report.keep = keep)),
    Key("jobs.resume_within", |c, v| {
        v.span(Span::ZERO..=Span::from_days(7))
            .map(|span| c.jobs.resume_within = span)
    }),
    Key("jobs.kill_grace", |c, v| {
        v.span(SECOND..=HOUR).map(|span| c.jobs.kill_grace = span)
    }),
    Key("jobs.output_limit", |c, v| {
        v.bytes(4 << 10..=64 << 30).map(|bytes| c.jobs.output_limit = bytes)
    }),
    Key("jobs.follow_limit", |c, v| {
        v.count(1..=10_000).map(|count| c.jobs.follow_limit = count)
    }),
    Key("jobs.precheck_limit", |c, v| {
        v.span(SECOND..=HOUR).map(|span| c.jobs.precheck_limit = span)
    }),
    Key("jobs.orphan_after", |c, v| {
        v.span(SECOND..=Span::from_days(7))
            .map(|span| c.jobs.orphan_after = span)
    }),
    Key("jobs.local_spool", |c, v| {
        let path = v.path()?;
        if !path.is_absolute() {
            return Err(format!(
                "{} is not absolute; every dashboard of this account must find the same folder",
                path.display()
            ));
        }
        c.jobs.local_spool = Some(path);
        Ok(())
    }),
    Key("ssh.program", |c, v| program(v).map(|path| c.ssh.program = path)),
    Key("ssh.config_file", |c, v| {
        v.path().map(|path| c.ssh.config_file = Some(path))
    }),
    Key("ssh.connect_timeout", |c, v| {
        v.span(SECOND..=HOUR).map(|span| c.ssh.connect_timeout = span)
    }),
    Key("ssh.dials", |c, v| v.count(1..=256).map(|count| c.ssh.dials = count)),
    Key("ssh.channels", |c, v| {
        v.count(1..=64).map(|count| c.ssh.channels = count)
    }),
    Key("probe.interval", |c, v| {
        v.span(Span::ZERO..=Span::from_days(1))
            .map(|span| c.probe_interval = (span > Span::ZERO).then_some(span))
    }),
];

const SECOND: Span = Span::from_secs(1);
const MINUTE: Span = Span::from_secs(60);
const HOUR: Span = Span::from_secs(3_600);

impl Key {
    pub(super) fn variable(&self) -> String {
        format!("QUARTERDECK_{}", self.0.replace('.', "_").to_uppercase())
    }

    pub(super) fn set(&self, config: &mut Config, value: &Value, place: &str) -> Result<(), ConfigError> {
        (self.1)(config, value).map_err(|problem| ConfigError::new(place, format!("{}: {problem}", self.0)))?;
        config.places.insert(self.0, place.to_owned());
        Ok(())
    }
}

pub(super) fn unknown(key: &str) -> String {
    // A known key in the wrong section, or none, is what was meant more often than a spelling.
    let last = key.rsplit('.').next().unwrap_or(key);
    let moved = KEYS.iter().find(|known| known.0.rsplit('.').next() == Some(last));
    match moved {
        Some(known) => format!("“{key}” is no known key; did you mean “{}”?", known.0),
        None => tables::unknown_key(key, KEYS.iter().map(|known| known.0)),
    }
}

pub(super) fn unknown_variable(name: &str) -> String {
    let variables: Vec<_> = KEYS.iter().map(Key::variable).collect();
    let bare = |name: &str| name.trim_start_matches("QUARTERDECK_").to_lowercase();
    let keys: Vec<_> = variables.iter().map(|variable| bare(variable)).collect();
    match nearest(&bare(name), keys.iter().map(String::as_str)) {
        Some(near) => format!(
            "{name} is no known variable; did you mean QUARTERDECK_{}?",
            near.to_uppercase()
        ),
        None => format!("{name} is no known variable; unset it, the README lists the known ones"),
    }
}

pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    numeric
        .as_deref()
        .unwrap_or(text)
        .parse()
        .map_err(|_| format!("“{text}” is no address and port; write for example 127.0.0.1:7440 or [::1]:7440"))
}

/// Where nothing is encrypted, only this machine may listen.
pub(super) fn loopback_only(address: SocketAddr) -> Result<(), String> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    Err(format!(
        "{address} can be reached by others, who could read passwords on their way: give the dashboard a certificate \
         ([tls] certificate and key), keep it on 127.0.0.1 behind a proxy that has one, or go through ssh -L \
         {port}:127.0.0.1:{port} THIS-MACHINE. Where the network itself is safe, say so: --insecure-http",
        port = address.port()
    ))
}

fn names(list: Vec<String>) -> Result<Vec<String>, String> {
    for name in &list {
        let fits = !name.is_empty()
            && name.len() <= 253
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !fits {
            return Err(format!(
                "“{name}” is no name of a machine; write it without scheme, port or path"
            ));
        }
    }
    Ok(list.iter().map(|name| name.to_ascii_lowercase()).collect())
}

fn zone(text: &str) -> Result<TimeZone, String> {
    if text.eq_ignore_ascii_case("utc") {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(text).map_err(|_| format!("“{text}” is no known time zone; write for example Europe/Vienna or UTC"))
}

/// A bare word is looked up in the PATH; only what has a slash is a path.
fn program(value: &Value) -> Result<PathBuf, String> {
    let text = value.text()?;
    if text.contains('/') {
        value.path()
    } else {
        Ok(PathBuf::from(text))
    }
}
