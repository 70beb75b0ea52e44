//! `[[forward]]`, `[[witness]]` and `[[notify]]`: places outside that hear what happens here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::domain::{Forward, Headers, Notice, Notify, Outside, Target, Witnessing, nearest};

use super::ConfigError;
use super::places::Environment;
use super::tables::{Lines, Places, Table, tables};

/// The keys of a `[[forward]]` table.
const FORWARD_KEYS: &[&str] = &["name", "syslog", "file", "witness", "from"];

/// The keys of a `[[witness]]` table.
const WITNESS_KEYS: &[&str] = &["name", "url", "header_file", "header_env"];

/// The keys of a `[[notify]]` table.
const NOTIFY_KEYS: &[&str] = &[
    "name",
    "url",
    "command",
    "on",
    "header_file",
    "header_env",
    "pipeline_commands",
    "tries",
];

/// The keys of all three.
#[cfg(test)]
pub(super) fn table_keys() -> impl Iterator<Item = &'static str> {
    FORWARD_KEYS.iter().chain(WITNESS_KEYS).chain(NOTIFY_KEYS).copied()
}

/// How often a notification is tried where nothing else is said: about two minutes of trying.
const TRIES: u32 = 10;

#[derive(Deserialize)]
struct ForwardTable {
    name: String,
    syslog: Option<String>,
    file: Option<PathBuf>,
    #[serde(default)]
    witness: bool,
    from: Option<String>,
}

#[derive(Deserialize)]
struct WitnessTable {
    name: String,
    url: String,
    header_file: Option<PathBuf>,
    header_env: Option<String>,
}

#[derive(Deserialize)]
struct NotifyTable {
    name: String,
    url: Option<String>,
    command: Option<Vec<String>>,
    on: Option<Vec<String>>,
    header_file: Option<PathBuf>,
    header_env: Option<String>,
    #[serde(default)]
    pipeline_commands: bool,
    tries: Option<i64>,
}

/// What the file says of them; what it names in the environment is not looked up yet.
#[derive(Default)]
pub(super) struct Written {
    forwards: Vec<(ForwardTable, At)>,
    witnesses: Vec<(WitnessTable, At)>,
    notifies: Vec<(NotifyTable, At)>,
}

/// Where a table and its keys stand: `quarterdeck.toml:12`.
struct At {
    what: String,
    base: PathBuf,
    table: String,
    keys: BTreeMap<String, String>,
}

impl At {
    fn of(lines: &Lines<'_>, what: String, places: &Places) -> Self {
        Self {
            what,
            base: lines.folder().to_owned(),
            table: lines.at(Some(places.of(""))),
            keys: places
                .names()
                .map(|key| (key.to_owned(), lines.at(Some(places.of(key)))))
                .collect(),
        }
    }

    /// The problem at the place of the key that its text begins with.
    fn wrong(&self, problem: String) -> ConfigError {
        let word = problem.split([' ', ':']).next().unwrap_or_default();
        let place = self.keys.get(word).unwrap_or(&self.table);
        ConfigError::new(place, format!("{}: {problem}", self.what))
    }

    fn path(&self, key: &str, path: &Path) -> Result<PathBuf, String> {
        if path.as_os_str().is_empty() {
            return Err(format!("{key} is empty"));
        }
        if path.starts_with("~") {
            return Err(format!("{key}: “~” is not expanded; write the whole path"));
        }
        Ok(self.base.join(path))
    }
}

impl Written {
    /// Takes the tables of one kind; false where it is none of these kinds.
    pub(super) fn take(&mut self, lines: &Lines<'_>, kind: &str, value: Table<'_>) -> Result<(), ConfigError> {
        fn fine<T>(_: &T) -> Result<(), String> {
            Ok(())
        }
        match kind {
            "forward" => {
                for (table, places) in tables::<ForwardTable>(lines, kind, FORWARD_KEYS, value, fine)? {
                    let at = At::of(lines, format!("forward “{}”", table.name), &places);
                    self.forwards.push((table, at));
                }
            }
            "witness" => {
                for (table, places) in tables::<WitnessTable>(lines, kind, WITNESS_KEYS, value, fine)? {
                    let at = At::of(lines, format!("witness “{}”", table.name), &places);
                    self.witnesses.push((table, at));
                }
            }
            _ => {
                for (table, places) in tables::<NotifyTable>(lines, kind, NOTIFY_KEYS, value, fine)? {
                    let at = At::of(lines, format!("notify “{}”", table.name), &places);
                    self.notifies.push((table, at));
                }
            }
        }
        Ok(())
    }

