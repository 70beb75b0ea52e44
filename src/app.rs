//! The composition root: puts the parts together, in order, and takes them apart again, in order.
//!
//! Start: lock and open the journal, recover, bind, serve, sweep. Stop: take nothing new, wake who
//! waits, let go of the jobs (they go on on their hosts), journal the clean stop, close.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::domain::{Actor, Span};
use crate::engine::{self, Engine};
use crate::executor::{self, Executor};
use crate::store::{OpenSettings, Store};
use crate::web::{self, Connections, Links, Web};

/// A dashboard that is up. Tests and `main` start the same one.
pub struct Application {
    engine: Engine,
    terminate: tokio::signal::unix::Signal,
    store: Store,
    links: Arc<Links>,
    address: std::net::SocketAddr,
    servers: [ServerHandle; 2],
    connections: Connections,
    serving: tokio::task::JoinSet<std::io::Result<()>>,
    shutdown: CancellationToken,
    socket: std::path::PathBuf,
}

impl Application {
    /// Starts everything. When this returns, recovery's transaction is committed and pages are served.
    ///
    /// # Errors
    /// Another dashboard on the same data, a journal that cannot be opened, an address in use: nothing
    /// has been changed then, beyond what recovery journaled.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let files = OpenFiles::take();
        let doors = Doors::for_files(files.now, config.jobs.follow_limit);
        // Heard from the first instant: whoever reads that it is up may tell it to stop at once.
        let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let data_dir = config.data_dir.clone();
        let socket = config.socket()?;
        let open = OpenSettings {
            data_dir: data_dir.clone(),
            low_space: config.low_space,
        };
        let store = tokio::task::spawn_blocking(move || Store::open(&open)).await??;
        // Refused here, before anything is journaled.
        let tcp = TcpListener::bind(config.listen).with_context(|| {
            format!(
                "cannot listen on {}: choose another address with --listen",
                config.listen
            )
        })?;
        let address = tcp.local_addr()?;
        let executor = Executor::new(executor::Settings {
            data_dir: data_dir.clone(),
            local_spool: config.jobs.local_spool.clone(),
            job_files: Some(files.before),
            dashboard_id: store.dashboard_id().to_owned(),
            ssh_program: config.ssh.program.clone(),
            ssh_config: config.ssh.config_file.clone(),
            connect_timeout: config.ssh.connect_timeout,
            dials: config.ssh.dials,
            channels: config.ssh.channels,
        })
        .context("cannot make the folder for ssh's control sockets")?;
        let engine = Engine::new(settings(&config), config.catalog.clone(), store.clone(), executor);
        let (started, recovered) = engine.recover().await?;
        tracing::info!(
            first = started.first,
            clean = started.clean,
            orphaned = recovered.orphaned.len(),
            resumed = recovered.resumed.len(),
            cancelled = recovered.cancelled.len(),
            "recovered"
        );
        engine.note_configuration(&format!("{config:?}")).await?;
        if let Some(host) = store.ensure_localhost().await? {
            tracing::info!(host = %host.hostname, "added this machine");
        }

        let links = Arc::new(Links::default());
        let shutdown = CancellationToken::new();
        let pages = web::Web::new(
            engine.clone(),
            Arc::clone(&links),
            page_settings(&config, address),
            shutdown.clone(),
        );
        let api = web::api::Api::new(
            engine.clone(),
            Arc::clone(&links),
            format!("http://{address}"),
            shutdown.clone(),
        );
        let connections = Connections::new(shutdown.clone());
        let browser = serve_pages(pages, tcp, connections.clone(), doors.pages)?;
        let programs = serve_api(api, private_socket(&socket)?, connections.clone(), doors.programs)?;
        let servers = [browser.handle(), programs.handle()];
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(browser);
        serving.spawn(programs);
        engine.start_loops();
        Ok(Self {
            engine,
            terminate,
            store,
            links,
            address,
            servers,
            connections,
            serving,
            shutdown,
            socket,
        })
    }

    /// Where pages are served.
    #[must_use]
    pub fn address(&self) -> std::net::SocketAddr {
        self.address
    }

    /// A link that lets one browser in, once, as whoever owns this process.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn link(&self) -> anyhow::Result<String> {
        let token = self
            .links
            .issue(Actor::Local(owner()))
            .context("no randomness for a link")?;
        Ok(format!("http://{}/enter?key={token}", self.address))
    }

    /// Serves until the process is told to stop (SIGTERM, SIGINT), then stops cleanly.
    ///
    /// # Errors
    /// When a part of it ended by itself, or the stop could not be journaled.
    pub async fn run_until_stopped(mut self) -> anyhow::Result<()> {
        let failed = tokio::select! {
            _ = self.terminate.recv() => None,
            _ = tokio::signal::ctrl_c() => None,
            ended = self.serving.join_next() => Some(ended),
        };
        tracing::info!("stopping; jobs go on on their hosts");
        self.shutdown.cancel();
        // Nobody new comes in; every waiter is woken, and is answered before the doors close.
        for server in &self.servers {
            server.pause().await;
        }
        self.connections.none_open(Duration::from_millis(500)).await;
        let [pages, programs] = &self.servers;
        let stopped = async { tokio::join!(pages.stop(true), programs.stop(true)) };
        let _ = tokio::time::timeout(Duration::from_secs(3), stopped).await;
        self.engine.stop().await;
        self.store
            .clean_stop()
            .await
            .context("the clean stop could not be journaled")?;
        let _ = std::fs::remove_file(&self.socket);
        let store = self.store;
        tokio::task::spawn_blocking(move || store.close()).await?;
        match failed {
            Some(ended) => anyhow::bail!("the web server ended by itself: {ended:?}"),
            None => Ok(()),
        }
    }
}

