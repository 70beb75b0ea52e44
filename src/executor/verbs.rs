//! What the dashboard asks of hosts: one method per question, one channel per call.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::answers::{check, count, evidence, fact, looked, nowhere, place};
use super::channel::{Channel, Frame};
use super::dial::{Dialler, Wish};
use super::script::Script;
use super::ssh;
use super::{
    CheckAnswer, Facts, Follower, Host, HostError, Job, JobId, Looked, Prepared, Report, Settings, ShownKey, StopReport,
};
use crate::domain::{CommandId, Identity, Refusal, Span, StopReason, bounded};

/// How long a verb that only looks or removes may take between two words.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most steps, and the most survivors, that a stop reports.
const STEPS: usize = 100;

/// Reaches hosts and the jobs on them. Cheap to clone; all clones share connections and limits.
#[derive(Clone)]
pub struct Executor {
    dialler: Arc<Dialler>,
    local_spool: String,
    /// The base of local spools was chosen: then their lock is in it, not in the account's home.
    own_base: bool,
}

/// What a `prepare` brought.
#[derive(Default)]
struct Seen {
    facts: Facts,
    at: Option<Identity>,
    check: Option<CheckAnswer>,
}

impl Executor {
    /// Makes the private folder of control sockets.
    ///
    /// # Errors
    /// When the data folder is not there, or no folder for sockets can be made that is ours alone.
    pub fn new(settings: Settings) -> io::Result<Self> {
        let spool = match &settings.local_spool {
            Some(spool) => spool.clone(),
            None => std::fs::canonicalize(&settings.data_dir)?.join("spool"),
        };
        let own_base = settings.local_spool.is_some();
        let local_spool = spool
            .into_os_string()
            .into_string()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the path of the local spools is not UTF-8"))?;
        Ok(Self {
            dialler: Arc::new(Dialler::new(settings)?),
            local_spool,
            own_base,
        })
    }

    /// Asks a host for its facts; changes nothing there. `asked`: a person wants it, so that a remembered refusal of the
    /// log-in or of the host's key is forgotten; otherwise it is the answer, without a dial.
    ///
    /// # Errors
    /// Why it was not reached.
    pub async fn contact(&self, host: &Host, asked: bool) -> Result<Facts, HostError> {
        let wish = if asked { Wish::Asked } else { Wish::Look };
        let mut script = self.script("prepare", host);
        script.set("WANT_FACTS", "1");
        Ok(self.look(host, &script, wish, PATIENCE).await?.facts)
    }

    /// Runs a check that only reads, at most `limit` long: then its whole group is ended on the host, the code is 124
    /// and the text says so. Also the post-check after a reboot.
    ///
    /// # Errors
    /// Why it was not reached, or that the connection was lost meanwhile.
    pub async fn pre_check(
        &self,
        host: &Host,
        script: &str,
        command: CommandId,
        limit: Span,
    ) -> Result<CheckAnswer, HostError> {
        let mut verb = self.script("prepare", host).about(JobId { command, launch: 1 });
        let patience = with_check(&mut verb, script, limit);
        let looked = self.look(host, &verb, Wish::Command, patience).await?;
        looked.check.ok_or_else(|| missing("the check's answer"))
    }

    /// Where the job will live, after a proof that it can: the folder can be made, is ours, private, and has room; and
    /// `run_as` works.
    ///
    /// # Errors
    /// What of that is not so.
    pub async fn locate(&self, host: &Host, job: JobId) -> Result<Identity, HostError> {
        let mut script = self.script("prepare", host).about(job);
        script.set("WANT_PLACE", "1");
        let looked = self.look(host, &script, Wish::Command, PATIENCE).await?;
        looked.at.ok_or_else(|| missing("the place"))
    }

    /// [`Self::contact`], [`Self::locate`] and, where there is one, [`Self::pre_check`], in one channel.
    ///
    /// # Errors
    /// The first of theirs.
    pub async fn prepare(
        &self,
        host: &Host,
        job: JobId,
        pre_check: Option<&str>,
        limit: Span,
        asked: bool,
    ) -> Result<Prepared, HostError> {
        let mut script = self.script("prepare", host).about(job);
        script.set("WANT_FACTS", "1");
        script.set("WANT_PLACE", "1");
        let patience = match pre_check {
            Some(check) => with_check(&mut script, check, limit),
            None => PATIENCE,
        };
        let wish = if asked { Wish::Asked } else { Wish::Command };
        let looked = self.look(host, &script, wish, patience).await?;
        if pre_check.is_some() && looked.check.is_none() {
            return Err(missing("the check's answer"));
        }
        Ok(Prepared {
            facts: looked.facts,
            at: looked.at.ok_or_else(|| missing("the place"))?,
            check: looked.check,
        })
    }

