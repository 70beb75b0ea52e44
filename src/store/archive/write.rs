//! A file of the archive while its sweep is under way. Everything here blocks.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};

use super::super::chain::{Canonical, link_before};
use super::super::record::{Of, archived};
use super::super::{ReadError, Reader};
use super::files::{self, AT, ArchiveFile, PART};
use super::read::{Entry, entries};
use super::{Contents, EventLine, Head, Line, Ranges, RowLine};
use crate::domain::{Checkpoint, Digest, Link, Timestamp};

/// Rows that are looked up at once.
const SOME: usize = 500;

/// A row that goes into the archive.
pub(in crate::store) enum Added {
    /// An event, with the name of its host.
    Event(Box<Canonical>, Option<String>),
    /// A command, with the name of its host, or a pipeline: every column, as JSON.
    Row(Of, Option<String>, String),
    /// A definition.
    Definition(Digest, String),
}

/// A file that is being written. What was added is on disk after [`Writer::sync`]; only then may a row go.
pub(in crate::store) struct Writer {
    folder: PathBuf,
    began: Timestamp,
    path: PathBuf,
    file: GzEncoder<File>,
    hash: Sha256,
    contents: Contents,
    ranges: Ranges,
    /// Rows have gone that only this file has.
    needed: bool,
}

impl Writer {
    /// Begins a file, and takes over what cut-off sweeps left, but for the rows that are still in their tables.
    pub(in crate::store) fn begin(data_dir: &Path, dashboard: &str, reader: &Reader) -> io::Result<Self> {
        let made_at = Timestamp::now();
        let parts = files::parts(data_dir)?;
        let folder = files::make_folder(data_dir)?;
        let path = folder.join(format!("{}{PART}", files::stamp(made_at)));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let mut writer = Self {
            folder,
            began: made_at,
            path,
            file: GzBuilder::new()
                .extra(files::room())
                .write(file, Compression::default()),
            hash: Sha256::new(),
            contents: Contents {
                lines: 0,
                sha256: Digest::of(b""),
                events: 0,
                commands: 0,
                pipelines: 0,
                began: Some(made_at),
                took: Vec::new(),
            },
            ranges: Ranges::default(),
            needed: false,
        };
        let begun = writer.first(dashboard, made_at, &parts, reader);
        match begun {
            Ok(()) => Ok(writer),
            Err(why) => {
                writer.give_up();
                Err(why)
            }
        }
    }

    fn first(&mut self, dashboard: &str, made_at: Timestamp, parts: &[ArchiveFile], reader: &Reader) -> io::Result<()> {
        self.contents.took = took(parts);
        self.line(&Line::Archive(Head {
            form: 1,
            dashboard: dashboard.to_owned(),
            made_at,
            program: concat!("quarterdeck ", env!("CARGO_PKG_VERSION")).to_owned(),
            took: self.contents.took.clone(),
        }))?;
        for part in parts {
            self.take_over(&part.path, reader)?;
        }
        self.sync()?;
        File::open(&self.folder)?.sync_all()?;
        // At once: where this sweep is cut off as well, the next one takes over this file, and each row once.
        self.needed = !self.is_empty();
        for part in parts {
            std::fs::remove_file(&part.path)?;
        }
        Ok(())
    }

    fn take_over(&mut self, part: &Path, reader: &Reader) -> io::Result<()> {
        let mut lines = entries(part)?;
        loop {
            let mut some = Vec::new();
            // What follows a torn line was never on disk before a row went.
            for entry in lines.by_ref() {
                match entry {
                    Ok(Entry::Line(line)) => some.push(line),
                    Ok(Entry::Checkpoint(_)) => {}
                    Err(_) => break,
                }
                if some.len() == SOME {
                    break;
                }
            }
            if some.is_empty() {
                return Ok(());
            }
            let lines = reader
                .read_blocking(|journal| journal.only_archived(some))
                .map_err(|why| io::Error::other(why.to_string()))?;
            for line in &lines {
                self.line(line)?;
            }
        }
    }

