//! What a host says about a job. What that settles: `outcome`.

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::status::words;

words! {
    /// Why a job is to be stopped.
    StopReason, "stop_reason" {
        /// Somebody said so.
        Cancel = "cancel",
        /// Its time is up.
        Timeout = "timeout",
    }
}

/// Where a host says it is: which boot, which machine, which folder the job lives in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// The kernel's boot id and PID 1's start time.
    pub boot_id: String,
    /// The machine's own id.
    pub machine_id: String,
    /// The job's folder on the host, absolute.
    pub spool: String,
}

/// What a host reported about one job, at one instant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Evidence {
    /// The exit was published.
    Exit {
        /// The command's exit code, 128 + signal where a signal ended it.
        code: i64,
        /// The post-check's exit code, where one ran.
        check: Option<i64>,
        /// How long it took, measured on the host.
        duration_ms: i64,
        /// The spool's stop marker, where somebody wrote one before the exit was published.
        stopped: Option<StopReason>,
        /// Processes of its group that live on after its end.
        left_behind: i64,
        /// Whether the output was cut at the limit (or by a full disk).
        output_cut: bool,
    },
    /// The supervisor, or any process of the command's group, is alive.
    Running {
        /// Whether the supervisor is: without it the exit code will be lost.
        supervisor: bool,
        /// Processes of the command's group.
        processes: i64,
        /// How long ago the job started, measured on the host.
        age_ms: i64,
    },
    /// The spool was fenced, and no start was found behind the fence: this job never starts.
    NeverStarted,
    /// It was started, nothing of it is alive, and no exit was published.
    ExitLost {
        /// The spool's stop marker, where there is one.
        stopped: Option<StopReason>,
    },
    /// The host's lock is held by another job; this one never starts.
    Locked {
        /// Dashboard and command of the job that holds the lock.
        by: String,
        /// The op that this job is, where it said so.
        #[serde(default)]
        op: Option<String>,
        /// Since when it holds it, seconds since 1970 by the host's own clock, where it said so.
        #[serde(default)]
        since_s: Option<i64>,
    },
    /// The job's folder is emptied down to its marker: its outcome was committed before.
    Done,
    /// The dashboard was told nothing that says more.
    Nothing {
        /// What is missing, in words.
        why: String,
    },
}

impl Evidence {
    /// Who holds the host's lock, as part of a sentence: only what the lock itself says. `spool` is a folder of the
    /// dashboard that asks, so that its own jobs can be told from those of others. Empty for other evidence.
    #[must_use]
    pub fn holder(&self, spool: Option<&str>) -> String {
        let Self::Locked { by, op, since_s } = self else {
            return String::new();
        };
        let (dashboard, job) = by.split_once('/').unwrap_or(("", by));
        let ours = !dashboard.is_empty() && spool.is_some_and(|spool| spool.contains(&format!("/{dashboard}/")));
        let whose = match (ours, dashboard) {
            (true, _) => "this dashboard".to_owned(),
            (false, "") => "another dashboard".to_owned(),
            (false, id) => format!("another dashboard (its id is {id})"),
        };
        let what = op.as_ref().map(|op| format!("{op}, ")).unwrap_or_default();
        let since = since_s
            .map(|since| Timestamp::from_micros(since.saturating_mul(1_000_000)))
            .map(|since| format!(", started {since} UTC by the host's clock"))
            .unwrap_or_default();
        format!("another job holds this machine's lock: {what}command {job} of {whose}{since}")
    }
}

/// What is said of a stop marker in a job's folder when no wish to stop it is journaled; part of a sentence.
pub const STRAY_MARKER: &str = "; a stop marker lay in its folder, though nobody had asked to stop it";
