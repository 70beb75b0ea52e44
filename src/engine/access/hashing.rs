//! Passwords are hashed on two threads of their own: a flood of log-ins waits there for its turn, and takes the memory of
//! two hashes (19 MiB each) and not that of every thread on which one was ever made.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use super::super::{Engine, EngineError};
use super::secrets::{self, Memory};

/// How many passwords are hashed at once.
const TURNS: usize = 2;
/// How long a log-in waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

type Work = Box<dyn FnOnce(&mut Memory) + Send>;

/// See the module.
pub(crate) struct Verifier {
    turns: Arc<Semaphore>,
    work: Sender<Work>,
    /// The hash of nobody's password.
    nobody: Arc<OnceLock<String>>,
}

impl Default for Verifier {
    fn default() -> Self {
        let (work, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 1..=TURNS {
            let waiting = Arc::clone(&waiting);
            let thread = std::thread::Builder::new().name(format!("passwords-{number}"));
            if let Err(why) = thread.spawn(move || take_turns(&waiting)) {
                tracing::error!(%why, "a thread for passwords could not be started");
            }
        }
        Self {
            turns: Arc::new(Semaphore::new(TURNS)),
            work,
            nobody: Arc::default(),
        }
    }
}

/// Until nobody is left who could bring more work.
fn take_turns(waiting: &Mutex<Receiver<Work>>) {
    let mut memory = Memory::new();
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        work(&mut memory);
    }
}

impl Engine {
    pub(super) async fn hash_password(&self, password: String) -> Result<String, EngineError> {
        self.on_a_turn(move |_| secrets::hash_password(&password)).await?
    }

    /// Whether this is the password of this hash; takes the same time where there is none.
    pub(super) async fn password_fits(&self, hash: Option<String>, password: String) -> Result<bool, EngineError> {
        let nobody = Arc::clone(&self.0.verifier.nobody);
        self.on_a_turn(move |memory| match hash {
            Some(hash) => secrets::password_fits(&password, &hash, memory),
            None => {
                let nobody = nobody.get_or_init(|| secrets::hash_password("nobody's password").unwrap_or_default());
                secrets::password_fits(&password, nobody, memory);
                false
            }
        })
        .await
    }

    /// Runs what is expensive when it is its turn.
    async fn on_a_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let busy = || EngineError::Unavailable("too many log-ins at once; try again in a moment".to_owned());
        let verifier = &self.0.verifier;
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&verifier.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| busy())?.map_err(|_| busy())?;
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move |memory| {
            // Whoever has gone away meanwhile still has its turn to the end: nothing queues up behind it.
            let _turn = turn;
            let _ = answer.send(work(memory));
        });
        verifier.work.send(work).map_err(|_| busy())?;
        answered
            .await
            .map_err(|_| EngineError::Internal("the password was not looked at".to_owned()))
    }

    /// The hash of nobody's password, before anybody can measure how long its making takes.
    pub fn warm_up(&self) {
        let engine = self.clone();
        self.0.tasks.spawn(async move {
            let _ = engine.password_fits(None, String::new()).await;
        });
    }
}
