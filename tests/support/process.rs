//! A real dashboard as a child process: started, stopped, killed and started again on the same data.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{PATIENCE, sql};

/// A folder for one test.
pub(crate) fn folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("qd-")
        .tempdir()
        .expect("temporary folder")
}

/// A dashboard that can be killed, stopped and started again on the same data.
pub(crate) struct Dashboard {
    /// The test's own folder: data, home, config, and what ops leave behind.
    pub(crate) dir: TempDir,
    child: Option<Child>,
    pub(crate) client: reqwest::Client,
    /// Where pages are served, as `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    /// What the last start printed of how to get in: the set-up link while there is no user.
    pub(crate) welcome: String,
    /// A one-time link of this machine's own account, as `quarterdeck open` prints it.
    pub(crate) link: String,
    /// `TZ` of the next start.
    pub(crate) zone: Option<String>,
    /// More of the environment of the next start.
    pub(crate) env: Vec<(String, String)>,
    /// Words before the program at the next start, which end in becoming it (`nsenter ... --`).
    pub(crate) wrapper: Vec<String>,
    /// Whether its local jobs have a lock of their own, from the next start on.
    pub(crate) own_lock: bool,
}

impl Dashboard {
    /// A dashboard with this configuration beside what every test has (a free port, no probes).
    pub(crate) async fn start(config: &str) -> Self {
        let mut dashboard = Self::prepare(config);
        dashboard.start_again().await;
        dashboard
    }

    /// The same, not started yet.
    pub(crate) fn prepare(config: &str) -> Self {
        let dir = folder();
        let data = dir.path().join("data");
        Self::prepare_in(dir, &data, config)
    }

    /// The same in a folder of the caller's, where the test sees the data folder under another path than the dashboard.
    pub(crate) fn prepare_in(dir: TempDir, seen: &Path, config: &str) -> Self {
        fs::create_dir(dir.path().join("home")).expect("home");
        let text = format!(
            "data_dir = \"{}\"\nlisten = \"127.0.0.1:0\"\n{config}",
            dir.path().join("data").display()
        );
        fs::write(dir.path().join("quarterdeck.toml"), text).expect("config");
        // Once in a process, before the first client: no cipher suites are built in by default.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .unix_socket(seen.join("quarterdeck.sock"))
            .timeout(5 * PATIENCE) // a sweep of much takes its time
            .build()
            .expect("client");
        Self {
            dir,
            child: None,
            client,
            url: String::new(),
            welcome: String::new(),
            link: String::new(),
            zone: None,
            env: Vec::new(),
            wrapper: Vec::new(),
            own_lock: true,
        }
    }

    /// The program with this test's folder and nothing of the developer's own surroundings.
    pub(crate) fn program(&self) -> Command {
        self.program_with(&self.dir.path().join("quarterdeck.toml"))
    }

    /// The same with another configuration.
    pub(crate) fn program_with(&self, config: &Path) -> Command {
        let words = self.wrapper.iter().map(String::as_str);
        let mut words = words.chain([env!("CARGO_BIN_EXE_quarterdeck")]);
        let mut program = Command::new(words.next().expect("a program"));
        program
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path().join("home"))
            // Tests of one account run side by side: each has this machine's lock to itself.
            .envs(
                self.own_lock
                    .then(|| ("QUARTERDECK_JOBS_LOCAL_SPOOL", self.dir.path().join("data/spool"))),
            )
            .envs(self.zone.as_ref().map(|zone| ("TZ", zone)))
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .arg("--config")
            .arg(config);
        program
    }

    /// Starts it (again) and waits until it serves.
    pub(crate) async fn start_again(&mut self) {
        self.start_blindly();
        let child = self.child.as_mut().expect("it was just started");
        let out = child.stdout.take().expect("stdout");
        let lines = tokio::task::spawn_blocking(move || {
            let mut lines = BufReader::new(out).lines();
            let up = lines.next().and_then(Result::ok).unwrap_or_default();
            let open = lines.next().and_then(Result::ok).unwrap_or_default();
            // The rest is read to the end, so that it never blocks on a full pipe.
            std::thread::spawn(move || lines.for_each(drop));
            (up, open)
        });
        let (up, open) = lines.await.expect("its first lines");
        let address = up
            .split_once("up on ")
            .and_then(|(_, rest)| rest.split(',').next())
            .unwrap_or_else(|| {
                panic!(
                    "it did not come up: {up:?}; its log:\n{}",
                    fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default()
                )
            });
        self.url = address.to_owned();
        self.welcome = open.split_whitespace().last().unwrap_or_default().to_owned();
        self.link = self.open().await;
    }

    /// Another one-time link.
    pub(crate) async fn open(&self) -> String {
        let (status, made) = self.post("/links", &serde_json::json!({})).await;
        assert_eq!(status, 201, "{made}");
        made["url"].as_str().expect("a link").to_owned()
    }

    /// Starts it (again) and waits for nothing: for whoever kills it while it starts.
    pub(crate) fn start_blindly(&mut self) {
        assert!(self.child.is_none(), "it is up already");
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("stderr"))
            .expect("log");
        let child = self
            .program()
            .arg("serve")
            // The first start takes any free port, the later ones keep it: an open page finds it again.
            .args(
                self.url
                    .split_once("://")
                    .into_iter()
                    .map(|(_, address)| address)
                    .flat_map(|address| ["--listen", address]),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the dashboard starts");
        self.child = Some(child);
    }

    /// `kill -9`, and nothing is tidied up.
    pub(crate) async fn kill(&mut self) {
        let mut child = self.child.take().expect("it is up");
        child.kill().expect("SIGKILL");
        tokio::task::spawn_blocking(move || child.wait())
            .await
            .expect("join")
            .expect("reaped");
    }

    /// SIGTERM, and waits for the end. Says how long that took.
    pub(crate) async fn stop(&mut self) -> Duration {
        let mut child = self.child.take().expect("it is up");
        let begun = Instant::now();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("pid"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("SIGTERM");
        let status = tokio::task::spawn_blocking(move || child.wait())
            .await
            .expect("join")
            .expect("reaped");
        assert!(status.success(), "a clean stop ends with 0, this one with {status}");
        begun.elapsed()
    }

    /// The dashboard's process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it is up").id()
    }

    /// What the dashboards of this test wrote to standard error.
    pub(crate) fn log(&self) -> String {
        let text = fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(60).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// A path in the test's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// One value of the database, as text, read by a connection of its own.
    pub(crate) fn sql(&self, query: &str) -> String {
        sql(&self.path("data/quarterdeck.db"), query)
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
