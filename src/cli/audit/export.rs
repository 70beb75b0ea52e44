//! `audit export`: whole ranges of rows as a file, in bounded memory. Through the dashboard that runs it is an event;
//! from a journal at rest (a copy, say) it leaves no trace. Where the archive is damaged that is said, and the exit code
//! is 1.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::domain::{
    Actor, Category, CommandId, CommandStatus, ExportFormat, ExportOf, HostName, Level, PipelineId, PipelineStatus,
    Timestamp,
};
use crate::store::archive::Lack;
use crate::store::{EventFilter, Export, HistoryFilter, PipelineFilter, SearchText, Selection};

use super::super::Context;
use super::super::failure::{Failure, say};
use super::super::history::moment;
use super::super::out::{Out, Printable};
use super::super::source::{AtRest, Source};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// events, commands or pipelines
    #[arg(long, value_name = "WHAT", default_value = "events")]
    what: ExportOf,
    /// csv or jsonl
    #[arg(long, value_name = "FORM", default_value = "csv")]
    format: ExportFormat,
    /// At this time or later: "2026-11-23 14:05" (in the configured zone), or so long ago: 2h, 3d
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// About, or on, this host, also of a removed one
    #[arg(long, value_name = "NAME")]
    host: Option<HostName>,
    /// By this person or program: alice, or local:alice, user:alice, token:ci
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Events: audit, system or error
    #[arg(long, value_name = "CATEGORY")]
    category: Option<Category>,
    /// Events: info, warn, error or success
    #[arg(long, value_name = "LEVEL")]
    level: Option<Level>,
    /// Events whose action begins with this: op:switch, refused, session
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Events about this command
    #[arg(long, value_name = "ID")]
    command: Option<CommandId>,
    /// Events about, or commands of, this pipeline
    #[arg(long, value_name = "ID")]
    pipeline: Option<PipelineId>,
    /// Events with these words; a "phrase in quotes", begin*
    #[arg(long, value_name = "WORDS")]
    search: Option<SearchText>,
    /// Commands of this op
    #[arg(long, value_name = "OP")]
    op: Option<String>,
    /// Pipelines of this name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Commands or pipelines of these statuses, separated by commas
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Commands or pipelines without an end
    #[arg(long)]
    open: bool,
    /// Write to this file, in place of one that is there, once all of it is there
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What was asked for, with its times read.
struct Asked {
    args: Args,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

pub(super) async fn execute(mut args: Args, context: &mut Context) -> Result<(), Failure> {
    let time = |text: Option<String>| text.map(|text| moment(&text, &context.config.zone)).transpose();
    let (since, until) = (time(args.since.take())?, time(args.until.take())?);
    let output = args.output.take();
    let asked = Asked { args, since, until };
    asked.fits()?;
    let source = context.source()?;
    let all = match output {
        None => {
            let terminal = &mut Terminal(&mut context.out, Printable::default());
            asked.take(&source, terminal).await?
        }
        Some(path) => {
            let mut file = Whole::beside("--output", &path)?;
            let all = asked.take(&source, &mut file).await?;
            let bytes = file.finish(&path)?;
            say(&format!("{}: {bytes} bytes", path.display()));
            all
        }
    };
    // It was said before.
    if all { Ok(()) } else { Err(Failure::Op) }
}

/// Says what the range lacks.
fn lacks(gone: &[String], damaged: &[String]) {
    for text in gone {
        say(&format!("quarterdeck: not kept: {text}"));
    }
    for text in damaged {
        say(&format!("quarterdeck: INCOMPLETE: {text}"));
    }
}

/// Where the bytes of an export go.
pub(super) trait Sink {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Failure>;
}

pub(super) struct Terminal<'o>(pub(super) &'o mut Out, pub(super) Printable);

impl Sink for Terminal<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.bytes(&mut self.1, bytes)
    }
}

/// A file that takes its name when it is whole.
pub(super) struct Whole {
    file: BufWriter<File>,
    part: PathBuf,
    bytes: u64,
}

impl Whole {
    /// `flag` is the one that named it.
    pub(super) fn beside(flag: &str, path: &Path) -> Result<Self, Failure> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = File::create(&part).map_err(|why| Failure::Usage(format!("{flag} {}: {why}", path.display())))?;
        Ok(Self {
            file: BufWriter::new(file),
            part,
            bytes: 0,
        })
    }

    pub(super) fn finish(mut self, path: &Path) -> Result<u64, Failure> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        std::fs::rename(&self.part, path)?;
        Ok(self.bytes)
    }
}

impl Sink for Whole {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.bytes += bytes.len() as u64;
        Ok(self.file.write_all(bytes)?)
    }
}