    /// Launches a job and follows it from its first byte. May be repeated at will: it starts once. Returns when the host
    /// has acknowledged the start or said why there is none (the follower's events tell which).
    ///
    /// # Errors
    /// `DiskFull`, `Spool` and `Scope` prove that this call started nothing (an earlier one may have). All others prove
    /// nothing: fence and ask.
    pub async fn launch(&self, host: &Host, job: &Job) -> Result<Follower, HostError> {
        let mut script = self.script("launch", host).about(job.id);
        script.carry(job, host);
        let channel = self.dialler.open(host, &script, Wish::Command).await?;
        Follower::new(channel, 0).acknowledged().await
    }

    /// Follows a job from a byte of its output.
    ///
    /// # Errors
    /// Why the host was not reached; whether there is a job shows in the events.
    pub async fn follow(&self, host: &Host, job: JobId, offset: u64) -> Result<Follower, HostError> {
        let mut script = self.script("follow", host).about(job);
        script.set("OFFSET", &offset.to_string());
        Ok(Follower::new(
            self.dialler.open(host, &script, Wish::Command).await?,
            offset,
        ))
    }

    /// Stops a job: marker, TERM, `grace`, KILL, and a look at what is left. A job that has not started is fenced instead.
    /// `gone` is true too for a job that had ended by itself: what it left behind is left alone.
    ///
    /// # Errors
    /// Why the host gave no answer; then nothing is known, and the marker may be there or not.
    pub async fn stop(&self, host: &Host, job: JobId, why: StopReason, grace: Span) -> Result<StopReport, HostError> {
        let mut script = self.script("stop", host).about(job);
        script.set("WHY", why.as_str());
        script.set("GRACE_MS", &grace.as_millis().to_string());
        let mut channel = self.dialler.open(host, &script, Wish::Command).await?;
        let mut report = StopReport {
            steps: Vec::new(),
            gone: false,
            looked: Looked::default(),
            survivors: Vec::new(),
        };
        let patience = PATIENCE + grace.to_std();
        while let Some((word, rest)) = line(&mut channel, patience).await? {
            match word.as_str() {
                "step" if report.steps.len() < STEPS => report.steps.push(bounded(&rest, 400)),
                "survivor" if report.survivors.len() < STEPS => report.survivors.push(bounded(&rest, 100)),
                "looked" => report.looked = looked(&rest)?,
                "gone" => report.gone = rest == "1",
                _ => {}
            }
        }
        Ok(report)
    }

    /// Asks what became of a job. With `fence` the job is fenced first: what has not started by then never will.
    ///
    /// # Errors
    /// Why the host gave no answer.
    pub async fn ask(&self, host: &Host, job: JobId, fence: bool) -> Result<Report, HostError> {
        let mut script = self.script("ask", host).about(job);
        script.set("FENCE", if fence { "1" } else { "" });
        let mut channel = self.dialler.open(host, &script, Wish::Command).await?;
        let mut at = nowhere();
        let mut found = None;
        while let Some((word, rest)) = line(&mut channel, PATIENCE).await? {
            if word == "evidence" {
                found = Some(evidence(&rest)?);
            } else {
                place(&mut at, &word, &rest);
            }
        }
        let evidence = found.ok_or_else(|| missing("the evidence"))?;
        Ok(Report { at, evidence })
    }

    /// Empties a job's folder down to its marker. Only for an outcome that is committed, with all of its output.
    ///
    /// # Errors
    /// Why the host gave no answer; it may be repeated.
    pub async fn clear(&self, host: &Host, job: JobId) -> Result<(), HostError> {
        self.plain("clear", host, job).await
    }

    /// Marks a job's folder, which stays whole, as one whose outcome is committed.
    ///
    /// # Errors
    /// Why the host gave no answer; it may be repeated.
    pub async fn retire(&self, host: &Host, job: JobId) -> Result<(), HostError> {
        self.plain("retire", host, job).await
    }

    /// Removes what is old in this dashboard's own folder on a host: whole folders after 7 days (down to a marker), markers
    /// after 90. Never one of a job without an end. Returns how many.
    ///
    /// # Errors
    /// Why the host gave no answer.
    pub async fn sweep(&self, host: &Host) -> Result<i64, HostError> {
        let script = self.script("sweep", host);
        let mut channel = self.dialler.open(host, &script, Wish::Command).await?;
        let mut swept = 0;
        while let Some((word, rest)) = line(&mut channel, Duration::from_secs(300)).await? {
            if word == "swept" {
                swept = count(&rest)?;
            }
        }
        Ok(swept)
    }

