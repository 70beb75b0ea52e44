//! The tests' front door: a real dashboard as a child process, on a port of its own, with a real
//! database in a folder of its own; spoken to as a program would, over its Unix socket.
//!
//! Tests wait for conditions. Whoever starts a process here ends it here, by its pid.
#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(
    clippy::allow_attributes,
    reason = "what is unused differs from test file to test file"
)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) mod cli;
pub(crate) mod sshd;

/// The longest that any condition is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A dashboard that can be killed, stopped and started again on the same data.
pub(crate) struct Dashboard {
    /// The test's own folder: data, home, config, and what ops leave behind.
    pub(crate) dir: TempDir,
    child: Option<Child>,
    client: reqwest::Client,
    /// Where pages are served, as `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    /// What the last start printed of how to get in: the set-up link while there is no user.
    pub(crate) welcome: String,
    /// A one-time link of this machine's own account, as `quarterdeck open` prints it.
    pub(crate) link: String,
    /// `TZ` of the next start.
    pub(crate) zone: Option<String>,
    /// Whether its local jobs have a lock of their own, from the next start on.
    pub(crate) own_lock: bool,
    /// How many open files the next start may have: the soft and the hard limit.
    pub(crate) files: Option<(u32, u32)>,
}

impl Dashboard {
    /// A dashboard with this configuration beside what every test has (a free port, no probes).
    pub(crate) async fn start(config: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("qd-")
            .tempdir()
            .expect("temporary folder");
        fs::create_dir(dir.path().join("home")).expect("home");
        let text = format!(
            "data_dir = \"{}\"\nlisten = \"127.0.0.1:0\"\n{config}",
            dir.path().join("data").display()
        );
        fs::write(dir.path().join("quarterdeck.toml"), text).expect("config");
        // Once in a process, before the first client: no cipher suites are built in by default.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .unix_socket(dir.path().join("data/quarterdeck.sock"))
            .timeout(PATIENCE)
            .build()
            .expect("client");
        let mut dashboard = Self {
            dir,
            child: None,
            client,
            url: String::new(),
            welcome: String::new(),
            link: String::new(),
            zone: None,
            own_lock: true,
            files: None,
        };
        dashboard.start_again().await;
        dashboard
    }

    /// The program with this test's folder and nothing of the developer's own surroundings.
    pub(crate) fn program(&self) -> Command {
        self.program_with(&self.dir.path().join("quarterdeck.toml"))
    }