    /// Reads them, with the environment that they name.
    pub(super) fn read(self, env: &Environment) -> Result<Outside, ConfigError> {
        let mut outside = Outside::default();
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        let mut named = |name: &str, at: &At| {
            check_name(name).map_err(|problem| at.wrong(problem))?;
            match names.insert(name.to_owned(), at.table.clone()) {
                None => Ok(()),
                Some(first) => Err(at.wrong(format!("name “{name}” is taken at {first}; give each its own"))),
            }
        };
        for (table, at) in self.forwards {
            named(&table.name, &at)?;
            outside
                .forwards
                .push(table.read(&at).map_err(|problem| at.wrong(problem))?);
        }
        for (table, at) in self.witnesses {
            named(&table.name, &at)?;
            let read = || {
                Ok(Witnessing {
                    target: url(&table.url)?,
                    headers: headers(&at, table.header_file.as_deref(), table.header_env.as_deref(), env)?,
                    name: table.name.clone(),
                })
            };
            outside.witnesses.push(read().map_err(|problem| at.wrong(problem))?);
        }
        for (table, at) in self.notifies {
            named(&table.name, &at)?;
            outside
                .notifies
                .push(table.read(&at, env).map_err(|problem| at.wrong(problem))?);
        }
        Ok(outside)
    }
}

impl ForwardTable {
    fn read(self, at: &At) -> Result<Forward, String> {
        let target = match (&self.syslog, &self.file) {
            (Some(address), None) => syslog(address)?,
            (None, Some(path)) => Target::File(at.path("file", path)?),
            (Some(_), Some(_)) => return Err("file and syslog exclude each other; make two of it".to_owned()),
            (None, None) => return Err("needs either syslog = \"tcp://HOST:PORT\" or file = \"/path\"".to_owned()),
        };
        let from_start = match self.from.as_deref() {
            None | Some("now") => false,
            Some("start") => true,
            Some(other) => return Err(format!("from “{other}” is neither \"start\" nor \"now\"")),
        };
        Ok(Forward {
            name: self.name,
            target,
            witness: self.witness,
            from_start,
        })
    }
}

