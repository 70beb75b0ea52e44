//! Reading the archive, one row at a time, with bounded memory: file after file in the order of their sweeps, so events
//! come in the order of their ids as long as nothing was kept back (a hold, `audit_days`) that went later. What is to
//! be in strict order is sorted by whoever reads.
//!
//! Memory: a decoder, and which ids have been seen: next to nothing for events (they come in runs), some 32 bytes for
//! each command and pipeline that fits.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;

use super::super::{CommandRow, EventRow, Journal, PipelineRow, ReadError, Reader};
use super::files::{self, ArchiveFile};
use super::{Line, Ranges};
use crate::domain::{Checkpoint, CommandId, PipelineId, Timestamp};

/// A range of time: events by their timestamp, commands and pipelines by when they were asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Range {
    /// At this time or later.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

impl Range {
    fn has(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }

    pub(super) fn may_be_in(&self, part: Option<(Timestamp, Timestamp)>) -> bool {
        part.is_some_and(|(first, last)| {
            self.since.is_none_or(|since| last >= since) && self.until.is_none_or(|until| first < until)
        })
    }
}

/// A row that can be archived.
pub trait Archived: Sized {
    /// With what a line of its kind begins.
    #[doc(hidden)]
    const BEGINS: &'static [u8];
    /// When, for a range.
    #[doc(hidden)]
    fn at(&self) -> Timestamp;
    /// A line of its kind as a row; none where it is of another kind.
    #[doc(hidden)]
    fn of(line: Entry) -> Result<Option<Self>, ReadError>;
    /// Whether a file may have rows of a range.
    #[doc(hidden)]
    fn may_be_in(range: Range, ranges: &Marks) -> bool;
    /// True the first time that this row is shown.
    #[doc(hidden)]
    fn is_new(&self, seen: &mut Seen) -> bool;
    /// Drops those that are still in their table: there is what is known last.
    #[doc(hidden)]
    fn only_archived(rows: Vec<Self>, journal: &mut Journal) -> Result<Vec<Self>, ReadError>;
}

/// A line of a file.
#[doc(hidden)]
#[derive(Debug)]
#[expect(private_interfaces, reason = "what a line is, is the archive's own business")]
pub enum Entry {
    Line(Line),
    Checkpoint(Box<Checkpoint>),
}

/// What the header of a file says.
#[doc(hidden)]
#[derive(Debug)]
pub struct Marks(pub(super) Ranges);

/// Which rows were there already.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Seen {
    /// Events: the last id of each run by its first.
    runs: BTreeMap<i64, i64>,
    pub(super) commands: HashSet<CommandId>,
    pub(super) pipelines: HashSet<PipelineId>,
}

impl Seen {
    pub(super) fn event(&mut self, id: i64) -> bool {
        let before = self.runs.range(..=id).next_back().map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| last >= id) {
            return false;
        }
        let first = before.filter(|(_, last)| last + 1 == id).map_or(id, |(first, _)| first);
        let last = self.runs.remove(&(id + 1)).unwrap_or(id);
        self.runs.insert(first, last);
        true
    }
}

/// Events of the archive that fit. Blocks, as do the rows.
///
/// # Errors
/// When the folder cannot be read; no folder is no row.
pub fn events(
    data_dir: &Path,
    range: Range,
    fits: impl Fn(&EventRow) -> bool + Send + 'static,
) -> io::Result<Rows<EventRow>> {
    Rows::new(data_dir, range, fits)
}

/// Commands of the archive that fit.
///
/// # Errors
/// As [`events`].
pub fn commands(
    data_dir: &Path,
    range: Range,
    fits: impl Fn(&CommandRow) -> bool + Send + 'static,
) -> io::Result<Rows<CommandRow>> {
    Rows::new(data_dir, range, fits)
}

