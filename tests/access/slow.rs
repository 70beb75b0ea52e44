//! Who sends slowly keeps no connection, with TLS or without.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::Dashboard;
use super::{OPS, user};

/// Sends the head of a request and one byte of its body, and waits for the end of the connection: what came, and when.
async fn one_byte(dashboard: &Dashboard, path: &str, kind: &str) -> (String, Duration) {
    let address = dashboard.url.strip_prefix("http://").expect("plain");
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nContent-Type: {kind}\r\n\
         Content-Length: 50\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let begun = Instant::now();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(40), stream.read_to_end(&mut answer)).await;
    let ended = read.unwrap_or_else(|_| panic!("{path}: still open: {}", String::from_utf8_lossy(&answer)));
    // Whatever was answered, a connection that is torn down is gone too.
    let _ = ended;
    (String::from_utf8_lossy(&answer).into_owned(), begun.elapsed())
}

#[tokio::test]
async fn a_body_that_does_not_arrive_keeps_no_connection() {
    let dashboard = Dashboard::start(OPS).await;
    user(&dashboard, "alice", "viewer").await;
    let form = "application/x-www-form-urlencoded";
    let paths = [
        ("/api/v1/login", "application/json", "408"),
        ("/enter", form, "408"),
        ("/setup", form, "408"),
        // These are answered before anything of the body is looked at.
        ("/api/v1/commands", "application/json", "401"),
        ("/run", form, "401"),
    ];
    let answers = join_all(paths.map(|(path, kind, _)| one_byte(&dashboard, path, kind))).await;
    for ((path, _, status), (answer, after)) in paths.iter().zip(answers) {
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
        assert!(after < Duration::from_secs(30), "{path}: {after:?}");
    }
}

/// The same over TLS, on a thread of its own: sends some bytes and waits for the end of the connection. Without bytes not
/// even the handshake is begun.
fn over_tls(address: &str, sent: Option<&str>) -> (String, Duration) {
    use std::io::{Read as _, Write as _};

    let mut tcp = std::net::TcpStream::connect(address).expect("connects");
    tcp.set_read_timeout(Some(Duration::from_secs(40))).expect("timeout");
    let begun = Instant::now();
    let mut answer = Vec::new();
    let Some(sent) = sent else {
        let ended = tcp.read_to_end(&mut answer);
        assert!(
            !ended.is_err_and(|why| why.kind() == std::io::ErrorKind::WouldBlock),
            "still open"
        );
        return (String::new(), begun.elapsed());
    };
    let config =
        rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(std::sync::Arc::new(AnyCertificate))
            .with_no_client_auth();
    let name = "127.0.0.1".try_into().expect("name");
    let tls = rustls::ClientConnection::new(std::sync::Arc::new(config), name).expect("client");
    let mut stream = rustls::StreamOwned::new(tls, tcp);
    stream.write_all(sent.as_bytes()).expect("sent");
    stream.flush().expect("sent");
    let ended = stream.read_to_end(&mut answer);
    assert!(
        !ended.is_err_and(|why| why.kind() == std::io::ErrorKind::WouldBlock),
        "still open: {}",
        String::from_utf8_lossy(&answer)
    );
    (String::from_utf8_lossy(&answer).into_owned(), begun.elapsed())
}

/// It is about time here, not about trust.
#[derive(Debug)]
struct AnyCertificate;

impl rustls::client::danger::ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_too_nobody_keeps_a_connection_by_being_slow() {
    let files = tempfile::tempdir().expect("folder");
    super::certificate::certificate(files.path(), 1);
    let config = format!(
        "[tls]\ncertificate = \"{0}/crt.pem\"\nkey = \"{0}/key.pem\"\n{OPS}",
        files.path().display()
    );
    let dashboard = Dashboard::start(&config).await;
    user(&dashboard, "alice", "viewer").await;
    let address = dashboard.url.strip_prefix("https://").expect("TLS").to_owned();
    let head = |path: &str, kind: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: https://{address}\r\nContent-Type: {kind}\r\n\
             Content-Length: 50\r\n\r\n{{"
        )
    };
    let all = [
        (None, ""),
        (Some("GET / HTTP/1.1\r\nHost: ".to_owned()), ""),
        (Some(head("/api/v1/login", "application/json")), "HTTP/1.1 408"),
        (
            Some(head("/enter", "application/x-www-form-urlencoded")),
            "HTTP/1.1 408",
        ),
        (Some(head("/run", "application/x-www-form-urlencoded")), "HTTP/1.1 401"),
    ];
    let waits = all.map(|(sent, expected)| {
        let address = address.clone();
        async move {
            let looked = sent.clone();
            let (answer, after) = tokio::task::spawn_blocking(move || over_tls(&address, sent.as_deref()))
                .await
                .expect("join");
            assert!(answer.starts_with(expected), "{looked:?}: {answer}");
            assert!(after < Duration::from_secs(30), "{looked:?}: {after:?}");
        }
    });
    join_all(waits).await;
}
