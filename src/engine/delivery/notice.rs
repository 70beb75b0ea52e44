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

/// Details above this size are left out: who takes notifications often takes no more. The link leads to them.
const DETAILS_LIMIT: usize = 16 * 1024;

/// What is sent: a sentence, and for programs everything behind it.
pub(super) fn body(row: &EventRow, notice: Notice, public_url: Option<&str>) -> Vec<u8> {
    let mut row = row.clone();
    if row
        .details
        .as_ref()
        .is_some_and(|details| details.to_string().len() > DETAILS_LIMIT)
    {
        row.details = None;
    }
    let body = json!({
        "text": row.message,
        "notice": notice,
        "id": row.id,
        "time": row.timestamp.to_rfc3339(),
        "url": public_url.map(|url| format!("{url}{}", page(&row))),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Category, CommandId, Level, Link, PipelineId, Target};

    fn row(action: &str, details: Value) -> EventRow {
        EventRow {
            id: 7,
            timestamp: Timestamp::now(),
            category: Category::System,
            level: Level::Warn,
            actor: Actor::System,
            host_id: Some(1),
            host: Some("web-03".to_owned()),
            action: action.to_owned(),
            message: "m".to_owned(),
            details: Some(details),
            command_id: action.starts_with("op:").then(|| CommandId::after(None)),
            pipeline_id: None,
            link: Link::START,
        }
    }

    fn to(on: &[Notice], pipeline_commands: bool) -> Notify {
        Notify {
            name: "n".to_owned(),
            target: Target::Url("https://h".to_owned()),
            headers: crate::domain::Headers::None,
            on: on.iter().copied().collect(),
            pipeline_commands,
            tries: 1,
        }
    }

    #[test]
    fn each_event_is_told_as_what_it_is_or_not_at_all() {
        let all = to(Notice::ALL, false);
        for (action, details, alone, in_pipeline) in [
            ("op:x", json!({"status": "ERROR"}), Some(Notice::Failed), None),
            ("op:x", json!({"status": "TIMEOUT"}), Some(Notice::Failed), None),
            ("op:x", json!({"status": "SUCCESS"}), None, None),
            ("op:x", json!({"status": "CANCELLED"}), None, None),
            (
                "op:x",
                json!({"status": "ORPHANED", "evidence": {}, "record": {}}),
                Some(Notice::Unknown),
                None,
            ),
            (
                "op:x",
                json!({"status": "ORPHANED"}),
                Some(Notice::Unknown),
                Some(Notice::Unknown),
            ),
            (
                "op:x",
                json!({"status": "EXECUTING", "overdue": true}),
                Some(Notice::Overdue),
                Some(Notice::Overdue),
            ),
            ("op:x", json!({"reason": "ERROR"}), None, None),
            ("refused:x", json!({"refusal": "busy"}), None, None),
            (
                "pipeline:end",
                json!({"status": "COMPLETE"}),
                Some(Notice::Pipeline),
                Some(Notice::Pipeline),
            ),
            (
                "pipeline:hold",
                json!({}),
                Some(Notice::Pipeline),
                Some(Notice::Pipeline),
            ),
            ("pipeline:stage", json!({}), None, None),
            ("host:lost", json!({}), Some(Notice::Unhealthy), Some(Notice::Unhealthy)),
            ("host:connected", json!({}), None, None),
            ("unready", json!({}), Some(Notice::Unhealthy), Some(Notice::Unhealthy)),
            ("notify:failing", json!({}), None, None),
        ] {
            let mut event = row(action, details);
            assert_eq!(notice_of(&event, &all), alone, "{event:?}");
            event.pipeline_id = Some(PipelineId::after(None));
            assert_eq!(notice_of(&event, &all), in_pipeline, "{event:?}");
            assert_eq!(notice_of(&event, &to(Notice::ALL, true)), alone, "{event:?}");
            assert_eq!(notice_of(&event, &to(&[], true)), None, "{event:?}");
        }
    }

    #[test]
    fn what_a_person_did_is_known_to_a_person() {
        let all = to(Notice::ALL, false);
        for action in ["op:x", "pipeline:hold"] {
            let mut event = row(action, json!({"status": "ORPHANED"}));
            event.actor = Actor::User("alice".to_owned());
            assert_eq!(notice_of(&event, &all), None, "{event:?}");
        }
    }

    #[test]
    fn a_pipeline_that_failed_is_told_to_whom_failures_are_told() {
        let failures = to(&[Notice::Failed], false);
        for (status, expected) in [
            ("FAILED", Some(Notice::Failed)),
            ("PARTIAL", Some(Notice::Failed)),
            ("COMPLETE", None),
            ("CANCELLED", None),
        ] {
            let event = row("pipeline:end", json!({ "status": status }));
            assert_eq!(notice_of(&event, &failures), expected, "{status}");
        }
    }
}
