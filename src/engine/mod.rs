//! Starts ops and pipelines, follows their jobs, stops them, settles them, recovers what a stop left open,
//! keeps the journal within its limits, and tells places outside what happens.
//!
//! This is the one place that joins the journal to the hosts. Both doors (pages and API) call the
//! methods of [`Engine`]; there is no third way to change anything while a dashboard is up. The
//! engine knows no HTTP, no HTML and no SQL.
//!
//! *Persist first, act second*: a command is on its host only after the journal says so, and it is
//! final only after the journal says so. Everything in between may be cut off at any instant.

mod access;
mod case;
mod command;
mod delivery;
mod drive;
mod drivers;
mod error;
mod export;
mod follow;
mod host_key;
mod hosts;
mod index;
mod keep;
mod pipeline;
mod pipeline_driver;
mod preview;
mod probe;
mod recover;
mod report;
mod retention;
mod settle;
mod spools;
mod stop;
mod turns;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::{Catalog, CommandId, Outside, PipelineId, Span, Timestamp};
use crate::executor::Executor;
use crate::store::{Against, Reader, Store, Topic, Verdict};

pub use crate::domain::{CancelMode, LimitsGiven, Selection};
pub use crate::executor::ShownKey;
pub use crate::store::{By, Swept};
pub use access::{
    AccessSettings, Credentials, Known, LoggedIn, LoginError, NewTotp, PROOF_HOLDS, Shown, factor_in_words, hash_of,
    tokens,
};
pub use command::{Start, not_acknowledged};
pub use delivery::NotifyTested;
pub use error::EngineError;
pub use export::Exporting;
pub use hosts::Tested;
pub use keep::Policy;
pub use pipeline::{RetryPreview, StartPipeline};
pub use preview::{Preview, PreviewStage};
pub use recover::RecoveryPreview;
pub use report::ClockState;
pub use retention::SweepDone;

use drivers::Drivers;

/// What the engine is told once, at start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data folder: output files live in `output/` below it.
    pub data_dir: PathBuf,
    /// Up to which age a command that never started is started after a restart.
    pub resume_within: Span,
    /// Between TERM and KILL, where an op says nothing else.
    pub kill_grace: Span,
    /// Bytes of output that are kept of one command.
    pub output_limit: u64,
    /// Jobs followed at once; more wait, journaled as PENDING.
    pub follow_limit: usize,
    /// How long a host that is being spoken to may take for its answer and the pre-check together.
    pub precheck_limit: Span,
    /// How long the host of an executing command may be silent before the command is an open ORPHANED.
    pub orphan_after: Span,
    /// How often an idle host is looked at; none is never.
    pub probe_interval: Option<Span>,
    /// How long events are kept; none is for ever.
    pub keep_events: Option<Span>,
    /// The same for those of category audit.
    pub keep_audit: Option<Span>,
    /// How long final commands and pipelines are kept, with their output; none is for ever.
    pub keep_commands: Option<Span>,
    /// How long the text of audit reports is kept; none is for ever.
    pub keep_reports: Option<Span>,
    /// Whether what is swept is archived before.
    pub archive: bool,
    /// How long archive files are kept; none is for ever.
    pub keep_archive: Option<Span>,
    /// How people are let in.
    pub access: AccessSettings,
    /// Places outside that hear what happens here.
    pub outside: Outside,
}

/// How the dashboard itself is doing, for `/readyz`.
#[derive(Clone, Debug)]
pub struct Health {
    /// The journal's writer, its files and the free space.
    pub writer: crate::store::Health,
    /// When the last sweep ended.
    pub sweep_last: Option<Timestamp>,
    /// True where no sweep has ended for more than two hours.
    pub sweep_overdue: bool,
    /// True where new ops are taken.
    pub ready: bool,
    /// What is wrong, one sentence each.
    pub problems: Vec<String>,
    /// What is worth a look and keeps nobody from starting ops: places outside that take nothing.
    pub notes: Vec<String>,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    settings: Settings,
    catalog: Arc<Catalog>,
    store: Store,
    executor: Executor,
    /// Of commands: the one task that may act for each.
    drivers: Drivers<CommandId>,
    /// Of open pipelines: the one task that moves each on.
    pipelines: Drivers<PipelineId>,
    follow_permits: Arc<Semaphore>,
    tasks: TaskTracker,
    /// Set at the beginning of a stop: nothing new is taken, drivers let go.
    stopping: CancellationToken,
    /// When the database was last found to come from a backup.
    restored_at: std::sync::OnceLock<Timestamp>,
    sweep: retention::SweepState,
    /// The last event whose words are indexed.
    indexed: watch::Sender<i64>,
    verifier: access::Verifier,
    refusals: access::Refusals,
    turns: turns::Turns,
    /// Why output of commands cannot be written, where that was so at the last look.
    output_problem: Mutex<Option<String>>,
    /// Places outside that take nothing.
    outages: Mutex<delivery::Outages>,
}

impl Engine {
    /// Puts the parts together; nothing runs before [`Engine::recover`].
    #[must_use]
    pub fn new(settings: Settings, catalog: Catalog, store: Store, executor: Executor) -> Self {
        let follow_permits = Arc::new(Semaphore::new(settings.follow_limit));
        Self(Arc::new(Inner {
            settings,
            catalog: Arc::new(catalog),
            store,
            executor,
            drivers: Drivers::default(),
            pipelines: Drivers::default(),
            follow_permits,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            restored_at: std::sync::OnceLock::new(),
            sweep: retention::SweepState::default(),
            indexed: watch::Sender::new(0),
            verifier: access::Verifier::default(),
            refusals: access::Refusals::default(),
            turns: turns::Turns::default(),
            output_problem: Mutex::default(),
            outages: Mutex::default(),
        }))
    }

