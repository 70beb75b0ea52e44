//! How a host is reached and how a job lives there. Knows hosts and jobs; knows nothing of commands,
//! statuses or the journal.
//!
//! One shell program (`sh/`, all but `supervisor.sh`) is sent over every channel and does one verb; `sh/supervisor.sh`
//! stays with the job on its host. `script` puts their text together, `channel` speaks with them, `ssh` and `local` say how the
//! shell is reached, `follower` and `answers` turn what they say into the types of this page, `verbs` is the API.

use std::path::PathBuf;

mod answers;
mod channel;
mod control;
mod dial;
mod follower;
mod host_key;
mod known_hosts;
mod local;
mod queue;
mod script;
mod ssh;
mod verbs;

pub use follower::Follower;
pub use host_key::ShownKey;
pub use verbs::Executor;

use crate::domain::{CommandId, Evidence, HostName, Identity, Reach, Refusal, RunAs, Span, SpoolDir};

/// What the executor is told once, at start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data folder: local spools live in `spool/` below it.
    pub data_dir: PathBuf,
    /// The base folder of local spools, and of their lock, where it is not the usual one.
    pub local_spool: Option<PathBuf>,
    /// How many open files local jobs may have, where that is not what the dashboard has.
    pub job_files: Option<u64>,
    /// This dashboard's lasting id: names its own subfolder of every spool base. Letters, digits, `-`.
    pub dashboard_id: String,
    /// The OpenSSH client.
    pub ssh_program: PathBuf,
    /// Passed as `-F` where given.
    pub ssh_config: Option<PathBuf>,
    /// How long one dial may take.
    pub connect_timeout: Span,
    /// How many dials may be under way at once, over all hosts.
    pub dials: usize,
    /// How many channels one host's connection carries at once (a stock sshd refuses the eleventh).
    pub channels: usize,
}

/// One host as the executor needs it.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its name; scripts get it as `QD_HOST`.
    pub name: HostName,
    /// How it is reached.
    pub reach: Reach,
    /// The base folder of its spools where it is not the usual one.
    pub spool: Option<SpoolDir>,
    /// The user that the job runs as, through `sudo -n --` or `doas -n`; none is the login user.
    pub run_as: Option<RunAs>,
}

/// One job: which command's, and which launch of it (1, then one more after each proof that the one
/// before never started and never will).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JobId {
    /// The command.
    pub command: CommandId,
    /// The launch, from 1.
    pub launch: i64,
}

/// What a job is to do.
#[derive(Clone, Debug)]
pub struct Job {
    /// Which one it is.
    pub id: JobId,
    /// The op's id: said to whoever finds this job's lock.
    pub op: String,
    /// The op's script.
    pub script: String,
    /// The op's post-check, run after exit 0 within what is left of `timeout`.
    pub post_check: Option<String>,
    /// The op's time; none for an op that is never stopped.
    pub timeout: Option<Span>,
    /// Bytes of output that are kept.
    pub output_limit: u64,
    /// Environment beside `QD_COMMAND` and `QD_HOST`; values reach the job in a file of its spool.
    pub environment: Vec<(String, String)>,
}

/// Facts of a host, read without changing anything there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// `Linux`, `Darwin`, `FreeBSD`.
    pub kernel: String,
    /// `Debian GNU/Linux 12 (bookworm)`, `NixOS 26.05`, `macOS 15.2`.
    pub os: String,
    /// Kernel boot id and PID 1's start time.
    pub boot_id: String,
    /// The machine's own id.
    pub machine_id: String,
    /// Seconds since boot.
    pub uptime_s: i64,
    /// The host's clock, seconds since 1970.
    pub clock_s: i64,
    /// The user that answered.
    pub user: String,
    /// Percent used of the file system that holds `/`.
    pub disk_used_percent: Option<i64>,
    /// The system itself asks for a reboot.
    pub reboot_needed: bool,
}

/// What a pre-check said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckAnswer {
    /// Its exit code: 0 go, 10 not needed.
    pub code: i64,
    /// What it wrote, at most 4 KiB of the end.
    pub text: String,
}

/// Why a host gave no answer that can be used. None of them decides anything about a job that may be there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Not reached: name, network, refused connection, time up.
    #[error("not reached: {0}")]
    Unreachable(String),
    /// The log-in was refused. Nothing dials this host again until somebody asks.
    #[error("log-in refused: {0}")]
    Auth(String),
    /// The host's key is unknown or changed. Nothing dials this host again until somebody asks.
    #[error("host key: {0}")]
    HostKey(String),
    /// `sudo -n` or `doas -n` did not let us; the text has the line to add.
    #[error("sudo: {0}")]
    Sudo(String),
    /// The host's disk is full.
    #[error("disk full: {0}")]
    DiskFull(String),
    /// The spool's folder is not safe: not ours, open to others, or behind a symlink.
    #[error("spool: {0}")]
    Spool(String),
    /// A local op that the service manager would kill together with the dashboard.
    #[error("local ops: {0}")]
    Scope(String),
    /// The connection was lost in the middle.
    #[error("connection lost: {0}")]
    Lost(String),
}

impl HostError {
    /// The code for a refusal that this explains.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Unreachable(_) | Self::Lost(_) => Refusal::Unreachable,
            Self::Auth(_) => Refusal::Auth,
            Self::HostKey(_) => Refusal::HostKey,
            Self::Sudo(_) => Refusal::Sudo,
            Self::DiskFull(_) => Refusal::DiskFull,
            Self::Spool(_) => Refusal::Spool,
            Self::Scope(_) => Refusal::Scope,
        }
    }
}

/// What a follower hears, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobEvent {
    /// First of all: where the job lives. Repeated after nothing.
    At(Identity),
    /// The job was started (now or before): the rename was seen.
    Started {
        /// How long ago, measured on the host.
        age_ms: i64,
    },
    /// Bytes of the output.
    Output {
        /// Where they begin.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The host is there and the job goes on.
    Alive {
        /// How long ago it started, measured on the host.
        age_ms: i64,
    },
    /// The last word: every byte of output came before it. Never `Running`.
    Ended(Evidence),
}

/// What one stop did, step by step, for the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StopReport {
    /// `wrote marker`, `TERM to group 4711`, `2 processes after 10 s`, `KILL`, `gone` ...
    pub steps: Vec<String>,
    /// True where nothing of it was found in the places that `looked` names.
    pub gone: bool,
    /// Where the host looked for what is left of the job.
    pub looked: Looked,
    /// What survived, by pid and name, where anything did.
    pub survivors: Vec<String>,
}

/// Where a stop looked for what is left of a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Looked {
    /// Nowhere: it had ended by itself before, and what it left behind is left alone.
    #[default]
    Ended,
    /// Nowhere: it was fenced before it started.
    Unstarted,
    /// In its process groups and sessions.
    Groups,
    /// There, and in the environments of the processes that its user may look into.
    OwnEnvironments,
    /// There, and in the environments of all processes.
    AllEnvironments,
}

/// One answer about one job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Where the host says it is, and where this job's folder is.
    pub at: Identity,
    /// What it found.
    pub evidence: Evidence,
}

/// What [`Executor::prepare`] learned in one channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prepared {
    /// The host's facts.
    pub facts: Facts,
    /// Where the job will live; journaled before it is launched.
    pub at: Identity,
    /// What the pre-check said, where there is one.
    pub check: Option<CheckAnswer>,
}