/// Starts a dashboard, prints its one link, and serves until told to stop.
///
/// # Errors
/// See [`Application::start`] and [`Application::run_until_stopped`].
pub async fn serve(config: Config) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("QUARTERDECK_LOG_FILTER")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,actix_server=warn")),
        )
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr)
        .init();
    let data_dir = config.data_dir.clone();
    let application = Application::start(config).await?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "Quarterdeck is up on http://{}, its data in {}",
        application.address(),
        data_dir.display()
    )?;
    writeln!(
        out,
        "Open it in a browser (once, within 15 minutes): {}",
        application.link()?
    )?;
    writeln!(out, "For another link: quarterdeck open")?;
    out.flush()?;
    drop(out);
    application.run_until_stopped().await
}

fn settings(config: &Config) -> engine::Settings {
    engine::Settings {
        data_dir: config.data_dir.clone(),
        resume_within: config.jobs.resume_within,
        kill_grace: config.jobs.kill_grace,
        output_limit: config.jobs.output_limit,
        follow_limit: config.jobs.follow_limit,
        precheck_limit: config.jobs.precheck_limit,
        orphan_after: config.jobs.orphan_after,
        probe_interval: config.probe_interval,
        keep_events: config.retention.events.span(),
        keep_commands: config.retention.commands.span(),
    }
}

/// How many connections each door takes at once; more wait outside until one is closed.
struct Doors {
    pages: usize,
    programs: usize,
}

impl Doors {
    /// Following jobs comes first: whatever comes in from outside leaves them the open files that they need.
    fn for_files(files: u64, follow_limit: usize) -> Self {
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
struct OpenFiles {
    /// As it was given to us; local jobs get it back.
    before: u64,
    /// As it is for the dashboard.
    now: u64,
}

impl OpenFiles {
    /// Takes what may be had, up to more than the dashboard can ever use.
    fn take() -> Self {
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

/// How long a browser stays in.
const SESSION: Span = Span::from_days(7);

fn page_settings(config: &Config, address: std::net::SocketAddr) -> web::Settings {
    let mut names = web::Settings::loopback_names(address.port());
    names.push(address.to_string());
    names.extend(config.names.iter().cloned());
    web::Settings {
        zone: config.zone.clone(),
        names,
        session: SESSION,
        secure: false,
    }
}

/// The door for people. Two workers: a page costs a few milliseconds, and a waiting one costs nothing.
fn serve_pages(pages: Web, listener: TcpListener, connections: Connections, most: usize) -> std::io::Result<Server> {
    let pages = Data::new(pages);
    let counted = connections.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(pages.clone())
            .wrap(from_fn(connections.closing()))
            .wrap(tracing_actix_web::TracingLogger::<web::Spans>::new())
            .configure(web::routes)
    })
    .on_connect(move |_, extensions| counted.count(extensions));
    Ok(server
        .workers(2)
        .max_connections(most.div_ceil(2))
        .worker_max_blocking_threads(4)
        .shutdown_timeout(2)
        .disable_signals()
        .listen(listener)?
        .run())
}

/// The door for programs of this machine.
fn serve_api(
    api: web::api::Api,
    listener: UnixListener,
    connections: Connections,
    most: usize,
) -> std::io::Result<Server> {
    let api = Data::new(api);
    let counted = connections.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(api.clone())
            .wrap(from_fn(connections.closing()))
            .wrap(tracing_actix_web::TracingLogger::<web::Spans>::new())
            .configure(web::api::routes)
    })
    .on_connect(move |connection, extensions| {
        web::api::on_connect(connection, extensions);
        counted.count(extensions);
    });
    Ok(server
        .workers(1)
        .max_connections(most)
        .worker_max_blocking_threads(4)
        .shutdown_timeout(2)
        .disable_signals()
        .listen_uds(listener)?
        .run())
}

/// Whose process this is.
fn owner() -> String {
    let uid = nix::unistd::Uid::effective();
    match nix::unistd::User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        Ok(None) | Err(_) => uid.to_string(),
    }
}

/// The socket for programs, for its owner only. Who holds the data folder's lock may take the place
/// of a socket that a killed dashboard left.
fn private_socket(path: &Path) -> anyhow::Result<UnixListener> {
    if path.exists() {
        std::fs::remove_file(path).with_context(|| format!("cannot take the place of {}", path.display()))?;
    }
    // The folder is 0700, so nobody else reaches the socket in the instant before its own mode is set.
    let listener = UnixListener::bind(path).with_context(|| format!("cannot make {}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}
