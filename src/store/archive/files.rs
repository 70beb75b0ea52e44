//! The folder: which files there are, from when to when their rows are, and which are past their time.
//!
//! A file's name begins with the instant at which its sweep began. The ranges of its rows stand in gzip's own place for
//! extra data (subfield `QD`), of a fixed size, filled in when the file is whole; other programs pass over it.

use std::fs::{DirBuilder, File};
use std::io::{self, BufReader};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;

use super::Ranges;
use crate::domain::Timestamp;

const FOLDER: &str = "archive";

/// How a whole file ends.
pub(super) const WHOLE: &str = ".jsonl.gz";

/// How one ends whose sweep is under way, or was cut off.
pub(super) const PART: &str = ".part";

/// Bytes for the ranges.
const ROOM: usize = 512;

/// Where they stand: behind gzip's ten bytes, the length of the extra data, and the subfield's name and length.
pub(super) const AT: u64 = 16;

/// A file of the archive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArchiveFile {
    /// Its path.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// When its sweep began.
    pub made_at: Timestamp,
    /// Its size, in bytes.
    pub bytes: u64,
    /// Whether its sweep came to its end.
    pub whole: bool,
}

/// The archive as a whole.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Archives {
    /// How many files.
    pub files: usize,
    /// How large together, in bytes.
    pub bytes: u64,
    /// When the oldest was made.
    pub oldest: Option<Timestamp>,
    /// The name of the newest.
    pub newest: Option<String>,
}

/// Where the files are.
pub(in crate::store) fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join(FOLDER)
}

/// Makes the folder where it is missing, for its owner alone.
pub(super) fn make_folder(data_dir: &Path) -> io::Result<PathBuf> {
    let folder = folder(data_dir);
    if !folder.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        File::open(data_dir)?.sync_all()?;
    }
    Ok(folder)
}

/// What there is, oldest first. Blocks.
///
/// # Errors
/// Those of the file system; no folder is no file.
pub fn archives(data_dir: &Path) -> io::Result<Archives> {
    let files = list(data_dir)?;
    Ok(Archives {
        files: files.len(),
        bytes: files.iter().map(|file| file.bytes).sum(),
        oldest: files.first().map(|file| file.made_at),
        newest: files.last().map(|file| file.name.clone()),
    })
}

/// All files, oldest first.
pub(super) fn list(data_dir: &Path) -> io::Result<Vec<ArchiveFile>> {
    let entries = match std::fs::read_dir(folder(data_dir)) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let whole = name.ends_with(WHOLE);
        let Some(made_at) = time_of(&name).filter(|_| whole || name.ends_with(PART)) else {
            continue;
        };
        let bytes = match entry.metadata() {
            Err(why) if why.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?.len(),
        };
        files.push(ArchiveFile {
            path: entry.path(),
            name,
            made_at,
            bytes,
            whole,
        });
    }
    files.sort_by(|a, b| (a.made_at, &a.name).cmp(&(b.made_at, &b.name)));
    Ok(files)
}

/// What cut-off sweeps left, oldest first.
pub(in crate::store) fn parts(data_dir: &Path) -> io::Result<Vec<ArchiveFile>> {
    let mut files = list(data_dir)?;
    files.retain(|file| !file.whole);
    Ok(files)
}

/// The instant with which a name begins: `2026-11-23T150000.123456Z`.
pub(super) fn stamp(at: Timestamp) -> String {
    at.to_rfc3339().replace(':', "")
}

fn time_of(name: &str) -> Option<Timestamp> {
    let stamp = &name[..=name.find('Z')?];
    let (date, time) = stamp.split_once('T')?;
    let (hours, rest) = time.split_at_checked(2)?;
    let (minutes, seconds) = rest.split_at_checked(2)?;
    format!("{date}T{hours}:{minutes}:{seconds}").parse().ok()
}

/// The extra data of a file that is being begun: room for its ranges.
pub(super) fn room() -> Vec<u8> {
    let mut extra = vec![b'Q', b'D', (ROOM & 0xff) as u8, (ROOM >> 8) as u8];
    extra.resize(4 + ROOM, b' ');
    extra
}

/// The ranges as they are filled in.
pub(super) fn filled(ranges: &Ranges) -> Vec<u8> {
    let mut text = serde_json::to_vec(ranges).unwrap_or_default();
    text.resize(ROOM, b' ');
    text
}

/// From when to when its rows are; none where the file does not say.
pub(super) fn ranges(path: &Path) -> Option<Ranges> {
    let decoder = GzDecoder::new(BufReader::new(File::open(path).ok()?));
    let extra = decoder.header()?.extra()?;
    serde_json::from_slice(extra.strip_prefix(&room()[..4])?).ok()
}

/// Whole files from before a time, but for those with rows of a range that somebody holds.
pub(in crate::store) fn past(
    data_dir: &Path,
    before: Timestamp,
    held: &[(Timestamp, Option<Timestamp>)],
) -> io::Result<Vec<ArchiveFile>> {
    let mut files = list(data_dir)?;
    files.retain(|file| file.whole && file.made_at < before && (held.is_empty() || !is_held(&file.path, held)));
    Ok(files)
}

/// Removes files.
pub(in crate::store) fn remove(data_dir: &Path, files: &[ArchiveFile]) -> io::Result<()> {
    for file in files {
        std::fs::remove_file(&file.path)?;
    }
    File::open(folder(data_dir))?.sync_all()
}

/// How the file of a sweep is called: when it was begun, and the number of the sweep's checkpoint.
pub(super) fn name(began: Timestamp, checkpoint: i64) -> String {
    format!("{}-sweep-{checkpoint}{WHOLE}", stamp(began))
}

/// Whether there is a folder at all.
pub(in crate::store) fn is_there(data_dir: &Path) -> bool {
    folder(data_dir).is_dir()
}

/// What does not say what it holds may hold anything.
fn is_held(path: &Path, held: &[(Timestamp, Option<Timestamp>)]) -> bool {
    let Some(ranges) = ranges(path) else { return true };
    ranges.all().into_iter().flatten().any(|(first, last)| {
        held.iter()
            .any(|(from, until)| *from <= last && until.is_none_or(|until| until > first))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_when_and_a_header_has_room_for_the_ranges() {
        let at: Timestamp = "2026-11-23 15:00:00.123456".parse().expect("time");
        assert_eq!(stamp(at), "2026-11-23T150000.123456Z");
        assert_eq!(time_of(&format!("{}-sweep-17.jsonl.gz", stamp(at))), Some(at));
        assert_eq!(time_of("notes.jsonl.gz"), None);
        let range = Some((at, at));
        let ranges = Ranges {
            event: range,
            audit: range,
            command: range,
            pipeline: range,
        };
        assert_eq!(filled(&ranges).len(), ROOM);
        assert_eq!(
            serde_json::from_slice::<Ranges>(&filled(&ranges)).expect("ranges"),
            ranges
        );
    }
}
