//! The fleet: adding, removing and testing hosts, and what contact with them tells.

use std::time::Instant;

use crate::domain::{Ask, Decision, HostName, Level, Reach, Refusal, RunAs, Span};
use crate::executor::{self, Facts, HostError, ShownKey};
use crate::store::{By, HostFacts, HostRow, NewEvent, NewHost};

use super::{Engine, EngineError};

/// What a test of a host found.
#[derive(Clone, Debug)]
pub struct Tested {
    /// What it said of itself, where it answered.
    pub facts: Option<Facts>,
    /// Why it did not, where it did not; the text has the next step.
    pub problem: Option<HostError>,
    /// The key that it showed, where that is why.
    pub shown_key: Option<ShownKey>,
    /// How long that took.
    pub took: Span,
}

impl Engine {
    /// Adds a host, or revives a removed one of that name. Whoever has rights for one of its tags has them there then:
    /// see [`crate::domain::Access::may_tag`] for who may give it such a tag.
    ///
    /// # Errors
    /// Not allowed; not confirmed lately who they are; when a host of this name is there already.
    pub async fn add_host(&self, host: NewHost, by: By) -> Result<HostRow, EngineError> {
        self.allow_at_all(&by, Ask::Hosts)?;
        let tags = host.tags.clone();
        let through = self.reader().read(move |journal| journal.rights_through(&tags)).await?;
        for (holder, rights) in &through {
            if let Decision::Denied(why) = by.access.may_tag(holder.name(), rights) {
                return Err(EngineError::Forbidden(why));
            }
        }
        self.proved_lately(&by)?;
        let row = self.0.store.add_host(host, by).await?;
        self.0.executor.forgive(&reachable_as(&row, None));
        Ok(row)
    }

    /// Takes a host out of the fleet; its history stays.
    ///
    /// # Errors
    /// Not confirmed lately who they are; when something of it is open, or a pipeline has reserved it.
    pub async fn remove_host(&self, name: &HostName, by: By) -> Result<HostRow, EngineError> {
        self.allow_at_all(&by, Ask::Hosts)?;
        self.proved_lately(&by)?;
        Ok(self.0.store.remove_host(name, by).await?)
    }

