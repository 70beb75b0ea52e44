//! The high-water mark: how far the journal's version had come on this machine, kept outside the data folder. A copy of
//! the whole data folder agrees with itself; a start finds here that it is older than what ran on this machine.
//!
//! The mark follows each commit before anybody is answered, so that nothing is launched that it does not know of. It is
//! never synced: after a loss of power it may be behind the journal, which says nothing, but never ahead of it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The one who writes the mark of a dashboard.
#[derive(Debug)]
pub(super) struct HighWater {
    file: File,
}

impl HighWater {
    /// The version that a dashboard's journal had here at least; none where nobody knows.
    pub(super) fn read(folder: &Path, dashboard_id: &str) -> Option<i64> {
        let text = std::fs::read_to_string(path(folder, dashboard_id)).ok()?;
        text.trim().parse().ok()
    }

    /// Takes the mark over.
    pub(super) fn open(folder: &Path, dashboard_id: &str) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path(folder, dashboard_id))?;
        Ok(Self { file })
    }

    /// Sets the mark: always as many bytes, so that a reader never sees a part of it.
    pub(super) fn set(&self, version: i64) -> io::Result<()> {
        self.file.write_all_at(format!("{version:020}\n").as_bytes(), 0)
    }
}

fn path(folder: &Path, dashboard_id: &str) -> PathBuf {
    folder.join(format!("version.{dashboard_id}"))
}
