//! What the API answers where that is not one row of the journal alone.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Actor, Ask, CommandId, Digest, HostKey, Op, PipelineDef, PipelineId, Timestamp};
use crate::engine::Tested;
use crate::store::{
    CommandRow, Delivery, EventRow, FactsRow, FleetRow, Group, HoldRow, HostRow, PipelineCounts, PipelineRow, TokenRow,
    UserRow,
};

/// A page of commands, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Commands {
    pub(super) commands: Vec<CommandRow>,
    /// The `cursor` of the next page; none on the last one.
    pub(super) next: Option<CommandId>,
}

/// What a start journaled.
#[derive(Serialize, ToSchema)]
pub(super) struct Started {
    /// One row for each host whose turn has come, refused ones included.
    pub(super) commands: Vec<CommandRow>,
    /// The pipeline that several hosts are.
    pub(super) pipeline_id: Option<PipelineId>,
}

/// A page of pipelines, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Pipelines {
    pub(super) pipelines: Vec<PipelineRow>,
    /// The `cursor` of the next page; none on the last one.
    pub(super) next: Option<PipelineId>,
}

/// A pipeline, and what came of it so far.
#[derive(Serialize, ToSchema)]
pub(super) struct PipelineShown {
    #[serde(flatten)]
    pub(super) row: PipelineRow,
    /// The stage whose turn it is, from 0; where a person is waited for, that wait. None where every fate is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) turn: Option<usize>,
    pub(super) counts: PipelineCounts,
    /// Equal results in groups; not there with `results=false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) results: Option<Vec<Group>>,
    /// The pipelines that try it again; not there with `results=false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) retries: Option<Vec<PipelineId>>,
}

/// What can be started by name.
#[derive(Serialize, ToSchema)]
pub(super) struct Definitions<'a> {
    pub(super) definitions: Vec<&'a PipelineDef>,
}

/// Ranges of which nothing is swept.
#[derive(Serialize, ToSchema)]
pub(super) struct Holds {
    pub(super) holds: Vec<HoldRow>,
}

/// An audit report.
#[derive(Serialize, ToSchema)]
pub(super) struct ReportMade {
    /// What it is called.
    pub(super) number: String,
    pub(super) made_at: Timestamp,
    pub(super) made_by: Actor,
    /// From when on it tells.
    pub(super) since: Timestamp,
    /// Up to when, which is not part of it.
    pub(super) until: Timestamp,
    /// The newest event that it knows.
    pub(super) covers: i64,
    /// The SHA-256 of what it says.
    pub(super) digest: Option<Digest>,
    /// The event that says that it was made.
    pub(super) event_id: Option<i64>,
    /// The checkpoint that was made with it.
    pub(super) checkpoint_id: Option<i64>,
    /// What it counted; `all_printed` false, or `lacking` above 0, says that it is not all, and `gaps`
    /// the first things that are lacking.
    #[schema(value_type = Object)]
    pub(super) counted: serde_json::Value,
}

/// The catalog.
#[derive(Serialize, ToSchema)]
pub(super) struct Ops<'a> {
    pub(super) ops: Vec<&'a Op>,
}

/// A page of events.
#[derive(Serialize, ToSchema)]
pub(super) struct Events {
    pub(super) events: Vec<EventRow>,
    /// The `cursor` of the next page; none on the last one. With `after`: what to give as `after` next.
    #[schema(minimum = 0)]
    pub(super) next: Option<i64>,
}

/// The fleet, by name.
#[derive(Serialize, ToSchema)]
pub(super) struct Hosts {
    pub(super) hosts: Vec<HostShown>,
}

/// A host, and what is known of it.
#[derive(Serialize, ToSchema)]
pub(super) struct HostShown {
    #[serde(flatten)]
    host: HostRow,
    /// What it said about itself; none before the first contact.
    facts: Option<FactsRow>,
    /// What is open on it.
    open: Option<CommandRow>,
    /// Its newest end; refused attempts do not count.
    last: Option<CommandRow>,
    /// Whether that end needs a look: ERROR, TIMEOUT or ORPHANED.
    attention: bool,
}

impl From<FleetRow> for HostShown {
    fn from(fleet: FleetRow) -> Self {
        Self {
            host: fleet.host,
            facts: fleet.facts,
            open: fleet.open,
            last: fleet.last,
            attention: fleet.attention,
        }
    }
}

/// What a test of a host found.
#[derive(Serialize, ToSchema)]
pub(super) struct HostTested {
    host: String,
    reached: bool,
    /// Why not, as the `refusal` of a command has it.
    refusal: Option<crate::domain::Refusal>,
    /// Why not, for a reader.
    problem: Option<String>,
    facts: Option<FactsFound>,
    /// The key that it showed, where that is why.
    shown_key: Option<KeyShown>,
    took_ms: i64,
}