impl NotifyTable {
    fn read(self, at: &At, env: &Environment) -> Result<Notify, String> {
        let target = match (&self.url, self.command) {
            (Some(address), None) => url(address)?,
            (None, Some(words)) => program(at, words)?,
            (Some(_), Some(_)) => return Err("command and url exclude each other; make two of it".to_owned()),
            (None, None) => return Err("needs either url = \"https://...\" or command = [\"/path\"]".to_owned()),
        };
        if matches!(target, Target::Program(_)) && (self.header_file.is_some() || self.header_env.is_some()) {
            let key = if self.header_file.is_some() {
                "header_file"
            } else {
                "header_env"
            };
            return Err(format!("{key} goes with url alone"));
        }
        let on = match self.on {
            None => Notice::ALL.iter().copied().collect(),
            Some(words) if words.is_empty() => return Err("on is empty, so nothing would ever be sent".to_owned()),
            Some(words) => words.iter().map(|word| notice(word)).collect::<Result<_, _>>()?,
        };
        let tries = match self.tries {
            None => TRIES,
            Some(tries) => u32::try_from(tries)
                .ok()
                .filter(|tries| (1..=1_000).contains(tries))
                .ok_or_else(|| format!("tries must be a whole number from 1 to 1000, not {tries}"))?,
        };
        Ok(Notify {
            tries,
            headers: headers(at, self.header_file.as_deref(), self.header_env.as_deref(), env)?,
            name: self.name,
            target,
            on,
            pipeline_commands: self.pipeline_commands,
        })
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let fits = !name.is_empty()
        && name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if fits {
        return Ok(());
    }
    Err("name must be 1 to 64 letters, digits, dots, dashes and underscores, a letter or digit first".to_owned())
}

fn notice(word: &str) -> Result<Notice, String> {
    word.parse().map_err(|_| {
        let known = Notice::ALL.iter().map(|notice| notice.as_str());
        match nearest(word, known.clone()) {
            Some(near) => format!("on: “{word}” is nothing to be notified of; did you mean “{near}”?"),
            None => {
                let known: Vec<_> = known.collect();
                format!(
                    "on: “{word}” is nothing to be notified of; known are {}",
                    known.join(", ")
                )
            }
        }
    })
}

fn syslog(text: &str) -> Result<Target, String> {
    if let Some(path) = text.strip_prefix("unix://") {
        if Path::new(path).is_absolute() {
            return Ok(Target::Socket(PathBuf::from(path)));
        }
    } else if let Some(address) = text.strip_prefix("tcp://") {
        let parts = address.rsplit_once(':');
        let fits = |(host, port): (&str, &str)| {
            !host.is_empty()
                && !host.contains(['/', '@', ' '])
                && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')))
                && port.parse::<u16>().is_ok_and(|port| port > 0)
        };
        if parts.is_some_and(fits) {
            return Ok(Target::Tcp(address.to_owned()));
        }
    }
    Err("syslog must be \"tcp://HOST:PORT\" or \"unix:///PATH\" (for example unix:///dev/log)".to_owned())
}

/// HTTPS, or no further than this machine: what is sent may say more than its reader's neighbours should know.
fn url(text: &str) -> Result<Target, String> {
    let url = reqwest::Url::parse(text).map_err(|_| "url is no address; write https://NAME/PATH".to_owned())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("url must not hold a user or password; put them into a header (header_file)".to_owned());
    }
    let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let address = name.parse::<std::net::IpAddr>();
    let here = name == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => Ok(Target::Url(text.to_owned())),
        "http" if here => Ok(Target::Url(text.to_owned())),
        "http" => Err("url would be sent unencrypted; use https (plain http only to this machine)".to_owned()),
        _ => Err("url must begin with https://".to_owned()),
    }
}

fn program(at: &At, mut words: Vec<String>) -> Result<Target, String> {
    let Some(first) = words.first_mut().filter(|first| !first.is_empty()) else {
        return Err("command is empty; write [\"/path/to/program\", \"argument\"]".to_owned());
    };
    if first.contains('/') {
        *first = at.path("command", Path::new(first))?.display().to_string();
    }
    if words.iter().any(|word| word.contains('\0')) {
        return Err("command holds a NUL".to_owned());
    }
    Ok(Target::Program(words))
}

fn headers(at: &At, file: Option<&Path>, variable: Option<&str>, env: &Environment) -> Result<Headers, String> {
    match (file, variable) {
        (None, None) => Ok(Headers::None),
        (Some(path), None) => Ok(Headers::File(at.path("header_file", path)?)),
        (None, Some(name)) if name.starts_with("QUARTERDECK_") => {
            Err("header_env must not begin with QUARTERDECK_: those are keys of the configuration".to_owned())
        }
        (None, Some(name)) => match env.get(name) {
            Some(text) if !text.is_empty() => Ok(Headers::Given(text.clone())),
            // Its value is not shown: it may be the secret itself, written where its name belongs.
            _ => Err("header_env: there is no variable of that name in the environment".to_owned()),
        },
        (Some(_), Some(_)) => Err("header_file and header_env exclude each other".to_owned()),
    }
}

/// Nothing but SQLite writes to the journal's files, and nobody else to the data folder.
pub(super) fn keep_out_of(data_dir: &Path, outside: &Outside) -> Result<(), ConfigError> {
    for forward in &outside.forwards {
        if let Target::File(path) = &forward.target
            && path.parent() == Some(data_dir)
        {
            let problem = format!("file {} lies in the data folder; put it elsewhere", path.display());
            return Err(ConfigError::new(format!("forward “{}”", forward.name), problem));
        }
    }
    Ok(())
}

/// Where the pages are found from outside, for links.
pub(super) fn public_url(text: &str) -> Result<String, String> {
    let wrong = || "must be an address such as https://fleet.example.org, without user, password and query".to_owned();
    let url = reqwest::Url::parse(text).map_err(|_| wrong())?;
    let fits = matches!(url.scheme(), "http" | "https")
        && url.host().is_some()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if fits {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests;
