//! The settings that belong together, by their section of `quarterdeck.toml`.

use std::path::PathBuf;

use crate::domain::{Role, Span};

/// The dashboard's own certificate. The files are read again when they change.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tls {
    /// `tls.certificate`: the certificate and those that vouch for it, in PEM.
    pub certificate: PathBuf,
    /// `tls.key`: its private key, in PEM.
    pub key: PathBuf,
}

/// Sessions and what they take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Access {
    /// `access.session`: how long a session lasts at most, default `7d`.
    pub session: Span,
    /// `access.idle`: how long a session may stay unused, default `1d`.
    pub idle: Span,
    /// `access.require_totp`: roles that take a second factor, default none.
    pub require_totp: Vec<Role>,
}

/// How long the journal keeps what is final; what is open is always kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    /// `retention.events_days`: events of the log, default 7.
    pub events: Keep,
    /// `retention.audit_days`: events of category audit, default as `events_days`; never fewer.
    pub audit: Option<Keep>,
    /// `retention.commands_days`: commands, pipelines and their outputs, default 30.
    pub commands: Keep,
    /// `retention.archive`: whether what goes is archived before, default true.
    pub archive: bool,
    /// `retention.archive_days`: files of the archive, default 400.
    pub archive_days: Keep,
}

/// Audit reports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// `report.organisation`: whose dashboard it is, printed on every page of a report, default empty.
    pub organisation: String,
    /// `report.keep_days`: how long what a report said is kept, default 400. Number, digest and stamp stay for ever.
    pub keep: Keep,
}

/// How long something is kept: 1 to 3650 days, or `"forever"`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// Whole days.
    Days(i64),
    /// Never swept.
    Forever,
}

impl Keep {
    /// Whether something goes earlier by this than by another.
    #[must_use]
    pub const fn is_less_than(self, other: Self) -> bool {
        match (self, other) {
            (Self::Days(this), Self::Days(other)) => this < other,
            (Self::Days(_), Self::Forever) => true,
            (Self::Forever, _) => false,
        }
    }

    /// The age at which it goes; none where it stays.
    #[must_use]
    pub const fn span(self) -> Option<Span> {
        match self {
            Self::Days(days) => Some(Span::from_days(days)),
            Self::Forever => None,
        }
    }
}

/// Limits of what runs on hosts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Jobs {
    /// `jobs.resume_within`: up to which age a command that had not started is started after a restart, default `15m`.
    pub resume_within: Span,
    /// `jobs.kill_grace`: between TERM and KILL where the op does not say, default `10s`.
    pub kill_grace: Span,
    /// `jobs.output_limit`: bytes of output kept of one command, default `"64MiB"`.
    pub output_limit: u64,
    /// `jobs.follow_limit`: how many jobs are followed at once, default 200.
    pub follow_limit: usize,
    /// `jobs.precheck_limit`: how long a pre-check may take, default `60s`.
    pub precheck_limit: Span,
    /// `jobs.orphan_after`: how long the host of a running command may be silent before it counts as being found out,
    /// default `15m`.
    pub orphan_after: Span,
    /// `jobs.local_spool`: the base folder of this machine's own jobs and of their lock. Dashboards of one account keep
    /// out of each other's way only where it is the same. Default: jobs in the data folder, lock in the account's home.
    pub local_spool: Option<PathBuf>,
}

/// How hosts are dialled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ssh {
    /// `ssh.program`: the OpenSSH client, by name or path, default `ssh`.
    pub program: PathBuf,
    /// `ssh.config_file`: passed as `-F` where given; else `~/.ssh/config` counts.
    pub config_file: Option<PathBuf>,
    /// `ssh.connect_timeout`: how long one dial may take, default `10s`.
    pub connect_timeout: Span,
    /// `ssh.dials`: how many dials may be under way at once, default 8.
    pub dials: usize,
    /// `ssh.channels`: how many channels one host's connection carries at once, default 4 (a stock sshd refuses the eleventh).
    pub channels: usize,
}