    /// The ops that can be started now.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.0.catalog)
    }

    /// The journal, for reading.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        self.0.store.reader()
    }

    /// What `audit verify` says of the journal now, the outputs left aside.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn verify(&self) -> Result<Verdict, EngineError> {
        Ok(self.0.store.verify(Against::default()).await?)
    }

    /// How many groups were committed since this start: what was read at this number holds while it is the same.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.0.store.commits()
    }

    /// The version at the last change of a topic; wakes with each change.
    #[must_use]
    pub fn watch(&self, topic: Topic) -> watch::Receiver<i64> {
        self.0.store.watch(topic)
    }

    /// The id of this start: versions of another instance are not comparable.
    #[must_use]
    pub fn instance(&self) -> &str {
        self.0.store.instance()
    }

    /// How long ended commands are kept; none is forever.
    #[must_use]
    pub fn keeps_commands(&self) -> Option<Span> {
        self.0.settings.keep_commands
    }

    /// What is kept, and for how long.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let settings = &self.0.settings;
        Policy {
            events: settings.keep_events,
            audit: settings.keep_audit,
            commands: settings.keep_commands,
            archive: settings.archive.then_some(settings.keep_archive),
        }
    }

    /// Where output files are.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.0.settings.data_dir
    }

    /// How the dashboard is doing. Costs no query.
    #[must_use]
    pub fn health(&self) -> Health {
        let writer = self.0.store.health();
        let (sweep_last, sweep_overdue) = self.0.sweep.health();
        let mut problems = problems_of(&writer);
        if sweep_overdue {
            problems.push("no sweep has ended for two hours".to_owned());
        }
        if let Some(why) = self.0.sweep.failure() {
            problems.push(format!("the last sweep failed: {why}"));
        }
        if let Some(why) = &*self.output_problem() {
            problems.push(format!("the output of commands cannot be written: {why}"));
        }
        if self.0.stopping.is_cancelled() {
            problems.push("the dashboard is stopping".to_owned());
        }
        Health {
            ready: problems.is_empty(),
            writer,
            sweep_last,
            sweep_overdue,
            problems,
            notes: self.delivery_notes(),
        }
    }

    /// Starts the loops that look at hosts and sweep the journal.
    pub fn start_loops(&self) {
        self.0.tasks.spawn(probe::probe_loop(self.clone()));
        self.0.tasks.spawn(retention::sweep_loop(self.clone()));
        self.0.tasks.spawn(index::index_loop(self.clone()));
        self.0.tasks.spawn(watch_output(self.clone()));
        self.0.tasks.spawn(spools::spool_loop(self.clone()));
        self.0.tasks.spawn(access::refusal_loop(self.clone()));
        self.0.tasks.spawn(delivery::start(self.clone()));
        self.warm_up();
    }

    /// A clean stop: nothing new is taken, launches that are on their way are acknowledged (10 s at
    /// most), jobs go on on their hosts. The stop is journaled by the caller that closes the store.
    pub async fn stop(&self) {
        self.0.stopping.cancel();
        self.0.tasks.close();
        let patience = Span::from_secs(12).to_std();
        if tokio::time::timeout(patience, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("some work did not let go in time; recovery will settle it");
        }
        self.0.executor.close().await;
    }

    fn output_problem(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.0.output_problem.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the driver of a command, so that it reads its row again.
    fn nudge(&self, id: CommandId) {
        self.0.drivers.wake(id);
    }

    /// True where what never started proves nothing: the row is older than a restore of the database from a backup.
    fn restored_since(&self, made: Timestamp) -> bool {
        self.0.restored_at.get().is_some_and(|restored| *restored > made)
    }
}

/// Looks every few seconds whether output can be written.
async fn watch_output(engine: Engine) {
    loop {
        let data_dir = engine.0.settings.data_dir.clone();
        let seen = drive::blocking(move || crate::store::output::writable(&data_dir)).await;
        *engine.output_problem() = seen.err().map(|why| why.to_string());
        tokio::select! {
            () = engine.0.stopping.cancelled() => return,
            () = tokio::time::sleep(Span::from_secs(3).to_std()) => {}
        }
    }
}

/// A silence of the writer thread that is no longer normal.
const WRITER_SILENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// The write-ahead log's size that readiness bears: twice the limit to which it is cut back.
const WAL_LIMIT: u64 = 128 * 1024 * 1024;

fn problems_of(journal: &crate::store::Health) -> Vec<String> {
    let mut problems = Vec::new();
    if !journal.alive {
        problems.push("the journal's writer has ended".to_owned());
    } else if journal.beat_age > WRITER_SILENCE {
        problems.push(format!(
            "the journal's writer has been silent for {} s",
            journal.beat_age.as_secs()
        ));
    }
    if let Some(error) = &journal.write_error {
        problems.push(format!("the journal could not be written: {error}"));
    }
    if journal.low_space {
        problems.push("too little free space: no new ops are taken".to_owned());
    }
    if journal.wal_bytes > WAL_LIMIT {
        problems.push(format!(
            "the journal's write-ahead log has grown to {} MB",
            journal.wal_bytes / 1_000_000
        ));
    }
    problems
}
