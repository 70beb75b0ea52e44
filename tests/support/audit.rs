//! A journal looked at as a whole, with SQL of its own: sound, and rows and events agree.

use std::path::Path;

use super::sql;

/// What is wrong in a journal, each with a query that names the rows; all of them have to be empty.
const WRONG: &[(&str, &str)] = &[
    (
        "the file is damaged",
        "SELECT group_concat(integrity_check) FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
    ),
    (
        "an id that leads nowhere",
        "SELECT group_concat(\"table\" || ' ' || rowid) FROM pragma_foreign_key_check",
    ),
    (
        "neither final nor open",
        "SELECT group_concat(id || ' ' || status) FROM commands \
         WHERE (status IN ('PENDING', 'VALIDATING', 'EXECUTING') AND finished_at IS NOT NULL) \
         OR (status NOT IN ('PENDING', 'VALIDATING', 'EXECUTING', 'ORPHANED') AND finished_at IS NULL)",
    ),
    (
        "without a reason, where one is due",
        "SELECT group_concat(id || ' ' || status) FROM commands \
         WHERE status IN ('ORPHANED', 'ERROR', 'TIMEOUT', 'BLOCKED', 'SKIPPED') AND coalesce(error, '') = ''",
    ),
    (
        "two open on one host",
        "SELECT group_concat(host_id) FROM (SELECT host_id FROM commands WHERE finished_at IS NULL \
         GROUP BY host_id HAVING count(*) > 1)",
    ),
    (
        "times that are out of order",
        "SELECT group_concat(id) FROM commands WHERE started_at < created_at OR launched_at < started_at \
         OR finished_at < coalesce(started_at, created_at) OR settled_at < finished_at",
    ),
    (
        "started without an event that says so, or the other way round",
        "SELECT group_concat(id) FROM commands c WHERE (started_at IS NOT NULL) <> EXISTS \
         (SELECT 1 FROM event_log e WHERE e.command_id = c.id AND e.message LIKE '% starts on %')",
    ),
    (
        // An acknowledgement is learned in whatever status; it changes none.
        "a last event that says something else than its row",
        "SELECT group_concat(c.id || ' ' || c.status || ': ' || coalesce(e.message, 'no event'), char(10)) \
         FROM commands c LEFT JOIN event_log e ON e.id = (SELECT max(id) FROM event_log WHERE command_id = c.id \
             AND coalesce(json_extract(details, '$.late'), 0) = 0 AND message NOT LIKE '%acknowledged the start%') \
         WHERE e.id IS NULL OR NOT CASE c.status \
             WHEN 'SUCCESS' THEN e.message LIKE '% succeeded%' \
             WHEN 'ERROR' THEN e.message LIKE '% failed%' \
             WHEN 'TIMEOUT' THEN e.message LIKE '%time was up%' \
             WHEN 'BLOCKED' THEN e.message LIKE '%refused%' \
             WHEN 'SKIPPED' THEN e.message LIKE '%did not run%' OR e.message LIKE '%not needed%' \
             WHEN 'CANCELLED' THEN e.message LIKE '%stopped by%' OR e.message LIKE '%cancelled%' \
                 OR e.message LIKE '%not started%' \
             WHEN 'ORPHANED' THEN e.message LIKE '%unknown%' OR e.message LIKE '%not known%' \
                 OR e.message LIKE '%being found out%' OR e.message LIKE '%resolved%' \
             ELSE e.message NOT LIKE '% succeeded%' AND e.message NOT LIKE '% failed%' END",
    ),
];

/// Fails with everything that is wrong in this journal.
pub(crate) fn sound(journal: &Path, when: &str) {
    let mut wrong = Vec::new();
    for (what, query) in WRONG {
        let found = sql(journal, &format!("SELECT coalesce(({query}), '')"));
        if !found.is_empty() {
            wrong.push(format!("{what}: {found}"));
        }
    }
    let verdict = std::process::Command::new(env!("CARGO_BIN_EXE_quarterdeck"))
        .args(["audit", "verify"])
        .arg(journal)
        .output()
        .expect("it starts");
    if !verdict.status.success() {
        wrong.push(format!("`audit verify`: {}", String::from_utf8_lossy(&verdict.stdout)));
    }
    assert!(wrong.is_empty(), "{when}:\n{}", wrong.join("\n"));
}
