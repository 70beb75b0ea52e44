//! The composition root: puts the parts together, in order, and takes them apart again, in order.
//!
//! Start: lock and open the journal, recover, bind, serve, sweep. Stop: take nothing new, wake who
//! waits, let go of the jobs (they go on on their hosts), journal the clean stop, close.

mod doors;
mod machine;
mod signals;

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::Data;
use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::engine::{self, Engine};
use crate::executor::{self, Executor};
use crate::store::{OpenSettings, Store};
use crate::web::tls::Certificate;
use crate::web::{self, Connections, Links, SetUp, Web};

use doors::{Doors, Most, OpenFiles};
use signals::Terminate;

pub use machine::machine_folder;

/// A dashboard that is up. Tests and `main` start the same one.
pub struct Application {
    engine: Engine,
    terminate: Terminate,
    store: Store,
    url: String,
    welcome: Welcome,
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
        let most = Most::for_files(files.now, config.jobs.follow_limit);
        // Heard from the first instant: whoever reads that it is up may tell it to stop at once.
        let terminate = Terminate::listen()?;
        let data_dir = config.data_dir.clone();
        let socket = config.socket()?;
        let open = OpenSettings {
            data_dir: data_dir.clone(),
            low_space: config.low_space,
            checkpoint_key: config.credential("checkpoint.key"),
            machine_folder: machine_folder(&config),
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
        let certificate = match &config.tls {
            Some(files) => Some(Certificate::load(files.clone())?),
            None => None,
        };
        let watched = certificate.clone();
        let scheme = if certificate.is_some() { "https" } else { "http" };
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
        let set_up = SetUp::default();
        let welcome = if engine.has_users().await? {
            Welcome::LogIn
        } else {
            Welcome::SetUp(set_up.issue().context("no randomness for a link")?)
        };
        let pages = Data::new(Web::new(
            engine.clone(),
            Arc::clone(&links),
            set_up,
            page_settings(&config, address),
            shutdown.clone(),
        ));
        let url = format!("{scheme}://{}", shown(address, &config.names));
        let api = Data::new(web::api::Api::new(
            engine.clone(),
            Arc::clone(&links),
            url.clone(),
            shutdown.clone(),
        ));
        let connections = Connections::new(shutdown.clone());
        let doors = Doors {
            pages,
            api,
            connections: connections.clone(),
            most,
        };
        let browser = doors.clone().serve_pages(tcp, certificate)?;
        let programs = doors.serve_api(private_socket(&socket)?)?;
        let servers = [browser.handle(), programs.handle()];
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(browser);
        serving.spawn(programs);
        engine.start_loops();
        if let Some(certificate) = &watched {
            certificate.watch(engine.clone());
        }
        Ok(Self {
            engine,
            terminate,
            store,
            url,
            welcome,
            servers,
            connections,
            serving,
            shutdown,
            socket,
        })
    }

    /// Where pages are served.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The line that says how to get in: with nobody there yet, by the set-up link.
    #[must_use]
    pub fn welcome(&self) -> String {
        match &self.welcome {
            Welcome::SetUp(key) => {
                format!(
                    "Set it up in a browser (once, within an hour): {}/setup?key={key}",
                    self.url
                )
            }
            Welcome::LogIn => format!("Log in: {}/enter", self.url),
        }
    }

    /// Serves until the process is told to stop (SIGTERM, SIGINT, SIGHUP), then stops cleanly.
    ///
    /// # Errors
    /// When a part of it ended by itself, or the stop could not be journaled.
    pub async fn run_until_stopped(mut self) -> anyhow::Result<()> {
        let failed = tokio::select! {
            () = self.terminate.told() => None,
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
        "Quarterdeck is up on {}, its data in {}",
        application.url(),
        data_dir.display()
    )?;
    writeln!(out, "{}", application.welcome())?;
    writeln!(out, "Without an account, as the user that it runs as: quarterdeck open")?;
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
        keep_audit: config.retention.audit.unwrap_or(config.retention.events).span(),
        keep_commands: config.retention.commands.span(),
        keep_reports: config.report.keep.span(),
        archive: config.retention.archive,
        keep_archive: config.retention.archive_days.span(),
        access: engine::AccessSettings {
            session: config.access.session,
            idle: config.access.idle,
            require_totp: config.access.require_totp.clone(),
        },
        outside: config.outside.clone(),
    }
}

/// How somebody gets in at first.
enum Welcome {
    /// By the set-up link with this key.
    SetUp(String),
    /// By an account.
    LogIn,
}

/// The name under which to ask for it: its address, unless it listens on all of them.
fn shown(address: std::net::SocketAddr, names: &[String]) -> String {
    match names.first() {
        Some(name) if address.ip().is_unspecified() => format!("{name}:{}", address.port()),
        _ => address.to_string(),
    }
}

fn page_settings(config: &Config, address: std::net::SocketAddr) -> web::Settings {
    let mut names = web::Settings::loopback_names(address.port());
    names.push(address.to_string());
    for name in &config.names {
        names.push(name.clone());
        names.push(format!("{name}:{}", address.port()));
    }
    web::Settings {
        zone: config.zone.clone(),
        names,
        port: address.port(),
        session: config.access.session,
        tls: config.tls.is_some(),
        proxies: config.proxies.clone(),
        organisation: config.report.organisation.clone(),
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
