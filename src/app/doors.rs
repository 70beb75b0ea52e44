//! The doors: how the pages and the API are served, and how many connections each takes.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::web::Data;
use actix_web::{App, HttpServer};

use crate::web::tls::Certificate;
use crate::web::{self, Connections, Web};

/// What both doors are made of.
#[derive(Clone)]
pub(super) struct Doors {
    pub(super) pages: Data<Web>,
    pub(super) api: Data<web::api::Api>,
    pub(super) connections: Connections,
    pub(super) most: Most,
}

/// The application behind a door.
macro_rules! app {
    ($doors:expr, $routes:expr) => {
        App::new()
            .app_data($doors.pages.clone())
            .app_data($doors.api.clone())
            .wrap(from_fn(web::bodies_in_time))
            .wrap(from_fn($doors.connections.closing()))
            .wrap(tracing_actix_web::TracingLogger::<web::Spans>::new())
            .configure($routes)
    };
}

impl Doors {
    /// The door for people, and for programs with a token. Two workers: a page costs a few milliseconds, and a waiting
    /// one costs nothing.
    pub(super) fn serve_pages(
        self,
        listener: TcpListener,
        certificate: Option<Arc<Certificate>>,
    ) -> std::io::Result<Server> {
        let connections = self.connections.clone();
        let most = self.most.pages.div_ceil(2); // For each of two workers.
        let app = move || app!(self, web::routes);
        if let Some(certificate) = certificate {
            return web::tls::serve(app, listener, certificate, connections, most);
        }
        Ok(HttpServer::new(app)
            .on_connect(move |_, extensions| connections.count(extensions))
            .workers(2)
            .max_connections(most)
            .worker_max_blocking_threads(4)
            .shutdown_timeout(2)
            .disable_signals()
            .listen(listener)?
            .run())
    }

    /// The door for programs of this machine.
    pub(super) fn serve_api(self, listener: UnixListener) -> std::io::Result<Server> {
        let connections = self.connections.clone();
        let most = self.most.programs;
        Ok(HttpServer::new(move || app!(self, web::api::routes))
            .on_connect(move |connection, extensions| {
                web::api::on_connect(connection, extensions);
                connections.count(extensions);
            })
            .workers(1)
            .max_connections(most)
            .worker_max_blocking_threads(4)
            .shutdown_timeout(2)
            .disable_signals()
            .listen_uds(listener)?
            .run())
    }
}

/// How many connections each door takes at once; more wait outside until one is closed.
#[derive(Clone, Copy)]
pub(super) struct Most {
    pages: usize,
    programs: usize,
}

impl Most {
    /// Following jobs comes first: whatever comes in from outside leaves them the open files that they need.
    pub(super) fn for_files(files: u64, follow_limit: usize) -> Self {
        /// Files of the journal, the output files of a moment, the listeners and what the libraries hold.
        const OURS: u64 = 128;
        /// A followed job: three pipes of its client, its output, and a second client now and then.
        const PER_JOB: u64 = 6;
        let jobs = PER_JOB.saturating_mul(follow_limit as u64);
        let left = files.saturating_sub(OURS + jobs);
        if left < 256 {
            tracing::warn!(
                files,
                follow_limit,
                "few open files are allowed: raise the limit (LimitNOFILE=, ulimit -n) or lower jobs.follow_limit"
            );
        }
        let left = usize::try_from(left / 2).unwrap_or(usize::MAX);
        Self {
            pages: left.clamp(64, 4_096),
            programs: (left / 4).clamp(32, 512),
        }
    }
}

/// The limit of open files.
pub(super) struct OpenFiles {
    /// As it was given to us; local jobs get it back.
    pub(super) before: u64,
    /// As it is for the dashboard.
    pub(super) now: u64,
}

impl OpenFiles {
    /// Takes what may be had, up to more than the dashboard can ever use.
    pub(super) fn take() -> Self {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        const PLENTY: u64 = 65_536;
        let Ok((before, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
            return Self {
                before: 1_024,
                now: 1_024,
            };
        };
        let wanted = hard.min(PLENTY).max(before);
        let now = match setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) {
            Ok(()) => wanted,
            Err(why) => {
                tracing::warn!(%why, before, "the limit of open files cannot be raised");
                before
            }
        };
        Self { before, now }
    }
}
