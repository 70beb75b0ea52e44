//! Output of commands: one file each in `output/` of the data folder, a prefix of the host's own.
//! Everything here blocks; call it on a blocking thread. Knows bytes and files, no rows.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::OutputFacts;
use crate::domain::{CommandId, Digest};

const FOLDER: &str = "output";

/// See [`ids`].
const IDS: usize = 100_000;
/// Looks whether output can be written at all.
///
/// # Errors
/// Says what is in the way.
pub fn writable(data_dir: &Path) -> io::Result<()> {
    let folder = data_dir.join(FOLDER);
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let all = nix::unistd::AccessFlags::W_OK | nix::unistd::AccessFlags::X_OK;
    Ok(nix::unistd::access(&folder, all)?)
}

/// A command's output, open for its one follower.
#[derive(Debug)]
pub struct Output {
    file: File,
    folder: PathBuf,
    length: u64,
}

impl Output {
    /// Opens the file where it is, or makes it, readable for nobody else.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(data_dir: &Path, id: CommandId) -> io::Result<Self> {
        let folder = data_dir.join(FOLDER);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join(id.to_string()))?;
        let length = file.metadata()?.len();
        Ok(Self { file, folder, length })
    }

    /// How many bytes there are: the offset to follow from.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Writes a frame at its own offset; one that comes twice changes nothing.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] where bytes before it are missing; those of the file system.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset > self.length {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("bytes {} to {offset} of the output are missing", self.length),
            ));
        }
        self.file.write_all_at(bytes, offset)?;
        self.length = self.length.max(offset + bytes.len() as u64);
        Ok(())
    }

    /// Makes sure that the output is on disk, and says what it is. `cut` is for the caller to fill in:
    /// only the host knows.
    ///
    /// # Errors
    /// Those of the file system: then nothing may be concluded from the output yet.
    pub fn seal(&mut self) -> io::Result<OutputFacts> {
        self.file.sync_all()?;
        File::open(&self.folder)?.sync_all()?;
        self.file.seek(SeekFrom::Start(0))?;
        let (bytes, sha256) = hash(&mut self.file)?;
        Ok(OutputFacts {
            bytes,
            sha256,
            cut: false,
        })
    }
}

fn hash(file: &mut File) -> io::Result<(i64, Digest)> {
    let mut hash = Sha256::new();
    let mut bytes = 0i64;
    let mut buffer = vec![0u8; 64 * 1024];
    loop {
        let some = file.read(&mut buffer)?;
        if some == 0 {
            return Ok((bytes, Digest::from_hash(&hash.finalize())));
        }
        hash.update(&buffer[..some]);
        bytes += i64::try_from(some).unwrap_or(0);
    }
}

/// Size and SHA-256 of a command's output as it is now; of nothing, where there is no file.
///
/// # Errors
/// Those of the file system.
pub fn digest(data_dir: &Path, id: CommandId) -> io::Result<(i64, Digest)> {
    match File::open(path(data_dir, id)) {
        Ok(mut file) => hash(&mut file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((0, Digest::of(b""))),
        Err(error) => Err(error),
    }
}

/// The bytes from `from` up to `to` (not included), or as many of them as there are.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] where nothing was written yet; those of the file system.
pub fn read_range(data_dir: &Path, id: CommandId, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path(data_dir, id))?;
    let to = to.min(file.metadata()?.len());
    let mut bytes = vec![0u8; usize::try_from(to.saturating_sub(from)).unwrap_or(0)];
    file.read_exact_at(&mut bytes, from)?;
    Ok(bytes)
}

/// How many bytes of output there are; 0 where nothing was written yet.
///
/// # Errors
/// Those of the file system.
pub fn length(data_dir: &Path, id: CommandId) -> io::Result<u64> {
    match std::fs::metadata(path(data_dir, id)) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// Where a command's output is.
#[must_use]
pub fn path(data_dir: &Path, id: CommandId) -> PathBuf {
    data_dir.join(FOLDER).join(id.to_string())
}

/// The commands of a range of ids that have a file, in no order; at most 100,000 of them.
///
/// # Errors
/// Those of the file system.
pub fn ids(data_dir: &Path, range: &Range<CommandId>) -> io::Result<Vec<CommandId>> {
    let folder = match std::fs::read_dir(data_dir.join(FOLDER)) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut ids = Vec::new();
    for file in folder {
        let name = file?.file_name();
        // Only what has exactly the name of a command's output.
        let id = name
            .to_str()
            .and_then(|name| Some((name, name.parse::<CommandId>().ok()?)));
        if let Some((name, id)) = id
            && range.contains(&id)
            && id.to_string() == name
        {
            ids.push(id);
        }
        if ids.len() == IDS {
            break;
        }
    }
    Ok(ids)
}

/// Removes files that a sweep returned; one that is not there counts as removed. Returns how many are left.
pub fn remove(data_dir: &Path, files: &[String]) -> usize {
    files
        .iter()
        .filter(|file| {
            // Only what has the name of a command's output, wherever the row came from.
            let id = file.strip_prefix("output/").map(str::parse::<CommandId>);
            let Some(Ok(id)) = id else { return true };
            match std::fs::remove_file(path(data_dir, id)) {
                Ok(()) => false,
                Err(error) => error.kind() != io::ErrorKind::NotFound,
            }
        })
        .count()
}
