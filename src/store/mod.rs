//! The journal: hosts, commands, pipelines and events in one SQLite file, through Diesel.
//!
//! A public method is one transaction with a name of the domain; it returns after COMMIT. Every change
//! writes its rows, its event and the version together. [`Store`] writes (and reads), [`Reader`] only reads.
//! The rules are DESIGN, "Journal": one writer thread that commits in groups (`writer`), statuses change by
//! compare-and-set (`command::change`), pages are cut by id (`page`).
//!
//! A look-up of one row ends in `get_result`, not in `first`: that binds a LIMIT, and SQLite prepares a statement anew
//! for each LIMIT that it is given, which costs more than the look-up.
//!
//! This module knows the words of the domain and nothing else: no host is reached from here, no page is made.

pub mod archive;
mod attempt;
mod chain;
mod checkpoint;
mod column;
mod command;
mod connect;
mod cursor;
mod definition;
mod end;
mod error;
mod event;
mod event_page;
mod export;
mod fleet;
mod high_water;
mod hold;
mod host;
mod host_facts;
mod instance;
mod keep;
mod key;
mod look;
mod mark;
mod once;
mod open;
mod outage;
pub mod output;
mod page;
mod pipeline;
mod reader;
mod record;
mod recovery;
mod report;
mod report_walk;
mod schema;
mod search;
mod second_factor;
mod session;
mod shape;
mod shared;
mod survey;
mod sweep;
mod token;
mod tx;
mod user;
mod verify;
mod vocabulary;
mod walk;
mod whole;
mod witness;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

pub use attempt::{Account, Attempt, Counted};
pub use chain::Head;
pub use command::{Acknowledged, CommandRow, Counts, Finish, HistoryFilter, HistoryLine, OutputFacts, Request};
pub use cursor::{Delivery, NewDelivery};
pub use error::{OpenError, ReadError, WriteError};
pub use event::{By, EventRow, NewEvent};
pub use event_page::EventFilter;
pub use export::{Batch, Export, Selection};
pub use fleet::FleetRow;
pub use hold::HoldRow;
pub use host::{HostRow, NewHost};
pub use host_facts::{FactsRow, HostFacts};
pub use instance::{InstanceRow, Started};
pub use once::{OnceKey, OnceRow};
pub use page::{Cursor, Keyed, PAGE_LIMIT, Page};
pub use pipeline::{
    Advanced, Group, MatrixPart, MatrixRow, MatrixWindow, NewPipeline, PipelineCounts, PipelineFilter, PipelineRow,
    StageCounts,
};
pub use reader::{Journal, Reader};
pub use recovery::Recovered;
pub use report::{ReportDone, ReportRow, ReviewRow};
pub use report_walk::EventLine;
pub use search::{Indexed, IndexedSome, SearchText};
pub use session::{NewSession, SessionOf, SessionRow};
pub use survey::Survey;
pub use sweep::{Cutoffs, LastSweep, Pending, Swept};
pub use token::{NewToken, TokenRow};
pub use user::{NewUser, Proved, UserRow};
pub use verify::{Against, Problem, Verdict, verify};
pub use whole::{EventSpan, Stored, Whole};
pub use witness::Witness;

use crate::domain::SigningKey;
use error::Fault;
use shared::Shared;
use tx::Tx;
use writer::{Message, Work, Writer};

/// What the journal is opened with.
#[derive(Clone, Debug)]
pub struct OpenSettings {
    /// The data folder; it is made where it is missing.
    pub data_dir: PathBuf,
    /// Below this many free bytes on the data folder's file system nothing new is begun.
    pub low_space: u64,
    /// The key that signs checkpoints, where it is kept elsewhere; else `checkpoint.key` in the data folder, made at
    /// the first start.
    pub checkpoint_key: Option<PathBuf>,
    /// A folder of this machine that no copy of the data folder holds, for the high-water mark; none keeps none.
    pub machine_folder: Option<PathBuf>,
}

/// What a watcher waits for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Topic {
    /// Hosts, and whether they can be reached.
    Hosts,
    /// Commands.
    Commands,
    /// Pipelines.
    Pipelines,
    /// The event log.
    Events,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hosts, Self::Commands, Self::Pipelines, Self::Events];
}

