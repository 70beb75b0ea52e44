//! Rows that a test has made older: their events say the same of them, as if it had been so.

use diesel::connection::SimpleConnection as _;
use diesel::sql_types::Text;
use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection};

use super::super::Journal;
use super::super::record::Of;

#[derive(QueryableByName)]
struct Trigger {
    #[diesel(sql_type = Text)]
    text: String,
}

/// Lets events say of final commands and pipelines what they are now. The chain over those events does not fit then.
pub(super) fn say_again(dir: &tempfile::TempDir) {
    let path = dir.path().join("quarterdeck.db");
    let mut conn = SqliteConnection::establish(path.to_str().expect("path")).expect("opens");
    conn.batch_execute("PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE")
        .expect("begun");
    let trigger: Trigger =
        diesel::sql_query("SELECT sql AS text FROM sqlite_schema WHERE name = 'event_log_is_not_rewritten'")
            .get_result(&mut conn)
            .expect("the trigger");
    conn.batch_execute("DROP TRIGGER event_log_is_not_rewritten")
        .expect("dropped");
    let mut journal = Journal::over(conn);
    for (of, about) in [
        (Of::Command, "command_id = ?"),
        (Of::Pipeline, "command_id IS NULL AND pipeline_id = ?"),
    ] {
        for (id, row) in journal.records_after(of, None, 10_000).expect("rows") {
            if of.is_open(&row) {
                continue;
            }
            let said = diesel::sql_query(format!(
                "UPDATE event_log SET details = json_set(details, '$.record', json(?)) \
                 WHERE details ->> '$.record' IS NOT NULL AND {about}"
            ))
            .bind::<Text, _>(row.to_string())
            .bind::<Text, _>(&id)
            .execute(&mut journal.conn)
            .expect("said");
            if said == 0 && of == Of::Pipeline {
                diesel::sql_query(
                    "INSERT INTO event_log (category, level, actor, action, message, details, pipeline_id) \
                     VALUES ('system', 'info', 'system', 'x', 'y', json_object('record', json(?)), ?)",
                )
                .bind::<Text, _>(row.to_string())
                .bind::<Text, _>(&id)
                .execute(&mut journal.conn)
                .expect("said");
            }
        }
    }
    journal
        .conn
        .batch_execute(&format!("{}; COMMIT", trigger.text))
        .expect("made again");
}
