//! A real browser: Debian's chromium, driven through chromedriver.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A browser with a profile of its own; dropped, its driver is gone.
pub(crate) struct Chromium {
    pub(crate) client: Client,
    driver: Child,
    port: u16,
    _profile: TempDir,
}

impl Chromium {
    pub(crate) async fn start(scripts: bool) -> Self {
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
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let scripts = if scripts { 1 } else { 2 };
        let capabilities = json!({
            "goog:chromeOptions": {
                "args": arguments,
                "prefs": { "profile.managed_default_content_settings.javascript": scripts },
            },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let capabilities = capabilities.as_object().expect("object").clone();
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("a browser (Debian: chromium)");
        Self {
            client,
            driver,
            port,
            _profile: profile,
        }
    }

    /// Asks the driver for what the client has no method for.
    pub(crate) async fn ask(&self, path: &str, body: Value) -> Value {
        let session = self.client.session_id().await.expect("session").expect("session");
        let url = format!("http://127.0.0.1:{}/session/{session}/{path}", self.port);
        let answer = reqwest::Client::new().post(url).json(&body).send().await;
        let answer: Value = answer.expect("an answer").json().await.expect("JSON");
        answer["value"].clone()
    }

    /// Everything that the browser's console said since the last look: policy violations among it.
    pub(crate) async fn console(&self) -> Vec<String> {
        let said = self.ask("se/log", json!({ "type": "browser" })).await;
        let lines = said.as_array().expect("lines");
        let line = |line: &Value| format!("{}: {}", line["level"], line["message"]);
        lines.iter().map(line).collect()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // TERM, so that the driver takes its browser along.
        if let Ok(pid) = i32::try_from(self.driver.id()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
        }
        let _ = self.driver.wait();
    }
}
