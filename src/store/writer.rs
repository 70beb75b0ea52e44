//! The one thread that writes, and how it commits in groups.
//!
//! What has queued up while the last commit was syncing shares the next one. Each piece has its own
//! savepoint, so that one which contradicts the journal is undone alone. After anything worse (disk full,
//! I/O, a panic) SQLite may have undone everything: the connection is dropped and the others run again, one
//! by one, on a new one. Nobody is answered before COMMIT has returned. Pieces are pure functions of the
//! connection; this file knows nothing of what they do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::{ExpressionMethods, RunQueryDsl};

use super::end::End;
use super::error::{Fault, is_locked};
use super::schema::state_version;
use super::shared::Shared;
use super::tx::{Touched, Tx};
use super::{Journal, WriteError, connect};

/// The most pieces that share a commit.
const GROUP: usize = 256;

/// How often an idle writer shows that it lives.
const BEAT: Duration = Duration::from_secs(1);

/// One piece of work, with who waits for it.
pub(super) trait Piece: Send {
    /// Does it, in a savepoint. May be called again on another connection.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Fault>;
    /// Answers who waits, with what [`Piece::run`] found (`Ok`), or with why nothing was written.
    fn answer(self: Box<Self>, verdict: Result<(), WriteError>);
}

/// A piece made of a closure.
pub(super) struct Work<T, F> {
    run: F,
    found: Option<T>,
    reply: tokio::sync::oneshot::Sender<Result<T, WriteError>>,
}

impl<T, F> Work<T, F> {
    pub(super) fn new(run: F, reply: tokio::sync::oneshot::Sender<Result<T, WriteError>>) -> Self {
        Self {
            run,
            found: None,
            reply,
        }
    }
}

impl<T, F> Piece for Work<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> Result<T, Fault> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        self.found = None;
        self.found = Some((self.run)(tx)?);
        Ok(())
    }

    fn answer(self: Box<Self>, verdict: Result<(), WriteError>) {
        let answer = match (verdict, self.found) {
            (Ok(()), Some(found)) => Ok(found),
            (Ok(()), None) => Err(WriteError::Database("the piece left no answer".to_owned())),
            (Err(error), _) => Err(error),
        };
        let _ = self.reply.send(answer); // Whoever asked may have gone; what was committed stays.
    }
}

/// What the writer is told.
pub(super) enum Message {
    /// Do this.
    Piece(Box<dyn Piece>),
    /// Do what queued before this, then end.
    Close,
}

/// The writer's side of the queue.
pub(super) struct Writer {
    path: PathBuf,
    shared: Arc<Shared>,
    journal: Option<Journal>,
    /// Only reads. It keeps the shared memory of the write-ahead log open, so that on a full disk, where a new
    /// connection cannot be had, it is still known what was committed.
    witness: Journal,
    /// Where it left the log; none before its first transaction.
    left: Option<End>,
    /// Held as long as anything may be written.
    _lock: std::fs::File,
}

/// How one transaction over some pieces ended.
enum Ended {
    /// Committed; one verdict per piece.
    Committed(Vec<Result<(), WriteError>>),
    /// Undone as a whole before COMMIT: this piece ended it, for this reason.
    Broken { culprit: Option<usize>, why: String },
    /// Another process holds the journal's lock.
    Locked(String),
}

impl Writer {
    pub(super) fn new(
        path: PathBuf,
        shared: Arc<Shared>,
        journal: Journal,
        witness: Journal,
        lock: std::fs::File,
    ) -> Self {
        Self {
            path,
            shared,
            journal: Some(journal),
            witness,
            left: None,
            _lock: lock,
        }
    }

    /// The thread: ends when told to, or when nobody is left who could write.
    pub(super) fn run(mut self, queue: &Receiver<Message>) {
        loop {
            self.shared.beat();
            let first = match queue.recv_timeout(BEAT) {
                Ok(Message::Piece(piece)) => piece,
                Err(RecvTimeoutError::Timeout) => {
                    self.shared.mark_if_due();
                    continue;
                }
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut group = vec![first];
            let mut closing = false;
            while group.len() < GROUP {
                match queue.try_recv() {
                    Ok(Message::Piece(piece)) => group.push(piece),
                    Ok(Message::Close) => {
                        closing = true;
                        break;
                    }
                    Err(_) => break,
                }
            }
            let size = group.len();
            self.write(group);
            self.shared.done(size);
            self.shared.mark_if_due();
            if closing {
                break;
            }
        }
        while let Ok(message) = queue.try_recv() {
            if let Message::Piece(piece) = message {
                piece.answer(Err(WriteError::Closed));
                self.shared.done(1);
            }
        }
        if let Some(mut journal) = self.journal.take() {
            let _ = journal.conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE);");
        }
    }

    fn write(&mut self, mut group: Vec<Box<dyn Piece>>) {
        match self.attempt(&mut group) {
            Ended::Committed(verdicts) => answer(group, verdicts),
            Ended::Locked(why) => self.refuse(group, &why),
            Ended::Broken { culprit, why } => {
                self.shared.failed(&why);
                self.journal = None;
                // Who broke the group is told at once, unless it is the group as a whole that failed; the others run again.
                for (index, piece) in group.into_iter().enumerate() {
                    if culprit == Some(index) {
                        piece.answer(Err(WriteError::Database(why.clone())));
                    } else {
                        self.write_alone(piece);
                    }
                }
            }
        }
    }

    fn write_alone(&mut self, piece: Box<dyn Piece>) {
        let mut group = vec![piece];
        match self.attempt(&mut group) {
            Ended::Committed(verdicts) => answer(group, verdicts),
            Ended::Locked(why) => self.refuse(group, &why),
            Ended::Broken { why, .. } => {
                self.journal = None;
                self.refuse(group, &why);
            }
        }
    }

