//! Where the rows of a report are as files: the addresses of exports of the same range and filters.

use crate::domain::{ExportFormat, ExportOf, OpId, ReportAsk};
use crate::web::fields::to_query;

/// Each with what it is of. A list has no filter for a tag, and events none for a status.
pub(super) fn places(ask: &ReportAsk) -> Vec<(&'static str, String)> {
    let (since, until) = (ask.since.to_rfc3339(), ask.until.to_rfc3339());
    let host = ask.host.as_ref().map(ToString::to_string).unwrap_or_default();
    let op = ask.op.as_ref().map(ToString::to_string).unwrap_or_default();
    let actor = ask.actor.as_deref().unwrap_or_default();
    let status = ask.status.map(|status| status.to_string()).unwrap_or_default();
    let action = ask.op.as_ref().map(action).unwrap_or_default();
    let place = |what: ExportOf, filters: [(&'static str, &str); 2]| {
        let query = to_query([
            ("what", what.as_str()),
            ("format", ExportFormat::Csv.as_str()),
            ("since", &since),
            ("until", &until),
            ("host", &host),
            ("actor", actor),
            filters[0],
            filters[1],
        ]);
        format!("/audit/export{query}")
    };
    vec![
        (
            "Commands",
            place(ExportOf::Commands, [("op", &op), ("status", &status)]),
        ),
        ("Events", place(ExportOf::Events, [("action", &action), ("", "")])),
    ]
}

fn action(op: &OpId) -> String {
    format!("op:{op}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Paper;

    #[test]
    fn an_export_has_the_range_and_filters_of_its_report() {
        let ask = ReportAsk {
            since: "2026-11-16".parse().expect("time"),
            until: "2026-11-23".parse().expect("time"),
            host: Some("lab-01".parse().expect("name")),
            tag: None,
            op: Some("pull".parse().expect("op")),
            actor: Some("user:alice".to_owned()),
            status: None,
            events: true,
            excerpts: false,
            definitions: false,
            coverage: None,
            paper: Paper::A4,
            part: 1,
            up_to: None,
            of: None,
        };
        let places = places(&ask);
        let range = "since=2026-11-16T00:00:00.000000Z&until=2026-11-23T00:00:00.000000Z&host=lab-01&actor=user:alice";
        assert_eq!(
            places[0].1,
            format!("/audit/export?what=commands&format=csv&{range}&op=pull")
        );
        assert_eq!(
            places[1].1,
            format!("/audit/export?what=events&format=csv&{range}&action=op:pull")
        );
    }
}
