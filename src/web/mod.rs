//! The pages: what people see and press. Handlers parse, make one call of the engine or one read of
//! the journal, and fill one page struct that stands beside them.
//!
//! Knows the engine, the journal's reading side and the domain's words. It must not know how a host is
//! reached, and it cannot write: whatever changes something is a method of the engine.

mod alike;
mod ansi;
pub mod api;
mod asked;
mod assets;
mod clock;
mod connections;
mod download;
mod entry;
mod error;
mod fields;
mod form;
mod frame;
mod guard;
mod health;
mod links;
mod live;
mod pages;
mod routes;
mod session;
mod setup;
mod slow;
mod spans;
pub mod tls;
mod words;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;

use crate::config::Net;
use crate::domain::Span;
use crate::engine::Engine;

use alike::Alike;

pub use connections::Connections;
pub use entry::Need;
pub use guard::door;
pub use links::Links;
pub use routes::{list, routes};
pub use session::Visitor;
pub use setup::SetUp;
pub use slow::bodies_in_time;
pub use spans::Spans;

/// What the pages are given once, at start; every handler gets it as application data.
pub struct Web {
    engine: Engine,
    links: Arc<Links>,
    settings: Settings,
    shutdown: CancellationToken,
    waiters: Arc<AtomicU64>,
    set_up: SetUp,
    drawn: Arc<Alike>,
}

/// The part of the configuration that the pages need.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The zone in which every page shows times.
    pub zone: TimeZone,
    /// Names that a request's `Host` may carry, with port where it is not the scheme's own:
    /// `127.0.0.1:7440`, `localhost:7440`, `[::1]:7440` and whatever the configuration adds.
    pub names: Vec<String>,
    /// The port that the dashboard listens on.
    pub port: u16,
    /// How long a session lasts.
    pub session: Span,
    /// Whether the dashboard itself speaks TLS: its cookies are then `Secure`.
    pub tls: bool,
    /// The proxies whose word about the other end is taken.
    pub proxies: Vec<Net>,
    /// Whose dashboard it is, on what is printed; empty where nobody said.
    pub organisation: String,
}

impl Settings {
    /// The names of a dashboard that listens on a loopback port.
    #[must_use]
    pub fn loopback_names(port: u16) -> Vec<String> {
        ["127.0.0.1", "localhost", "[::1]"]
            .iter()
            .map(|name| format!("{name}:{port}"))
            .collect()
    }
}

impl Web {
    /// Puts the pages on top of an engine. `shutdown` wakes every waiting request when it is cancelled.
    #[must_use]
    pub fn new(
        engine: Engine,
        links: Arc<Links>,
        set_up: SetUp,
        settings: Settings,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            engine,
            links,
            settings,
            shutdown,
            waiters: Arc::default(),
            set_up,
            drawn: Arc::default(),
        }
    }

    /// The engine behind the pages.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The one-time links that open a session.
    #[must_use]
    pub fn links(&self) -> &Links {
        &self.links
    }

    fn clock(&self) -> clock::Clock {
        clock::Clock::now(self.settings.zone.clone())
    }
}