    fn refuse(&self, group: Vec<Box<dyn Piece>>, why: &str) {
        self.shared.failed(why);
        for piece in group {
            piece.answer(Err(WriteError::Database(why.to_owned())));
        }
    }

    /// One transaction over these pieces.
    fn attempt(&mut self, group: &mut [Box<dyn Piece>]) -> Ended {
        let journal = match &mut self.journal {
            Some(journal) => journal,
            none => match connect::writer(&self.path) {
                Ok(conn) => none.insert(Journal::over(conn)),
                Err(error) => return whole(error.to_string()),
            },
        };
        if let Err(error) = journal.conn.batch_execute("BEGIN IMMEDIATE") {
            if is_locked(&error) {
                return Ended::Locked("another program holds the journal's lock; close it and try again".to_owned());
            }
            return whole(error.to_string());
        }
        let before = match journal.look() {
            Ok(before) => before,
            Err(error) => return whole(error.to_string()),
        };
        let mut touched = Touched::default();
        let differs = self.left.as_ref().filter(|left| **left != before.end);
        if let Some(left) = differs {
            tracing::error!(?left, found = ?before.end, "something else has written into the journal");
            let mut piece = Differs(left.clone(), before.end.clone());
            match in_savepoint(journal, &mut piece) {
                Ok(these) => touched.join(these),
                Err(Fault::Alone(why)) => tracing::error!(%why, "and that cannot be said in it"),
                Err(Fault::Group(why)) => return whole(why),
            }
        }
        let differs = differs.is_some();
        let mut verdicts = Vec::with_capacity(group.len());
        for (index, piece) in group.iter_mut().enumerate() {
            match in_savepoint(journal, piece.as_mut()) {
                Ok(these) => {
                    touched.join(these);
                    verdicts.push(Ok(()));
                }
                Err(Fault::Alone(error)) => verdicts.push(Err(error)),
                Err(Fault::Group(why)) => {
                    return Ended::Broken {
                        culprit: Some(index),
                        why,
                    };
                }
            }
        }
        let after = match journal.look() {
            Ok(after) => after,
            Err(error) => return whole(error.to_string()),
        };
        let changed = touched.any() || after.changes != before.changes;
        // What changed nothing costs no sync: there is nothing that a loss of power could take back.
        if !changed || (verdicts.iter().all(Result::is_err) && !differs) {
            return match journal.conn.batch_execute("ROLLBACK") {
                Ok(()) => {
                    self.left.get_or_insert(before.end);
                    Ended::Committed(verdicts)
                }
                Err(error) => whole(error.to_string()),
            };
        }
        let version = match raise(journal, touched.topics.any()) {
            Ok(version) => version,
            Err(error) => return whole(error.to_string()),
        };
        if let Err(error) = journal.conn.batch_execute("COMMIT")
            && !self.is_there(before.groups + 1, &error.to_string())
        {
            return whole(error.to_string());
        }
        self.shared.committed(version, touched.topics, after.end.clone());
        self.left = Some(after.end);
        Ended::Committed(verdicts)
    }

    /// After a COMMIT that erred: whether it is in the journal all the same. Where not even that can be
    /// found out, the process ends: the start that follows takes the tested way back.
    fn is_there(&mut self, expected: i64, why: &str) -> bool {
        self.shared.failed(why);
        self.journal = None;
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match self.witness.look() {
                Ok(found) => return found.groups >= expected,
                Err(problem) if Instant::now() > deadline => {
                    tracing::error!(%why, %problem, "a commit failed, and the journal cannot be read either; ending");
                    std::process::exit(70);
                }
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }
}

fn whole(why: String) -> Ended {
    Ended::Broken { culprit: None, why }
}

fn answer(group: Vec<Box<dyn Piece>>, verdicts: Vec<Result<(), WriteError>>) {
    for (piece, verdict) in group.into_iter().zip(verdicts) {
        piece.answer(verdict);
    }
}

fn in_savepoint(journal: &mut Journal, piece: &mut dyn Piece) -> Result<Touched, Fault> {
    journal.conn.batch_execute("SAVEPOINT piece")?;
    let mut tx = Tx::new(journal);
    let ran = catch_unwind(AssertUnwindSafe(|| piece.run(&mut tx)));
    let touched = tx.touched();
    match ran {
        Ok(Ok(())) => {
            journal.conn.batch_execute("RELEASE piece").map_err(broken)?;
            Ok(touched)
        }
        Ok(Err(Fault::Alone(error))) => {
            journal
                .conn
                .batch_execute("ROLLBACK TO piece; RELEASE piece")
                .map_err(broken)?;
            // What it said of the schema is undone with it.
            journal.shape = None;
            Err(Fault::Alone(error))
        }
        Ok(Err(fault @ Fault::Group(_))) => Err(fault),
        Err(panic) => Err(Fault::Group(format!("a piece panicked: {}", panic_text(&panic)))),
    }
}

fn broken(error: diesel::result::Error) -> Fault {
    Fault::Group(error.to_string())
}

fn panic_text(panic: &Box<dyn std::any::Any + Send>) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a word".to_owned())
}

/// Says that the log does not end where the writer left it.
struct Differs(End, End);

impl Piece for Differs {
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        tx.end_differs(&self.0, &self.1)
    }

    fn answer(self: Box<Self>, _: Result<(), WriteError>) {}
}

fn raise(journal: &mut Journal, changed: bool) -> diesel::QueryResult<i64> {
    diesel::update(state_version::table)
        .set((
            state_version::version.eq(state_version::version + i64::from(changed)),
            state_version::groups.eq(state_version::groups + 1),
        ))
        .returning(state_version::version)
        .get_result(&mut journal.conn)
}
