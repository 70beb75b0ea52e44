//! One JSON text by POST: 10 s in all, no redirects, 2xx counts. The address and the headers may be secrets, so an
//! error never holds them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::NotSent;
use crate::domain::{Headers, Target};

/// For name, connection, sending and answer together.
const LIMIT: Duration = Duration::from_secs(10);

/// A client for one address.
#[derive(Debug)]
pub struct Http(reqwest::Client);

impl Http {
    /// `here` is an address of this machine: no proxy is asked for it.
    ///
    /// # Errors
    /// Where the system's certificates cannot be read.
    pub fn new(url: &str) -> Result<Self, NotSent> {
        // The cipher suites that the server uses too. A second one would be refused, and is not needed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = reqwest::Client::builder()
            .timeout(LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("quarterdeck/", env!("CARGO_PKG_VERSION")));
        if url.starts_with("http://") {
            // Of this machine alone: nothing to trust, and no proxy to ask.
            client = client.no_proxy().tls_certs_only([]);
        }
        client.build().map(Self).map_err(|why| NotSent::new(in_words(why)))
    }

    /// Posts one JSON text.
    ///
    /// # Errors
    /// Where it was not answered with 2xx in time.
    pub async fn post(&self, url: &str, headers: &Headers, json: Vec<u8>) -> Result<(), NotSent> {
        let headers = read(headers).await?;
        let request = self
            .0
            .post(url)
            .headers(headers)
            .header(CONTENT_TYPE, "application/json");
        let answer = request
            .body(json)
            .send()
            .await
            .map_err(|why| NotSent::new(in_words(why)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        Err(NotSent::new(format!("was answered with {status}")))
    }
}

/// An address that takes one text after another.
#[derive(Debug)]
pub struct Posted {
    http: Http,
    target: Target,
    headers: Headers,
}

impl Posted {
    pub(super) fn new(url: &str, headers: &Headers) -> Result<Self, NotSent> {
        Ok(Self {
            http: Http::new(url)?,
            target: Target::Url(url.to_owned()),
            headers: headers.clone(),
        })
    }

    pub(super) async fn send(&mut self, texts: &[Vec<u8>]) -> Result<(), NotSent> {
        let Target::Url(url) = &self.target else { return Ok(()) };
        for text in texts {
            self.http.post(url, &self.headers, text.clone()).await?;
        }
        Ok(())
    }
}

fn in_words(why: reqwest::Error) -> String {
    if why.is_timeout() {
        return format!("no answer within {} s", LIMIT.as_secs());
    }
    // The causes say more than the outermost, which only names the address.
    let why = why.without_url();
    let mut text = why.to_string();
    let mut cause = std::error::Error::source(&why);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

async fn read(headers: &Headers) -> Result<HeaderMap, NotSent> {
    let text = match headers {
        Headers::None => return Ok(HeaderMap::new()),
        Headers::Given(text) => text.clone(),
        Headers::File(path) => {
            let path = path.clone();
            tokio::task::spawn_blocking(move || private(&path))
                .await
                .map_err(NotSent::new)??
        }
    };
    let mut map = HeaderMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = || NotSent::new(format!("line {} of its headers is not “Name: value”", number + 1));
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        map.append(name, value);
    }
    Ok(map)
}

/// A file that nobody but its owner can read.
fn private(path: &Path) -> Result<String, NotSent> {
    let said = |why: std::io::Error| NotSent::new(format!("its header_file cannot be read: {why}"));
    let mode = std::fs::metadata(path).map_err(said)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(NotSent::new(format!(
            "its header_file can be read by others (mode {:03o}); give it mode 600",
            mode & 0o777
        )));
    }
    std::fs::read_to_string(path).map_err(said)
}