    /// Contacts a host now, because a person asks.
    ///
    /// # Errors
    /// When there is no such host, or the journal cannot be written; what the host answers, or does not, is no error here.
    pub async fn test_host(&self, name: &HostName, by: By) -> Result<Tested, EngineError> {
        let wanted = name.clone();
        let row = self.reader().read(move |journal| journal.host(&wanted)).await?;
        let Some(row) = row.filter(|row| row.removed_at.is_none()) else {
            return Err(EngineError::UnknownHost(name.to_string()));
        };
        self.allow(&by, Ask::Test, [(&row.hostname, row.tags.as_slice())])?;
        let begun = Instant::now();
        let answer = self.0.executor.contact(&reachable_as(&row, None), true).await;
        let took = Span::from_millis(i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX));
        self.note_test(&row, answer.as_ref().err(), took, &by).await?;
        Ok(match answer {
            Ok(facts) => {
                self.met(row.id, &facts).await;
                Tested {
                    facts: Some(facts),
                    problem: None,
                    shown_key: None,
                    took,
                }
            }
            Err(why) => {
                self.lost(row.id, &why).await;
                Tested {
                    facts: None,
                    shown_key: self.shown_key(&row),
                    problem: Some(why),
                    took,
                }
            }
        })
    }

    /// Journals that somebody tested a host, and what came of it.
    async fn note_test(&self, row: &HostRow, why: Option<&HostError>, took: Span, by: &By) -> Result<(), EngineError> {
        let (level, found) = match why {
            None => (Level::Info, "it answers".to_owned()),
            Some(why) => (Level::Warn, why.to_string()),
        };
        let message = format!("{} tested {}: {found}", by.actor.name(), row.hostname);
        let event = NewEvent {
            host_id: Some(row.id),
            details: Some(serde_json::json!({ "reached": why.is_none(), "took_ms": took.as_millis() })),
            ..NewEvent::audit(by, level, "host:test", message)
        };
        self.0.store.append_event(event).await?;
        Ok(())
    }

    /// Why a host was not reached at the last try of this start; none where it was, or nobody tried.
    #[must_use]
    pub fn last_refusal(&self, row: &HostRow) -> Option<Refusal> {
        self.0.executor.refusal(&reachable_as(row, None))
    }

    /// What to paste, as the dashboard's user, for a host that was not reached for this reason.
    #[must_use]
    pub fn advice(&self, row: &HostRow, refusal: Refusal) -> Option<String> {
        let host = reachable_as(row, None);
        let Reach::Ssh { user, address, port } = &row.reach else {
            return None;
        };
        match refusal {
            Refusal::HostKey => Some(format!("{} true", self.0.executor.client_line(&host, true)?)),
            Refusal::Unreachable => Some(format!("{} true", self.0.executor.client_line(&host, false)?)),
            Refusal::Auth => {
                let port = port.map(|port| format!("-p {port} ")).unwrap_or_default();
                let user = user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
                Some(format!("ssh-copy-id {port}{user}{address}"))
            }
            Refusal::Busy
            | Refusal::Reserved
            | Refusal::Removed
            | Refusal::Sudo
            | Refusal::Precheck
            | Refusal::DiskFull
            | Refusal::Spool
            | Refusal::Locked
            | Refusal::Scope
            | Refusal::EarlierStage
            | Refusal::Stopped
            | Refusal::Cancelled => None,
        }
    }

    pub(super) async fn host_of(&self, row: &crate::store::CommandRow) -> Result<executor::Host, EngineError> {
        let id = row.host_id;
        let host = self.reader().read(move |journal| journal.host_by_id(id)).await?;
        let host = host.ok_or_else(|| EngineError::UnknownHost(row.host.clone()))?;
        Ok(reachable_as(&host, None))
    }

    /// A host answered: its facts are kept, and the journal hears of it where it had been lost.
    pub(super) async fn met(&self, host_id: i64, facts: &Facts) {
        let clean = |text: &str| crate::domain::bounded(text, 200);
        let facts = HostFacts {
            kernel: clean(&facts.kernel),
            os: clean(&facts.os),
            boot_id: clean(&facts.boot_id),
            machine_id: clean(&facts.machine_id),
            uptime_s: facts.uptime_s,
            clock_s: facts.clock_s,
            user: clean(&facts.user),
            disk_used_percent: facts.disk_used_percent,
            reboot_needed: facts.reboot_needed,
        };
        if let Err(why) = self.0.store.record_facts(host_id, facts).await {
            tracing::warn!(host_id, %why, "facts of a host could not be kept");
        }
        self.found(host_id).await;
    }

    /// A host answered.
    pub(super) async fn found(&self, host_id: i64) {
        if let Err(why) = self.0.store.host_connected(host_id).await {
            tracing::warn!(host_id, %why, "cannot write the journal");
        }
    }

    /// A host did not answer, or would not.
    pub(super) async fn lost(&self, host_id: i64, why: &HostError) {
        let text = match why {
            HostError::Unreachable(text) | HostError::Lost(text) => text.clone(),
            HostError::Auth(_) | HostError::HostKey(_) => why.to_string(),
            // The host answered: it is there, it only would not do this.
            HostError::Sudo(_) | HostError::DiskFull(_) | HostError::Spool(_) | HostError::Scope(_) => {
                return self.found(host_id).await;
            }
        };
        if let Err(trouble) = self.0.store.host_lost(host_id, text).await {
            tracing::warn!(host_id, %trouble, "cannot write the journal");
        }
    }
}

/// A row as the executor needs it; the host's own `run_as` goes before the op's.
pub(super) fn reachable_as(row: &HostRow, op_runs_as: Option<&RunAs>) -> executor::Host {
    executor::Host {
        name: row.hostname.clone(),
        reach: row.reach.clone(),
        spool: row.spool.clone(),
        run_as: row.run_as.clone().or_else(|| op_runs_as.cloned()),
    }
}