/// A host's key that is not known, or not the known one.
#[derive(Serialize, ToSchema)]
struct KeyShown {
    /// The key.
    key: HostKey,
    /// Those that are known; where there are any, the host's key has changed.
    known: Vec<HostKey>,
    /// A file of known hosts says that nobody may take it any more.
    revoked: bool,
}

/// What a host said about itself just now.
#[derive(Serialize, ToSchema)]
struct FactsFound {
    os: String,
    kernel: String,
    boot_id: String,
    machine_id: String,
    uptime_s: i64,
    clock_s: i64,
    user: String,
    disk_used_percent: Option<i64>,
    reboot_needed: bool,
}

impl HostTested {
    pub(super) fn of(host: &str, tested: &Tested) -> Self {
        let (refusal, problem) = match &tested.problem {
            Some(problem) => (Some(problem.refusal()), Some(problem.to_string())),
            None => (None, None),
        };
        Self {
            host: host.to_owned(),
            reached: tested.problem.is_none(),
            refusal,
            problem,
            facts: tested.facts.as_ref().map(|facts| FactsFound {
                os: facts.os.clone(),
                kernel: facts.kernel.clone(),
                boot_id: facts.boot_id.clone(),
                machine_id: facts.machine_id.clone(),
                uptime_s: facts.uptime_s,
                clock_s: facts.clock_s,
                user: facts.user.clone(),
                disk_used_percent: facts.disk_used_percent,
                reboot_needed: facts.reboot_needed,
            }),
            shown_key: tested.shown_key.as_ref().map(|shown| KeyShown {
                key: shown.key.clone(),
                known: shown.known.clone(),
                revoked: shown.revoked,
            }),
            took_ms: tested.took.as_millis(),
        }
    }
}

/// The places outside that hear what happens here.
#[derive(Serialize, ToSchema)]
pub(super) struct Deliveries {
    pub(super) deliveries: Vec<Delivery>,
}

/// The version of the journal. Versions of different instances are compared for difference only.
#[derive(Serialize, ToSchema)]
pub(super) struct State {
    /// Which database this is; another one after a restore.
    pub(super) instance: String,
    /// Rises with every committed change of hosts, commands, pipelines and events.
    pub(super) version: i64,
}

/// What a sweep removed.
#[derive(Serialize, ToSchema)]
pub(super) struct Swept {
    pub(super) events: i64,
    pub(super) commands: i64,
    pub(super) pipelines: i64,
    pub(super) output_files: usize,
    /// It removed nothing, because the clock may have jumped: a sweep at this time or later does it.
    pub(super) postponed_until: Option<Timestamp>,
}

/// A one-time link to the pages.
#[derive(Serialize, ToSchema)]
pub(super) struct Link {
    pub(super) url: String,
}

/// The people with accounts.
#[derive(Serialize, ToSchema)]
pub(super) struct Users {
    pub(super) users: Vec<UserShown>,
}

/// A user, without secrets.
#[derive(Serialize, ToSchema)]
pub(super) struct UserShown {
    #[serde(flatten)]
    row: UserRow,
    /// Whether one is set up.
    second_factor: bool,
}

impl From<UserRow> for UserShown {
    fn from(row: UserRow) -> Self {
        Self {
            second_factor: row.totp_secret.is_some(),
            row,
        }
    }
}

/// The tokens, without secrets.
#[derive(Serialize, ToSchema)]
pub(super) struct Tokens {
    pub(super) tokens: Vec<TokenShown>,
}

/// A token, without its secret.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenShown {
    #[serde(flatten)]
    pub(super) row: TokenRow,
    /// Why it is refused though it has not ended: a token never may more than who made it.
    pub(super) refused: Option<&'static str>,
}

/// A new token.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenMade {
    #[serde(flatten)]
    pub(super) row: TokenRow,
    /// Its secret, in this answer alone.
    pub(super) token: String,
}

/// A session for a terminal.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionMade {
    /// Its secret; it is sent as a token is.
    pub(super) session: String,
    pub(super) name: String,
}

/// Whether there was a session to end.
#[derive(Serialize, ToSchema)]
pub(super) struct LoggedOut {
    pub(super) ended: bool,
}

/// Who asks.
#[derive(Serialize, ToSchema)]
pub(super) struct Me {
    pub(super) actor: Actor,
    /// What they may do, at least on some hosts.
    pub(super) may: Vec<Ask>,
}
