//! Which events somebody is notified of, and in which words. One event is one notice at most.

use serde_json::{Value, json};

use crate::domain::{Actor, Notice, Notify, Timestamp};
use crate::store::EventRow;

/// Of what an event is, for this place; none where it is not for it.
///
/// Of a pipeline's commands only those that hold it up (overdue, being found out) are told; how the others ended is in
/// the one notice at its end, unless all are asked for. A pipeline that ended FAILED or PARTIAL is `failed`, too.
pub(super) fn notice_of(row: &EventRow, notify: &Notify) -> Option<Notice> {
    let asked = |notice: Notice| notify.on.contains(&notice).then_some(notice);
    match row.action.as_str() {
        "pipeline:end" => asked(Notice::Pipeline).or_else(|| {
            let ended = matches!(status(row), "FAILED" | "PARTIAL");
            ended.then(|| asked(Notice::Failed)).flatten()
        }),
        // Whoever holds it knows.
        "pipeline:hold" if row.actor == Actor::System => asked(Notice::Pipeline),
        "host:lost" | "unready" => asked(Notice::Unhealthy),
        action if action.starts_with("op:") => of_command(row).and_then(|(notice, holds_up)| {
            let told = row.pipeline_id.is_none() || holds_up || notify.pipeline_commands;
            told.then(|| asked(notice)).flatten()
        }),
        _ => None,
    }
}

/// Of what an event of a command is, and whether the command is still open.
fn of_command(row: &EventRow) -> Option<(Notice, bool)> {
    // What somebody did by hand is known to somebody.
    if row.actor != Actor::System {
        return None;
    }
    if details(row, "overdue") == &Value::Bool(true) {
        return Some((Notice::Overdue, true));
    }
    match status(row) {
        "ERROR" | "TIMEOUT" => Some((Notice::Failed, false)),
        // Final, or its host has been silent for too long.
        "ORPHANED" => Some((
            Notice::Unknown,
            details(row, "record").is_null() && details(row, "evidence").is_null(),
        )),
        _ => None,
    }
}

fn details<'a>(row: &'a EventRow, key: &str) -> &'a Value {
    row.details.as_ref().map_or(&Value::Null, |details| &details[key])
}

fn status(row: &EventRow) -> &str {
    details(row, "status").as_str().unwrap_or_default()
}

/// What is sent: a sentence, and for programs everything behind it.
pub(super) fn body(row: &EventRow, notice: Notice, public_url: Option<&str>) -> Vec<u8> {
    let body = json!({
        "text": row.message,
        "notice": notice,
        "id": row.id,
        "time": row.timestamp.to_rfc3339(),
        "url": public_url.map(|url| format!("{url}{}", page(row))),
        "event": row,
    });
    body.to_string().into_bytes()
}

/// The same of what is no event: a test, or trouble that the journal cannot take.
pub(super) fn body_without_event(text: &str, notice: &str, public_url: Option<&str>) -> Vec<u8> {
    let body = json!({
        "text": text,
        "notice": notice,
        "id": null,
        "time": Timestamp::now().to_rfc3339(),
        "url": public_url,
        "event": null,
    });
    body.to_string().into_bytes()
}

/// The page that shows more.
fn page(row: &EventRow) -> String {
    match (row.command_id, row.pipeline_id, &row.host) {
        (Some(id), _, _) => format!("/commands/{id}"),
        (None, Some(id), _) => format!("/pipelines/{id}"),
        (None, None, Some(host)) => format!("/hosts/{host}"),
        (None, None, None) => format!("/log?before={}", row.id + 1),
    }
}
