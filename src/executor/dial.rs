//! Who may dial when: one first connection per host, a few channels per connection, a few dials at once over all hosts,
//! another try where a busy sshd turned us away, and no dial at all after a refusal until somebody asks.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OnceCell, Semaphore};

use super::channel::{Channel, Opening};
use super::queue::{Class, Queue};
use super::script::{Script, become_words};
use super::ssh::{self, Complaint};
use super::{Host, HostError, Settings, ShownKey, control, host_key, local};
use crate::domain::{Reach, Refusal};

/// How often a connection is tried that a busy sshd turned away.
const TRIES: u32 = 4;

/// Opens channels.
pub(super) struct Dialler {
    settings: Settings,
    sockets: Mutex<PathBuf>,
    dials: Queue,
    /// One at a time changes files of known keys.
    pinning: tokio::sync::Mutex<()>,
    scope: OnceCell<Result<Vec<String>, HostError>>,
    lines: Mutex<HashMap<String, Arc<Line>>>,
}

/// What is remembered of one host between channels.
struct Line {
    /// The name of its socket.
    socket: String,
    channels: Arc<Semaphore>,
    first: tokio::sync::Mutex<()>,
    refused: Mutex<Option<HostError>>,
    doas: AtomicBool,
    /// Its last dial found nobody.
    silent: AtomicBool,
    /// Why its last channel could not be opened.
    problem: Mutex<Option<Refusal>>,
    /// The key that it showed when that was because of its key.
    shown: Mutex<Option<ShownKey>>,
}

/// Who wants a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wish {
    /// A person, now: a remembered refusal is forgotten.
    Asked,
    /// A command.
    Command,
    /// A look at an idle host.
    Look,
}

