//! What tells the dashboard to stop: SIGTERM, SIGINT, and SIGHUP, which it gets when its terminal is closed.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end it, heard from the first instant on.
pub(super) struct Terminate {
    term: Signal,
    interrupt: Signal,
    /// None where whoever started it wants it to outlive the terminal (`nohup`).
    hang_up: Option<Signal>,
}

impl Terminate {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: (!ignores_hang_up()).then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    /// Waits for one of them.
    pub(super) async fn told(&mut self) {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = hang_up => {}
        }
    }
}

/// Whether SIGHUP was ignored when this process began; to listen to it would undo that. Where the system does not show
/// it, a program that does not write to a terminal is taken for one that should outlive it.
fn ignores_hang_up() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return !std::io::IsTerminal::is_terminal(&std::io::stdout());
    };
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 1 == 1))
}
