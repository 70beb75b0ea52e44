//! A journal of any size, the same every time: final commands of 1,000 hosts (half of them on the first 20, and fifty
//! hosts with refusals alone), 4 ops and 5 people, around one instant, with some events each.
#![allow(dead_code, reason = "each bench uses its own part of this")]
#![allow(clippy::allow_attributes, reason = "what is unused differs from bench to bench")]

use std::path::Path;

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};

pub(crate) type Outcome = Result<(), Box<dyn std::error::Error>>;

/// The id of the `n`th command.
pub(crate) fn command(n: u32) -> String {
    format!("{n:08x}-0000-7000-8000-000000000000")
}

/// The `n`th pipeline that events name; there is no row of it.
pub(crate) fn pipeline(n: u32) -> String {
    format!("{n:08x}-0000-7000-9000-000000000000")
}

/// Fills a journal that was made and closed. Up to five events for each command: asked for, started, ended, something
/// refused beside it, somebody logged in; each thousandth names a `zebra` and is a failure of the dashboard. All but the last
/// name one of `node000` to `node999`.
pub(crate) fn fill(dir: &Path, commands: u32, events: u32) -> Outcome {
    let path = dir.join("quarterdeck.db");
    let mut conn = SqliteConnection::establish(path.to_str().ok_or("path")?)?;
    conn.batch_execute(&format!(
        "PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -200000;
         BEGIN;
         INSERT INTO definitions (sha256, text) VALUES (hex(zeroblob(32)), '{{}}');
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
         INSERT INTO hosts (id, hostname, reach) SELECT i, 'h' || i, 'local' FROM n;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {commands})
         INSERT INTO commands (id, host_id, op, status, created_at, started_at, finished_at, settled_at, exit_code, actor, definition)
         SELECT printf('%08x-0000-7000-8000-000000000000', i), host, 'op' || (i / 40 % 4),
                CASE WHEN host > 950 THEN 'BLOCKED' ELSE CASE i * 2654435761 / 65536 % 20
                    WHEN 0 THEN 'ERROR' WHEN 1 THEN 'TIMEOUT' WHEN 2 THEN 'BLOCKED' ELSE 'SUCCESS' END END,
                t, t, t, t, 0, 'user:u' || (i / 7 % 5), hex(zeroblob(32))
         FROM (SELECT i, CASE i % 2 WHEN 0 THEN 1 + i / 2 % 20 ELSE 1 + i % 1000 END AS host,
                strftime('%Y-%m-%d %H:%M:%S', 1770000000 + (i - {commands} / 2) * 10, 'unixepoch') || '.000000' AS t FROM n);
         WITH RECURSIVE k(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM k WHERE k + 1 < {events})
         INSERT INTO event_log (timestamp, category, level, actor, host_id, action, message, details, command_id, pipeline_id)
         SELECT created_at,
                CASE WHEN rare THEN 'error' WHEN k IN (0, 3, 4) THEN 'audit' ELSE 'system' END,
                CASE WHEN k = 2 AND status = 'SUCCESS' THEN 'success' WHEN k = 2 THEN 'error' WHEN k = 3 THEN 'warn' ELSE 'info' END,
                CASE WHEN k IN (1, 2) THEN 'system' ELSE actor END, iif(k = 4, NULL, host_id),
                CASE k WHEN 3 THEN 'refused' WHEN 4 THEN 'session' ELSE 'op:' || op END,
                CASE k WHEN 0 THEN actor || ' asked for ' || op || ' on h' || host_id
                       WHEN 1 THEN op || ' starts on h' || host_id
                       WHEN 2 THEN op || ' on h' || host_id || iif(status = 'SUCCESS', ' succeeded', ' failed, exit 4')
                       WHEN 3 THEN actor || ' was refused ' || op || ' on h' || host_id || ': busy with another op'
                       ELSE actor || ' logged in' END || iif(rare, ', and a zebra crossed', '')
                       || iif(k = 4, '', printf(', node%03d', i % 1000)),
                CASE k WHEN 0 THEN json_object('reason', 'ticket ' || (i % 5000), 'address', '192.0.2.' || (i % 250))
                       WHEN 2 THEN json_object('evidence', json_object('exit', json_object('code', 0, 'duration_ms', i % 90000)),
                                               'record', json_object('status', status, 'op', op, 'actor', actor, 'id', id))
                       WHEN 3 THEN json_object('busy_with', 'op1', 'since', created_at) ELSE NULL END,
                iif(k < 3, id, NULL), iif(i % 10 = 0, printf('%08x-0000-7000-9000-000000000000', i / 1000), NULL)
         FROM (SELECT c.*, k, row_number() OVER (ORDER BY c.id) AS i, c.rowid % 200 = 0 AND k = 1 AS rare
               FROM commands c CROSS JOIN k) ORDER BY id, k;
         COMMIT; PRAGMA wal_checkpoint(TRUNCATE);"
    ))?;
    Ok(())
}
