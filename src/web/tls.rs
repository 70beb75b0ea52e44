//! HTTPS with the dashboard's own certificate. The files are looked at every few seconds; new ones count from the next
//! connection on, and where they cannot be read the old certificate stays.

use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use actix_http::HttpService;
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt as _, map_config};
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Extensions, Response};
use actix_web::{Error, HttpResponse};
use anyhow::Context as _;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::Tls;
use crate::engine::Engine;

use super::Connections;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The certificate as it is now.
#[derive(Debug)]
pub struct Certificate {
    files: Tls,
    /// The files as they were when they were first read.
    first: Stamp,
    now: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// When they cannot be read, or do not belong together.
    pub fn load(files: Tls) -> anyhow::Result<Arc<Self>> {
        let first = stamp(&files);
        let now = RwLock::new(Arc::new(read(&files)?));
        Ok(Arc::new(Self { files, first, now }))
    }

    /// Goes on looking at the files, as long as anybody serves with them; what comes of a change is journaled.
    pub fn watch(self: &Arc<Self>, engine: Engine) {
        tokio::spawn(watch(Arc::downgrade(self), self.first, engine));
    }

    /// Takes what is in the files now.
    fn take(&self) -> Result<(), String> {
        let new = read(&self.files).map_err(|why| format!("{why:#}"))?;
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        Ok(())
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&now))
    }
}

async fn watch(certificate: std::sync::Weak<Certificate>, mut before: Stamp, engine: Engine) {
    let mut ticks = tokio::time::interval(LOOK);
    loop {
        ticks.tick().await;
        let Some(certificate) = certificate.upgrade() else {
            return;
        };
        let looked = tokio::task::spawn_blocking(move || {
            let now = stamp(&certificate.files);
            (now != before).then(|| (now, certificate.take()))
        });
        if let Ok(Some((now, taken))) = looked.await {
            before = now;
            engine.note_certificate(taken).await;
        }
    }
}

type Stamp = [Option<(SystemTime, u64)>; 2];

fn stamp(files: &Tls) -> Stamp {
    [&files.certificate, &files.key].map(|path| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.modified().ok()?, found.len()))
    })
}

fn read(files: &Tls) -> anyhow::Result<CertifiedKey> {
    let at = |path: &Path| path.display().to_string();
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .with_context(|| format!("tls.certificate: {} cannot be read", at(&files.certificate)))?;
    anyhow::ensure!(
        !chain.is_empty(),
        "tls.certificate: {} holds no certificate in PEM",
        at(&files.certificate)
    );
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("tls.key: {} cannot be read", at(&files.key)))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .context("tls: certificate and key cannot be used together")
}

fn server_config(certificate: Arc<Certificate>) -> std::io::Result<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Serves an application over TLS, as `HttpServer` serves one without; `most` connections for each of two workers.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve<F, I, S, B>(
    app: F,
    listener: TcpListener,
    certificate: Arc<Certificate>,
    connections: Connections,
    most: usize,
) -> std::io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, actix_http::Request> + 'static,
    S: ServiceFactory<actix_http::Request, Config = AppConfig, Error = Error> + 'static,
    S::Response: Into<Response<B>> + 'static,
    S::InitError: std::fmt::Debug,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let config = server_config(certificate)?;
    Ok(Server::build()
        .workers(2)
        .max_concurrent_connections(most)
        .worker_max_blocking_threads(4)
        .shutdown_timeout(2)
        .disable_signals()
        .listen("pages", listener, move || {
            let connections = connections.clone();
            let app = map_config(app(), |()| AppConfig::default());
            let app = app.map_err(|why: Error| Response::from(HttpResponse::from_error(why)));
            HttpService::build()
                .client_request_timeout(HANDSHAKE)
                .on_connect_ext(
                    move |_: &TlsStream<actix_web::rt::net::TcpStream>, extensions: &mut Extensions| {
                        connections.count(extensions);
                    },
                )
                .h1(app)
                .rustls_0_23(config.clone())
        })?
        .run())
}