/// How the journal does, for readiness. Nothing of it waits for the writer.
#[derive(Clone, Debug)]
pub struct Health {
    /// Whether the writer thread lives.
    pub alive: bool,
    /// How long ago the writer last showed that it lives; an idle one does so each second.
    pub beat_age: Duration,
    /// Pieces that wait for the writer, or are with it.
    pub queued: usize,
    /// The size of the write-ahead log, in bytes.
    pub wal_bytes: u64,
    /// Free bytes on the data folder's file system; none where they could not be asked for.
    pub free_bytes: Option<u64>,
    /// Whether that is too little to begin anything new.
    pub low_space: bool,
    /// Why the last group failed; none after one that was committed.
    pub write_error: Option<String>,
}

/// The journal, for writing and reading. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    settings: OpenSettings,
    path: PathBuf,
    queue: Sender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
    reader: Reader,
    instance: String,
    dashboard_id: String,
    key: Arc<SigningKey>,
    /// Events that were chained at this opening.
    linked: u64,
    /// Whether there were signs of an older chain before that.
    chained_before: bool,
    /// Whether the last piece was handed to the writer.
    ended: Mutex<bool>,
    /// One sweep at a time: what another one has begun is not left behind.
    sweeping: tokio::sync::Mutex<()>,
    sessions: session::Recent,
}

