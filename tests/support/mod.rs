//! The tests' front door: a real dashboard as a child process, on a port of its own, with a real
//! database in a folder of its own; spoken to as a program would, over its Unix socket.
//!
//! Tests wait for conditions. Whoever starts a process here ends it here, by its pid.
#![allow(dead_code, unused_imports, reason = "each test file uses its own part of this")]
#![allow(
    clippy::allow_attributes,
    reason = "what is unused differs from test file to test file"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

mod api;
pub(crate) mod audit;
pub(crate) mod chain;
pub(crate) mod chromium;
pub(crate) mod cli;
mod dice;
pub(crate) mod disk;
pub(crate) mod fake_clock;
mod machine;
pub(crate) mod page;
pub(crate) mod paper;
mod process;
pub(crate) mod sshd;
mod waiting;

pub(crate) use dice::Dice;
pub(crate) use machine::{FakeBoot, jobs_of, kill_hard, lines_of, processes_of, supervisor_of, supervisors_in};
pub(crate) use process::Dashboard;
pub(crate) use waiting::wait_for;

/// The longest that any condition is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One text value of a database.
pub(crate) fn sql(file: &Path, query: &str) -> String {
    use diesel::Connection as _;
    use diesel::prelude::*;

    #[derive(QueryableByName)]
    struct Value {
        #[diesel(sql_type = diesel::sql_types::Text)]
        value: String,
    }
    let mut connection = SqliteConnection::establish(&file.to_string_lossy()).expect("database");
    let query = format!("SELECT CAST(({query}) AS TEXT) AS value");
    diesel::sql_query(query)
        .get_result::<Value>(&mut connection)
        .expect("one value")
        .value
}

/// The files of a folder whose names end so, in order; none where there is no folder.
pub(crate) fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.to_string_lossy().ends_with(end))
        .collect();
    files.sort();
    files
}

/// The id of a row.
pub(crate) fn id_of(row: &Value) -> String {
    row["id"].as_str().expect("an id").to_owned()
}