/// Pipelines of the archive that fit.
///
/// # Errors
/// As [`events`].
pub fn pipelines(
    data_dir: &Path,
    range: Range,
    fits: impl Fn(&PipelineRow) -> bool + Send + 'static,
) -> io::Result<Rows<PipelineRow>> {
    Rows::new(data_dir, range, fits)
}

/// Rows of the archive on their way: an iterator, each row once. A damaged file is an error and ends that file alone.
/// Rows that a sweep has written and not removed yet are in their table, too: [`Rows::batch`] leaves them out.
pub struct Rows<T> {
    data_dir: PathBuf,
    files: VecDeque<ArchiveFile>,
    /// The names of those that were taken from `files`.
    done: HashSet<String>,
    /// The names of those that had rows that fit.
    had: BTreeSet<String>,
    open: Option<(PathBuf, bool, Lines)>,
    range: Range,
    fits: Box<dyn Fn(&T) -> bool + Send>,
    /// None where whoever reads looks for repeats.
    seen: Option<Seen>,
    failed: Option<ReadError>,
}

impl<T: Archived> Rows<T> {
    fn new(data_dir: &Path, range: Range, fits: impl Fn(&T) -> bool + Send + 'static) -> io::Result<Self> {
        let seen = Some(Seen::default());
        Ok(Self {
            seen,
            ..Self::with_repeats(data_dir, range, Box::new(fits))?
        })
    }

    /// The same, where a row that is in two files comes twice.
    pub(in crate::store) fn with_repeats(
        data_dir: &Path,
        range: Range,
        fits: Box<dyn Fn(&T) -> bool + Send>,
    ) -> io::Result<Self> {
        Ok(Self {
            data_dir: data_dir.to_owned(),
            files: files::list(data_dir)?.into(),
            done: HashSet::new(),
            had: BTreeSet::new(),
            open: None,
            range,
            fits,
            seen: None,
            failed: None,
        })
    }

    /// The names of the files that had rows that fit, so far.
    pub(in crate::store) fn had(&self) -> &BTreeSet<String> {
        &self.had
    }

    /// Goes on with what has come since: files that were not there, and once more those that were not whole.
    pub(in crate::store) fn again(&mut self) -> io::Result<()> {
        self.done.retain(|name| name.ends_with(files::WHOLE));
        self.list_anew()
    }

    fn list_anew(&mut self) -> io::Result<()> {
        let mut files = files::list(&self.data_dir)?;
        files.retain(|file| !self.done.contains(&file.name));
        self.files = files.into();
        Ok(())
    }

    /// The next rows, `limit` at most, without those that are still in their table; none after the last. Blocks.
    ///
    /// Read the table first and the archive after it, or a row that is being swept may be missed.
    ///
    /// # Errors
    /// [`ReadError::Row`]: a damaged file, with its name; ask on for what comes after it.
    pub fn batch(&mut self, reader: &Reader, limit: usize) -> Result<Option<Vec<T>>, ReadError> {
        loop {
            if let Some(why) = self.failed.take() {
                return Err(why);
            }
            let mut some = Vec::new();
            while some.len() < limit
                && self.failed.is_none()
                && let Some(row) = self.next()
            {
                match row {
                    Ok(row) => some.push(row),
                    // What was read before it is given first.
                    Err(why) => self.failed = Some(why),
                }
            }
            if some.is_empty() && self.failed.is_none() {
                return Ok(None);
            }
            let rows = reader.read_blocking(|journal| T::only_archived(some, journal))?;
            if !rows.is_empty() {
                return Ok(Some(rows));
            }
        }
    }