impl Asked {
    /// Refuses a filter that the rows do not have.
    fn fits(&self) -> Result<(), Failure> {
        let args = &self.args;
        let (events, commands, pipelines) = (
            args.what == ExportOf::Events,
            args.what == ExportOf::Commands,
            args.what == ExportOf::Pipelines,
        );
        let flags = [
            ("--category", args.category.is_some(), events),
            ("--level", args.level.is_some(), events),
            ("--action", args.action.is_some(), events),
            ("--command", args.command.is_some(), events),
            ("--search", args.search.is_some(), events),
            ("--pipeline", args.pipeline.is_some(), events || commands),
            ("--op", args.op.is_some(), commands),
            ("--name", args.name.is_some(), pipelines),
            ("--status", args.status.is_some(), commands || pipelines),
            ("--open", args.open, commands || pipelines),
        ];
        match flags.iter().find(|(_, given, fits)| *given && !fits) {
            Some((flag, ..)) => Err(Failure::Usage(format!("{flag} does not go with --what {}", args.what))),
            None => Ok(()),
        }
    }

    /// Whether all of it is there; what is not is said.
    async fn take(&self, source: &Source, sink: &mut impl Sink) -> Result<bool, Failure> {
        match source {
            Source::Live(client) => {
                let mut answer = client.stream("/export", &self.query()).await?;
                let damaged = answer.headers("quarterdeck-damaged");
                lacks(&answer.headers("quarterdeck-not-kept"), &damaged);
                while let Some(bytes) = answer.next().await? {
                    sink.put(&bytes)?;
                }
                Ok(damaged.is_empty())
            }
            Source::AtRest(journal) => {
                let selection = self.selection(journal)?;
                let mut export = Export::begin(&journal.reader, &journal.data_dir, selection, self.args.format)?;
                let (damaged, gone): (Vec<_>, Vec<_>) = export.lacking().iter().partition(|lack| lack.damage);
                let texts = |lacks: Vec<&Lack>| lacks.iter().map(|lack| lack.text.clone()).collect::<Vec<_>>();
                let (damaged, gone) = (texts(damaged), texts(gone));
                lacks(&gone, &damaged);
                while let Some(batch) = export.batch(&journal.reader)? {
                    sink.put(&batch.bytes)?;
                }
                Ok(damaged.is_empty())
            }
        }
    }

    fn query(&self) -> Vec<(&'static str, String)> {
        let args = &self.args;
        let query = [
            ("what", Some(args.what.to_string())),
            ("format", Some(args.format.to_string())),
            ("since", self.since.map(Timestamp::to_rfc3339)),
            ("until", self.until.map(Timestamp::to_rfc3339)),
            ("host", args.host.as_ref().map(ToString::to_string)),
            ("actor", args.actor.clone()),
            ("category", args.category.map(|word| word.to_string())),
            ("level", args.level.map(|word| word.to_string())),
            ("action", args.action.clone()),
            ("command", args.command.map(|id| id.to_string())),
            ("pipeline", args.pipeline.map(|id| id.to_string())),
            ("q", args.search.as_ref().map(ToString::to_string)),
            ("op", args.op.clone()),
            ("name", args.name.clone()),
            ("status", args.status.clone()),
            ("open", args.open.then(|| "true".to_owned())),
        ];
        query
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect()
    }

    fn selection(&self, journal: &AtRest) -> Result<Selection, Failure> {
        let args = &self.args;
        let host = match &args.host {
            Some(name) => Some(journal.host_id(name)?),
            None => None,
        };
        let (since, until) = (self.since, self.until);
        let actor = args.actor.as_deref().map(Actor::asked);
        let statuses = || args.status.iter().flat_map(|text| text.split(',')).map(str::trim);
        let usage = |wrong: crate::domain::Invalid| Failure::Usage(wrong.to_string());
        Ok(match args.what {
            ExportOf::Events => Selection::Events(EventFilter {
                category: args.category,
                level: args.level,
                actor,
                host,
                action: args.action.clone(),
                command: args.command,
                pipeline: args.pipeline,
                since,
                until,
                text: args.search.clone(),
            }),
            ExportOf::Commands => Selection::Commands(HistoryFilter {
                host,
                op: args.op.clone(),
                status: statuses()
                    .map(CommandStatus::asked)
                    .collect::<Result<_, _>>()
                    .map_err(usage)?,
                open_only: args.open,
                pipeline: args.pipeline,
                actor,
                since,
                until,
                ..HistoryFilter::default()
            }),
            ExportOf::Pipelines => Selection::Pipelines(PipelineFilter {
                status: statuses()
                    .map(str::parse::<PipelineStatus>)
                    .collect::<Result<_, _>>()
                    .map_err(usage)?,
                name: args.name.clone(),
                actor,
                host,
                open_only: args.open,
                since,
                until,
            }),
        })
    }
}
