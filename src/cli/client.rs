//! The API, over the Unix socket or the network: addresses in, JSON out, problems as failures with their exit code.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RANGE};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use super::failure::Failure;

/// The name stands in for an address; the socket is what is connected to.
const SOCKET: &str = "http://localhost";

/// Longer than the longest wait that is asked for, and than a host takes to be tested.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a whole export, or a report, may take.
const EXPORT_PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// How many bytes of output are asked for at a time.
pub(super) const PIECE: u64 = 1024 * 1024;

/// A dashboard that runs.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    secret: Option<String>,
}

/// A dashboard elsewhere.
pub(super) struct Remote {
    /// Where, without a slash at the end.
    pub(super) url: String,
    /// The file that holds the token.
    pub(super) token_file: Option<PathBuf>,
    /// Who vouches for it, beside those that the system trusts.
    pub(super) ca: Option<PathBuf>,
}

impl Client {
    /// The dashboard behind this socket; none where none is running.
    pub(super) fn connect(socket: &Path) -> Result<Option<Self>, Failure> {
        match UnixStream::connect(socket) {
            Ok(_) => {}
            Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
            Err(why) if why.kind() == ErrorKind::PermissionDenied => {
                return Err(Failure::Refused(format!(
                    "{} belongs to another account; use that one (for example with sudo -u)",
                    socket.display()
                )));
            }
            Err(why) => return Err(Failure::Unreachable(format!("{}: {why}", socket.display()))),
        }
        encryption();
        let http = reqwest::Client::builder()
            .unix_socket(socket)
            .tls_certs_only([]) // Nothing to trust, so nothing is read for it.
            .timeout(PATIENCE)
            .build()
            .map_err(|why| Failure::Other(why.into()))?;
        Ok(Some(Self {
            http,
            base: format!("{SOCKET}/api/v1"),
            secret: None,
        }))
    }

    /// A dashboard over the network. A secret goes there, so it is HTTPS, or no further than this machine.
    pub(super) fn remote(remote: &Remote) -> Result<Self, Failure> {
        let wrong = |problem: &str| Failure::Usage(format!("--url {}: {problem}", remote.url));
        let url = reqwest::Url::parse(&remote.url).map_err(|_| wrong("is no address; write https://NAME:PORT"))?;
        let here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        match url.scheme() {
            "https" => {}
            "http" if here => {}
            "http" => return Err(wrong("a token must not be sent unencrypted; use https")),
            _ => return Err(wrong("must begin with https://")),
        }
        encryption();
        let mut http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(path) = &remote.ca {
            let said = |why: String| Failure::Usage(format!("--ca {}: {why}", path.display()));
            let pem = std::fs::read(path).map_err(|why| said(why.to_string()))?;
            let certificate = reqwest::Certificate::from_pem(&pem).map_err(|why| said(why.to_string()))?;
            http = http.add_root_certificate(certificate);
        }
        Ok(Self {
            http: http.build().map_err(|why| Failure::Other(why.into()))?,
            base: format!("{}/api/v1", remote.url),
            secret: None,
        })
    }

    /// The same, with what says who asks.
    pub(super) fn known_by(self, secret: Option<String>) -> Self {
        Self { secret, ..self }
    }

    pub(super) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        json(self.request(Method::GET, path).query(query)).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        json(self.request(Method::POST, path).json(body)).await
    }

    /// The same for what may take long.
    pub(super) async fn post_patiently(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        json(self.request(Method::POST, path).json(body).timeout(EXPORT_PATIENCE)).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        json(self.request(Method::DELETE, path)).await
    }

    /// The next bytes of a command's output from an offset; none where there are no more yet.
    pub(super) async fn output(&self, id: &str, from: u64) -> Result<Vec<u8>, Failure> {
        let range = format!("bytes={from}-{}", from + PIECE - 1);
        let request = self.request(Method::GET, &format!("/commands/{id}/output"));
        let response = send(request.header(RANGE, range)).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => Ok(response.bytes().await.map_err(lost)?.to_vec()),
            // A whole answer begins at 0 and is only asked for there.
            StatusCode::OK if from == 0 => Ok(response.bytes().await.map_err(lost)?.to_vec()),
            StatusCode::OK | StatusCode::RANGE_NOT_SATISFIABLE => Ok(Vec::new()),
            _ => Err(problem(response).await),
        }
    }

    /// An answer that comes in pieces, for as long as that takes.
    pub(super) async fn stream(&self, path: &str, query: &[(&str, String)]) -> Result<Pieces, Failure> {
        let request = self.request(Method::GET, path).query(query).timeout(EXPORT_PATIENCE);
        let response = send(request).await?;
        if response.status().is_success() {
            Ok(Pieces(response))
        } else {
            Err(problem(response).await)
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(secret) = &self.secret {
            request = request.bearer_auth(secret);
        }
        // Said, not proved: the journal marks it as a claim.
        if let Ok(user) = std::env::var("SUDO_USER") {
            request = request.header("x-quarterdeck-claims", format!("SUDO_USER={}", user.escape_default()));
        }
        request
    }
}

/// See [`Client::stream`].
pub(super) struct Pieces(Response);

impl Pieces {
    /// The values of a header.
    pub(super) fn headers(&self, name: &str) -> Vec<String> {
        let values = self.0.headers().get_all(name).iter();
        values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    }

    /// The next one; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.0.chunk().await.map_err(lost)?.map(|bytes| bytes.to_vec()))
    }
}

/// The cipher suites that the server uses too. A second one would be refused, and is not needed.
fn encryption() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

async fn json(request: RequestBuilder) -> Result<Value, Failure> {
    let response = send(request).await?;
    // A refused start answers 409 with the journaled rows: that is data. A problem says so in its type.
    if response.status().is_server_error() || !is_data(&response) {
        return Err(problem(response).await);
    }
    let bytes = response.bytes().await.map_err(lost)?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn is_data(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/json"))
}

async fn send(request: RequestBuilder) -> Result<Response, Failure> {
    request.send().await.map_err(lost)
}

fn lost(why: reqwest::Error) -> Failure {
    let why = anyhow::Error::new(why.without_url());
    Failure::Unreachable(format!("the dashboard does not answer: {why:#}"))
}

async fn problem(response: Response) -> Failure {
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    let problem: Value = serde_json::from_str(&text).unwrap_or_default();
    let mut detail = match problem["detail"].as_str() {
        Some(detail) => detail.to_owned(),
        None => format!("the dashboard answered {status}"),
    };
    if problem["type"] == "urn:quarterdeck:step-up" {
        detail.push_str("; log in once more: quarterdeck login NAME");
    }
    match status.as_u16() {
        401 | 403 | 409 | 429 | 503 => Failure::Refused(detail),
        400..500 => Failure::Usage(detail),
        _ => Failure::Other(anyhow::anyhow!(detail)),
    }
}