    /// The same with another configuration.
    pub(crate) fn program_with(&self, config: &Path) -> Command {
        let binary = env!("CARGO_BIN_EXE_quarterdeck");
        let mut program = match self.files {
            None => Command::new(binary),
            Some((soft, hard)) => {
                let mut sh = Command::new("/bin/sh");
                let text = format!("ulimit -S -n {soft}; ulimit -H -n {hard}; exec \"$@\"");
                sh.args(["-c", &text, "sh", binary]);
                sh
            }
        };
        program
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path().join("home"))
            // Tests of one account run side by side: each has this machine's lock to itself.
            .envs(
                self.own_lock
                    .then(|| ("QUARTERDECK_JOBS_LOCAL_SPOOL", self.dir.path().join("data/spool"))),
            )
            .envs(self.zone.as_ref().map(|zone| ("TZ", zone)))
            .arg("--config")
            .arg(config);
        program
    }

    /// Starts it (again) and waits until it serves.
    pub(crate) async fn start_again(&mut self) {
        assert!(self.child.is_none(), "it is up already");
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("stderr"))
            .expect("log");
        let mut child = self
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
        self.child = Some(child);
        self.link = self.open().await;
    }

    /// Another one-time link.
    pub(crate) async fn open(&self) -> String {
        let (status, made) = self.post("/links", &json!({})).await;
        assert_eq!(status, 201, "{made}");
        made["url"].as_str().expect("a link").to_owned()
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

    /// GET on the API: status and JSON.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self
            .client
            .get(format!("http://localhost/api/v1{path}"))
            .send()
            .await
            .expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// The bytes of a GET on the API.
    pub(crate) async fn bytes(&self, path: &str) -> Vec<u8> {
        let answer = self
            .client
            .get(format!("http://localhost/api/v1{path}"))
            .send()
            .await
            .expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.bytes().await.expect("bytes").to_vec()
    }

    /// POST on the API: status and JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let sent = self
            .client
            .post(format!("http://localhost/api/v1{path}"))
            .json(body)
            .send()
            .await;
        let answer = sent.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// DELETE on the API: status and JSON.
    pub(crate) async fn delete(&self, path: &str) -> (u16, Value) {
        let answer = self
            .client
            .delete(format!("http://localhost/api/v1{path}"))
            .send()
            .await
            .expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// Asks for an op on a host and gives the journaled row, refused or not.
    pub(crate) async fn run(&self, op: &str, host: &str) -> Value {
        let (status, answer) = self.post("/commands", &json!({ "op": op, "hosts": [host] })).await;
        assert!(status == 202 || status == 409, "{status}: {answer}");
        answer["commands"][0].clone()
    }

    /// Asks for an op that must be accepted, and gives the command's id.
    pub(crate) async fn accepted(&self, op: &str, host: &str) -> String {
        let row = self.run(op, host).await;
        assert!(row["finished_at"].is_null(), "accepted: {row}");
        id_of(&row)
    }

    /// A command's row.
    pub(crate) async fn command(&self, id: &str) -> Value {
        let (status, row) = self.get(&format!("/commands/{id}")).await;
        assert_eq!(status, 200, "{row}");
        row
    }

    /// Waits until a command's row fits, woken by the event log.
    pub(crate) async fn until(&self, id: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        let mut seen = 0;
        loop {
            let row = self.command(id).await;
            if fits(&row) {
                return row;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "waited in vain for {what}: {row}\n{}",
                self.log()
            );
            let (_, events) = self.get(&format!("/events?after={seen}&wait=1&limit=1000")).await;
            if let Some(last) = events["events"].as_array().and_then(|events| events.last()) {
                seen = last["id"].as_i64().unwrap_or(seen);
            }
        }
    }

    /// Waits until a command is final.
    pub(crate) async fn until_final(&self, id: &str) -> Value {
        self.until(id, "its end", |row| !row["finished_at"].is_null()).await
    }

    /// Waits for a status.
    pub(crate) async fn until_status(&self, id: &str, status: &str) -> Value {
        self.until(id, status, |row| row["status"] == status).await
    }

    /// The whole output of a command.
    pub(crate) async fn output(&self, id: &str) -> Vec<u8> {
        self.bytes(&format!("/commands/{id}/output")).await
    }

    /// Waits until a command's output holds a text.
    pub(crate) async fn until_output(&self, id: &str, text: &str) -> String {
        wait_for(&format!("“{text}” in the output"), async || {
            let output = String::from_utf8_lossy(&self.output(id).await).into_owned();
            output.contains(text).then_some(output)
        })
        .await
    }

    /// All events, oldest first.
    pub(crate) async fn events(&self) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let after = all.last().map_or(0, |event: &Value| event["id"].as_i64().expect("id"));
            let (status, page) = self.get(&format!("/events?after={after}&limit=1000")).await;
            assert_eq!(status, 200, "{page}");
            let page = page["events"].as_array().expect("events").clone();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    /// Events about one command, oldest first.
    pub(crate) async fn events_of(&self, id: &str) -> Vec<Value> {
        self.events()
            .await
            .into_iter()
            .filter(|event| event["command_id"] == id)
            .collect()
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

/// One text value of a database.
pub(crate) fn sql(file: &Path, query: &str) -> String {
    use diesel::Connection as _;
    use diesel::prelude::*;

    #[derive(QueryableByName)]
    struct Value {
        #[diesel(sql_type = diesel::sql_types::Text)]
        value: String,
    }
    let mut connection = SqliteConnection::establish(&file.to_string_lossy()).expect("database");
    let query = format!("SELECT CAST(({query}) AS TEXT) AS value");
    diesel::sql_query(query)
        .get_result::<Value>(&mut connection)
        .expect("one value")
        .value
}

/// The id of a row.
pub(crate) fn id_of(row: &Value) -> String {
    row["id"].as_str().expect("an id").to_owned()
}

/// Tries until there is something, and gives it.
pub(crate) async fn wait_for<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Lines of a file; none where there is no file.
pub(crate) fn lines_of(path: &Path) -> Vec<String> {
    fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Processes whose environment carries this command's id: those of its job.
pub(crate) fn processes_of(id: &str) -> Vec<i32> {
    let mine = format!("QD_COMMAND={id}");
    let entries = fs::read_dir("/proc").expect("/proc");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let zombie = stat
            .rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with(['Z', 'X']));
        !zombie && environ.split(|byte| *byte == 0).any(|entry| entry == mine.as_bytes())
    })
    .collect()
}

/// The supervisor of a command's job, from its spool.
pub(crate) fn supervisor_of(spool: &Path, id: &str) -> i32 {
    for dashboard in fs::read_dir(spool).expect("spool").filter_map(Result::ok) {
        if let Ok(text) = fs::read_to_string(dashboard.path().join(id).join("sup")) {
            return text
                .split_whitespace()
                .next()
                .and_then(|pid| pid.parse().ok())
                .expect("a pid");
        }
    }
    panic!("no supervisor of {id} below {}", spool.display());
}

/// A boot id of the test's own choice, for an sshd in a mount namespace of its own: a host that can be "rebooted".
pub(crate) struct FakeBoot(TempDir);

impl FakeBoot {
    /// With this boot id at first.
    pub(crate) fn new(id: &str) -> Self {
        let boot = Self(tempfile::tempdir().expect("folder"));
        boot.becomes(id);
        boot
    }

    /// The boot id that the next start of the sshd shows.
    pub(crate) fn becomes(&self, id: &str) {
        fs::write(self.0.path().join("boot_id"), format!("{id}\n")).expect("boot id");
    }

    /// An sshd that shows it.
    pub(crate) fn sshd(&self) -> sshd::Sshd {
        let mount = format!(
            "mount --bind {}/boot_id /proc/sys/kernel/random/boot_id && exec \"$@\"",
            self.0.path().display()
        );
        sshd::Sshd::start_with("", &["unshare", "-m", "sh", "-c", &mount, "sh"])
    }
}

/// A small seeded generator (xorshift64*): the same seed gives the same test.
pub(crate) struct Dice(u64);

impl Dice {
    /// From `QUARTERDECK_SEED`, else from the clock; says which.
    pub(crate) fn new() -> Self {
        let seed = std::env::var("QUARTERDECK_SEED")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| {
                let since = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .expect("clock");
                since.as_nanos() as u64 | 1
            });
        eprintln!("QUARTERDECK_SEED={seed}");
        Self(seed.max(1))
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit
    }
}
