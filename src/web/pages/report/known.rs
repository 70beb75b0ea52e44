//! Whether what a report is filtered by was ever anything here. A mistyped name would make a clean report of nothing.

use std::path::Path;

use crate::domain::{Actor, Invalid, OpId, ReportAsk, Tag, nearest};
use crate::engine::{Engine, EngineError};
use crate::store::archive::{self, Range};
use crate::store::{EventFilter, HistoryFilter, Journal, PipelineFilter, ReadError, Reader};

use super::make::blocking;

use super::super::host::never_a_host;

/// All time.
const EVER: Range = Range {
    since: None,
    until: None,
};

/// Refuses host, tag, op, actor and coverage that nobody ever heard of here, each by its field.
pub(super) async fn check(ask: &ReportAsk, engine: &Engine) -> Result<(), EngineError> {
    let (engine, ask) = (engine.clone(), ask.clone());
    blocking(move || {
        let known = Known {
            engine: &engine,
            reader: engine.reader(),
            data_dir: engine.data_dir(),
        };
        known.check(&ask)
    })
    .await
}

/// Whom a name means: as it is written, a user, a token, or else an account of the dashboard's machine.
pub(super) async fn actor(text: &str, engine: &Engine) -> Result<String, EngineError> {
    let bare = text.to_owned();
    let read = engine.reader().read(move |journal| {
        if bare.contains(':') {
            return Ok(None);
        }
        if let Some(user) = journal.user(&bare)? {
            return Ok(Some(Actor::User(user.name)));
        }
        Ok(journal.token_named(&bare)?.map(|token| Actor::Token(token.name)))
    });
    let asked = match read.await? {
        Some(actor) => actor.to_string(),
        None => Actor::asked(text),
    };
    asked
        .parse::<Actor>()
        .map_err(|why| Invalid::new("actor", why.problem))?;
    Ok(asked)
}

/// True where `name` is a pipeline, of the catalog or one that ran, and no op of the catalog.
pub(super) fn is_pipeline(name: &OpId, engine: &Engine) -> Result<bool, ReadError> {
    let catalog = engine.catalog();
    if catalog.pipeline(name.as_str()).is_some() {
        return Ok(true);
    }
    Ok(catalog.get(name.as_str()).is_none() && ran_as_pipeline(name, engine.reader(), engine.data_dir())?)
}

fn ran_as_pipeline(name: &OpId, reader: &Reader, data_dir: &Path) -> Result<bool, ReadError> {
    let filter = PipelineFilter {
        name: Some(name.to_string()),
        ..PipelineFilter::default()
    };
    if !reader
        .read_blocking(|journal| journal.pipelines(&filter, None, 1))?
        .rows
        .is_empty()
    {
        return Ok(true);
    }
    let name = name.to_string();
    let rows = archive::pipelines(data_dir, EVER, move |row| row.name == name);
    any(rows.map_err(unread)?, reader)
}

struct Known<'a> {
    engine: &'a Engine,
    reader: &'a Reader,
    data_dir: &'a Path,
}

impl Known<'_> {
    fn check(&self, ask: &ReportAsk) -> Result<(), EngineError> {
        let hosts = self.reader.read_blocking(Journal::all_hosts)?;
        if let Some(name) = &ask.host {
            let names: Vec<String> = hosts.iter().map(|host| host.hostname.to_string()).collect();
            if !names.contains(&name.to_string()) {
                return Err(unknown("host", &never_a_host().problem, name.as_str(), &names));
            }
        }
        if let Some(tag) = &ask.tag {
            let mut tags: Vec<String> = hosts.iter().flat_map(|host| &host.tags).map(Tag::to_string).collect();
            tags.sort_unstable();
            tags.dedup();
            if !tags.contains(&tag.to_string()) {
                return Err(unknown("tag", "no host has that tag", &tag.to_string(), &tags));
            }
        }
        let catalog = self.engine.catalog();
        let mut names: Vec<String> = catalog.iter().map(|op| op.id.to_string()).collect();
        if let Some(op) = &ask.op
            && !self.is_op(op)?
        {
            let why = "no op of that name is in the catalog or ever ran";
            return Err(unknown("op", why, op.as_str(), &names));
        }
        if let Some(name) = &ask.coverage
            && !self.is_op(name)?
            && !is_pipeline(name, self.engine)?
        {
            names.extend(catalog.pipelines().map(|pipeline| pipeline.id.to_string()));
            let why = "no op and no pipeline of that name is in the catalog or ever ran";
            return Err(unknown("coverage", why, name.as_str(), &names));
        }
        match &ask.actor {
            Some(actor) => self.check_actor(actor),
            None => Ok(()),
        }
    }

    fn is_op(&self, op: &OpId) -> Result<bool, ReadError> {
        if self.engine.catalog().get(op.as_str()).is_some() {
            return Ok(true);
        }
        let filter = HistoryFilter {
            op: Some(op.to_string()),
            ..HistoryFilter::default()
        };
        let ran = self.reader.read_blocking(|journal| journal.history(&filter, None, 1))?;
        if !ran.rows.is_empty() {
            return Ok(true);
        }
        let op = op.clone();
        let rows = archive::commands(self.data_dir, EVER, move |row| row.op == op);
        any(rows.map_err(unread)?, self.reader)
    }

    /// Somebody with an account or a token here, or who ever did something, or was refused.
    fn check_actor(&self, text: &str) -> Result<(), EngineError> {
        let (filter, history) = (
            EventFilter {
                actor: Some(text.to_owned()),
                ..EventFilter::default()
            },
            HistoryFilter {
                actor: Some(text.to_owned()),
                ..HistoryFilter::default()
            },
        );
        let (there, names) = self.reader.read_blocking(|journal| {
            let users = journal.users()?;
            let tokens = journal.tokens()?;
            let names: Vec<String> = (users.into_iter().map(|user| Actor::User(user.name).to_string()))
                .chain(tokens.into_iter().map(|token| Actor::Token(token.name).to_string()))
                .collect();
            let there = text == Actor::System.to_string()
                || names.iter().any(|name| name == text)
                || !journal.events(&filter, None, 1)?.rows.is_empty()
                || !journal.history(&history, None, 1)?.rows.is_empty();
            Ok((there, names))
        })?;
        if there {
            return Ok(());
        }
        let actor = text.to_owned();
        let rows = archive::events(self.data_dir, EVER, move |row| row.actor.to_string() == actor);
        if any(rows.map_err(unread)?, self.reader)? {
            return Ok(());
        }
        let why = "nobody of that name has an account or a token here, or ever did something";
        let bare = |name: &str| name.rsplit(':').next().unwrap_or_default().to_owned();
        let names: Vec<String> = names.iter().map(|name| bare(name)).collect();
        Err(unknown("actor", why, &bare(text), &names))
    }
}

/// Whether there is one row at least. Files that cannot be read have none.
fn any<T: archive::Archived>(mut rows: archive::Rows<T>, reader: &Reader) -> Result<bool, ReadError> {
    loop {
        match rows.batch(reader, 1) {
            Ok(rows) => return Ok(rows.is_some()),
            Err(ReadError::Row(_)) => {}
            Err(why) => return Err(why),
        }
    }
}

fn unread(why: std::io::Error) -> ReadError {
    ReadError::Row(format!("the archive: {why}"))
}

fn unknown(field: &str, why: &str, asked: &str, known: &[String]) -> EngineError {
    let meant = nearest(asked, known.iter().map(String::as_str));
    let meant = meant
        .map(|name| format!("; did you mean “{name}”?"))
        .unwrap_or_default();
    Invalid::new(field, format!("{why}{meant}")).into()
}