impl Dialler {
    pub(super) fn new(settings: Settings) -> std::io::Result<Self> {
        Ok(Self {
            sockets: Mutex::new(control::folder(&settings.data_dir)?),
            dials: Queue::new(settings.dials),
            pinning: tokio::sync::Mutex::new(()),
            scope: OnceCell::new(),
            lines: Mutex::default(),
            settings,
        })
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Forgets that a host refused us: somebody asks for it to be dialled again.
    pub(super) fn forgive(&self, host: &Host) {
        self.line(host).remember(None);
    }

    /// Why the last channel to a host could not be opened, where it could not.
    pub(super) fn refusal(&self, host: &Host) -> Option<Refusal> {
        *self.line(host).problem()
    }

    /// The key that a host showed when its last channel could not be opened because of that.
    pub(super) fn shown_key(&self, host: &Host) -> Option<ShownKey> {
        let line = self.line(host);
        let about_key = *line.problem() == Some(Refusal::HostKey);
        line.shown().clone().filter(|_| about_key)
    }

    /// Dials a host for the key that it shows now.
    pub(super) async fn look_at_key(&self, host: &Host) -> Result<ShownKey, HostError> {
        let line = self.line(host);
        let shown = self.key_of(&line, host, Wish::Asked).await?;
        *line.shown() = Some(shown.clone());
        Ok(shown)
    }

    /// Makes a key the one that is known of a host.
    pub(super) async fn pin(&self, host: &Host, shown: &ShownKey) -> std::io::Result<()> {
        let _alone = self.pinning.lock().await;
        let folder = self
            .sockets_now()
            .map_err(|why| std::io::Error::other(why.to_string()))?;
        host_key::pin(&self.settings, &folder, &host.reach, shown).await
    }

    async fn key_of(&self, line: &Line, host: &Host, wish: Wish) -> Result<ShownKey, HostError> {
        let stopping = || HostError::Lost("the dashboard is stopping".to_owned());
        let _dial = self.dials.slot(line.class(wish)).await.ok_or_else(stopping)?;
        host_key::shown(&self.settings, &self.sockets_now()?, host).await
    }

    /// A channel on which `script` has begun to answer. Waiting for a dial's turn is not bounded; the dial is.
    pub(super) async fn open(&self, host: &Host, script: &Script, wish: Wish) -> Result<Channel, HostError> {
        let line = self.line(host);
        let opened = self.open_on(&line, host, script, wish).await;
        *line.problem() = opened.as_ref().err().map(HostError::refusal);
        opened
    }

    async fn open_on(&self, line: &Line, host: &Host, script: &Script, wish: Wish) -> Result<Channel, HostError> {
        if wish == Wish::Asked {
            line.remember(None);
            *line.shown() = None;
        } else if let Some(refusal) = line.refusal() {
            return Err(refusal);
        }
        let closing = |_| HostError::Lost("the dashboard is stopping".to_owned());
        let permit = Arc::clone(&line.channels).acquire_owned().await.map_err(closing)?;
        let mut tries = 0;
        loop {
            tries += 1;
            let doas = line.doas.load(Ordering::Relaxed);
            let complaint = match self.try_open(host, line, script, doas, wish).await {
                Ok(channel) => return Ok(channel.hold(permit)),
                Err(Opening::Failed(error)) => return Err(error),
                Err(Opening::Ended(stderr)) => {
                    let login = match host.run_as {
                        Some(_) => ssh::login(&self.settings, &host.reach).await,
                        None => None,
                    };
                    ssh::classify(&self.settings, host, &stderr, doas, login.as_deref())
                }
            };
            match complaint {
                Complaint::NoSudo => line.doas.store(true, Ordering::Relaxed),
                Complaint::Busy(_) if tries < TRIES => tokio::time::sleep(jittered(tries)).await,
                Complaint::Busy(error) => return Err(error),
                Complaint::Final(mut error) => {
                    if matches!(error, HostError::Auth(_) | HostError::HostKey(_)) {
                        line.remember(Some(error.clone()));
                    }
                    if matches!(error, HostError::HostKey(_))
                        && let Ok(shown) = self.key_of(line, host, wish).await
                        && !shown.is_known()
                    {
                        error = HostError::HostKey(shown.help(host));
                        *line.shown() = Some(shown);
                        line.remember(Some(error.clone()));
                    }
                    return Err(error);
                }
            }
        }
    }

    async fn try_open(
        &self,
        host: &Host,
        line: &Line,
        script: &Script,
        doas: bool,
        wish: Wish,
    ) -> Result<Channel, Opening> {
        let nonce = nonce().map_err(Opening::Failed)?;
        let mut words = become_words(host.run_as.as_ref(), doas);
        words.extend(["/bin/sh", "-s", "--", script.verb, &script.job].map(str::to_owned));
        let patience = self.settings.connect_timeout.to_std() + Duration::from_secs(15);
        let text = script.text(&nonce);
        let Reach::Ssh { .. } = host.reach else {
            let mut all = Vec::new();
            if script.verb == "launch" {
                all = local::scope(&self.scope).await.map_err(Opening::Failed)?;
            }
            all.extend(local::limited(self.settings.job_files));
            all.append(&mut words);
            // A launch here is not killed in the middle of its preparation, as one over ssh is not either.
            let mut command = local::command(&all);
            command.kill_on_drop(script.verb != "launch");
            return Channel::open(command, text, nonce, patience).await;
        };
        let command = || {
            let socket = self.sockets_now().map_err(Opening::Failed)?.join(&line.socket);
            let Some(mut command) = ssh::command(&self.settings, &socket, &host.reach, &[]) else {
                return Err(Opening::Failed(HostError::Unreachable(
                    "it is not reached by ssh".to_owned(),
                )));
            };
            command.kill_on_drop(true);
            command.arg("exec").args(&words);
            Ok((command, socket.exists()))
        };
        if let (command, true) = command()? {
            return Channel::open(command, text, nonce, patience).await;
        }
        let _first = line.first.lock().await;
        // Whoever waited behind a refused dial does not dial again.
        if let Some(refusal) = line.refusal() {
            return Err(Opening::Failed(refusal));
        }
        let stopping = |_| Opening::Failed(HostError::Lost("the dashboard is stopping".to_owned()));
        let dialled = {
            let _dial = self.dials.slot(line.class(wish)).await.ok_or(()).map_err(stopping)?;
            let (command, _) = command()?;
            Channel::open(command, text, nonce, patience).await
        };
        line.silent
            .store(is_silence(&self.settings, host, &dialled), Ordering::Relaxed);
        dialled
    }

    /// Ends every master, a few seconds at most, and removes the sockets. No channel is opened afterwards.
    pub(super) async fn close(&self) {
        self.dials.close();
        let lines: Vec<Arc<Line>> = self.lines().values().cloned().collect();
        let mut ends = tokio::task::JoinSet::new();
        for line in lines {
            line.channels.close();
            let Ok(sockets) = self.sockets_now() else { continue };
            let socket = sockets.join(&line.socket);
            if socket.exists() {
                let settings = self.settings.clone();
                ends.spawn(async move { ssh::end_master(&settings, socket).await });
            }
        }
        while ends.join_next().await.is_some() {}
        // Sockets of masters that an earlier life left are not ours to know: the folder goes only when it is empty.
        let sockets = self.sockets().clone();
        let _ = tokio::fs::remove_dir(sockets).await;
    }

    fn line(&self, host: &Host) -> Arc<Line> {
        // By name and address: a test fleet of many names on one machine shares no connection.
        let key = match &host.reach {
            Reach::Local => "local".to_owned(),
            reach @ Reach::Ssh { .. } => format!("{} {reach}", host.name),
        };
        let channels = match host.reach {
            Reach::Local => Semaphore::MAX_PERMITS,
            Reach::Ssh { .. } => self.settings.channels.max(2),
        };
        let mut lines = self.lines();
        let line = lines.entry(key).or_insert_with_key(|key| {
            Arc::new(Line {
                socket: control::socket(key),
                channels: Arc::new(Semaphore::new(channels)),
                first: tokio::sync::Mutex::new(()),
                refused: Mutex::default(),
                doas: AtomicBool::new(false),
                silent: AtomicBool::new(false),
                problem: Mutex::default(),
                shown: Mutex::default(),
            })
        });
        Arc::clone(line)
    }

    /// The folder of sockets, looked at before each use: it may have been tidied away under us, and whoever took its place
    /// then would be given what we send.
    fn sockets_now(&self) -> Result<PathBuf, HostError> {
        let mut sockets = self.sockets();
        let held = control::hold(&sockets);
        *sockets = held.map_err(|why| HostError::Unreachable(why.to_string()))?;
        Ok(sockets.clone())
    }

    fn sockets(&self) -> MutexGuard<'_, PathBuf> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Line>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The folder of sockets goes with its last use, unless a socket is still in it.
impl Drop for Dialler {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&*self.sockets());
    }
}

