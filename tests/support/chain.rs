//! A journal as it was before there was a chain.

use std::fs;
use std::path::Path;

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;

use super::sql;

/// Takes away whatever tells of a chain, while no dashboard runs, and does what `more` says (SQL): the next start is that
/// of a version which brings the chain.
pub(crate) fn forget(data: &Path, more: &str) {
    let file = data.join("quarterdeck.db");
    let triggers = sql(
        &file,
        "SELECT group_concat(sql, ';') FROM sqlite_schema WHERE name IN ('event_log_is_not_rewritten', 'event_log_is_linked_once')",
    );
    let mut connection = diesel::SqliteConnection::establish(&file.to_string_lossy()).expect("database");
    connection
        .batch_execute(&format!(
            "DROP TRIGGER event_log_is_not_rewritten; DROP TRIGGER event_log_is_linked_once; DELETE FROM sealed; \
             DELETE FROM checkpoints; DELETE FROM checkpoint_keys; DELETE FROM sqlite_sequence WHERE name = 'checkpoints'; \
             UPDATE event_log SET link = zeroblob(32); {more}; {triggers};"
        ))
        .expect(more);
    fs::remove_file(data.join("checkpoint.key")).expect("the key");
    let mark = fs::read_to_string(data.join("instance")).expect("the mark");
    let mut mark: serde_json::Value = serde_json::from_str(&mark).expect("JSON");
    mark["end"] = serde_json::Value::Null;
    fs::write(data.join("instance"), mark.to_string()).expect("written");
}