    fn open_next(&mut self) -> Option<Result<(), ReadError>> {
        loop {
            let file = self.files.pop_front()?;
            self.done.insert(file.name.clone());
            // One that is not whole does not say yet what it has.
            if file.whole
                && let Some(ranges) = files::ranges(&file.path)
                && !T::may_be_in(self.range, &Marks(ranges))
            {
                continue;
            }
            match entries(&file.path) {
                Ok(lines) => {
                    self.open = Some((file.path, file.whole, lines));
                    return Some(Ok(()));
                }
                // Its sweep was finished meanwhile, or another one took it over: it has another name now.
                Err(why) if why.kind() == io::ErrorKind::NotFound && !file.whole => {
                    if let Err(why) = self.list_anew() {
                        return Some(Err(broken(&file.path, &why)));
                    }
                }
                Err(why) => return Some(Err(broken(&file.path, &why))),
            }
        }
    }
}

impl<T: Archived> Iterator for Rows<T> {
    type Item = Result<T, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((path, whole, lines)) = &mut self.open else {
                match self.open_next()? {
                    Ok(()) => continue,
                    Err(why) => return Some(Err(why)),
                }
            };
            let row = match lines.next_of(T::BEGINS) {
                Ok(None) => {
                    self.open = None;
                    continue;
                }
                Ok(Some(line)) => T::of(line),
                Err(why) => {
                    let why = broken(path, &why);
                    let whole = *whole;
                    self.open = None;
                    // A file that is being written, or was cut off, ends where it ends.
                    if whole {
                        return Some(Err(why));
                    }
                    continue;
                }
            };
            match row {
                Err(why) => return Some(Err(why)),
                Ok(Some(row)) if self.range.has(row.at()) && (self.fits)(&row) => {
                    if self.seen.as_mut().is_none_or(|seen| row.is_new(seen)) {
                        if let Some(name) = path.file_name().and_then(|name| name.to_str())
                            && !self.had.contains(name)
                        {
                            self.had.insert(name.to_owned());
                        }
                        return Some(Ok(row));
                    }
                }
                Ok(_) => {}
            }
        }
    }
}

fn broken(path: &Path, why: &io::Error) -> ReadError {
    ReadError::Row(format!("{}: {why}", path.display()))
}

/// The lines of one file.
pub(super) struct Lines {
    lines: BufReader<GzDecoder<BufReader<File>>>,
    text: Vec<u8>,
}

/// A file, line by line; ends in an error where it is torn.
pub(super) fn entries(path: &Path) -> io::Result<Lines> {
    Ok(Lines {
        lines: BufReader::new(GzDecoder::new(BufReader::new(File::open(path)?))),
        text: Vec::new(),
    })
}

impl Lines {
    /// The next line as it stands; none at the end.
    pub(super) fn raw(&mut self) -> io::Result<Option<&[u8]>> {
        self.text.clear();
        if self.lines.read_until(b'\n', &mut self.text)? == 0 {
            return Ok(None);
        }
        if self.text.last() != Some(&b'\n') {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "its last line is torn"));
        }
        Ok(Some(&self.text))
    }

    /// The next line that begins so; the others are not looked at.
    pub(super) fn next_of(&mut self, begins: &[u8]) -> io::Result<Option<Entry>> {
        while let Some(text) = self.raw()? {
            if text.starts_with(begins) {
                return entry(text).map(Some);
            }
        }
        Ok(None)
    }
}

impl Iterator for Lines {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.raw() {
            Ok(None) => None,
            Ok(Some(text)) => Some(entry(text)),
            Err(why) => Some(Err(why)),
        }
    }
}

pub(super) fn entry(text: &[u8]) -> io::Result<Entry> {
    if text.starts_with(b"{\"dashboard\"") {
        return Ok(Entry::Checkpoint(serde_json::from_slice(text)?));
    }
    Ok(Entry::Line(serde_json::from_slice(text)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_new_once_and_runs_grow_together() {
        let mut seen = Seen::default();
        for id in [1, 2, 5, 4, 9] {
            assert!(seen.event(id), "{id}");
        }
        for id in [1, 2, 4, 5, 9] {
            assert!(!seen.event(id), "{id}");
        }
        assert!(seen.event(3));
        assert_eq!(seen.runs, BTreeMap::from([(1, 5), (9, 9)]));
    }
}
