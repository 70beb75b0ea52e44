//! The closed sets of states, what each means, and which may follow which.
//!
//! The same sets stand as CHECKs in the schema. Whoever adds one adds it in both places and in the
//! table of words that the pages use.

/// Makes a closed set of words: the enum, its text, and the way back.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $field:literal { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// All of them, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word in the journal, the API and exports.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::domain::Invalid;

            fn from_str(text: &str) -> Result<Self, $crate::domain::Invalid> {
                Self::ALL.iter().copied().find(|w| w.as_str().eq_ignore_ascii_case(text)).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|w| w.as_str()).collect();
                    $crate::domain::Invalid::new($field, format!("“{}” is none of {}", $crate::domain::bounded(text, 60), known.join(", ")))
                })
            }
        }

        $crate::domain::schema::described!($name, $crate::domain::schema::word(Self::ALL.iter().map(|word| word.as_str())));

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(super) use words;

words! {
    /// Where a command stands.
    CommandStatus, "status" {
        /// Journaled; nothing has been done on its host yet.
        Pending = "PENDING",
        /// The host is being contacted and the pre-check runs: reads only, may run twice.
        Validating = "VALIDATING",
        /// The start was journaled; the job may be on its host from this instant on.
        Executing = "EXECUTING",
        /// The host reported exit 0, and the post-check agreed (or the awaited reboot happened).
        Success = "SUCCESS",
        /// The host reported another exit code, or the post-check disagreed.
        Error = "ERROR",
        /// Stopped because its time was up, verified on the host (a reboot op: not back in time).
        Timeout = "TIMEOUT",
        /// Stopped, or never started, because somebody said so.
        Cancelled = "CANCELLED",
        /// Refused: nothing was started on the host. The refusal code says why.
        Blocked = "BLOCKED",
        /// Not needed (pre-check said 10), or an earlier stage failed on this host.
        Skipped = "SKIPPED",
        /// Was executing when the dashboard stopped: outcome not known (open: being found out).
        Orphaned = "ORPHANED",
    }
}

impl CommandStatus {
    /// True while a command of this status never has `finished_at`.
    #[must_use]
    pub const fn is_always_open(self) -> bool {
        match self {
            Self::Pending | Self::Validating | Self::Executing => true,
            Self::Success
            | Self::Error
            | Self::Timeout
            | Self::Cancelled
            | Self::Blocked
            | Self::Skipped
            | Self::Orphaned => false,
        }
    }

    /// True where an administrator should look at it.
    #[must_use]
    pub const fn needs_attention(self) -> bool {
        match self {
            Self::Error | Self::Timeout | Self::Orphaned => true,
            Self::Pending
            | Self::Validating
            | Self::Executing
            | Self::Success
            | Self::Cancelled
            | Self::Blocked
            | Self::Skipped => false,
        }
    }

    /// Whether an open command of this status may become `next` (DESIGN, "Statuses of a command").
    /// A final command becomes nothing: that is decided by `finished_at`, in the same statement.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Pending => matches!(next, Self::Validating | Self::Blocked | Self::Cancelled),
            Self::Validating => matches!(next, Self::Executing | Self::Blocked | Self::Skipped | Self::Cancelled),
            Self::Executing => matches!(
                next,
                Self::Success | Self::Error | Self::Timeout | Self::Cancelled | Self::Orphaned | Self::Blocked
            ),
            Self::Orphaned => matches!(
                next,
                Self::Executing | Self::Success | Self::Error | Self::Timeout | Self::Cancelled | Self::Orphaned
            ),
            Self::Success | Self::Error | Self::Timeout | Self::Cancelled | Self::Blocked | Self::Skipped => false,
        }
    }
}

words! {
    /// Where a pipeline stands.
    PipelineStatus, "status" {
        /// Stages are being started and followed.
        Running = "RUNNING",
        /// Starts nothing new until somebody says so; what was started is followed.
        Held = "HELD",
        /// Every host passed every stage.
        Complete = "COMPLETE",
        /// Some hosts passed, some did not.
        Partial = "PARTIAL",
        /// No host passed.
        Failed = "FAILED",
        /// Cancelled, and nothing of it is open any more.
        Cancelled = "CANCELLED",
    }
}