impl Store {
    /// Takes the data folder's lock, looks at the journal, brings its schema up to date and starts the writer.
    /// Blocks; call it before anything is served.
    ///
    /// # Errors
    /// [`OpenError`]; what is refused (in use, newer, damaged) was not touched.
    pub fn open(settings: &OpenSettings) -> Result<Self, OpenError> {
        let mut opened = open::open(&settings.data_dir)?;
        let database = |error: diesel::result::Error| OpenError::Database {
            path: opened.path.clone(),
            problem: error.to_string(),
        };
        let dashboard_id = instance::dashboard_id(&mut opened.conn).map_err(database)?;
        let mut journal = Journal::over(opened.conn);
        let problem = |problem: String| OpenError::Database {
            path: opened.path.clone(),
            problem,
        };
        let mut witness = connect::query_only(&connect::uri(&opened.path, "rw"))
            .map(Journal::over)
            .map_err(|error| problem(error.to_string()))?;
        let signed = journal.was_signed().map_err(|error| problem(error.to_string()))?;
        let linked = chain::link_old_events(&mut journal).map_err(|error| problem(error.to_string()))?;
        let (key, had_key) = key::load_or_make(settings)?;
        let version = witness.version().map_err(|error| problem(error.to_string()))?;
        let reader = Reader::new(&opened.path, "rw")?;
        let shared = Arc::new(Shared::new(settings.data_dir.clone(), version));
        let (queue, messages) = channel();
        let writer = Writer::new(opened.path.clone(), Arc::clone(&shared), journal, witness, opened.lock);
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&messages))
            .map_err(|source| OpenError::Io {
                path: settings.data_dir.clone(),
                source,
            })?;
        Ok(Self {
            inner: Arc::new(Inner {
                settings: settings.clone(),
                path: opened.path,
                queue,
                thread: Mutex::new(Some(thread)),
                shared,
                reader,
                instance: instance::new_id(),
                dashboard_id,
                key: Arc::new(key),
                linked,
                chained_before: signed || had_key,
                ended: Mutex::new(false),
                sweeping: tokio::sync::Mutex::default(),
                sessions: session::Recent::default(),
            }),
        })
    }

    /// Opens a journal for reading while no dashboard runs: takes no lock and changes nothing.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::Older`] and [`OpenError::Newer`] where the schema is not today's.
    pub fn open_read_only(data_dir: &Path) -> Result<Reader, OpenError> {
        let path = open::look_read_only(data_dir)?;
        Reader::new(&path, "ro")
    }

    /// The same, for a copy of the database file under any name.
    ///
    /// # Errors
    /// As [`Store::open_read_only`].
    pub fn open_copy(path: &Path) -> Result<Reader, OpenError> {
        open::look_at(path)?;
        Reader::new(path, "ro")
    }

    /// The reading half, for those who must not write.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.inner.reader
    }

    /// How many groups were committed since the opening: what was read at this number holds while it is the same.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.inner.shared.commits()
    }

    /// The version at the topic's last change; at first the version at the opening.
    #[must_use]
    pub fn watch(&self, topic: Topic) -> watch::Receiver<i64> {
        self.inner.shared.watch(topic)
    }

    /// The id of this start: part of every cursor and version on the wire.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.inner.instance
    }

    /// The dashboard's lasting id, made with its journal: names its folders on hosts.
    #[must_use]
    pub fn dashboard_id(&self) -> &str {
        &self.inner.dashboard_id
    }

    /// The data folder.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.inner.settings.data_dir
    }

    /// See [`OpenSettings::machine_folder`].
    #[must_use]
    pub fn machine_folder(&self) -> Option<&Path> {
        self.inner.settings.machine_folder.as_deref()
    }

    /// Verifies the journal while nothing is being swept: what a sweep has taken is vouched for when it ends.
    ///
    /// # Errors
    /// [`ReadError`]; what does not fit is in the verdict.
    pub async fn verify(&self, against: Against) -> Result<Verdict, ReadError> {
        let _alone = self.inner.sweeping.lock().await;
        let (reader, data_dir) = (self.reader().clone(), self.data_dir().to_owned());
        tokio::task::spawn_blocking(move || verify(&reader, &data_dir, &against))
            .await
            .map_err(|why| ReadError::Database(why.to_string()))?
    }

    /// How the journal does.
    #[must_use]
    pub fn health(&self) -> Health {
        let (beat_age, write_error) = self.inner.shared.pulse();
        let mut wal = self.inner.path.clone().into_os_string();
        wal.push("-wal");
        let free_bytes = self.free_bytes();
        let thread = self.inner.thread.lock().unwrap_or_else(PoisonError::into_inner);
        Health {
            alive: thread.as_ref().is_some_and(|thread| !thread.is_finished()),
            beat_age,
            queued: self.inner.shared.queued(),
            wal_bytes: std::fs::metadata(wal).map_or(0, |wal| wal.len()),
            free_bytes,
            low_space: free_bytes.is_some_and(|free| free < self.inner.settings.low_space),
            write_error,
        }
    }

    /// Whether there is room to begin anything new.
    ///
    /// # Errors
    /// [`WriteError::LowSpace`] below the mark.
    pub fn room_for_new(&self) -> Result<(), WriteError> {
        let needed = self.inner.settings.low_space;
        match self.free_bytes() {
            Some(free) if free < needed => Err(WriteError::LowSpace { free, needed }),
            _ => Ok(()),
        }
    }

    fn free_bytes(&self) -> Option<u64> {
        let stat = nix::sys::statvfs::statvfs(&self.inner.settings.data_dir).ok()?;
        #[expect(clippy::useless_conversion, reason = "the types differ between systems")]
        let free = u64::from(stat.blocks_available()).saturating_mul(u64::from(stat.fragment_size()));
        Some(free)
    }

    /// Writes what is queued, empties the write-ahead log into the file and releases the lock. Blocks.
    /// What is asked of other clones afterwards is answered with [`WriteError::Closed`].
    pub fn close(self) {
        let _ = self.inner.queue.send(Message::Close);
        let thread = self.inner.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the journal's writer had panicked");
        }
    }

    /// Hands a piece to the writer and waits until it is committed. The piece may run more than once,
    /// so it changes nothing but rows. A caller that stops waiting does not stop the piece.
    async fn write<T: Send + 'static>(
        &self,
        piece: impl FnMut(&mut Tx<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, WriteError> {
        self.hand_over(piece, false).await.unwrap_or(Err(WriteError::Closed))
    }

    /// The same, and nothing after it: further pieces are answered with [`WriteError::Closed`].
    async fn write_last<T: Send + 'static>(
        &self,
        piece: impl FnMut(&mut Tx<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, WriteError> {
        self.hand_over(piece, true).await.unwrap_or(Err(WriteError::Closed))
    }

    fn hand_over<T: Send + 'static>(
        &self,
        piece: impl FnMut(&mut Tx<'_>) -> Result<T, Fault> + Send + 'static,
        last: bool,
    ) -> oneshot::Receiver<Result<T, WriteError>> {
        let (reply, answer) = oneshot::channel();
        let mut ended = self.inner.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if *ended {
            return answer; // Nobody will send one.
        }
        *ended = last;
        self.inner.shared.queue_one();
        let sent = self.inner.queue.send(Message::Piece(Box::new(Work::new(piece, reply))));
        if sent.is_err() {
            self.inner.shared.done(1); // The piece was dropped, and so is its answer: that is read as Closed.
        }
        answer
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.inner.path)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
