//! The file `instance` beside the database: which start wrote last, and how far the version had come.
//! A database that disagrees with it was restored from a backup, or belongs elsewhere.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::end::End;
use crate::domain::Timestamp;

const FILE: &str = "instance";

/// What the file says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The instance of the latest start that was journaled.
    pub(super) instance: Option<String>,
    /// The start that is about to be journaled: valid as well, in case the dashboard died in between.
    pub(super) next: Option<String>,
    /// The journal's version was at least this.
    pub(super) version: i64,
    /// Where the log ended, or went on from: with that version, or earlier.
    #[serde(default)]
    pub(super) end: Option<End>,
    /// The last sign of life.
    pub(super) alive_at: Timestamp,
}

impl Mark {
    /// Reads the file; none where there is none. One that cannot be understood counts as a disagreement.
    pub(super) fn read(data_dir: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(data_dir.join(FILE)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).unwrap_or(Self {
                instance: None,
                next: None,
                version: i64::MAX,
                end: None,
                alive_at: Timestamp::from_micros(0),
            }))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a new file in the old one's place; `synced` makes sure that it survives a loss of power.
    pub(super) fn write(&self, data_dir: &Path, synced: bool) -> io::Result<()> {
        let new = data_dir.join("instance.new");
        let mut file = File::create(&new)?;
        serde_json::to_writer(&mut file, self)?;
        file.write_all(b"\n")?;
        if synced {
            file.sync_all()?;
        }
        std::fs::rename(&new, data_dir.join(FILE))?;
        if synced {
            File::open(data_dir)?.sync_all()?;
        }
        Ok(())
    }

    /// Whether a database with this instance and version can be the one that the file was written beside.
    pub(super) fn agrees(&self, instance: Option<&str>, version: i64) -> bool {
        let known = instance.is_some() && (instance == self.instance.as_deref() || instance == self.next.as_deref());
        let both_new = instance.is_none() && self.instance.is_none() && self.version == 0;
        (known || both_new) && self.version <= version
    }
}
