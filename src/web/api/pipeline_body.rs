//! Bodies of requests about pipelines: what to start with which limits, and how to cancel.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::{CancelMode, HostName, IfBusy, LimitsGiven, OpId, Selection, Share, Tag};
use crate::engine::StartPipeline;

use super::body::Body;

/// Start a pipeline, or an op on several hosts; or see what a start would do.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PipelineBody {
    /// The pipeline's name in the catalog, or an op's.
    #[schema(value_type = OpId)]
    pub(super) name: String,
    /// On these hosts, in this order.
    #[serde(default)]
    #[schema(value_type = Vec<HostName>)]
    hosts: Vec<String>,
    /// On every host that has one of these tags.
    #[serde(default)]
    #[schema(value_type = Vec<Tag>)]
    tags: Vec<String>,
    /// On every host.
    #[serde(default)]
    all: bool,
    /// On how many hosts at a time.
    #[schema(minimum = 1, maximum = 9223372036854775807i64)]
    max_parallel: Option<usize>,
    /// Shares of the hosts, one batch after the other; the last one repeats.
    batches: Option<Vec<Share>>,
    /// After how many failed hosts nothing new starts.
    stop_when: Option<Share>,
    /// What becomes of a busy host.
    if_busy: Option<IfBusy>,
    /// Whether a host that is not reached counts as failed.
    count_unreachable: Option<bool>,
    /// Why, for the journal.
    reason: Option<String>,
}

impl Body for PipelineBody {
    const KEYS: &[&str] = &[
        "name",
        "hosts",
        "tags",
        "all",
        "max_parallel",
        "batches",
        "stop_when",
        "if_busy",
        "count_unreachable",
        "reason",
    ];
}

impl From<PipelineBody> for StartPipeline {
    fn from(body: PipelineBody) -> Self {
        Self {
            name: body.name,
            selection: Selection {
                names: body.hosts,
                tags: body.tags,
                all: body.all,
            },
            limits: LimitsGiven {
                max_parallel: body.max_parallel,
                batches: body.batches,
                stop_when: body.stop_when,
                if_busy: body.if_busy,
                count_unreachable: body.count_unreachable,
            },
            reason: body.reason,
        }
    }
}

/// Cancel a pipeline; unless told otherwise, what runs may end by itself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CancelPipelineBody {
    /// What becomes of what runs.
    pub(super) mode: CancelMode,
    /// Why, for the journal.
    pub(super) reason: Option<String>,
}

impl Default for CancelPipelineBody {
    fn default() -> Self {
        Self {
            mode: CancelMode::Finish,
            reason: None,
        }
    }
}

impl Body for CancelPipelineBody {
    const KEYS: &[&str] = &["mode", "reason"];
}

/// A wish that takes nothing.
#[derive(Debug, Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

impl Body for Nothing {
    const KEYS: &[&str] = &[];
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::body::parse;
    use super::*;
    use crate::domain::Span;

    fn wrong<T: Body + std::fmt::Debug>(text: &str) -> Value {
        serde_json::to_value(parse::<T>(text.as_bytes()).expect_err(text)).expect("json")
    }

    #[test]
    fn a_pipeline_is_started_with_its_limits() {
        let body: PipelineBody = parse(
            br#"{"name": "update", "tags": ["web"], "batches": [1, "25%", "100 %"], "stop_when": 3, "if_busy": "wait:5m"}"#,
        )
        .expect("good");
        let start = StartPipeline::from(body);
        let floats: PipelineBody =
            parse(br#"{"name": "update", "batches": [3.0], "max_parallel": 2.0}"#).expect("whole");
        let floats = StartPipeline::from(floats).limits;
        assert_eq!(floats.batches, Some(vec![Share::Count(3)]));
        assert_eq!(floats.max_parallel, Some(2));
        assert_eq!(
            start.limits.batches,
            Some(vec![Share::Count(1), Share::Percent(25), Share::Percent(100)])
        );
        assert_eq!(start.limits.if_busy, Some(IfBusy::Wait(Span::from_secs(300))));
        assert_eq!(start.selection.tags, ["web"]);
        for (text, field) in [
            (r#"{"hosts": ["a"]}"#, "name"),
            (r#"{"name": "update", "host": ["a"]}"#, "host"),
            (r#"{"name": "update", "stop_when": "many"}"#, "stop_when"),
            (r#"{"name": "update", "batches": [0]}"#, "batches"),
            (r#"{"name": "update", "if_busy": "perhaps"}"#, "if_busy"),
            (r#"{"name": "update", "max_parallel": -1}"#, "max_parallel"),
            (r#"{"name": "update", "max_parallel": 1.5}"#, "max_parallel"),
            (r#"{"name": "update", "batches": [1.5], "stop_when": 1.5}"#, "stop_when"),
        ] {
            assert_eq!(wrong::<PipelineBody>(text)["field"], field, "{text}");
        }
        assert_eq!(wrong::<CancelPipelineBody>(r#"{"mode": "gently"}"#)["field"], "mode");
        assert_eq!(wrong::<Nothing>(r#"{"reason": "x"}"#)["field"], "reason");
        let mild: CancelPipelineBody = parse(b"{}").expect("good");
        assert_eq!(mild.mode, CancelMode::Finish);
    }
}