/// Whether a dial found nobody, which took it as long as it may take.
fn is_silence(settings: &Settings, host: &Host, dialled: &Result<Channel, Opening>) -> bool {
    match dialled {
        Ok(_) => false,
        Err(Opening::Failed(error)) => matches!(error, HostError::Unreachable(_)),
        Err(Opening::Ended(stderr)) => matches!(
            ssh::classify(settings, host, stderr, false, None),
            Complaint::Final(HostError::Unreachable(_))
        ),
    }
}

impl Line {
    fn class(&self, wish: Wish) -> Class {
        match (wish, self.silent.load(Ordering::Relaxed)) {
            (Wish::Asked | Wish::Command, false) => Class::Wanted,
            (Wish::Asked | Wish::Command, true) => Class::WantedSilent,
            (Wish::Look, false) => Class::Look,
            (Wish::Look, true) => Class::LookSilent,
        }
    }

    fn problem(&self) -> MutexGuard<'_, Option<Refusal>> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self) -> MutexGuard<'_, Option<ShownKey>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refusal(&self) -> Option<HostError> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, refusal: Option<HostError>) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
    }
}

/// Between half a second and two, longer with each try.
fn jittered(tries: u32) -> Duration {
    let random = u64::from(getrandom::u32().unwrap_or(500) % 500);
    Duration::from_millis(500 * u64::from(tries) + random)
}

/// What only this channel's program knows, so that nothing that it prints can pass for the protocol.
fn nonce() -> Result<String, HostError> {
    let cannot = |_| HostError::Unreachable("the system gives no random numbers".to_owned());
    Ok(format!("{:016x}", getrandom::u64().map_err(cannot)?))
}
