//! A page on paper: printed by a real browser, read back from the PDF.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A browser that prints; dropped, its driver is gone.
pub(crate) struct Printer {
    client: Client,
    driver: Child,
    port: u16,
    _profile: TempDir,
}

impl Printer {
    /// Signed in by a one-time link.
    pub(crate) async fn signed_in(link: &str) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver (Debian: chromium-driver)");
        let out = driver.stdout.take().expect("stdout");
        let port = tokio::task::spawn_blocking(move || {
            let mut lines = BufReader::new(out).lines().map_while(Result::ok);
            let port = lines.find_map(|line| {
                let port = line.split("started successfully on port ").nth(1)?;
                port.trim_end_matches('.').parse::<u16>().ok()
            });
            std::thread::spawn(move || lines.for_each(drop));
            port.expect("chromedriver says its port")
        });
        let port = port.await.expect("join");
        let profile = tempfile::tempdir().expect("profile");
        let capabilities = json!({
            "goog:chromeOptions": { "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--disable-dev-shm-usage", format!("--user-data-dir={}", profile.path().display()),
            ] },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let capabilities = capabilities.as_object().expect("object").clone();
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("a browser (Debian: chromium)");
        client.goto(link).await.expect("signed in");
        Self {
            client,
            driver,
            port,
            _profile: profile,
        }
    }

    async fn ask(&self, path: &str, body: Value) -> Value {
        let session = self.client.session_id().await.expect("session").expect("session");
        let url = format!("http://127.0.0.1:{}/session/{session}/{path}", self.port);
        let answer = reqwest::Client::new().post(url).json(&body).send().await;
        let answer: Value = answer.expect("an answer").json().await.expect("JSON");
        answer["value"].clone()
    }

    /// Prints a page as Ctrl+P does, on the paper that it asks for, into `file`; gives the text of each of its pages.
    pub(crate) async fn print(&self, url: &str, file: &Path) -> Vec<String> {
        self.client.goto(url).await.expect("page");
        let wishes = json!({ "cmd": "Page.printToPDF", "params": { "preferCSSPageSize": true, "transferMode": "ReturnAsBase64" } });
        let printed = self.ask("goog/cdp/execute", wishes).await;
        let data = printed["data"].as_str().unwrap_or_else(|| panic!("no PDF: {printed}"));
        std::fs::write(file, base64(data)).expect("file");
        pages_of(file)
    }

    /// What the browser's console said: a refused style or script is among it.
    pub(crate) async fn console(&self) -> String {
        self.ask("se/log", json!({ "type": "browser" })).await.to_string()
    }
}

impl Drop for Printer {
    fn drop(&mut self) {
        // TERM, so that the driver takes its browser along.
        if let Ok(pid) = i32::try_from(self.driver.id()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
        }
        let _ = self.driver.wait();
    }
}

/// The text of each page of a PDF, laid out as it is printed.
pub(crate) fn pages_of(file: &Path) -> Vec<String> {
    let text = run("pdftotext", &["-layout", &file.to_string_lossy(), "-"]);
    let mut pages: Vec<String> = text.split('\u{c}').map(str::to_owned).collect();
    // Each page ends in a form feed.
    pages.pop();
    pages
}

/// The text of a whole PDF, cell by cell: what a narrow column broke stands together.
pub(crate) fn cells_of(file: &Path) -> String {
    run("pdftotext", &["-raw", &file.to_string_lossy(), "-"])
}

/// What `pdfinfo` says of its paper: `595.92 x 841.92 pts (A4)`.
pub(crate) fn size_of(file: &Path) -> String {
    let text = run("pdfinfo", &[&file.to_string_lossy()]);
    let line = text.lines().find_map(|line| line.strip_prefix("Page size:"));
    line.unwrap_or_default().trim().to_owned()
}

fn run(program: &str, arguments: &[&str]) -> String {
    let ran = Command::new(program).args(arguments).output();
    let ran = ran.unwrap_or_else(|why| panic!("{program} (Debian: poppler-utils): {why}"));
    assert!(
        ran.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&ran.stderr)
    );
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0);
    for sign in text.bytes() {
        let Some(value) = ALPHABET.iter().position(|known| *known == sign) else {
            continue;
        };
        bits = bits << 6 | u32::try_from(value).expect("small");
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).expect("a byte"));
        }
    }
    bytes
}