    /// Forgets that a host refused our log-in or showed another key: a person wants it dialled again.
    pub fn forgive(&self, host: &Host) {
        self.dialler.forgive(host);
    }

    /// Why the last channel to a host could not be opened, since this start; none where it could, or none was tried.
    #[must_use]
    pub fn refusal(&self, host: &Host) -> Option<Refusal> {
        self.dialler.refusal(host)
    }

    /// The key that a host showed when it was refused because of that; none where it was not, since this start.
    #[must_use]
    pub fn shown_key(&self, host: &Host) -> Option<ShownKey> {
        self.dialler.shown_key(host)
    }

    /// Dials a host for the key that it shows now. Nothing is changed, here or there.
    ///
    /// # Errors
    /// Why it was not reached.
    pub async fn look_at_key(&self, host: &Host) -> Result<ShownKey, HostError> {
        self.dialler.look_at_key(host).await
    }

    /// Makes `shown` the one key by which a host is known, in the file where the client keeps such keys.
    ///
    /// # Errors
    /// When that cannot be written; then it is as it was.
    pub async fn pin(&self, host: &Host, shown: &ShownKey) -> io::Result<()> {
        self.dialler.pin(host, shown).await
    }

    /// The line with which a person, as the dashboard's user, reaches a host as the dashboard does; with `ask`, the
    /// client shows an unknown key and asks. None for a host that is not reached over ssh.
    #[must_use]
    pub fn client_line(&self, host: &Host, ask: bool) -> Option<String> {
        let options = if ask { "-o StrictHostKeyChecking=ask " } else { "" };
        ssh::line(self.dialler.settings(), &host.reach, options)
    }

    /// Ends all control masters and removes their sockets, in a few seconds at most. Jobs live on.
    pub async fn close(&self) {
        self.dialler.close().await;
    }

    fn script(&self, verb: &'static str, host: &Host) -> Script {
        let mut script = Script::new(verb, host, &self.dialler.settings().dashboard_id, &self.local_spool);
        if self.own_base {
            script.set("HERE", "");
        }
        script
    }

    /// `patience` counts from the host's first word: neither the queue of dials nor the dial is its time.
    async fn look(&self, host: &Host, script: &Script, wish: Wish, patience: Duration) -> Result<Seen, HostError> {
        let channel = self.dialler.open(host, script, wish).await?;
        match tokio::time::timeout(patience, hear_look(channel, patience)).await {
            Ok(looked) => looked,
            Err(_) => Err(HostError::Unreachable(format!(
                "it answered, but had not said all after {} s",
                patience.as_secs()
            ))),
        }
    }

    async fn plain(&self, verb: &'static str, host: &Host, job: JobId) -> Result<(), HostError> {
        let script = self.script(verb, host).about(job);
        let mut channel = self.dialler.open(host, &script, Wish::Command).await?;
        while line(&mut channel, PATIENCE).await?.is_some() {}
        Ok(())
    }
}

async fn hear_look(mut channel: Channel, patience: Duration) -> Result<Seen, HostError> {
    let mut looked = Seen::default();
    let mut at = nowhere();
    let mut code = String::new();
    loop {
        match channel.frame(patience).await? {
            Frame::End => return Ok(looked),
            Frame::Block(_, bytes) => looked.check = Some(check(&code, &bytes)?),
            Frame::Line(word, rest) if word == "checked" => code = rest,
            Frame::Line(word, rest) if word == "fact" => fact(&mut looked.facts, &rest),
            Frame::Line(word, rest) => {
                if place(&mut at, &word, &rest) {
                    looked.at = Some(at.clone());
                }
            }
        }
    }
}

/// The next line of a verb that sends no blocks; none at its end.
async fn line(channel: &mut Channel, patience: Duration) -> Result<Option<(String, String)>, HostError> {
    match channel.frame(patience).await? {
        Frame::Line(word, rest) => Ok(Some((word, rest))),
        Frame::Block(..) => Err(missing("an answer in lines")),
        Frame::End => Ok(None),
    }
}

/// Adds a check to a `prepare`; returns how long the host may be silent meanwhile.
fn with_check(script: &mut Script, check: &str, limit: Span) -> Duration {
    let seconds = (limit.as_millis() + 999) / 1_000;
    script.set("WANT_CHECK", "1");
    script.set("P_CHECK", check);
    script.set("CHECK_LIMIT", &seconds.max(1).to_string());
    PATIENCE + limit.to_std()
}

fn missing(what: &str) -> HostError {
    HostError::Lost(format!("the host ended without {what}"))
}