impl PipelineStatus {
    /// True while something may still start or is followed.
    #[must_use]
    pub const fn is_open(self) -> bool {
        match self {
            Self::Running | Self::Held => true,
            Self::Complete | Self::Partial | Self::Failed | Self::Cancelled => false,
        }
    }
}

words! {
    /// How a pipeline is cancelled.
    CancelMode, "mode" {
        /// What runs on hosts may end by itself; nothing further starts.
        Finish = "finish",
        /// What runs on hosts is stopped, too.
        Kill = "kill",
    }
}

words! {
    /// Why a command was refused (the `refusal` of a BLOCKED row), or written off as part of a pipeline's rest
    /// (of a SKIPPED or CANCELLED one). This set grows; the schema has no CHECK for it.
    Refusal, "refusal" {
        /// Another command is open on the host.
        Busy = "busy",
        /// A pipeline has reserved the host.
        Reserved = "reserved",
        /// The host was removed from the fleet.
        Removed = "removed",
        /// The host did not answer.
        Unreachable = "unreachable",
        /// The host refused our log-in.
        Auth = "auth",
        /// The host's key is unknown or has changed.
        HostKey = "host_key",
        /// `sudo -n` (or `doas -n`) wants a password or does not allow it.
        Sudo = "sudo",
        /// The pre-check said no, or did not end in its time.
        Precheck = "precheck",
        /// The spool could not be written on the host.
        DiskFull = "disk_full",
        /// The spool's folder on the host is not safe to use (owner, mode or a symlink on the way).
        Spool = "spool",
        /// The host's own lock is held by another job (another dashboard, another name for the same host).
        Locked = "locked",
        /// A local op under a systemd service that would kill it together with the dashboard.
        Scope = "scope",
        /// SKIPPED: an earlier stage of the pipeline did not end well on this host.
        EarlierStage = "earlier_stage",
        /// SKIPPED: so many hosts failed that the pipeline stopped.
        Stopped = "stopped",
        /// CANCELLED: the pipeline was cancelled before this stage.
        Cancelled = "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_status() -> impl Strategy<Value = CommandStatus> {
        prop::sample::select(CommandStatus::ALL)
    }

    proptest! {
        #[test]
        fn a_walk_of_legal_transitions_never_leaves_the_design(walk in prop::collection::vec(any_status(), 1..12)) {
            let mut at = CommandStatus::Pending;
            for next in walk {
                if at.may_become(next) {
                    prop_assert!(next != CommandStatus::Pending, "nothing becomes PENDING again");
                    prop_assert!(next != CommandStatus::Validating || at == CommandStatus::Pending);
                    // A job that may exist on a host is never forgotten: BLOCKED and SKIPPED need proof,
                    // and an orphaned command has none.
                    prop_assert!(!(at == CommandStatus::Orphaned && matches!(next, CommandStatus::Blocked | CommandStatus::Skipped)));
                    // Success needs a start.
                    prop_assert!(next != CommandStatus::Success || matches!(at, CommandStatus::Executing | CommandStatus::Orphaned));
                    at = next;
                }
            }
        }

        #[test]
        fn words_read_back(status in any_status()) {
            prop_assert_eq!(status.as_str().parse::<CommandStatus>().expect("own word"), status);
        }
    }

    #[test]
    fn only_an_orphan_may_be_open_and_final() {
        let open: Vec<_> = CommandStatus::ALL.iter().filter(|s| s.is_always_open()).collect();
        assert_eq!(open.len(), 3);
        for status in CommandStatus::ALL {
            let leads_on = CommandStatus::ALL.iter().any(|next| status.may_become(*next));
            assert_eq!(
                leads_on,
                status.is_always_open() || *status == CommandStatus::Orphaned,
                "{status}"
            );
        }
    }
}