    /// Whether there are rows in it.
    pub(in crate::store) fn is_empty(&self) -> bool {
        self.contents.lines <= 1
    }

    /// Adds rows; events in the order of their ids. They are on disk when this returns.
    pub(in crate::store) fn add(&mut self, rows: Vec<Added>, reader: &Reader) -> io::Result<()> {
        let mut last: Option<(i64, Link)> = None;
        for row in rows {
            let line = match row {
                Added::Event(row, host) => {
                    let link = Link::from_bytes(&row.link).map_err(io::Error::other)?;
                    let prev = match last {
                        Some((id, link)) if id + 1 == row.id => Some(link),
                        _ => reader
                            .read_blocking(|journal| link_before(journal, row.id))
                            .map_err(|why| io::Error::other(why.to_string()))?,
                    };
                    last = Some((row.id, link));
                    Line::Event(Box::new(EventLine::new(*row, host, link, prev)))
                }
                Added::Row(of, host, text) => {
                    let row = archived(&text).map_err(|why: ReadError| io::Error::other(why.to_string()))?;
                    match of {
                        Of::Command => Line::Command(RowLine { host, row }),
                        Of::Pipeline => Line::Pipeline(RowLine { host, row }),
                        Of::Host | Of::User | Of::Token | Of::Hold | Of::Report | Of::Review => continue, // They are never swept.
                    }
                }
                Added::Definition(sha256, text) => Line::Definition { sha256, text },
            };
            self.line(&line)?;
        }
        self.sync()
    }

    fn line(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.hash.update(&text);
        self.contents.lines += 1;
        match line {
            Line::Event(_) => self.contents.events += 1,
            Line::Command(_) => self.contents.commands += 1,
            Line::Pipeline(_) => self.contents.pipelines += 1,
            Line::Archive(_) | Line::Definition { .. } => {}
        }
        self.ranges.add(line);
        self.file.write_all(&text)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_data()
    }

    /// From now on rows are missing that stand here.
    pub(in crate::store) fn is_needed(&mut self) {
        self.needed = true;
    }

    /// What is in it, for the checkpoint to sign.
    pub(in crate::store) fn contents(&self) -> Contents {
        Contents {
            sha256: Digest::from_hash(&self.hash.clone().finalize()),
            ..self.contents.clone()
        }
    }

    /// Ends the file with the checkpoint of its sweep.
    pub(in crate::store) fn finish(mut self, checkpoint: &Checkpoint) -> io::Result<String> {
        self.file.write_all(checkpoint.line().as_bytes())?;
        self.file.write_all(b"\n")?;
        let file = self.file.finish()?;
        file.write_all_at(&files::filled(&self.ranges), AT)?;
        file.sync_all()?;
        let name = files::name(self.began, checkpoint.id);
        std::fs::rename(&self.path, self.folder.join(&name))?;
        File::open(&self.folder)?.sync_all()?;
        Ok(name)
    }

    /// Leaves the file for the next sweep, or removes it where nothing depends on it: each row is still in its table,
    /// or in what this file was about to take over.
    pub(in crate::store) fn give_up(self) {
        let Self { path, file, needed, .. } = self;
        drop(file);
        if !needed && let Err(why) = std::fs::remove_file(&path) {
            tracing::warn!(%why, path = %path.display(), "an archive file that nobody needs could not be removed");
        }
    }
}

/// What a file that takes these over takes over: themselves, and what they had taken over.
fn took(parts: &[ArchiveFile]) -> Vec<Timestamp> {
    let mut took = Vec::new();
    for part in parts {
        if let Ok(Some(Ok(Entry::Line(Line::Archive(head))))) = entries(&part.path).map(|mut lines| lines.next()) {
            took.extend(head.took);
        }
        took.push(part.made_at);
    }
    took.sort_unstable();
    took.dedup();
    took
}
