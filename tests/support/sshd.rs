//! A real sshd on loopback with keys and a configuration of its own. It can be stopped, started again on the same port,
//! and its connections can be cut, each by the pids that it started.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;

/// A running sshd; dropped, it and its connections are gone.
pub(crate) struct Sshd {
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
    /// A configuration for `ssh -F`: the key, the known host key, nothing of the user's own.
    pub(crate) ssh_config: PathBuf,
    /// Its folder: `user` and `user.pub` are the accepted key.
    pub(crate) dir: TempDir,
    child: Option<Child>,
    wrapper: Vec<String>,
}

impl Sshd {
    /// The lines of a dashboard's configuration that reach it: what does not answer is given up soon, and nothing is
    /// looked at unasked.
    pub(crate) fn config(&self) -> String {
        format!(
            "[ssh]\nconfig_file = \"{}\"\nconnect_timeout = \"2s\"\n[probe]\ninterval = \"0s\"\n",
            self.ssh_config.display()
        )
    }

    /// Starts one.
    pub(crate) fn start() -> Self {
        Self::start_with("", &[])
    }

    /// Starts one with more lines of `sshd_config`, behind the words of `wrapper` (`unshare -m sh -c ...`).
    pub(crate) fn start_with(lines: &str, wrapper: &[&str]) -> Self {
        let dir = TempDir::with_prefix("qd-sshd").expect("folder");
        let path = |name: &str| dir.path().join(name);
        for key in ["host", "user"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(path(key))
                .status();
            assert!(made.expect("ssh-keygen").success());
        }
        fs::create_dir_all("/run/sshd").expect("sshd's own folder");
        // Login users other than root read the key too.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("mode");
        let port = TcpListener::bind("127.0.0.1:0")
            .expect("a free port")
            .local_addr()
            .expect("its number")
            .port();
        let d = dir.path().display();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {d}/host\nAuthorizedKeysFile {d}/user.pub\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin yes\nAcceptEnv QD_TEST_*\n{lines}\n"
        );
        fs::write(path("sshd_config"), config).expect("sshd_config");
        let host_key = fs::read_to_string(path("host.pub")).expect("host key");
        fs::write(path("known_hosts"), format!("[127.0.0.1]:{port} {host_key}")).expect("known_hosts");
        let ssh_config = path("ssh_config");
        fs::write(
            &ssh_config,
            format!(
                "Host *\n  IdentityFile {d}/user\n  IdentitiesOnly yes\n  UserKnownHostsFile {d}/known_hosts\n  \
                 GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n"
            ),
        )
        .expect("ssh_config");
        let mut sshd = Self {
            port,
            ssh_config,
            dir,
            child: None,
            wrapper: wrapper.iter().map(|word| (*word).to_owned()).collect(),
        };
        sshd.again();
        sshd
    }

    /// Starts it again on its port after [`Self::stop`].
    pub(crate) fn again(&mut self) {
        let config = self.dir.path().join("sshd_config");
        let log = fs::File::create(self.dir.path().join("log")).expect("log");
        let words: Vec<String> = [
            self.wrapper.clone(),
            ["/usr/sbin/sshd", "-D", "-e", "-f"].map(str::to_owned).to_vec(),
        ]
        .concat();
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.child = Some(command.spawn().expect("sshd (Debian: openssh-server)"));
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "sshd does not listen: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it and its connections; jobs live on.
    pub(crate) fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let connections = connections_of(child.id());
        signal(Signal::SIGKILL, &[child.id()]);
        child.wait().expect("sshd's end");
        signal(Signal::SIGKILL, &connections);
    }

    /// Cuts every connection; sshd goes on listening.
    pub(crate) fn drop_connections(&self) {
        if let Some(child) = &self.child {
            signal(Signal::SIGKILL, &connections_of(child.id()));
        }
    }

    /// How many of its processes serve connections.
    pub(crate) fn connections(&self) -> usize {
        self.child.as_ref().map_or(0, |child| connections_of(child.id()).len())
    }

    /// Freezes every connection, as a host that hangs or a network that swallows packets.
    pub(crate) fn freeze_connections(&self) {
        if let Some(child) = &self.child {
            signal(Signal::SIGSTOP, &connections_of(child.id()));
        }
    }

    /// What sshd wrote.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sends a signal to processes that the test started.
pub(crate) fn signal(signal: Signal, pids: &[u32]) {
    for pid in pids
        .iter()
        .filter_map(|pid| i32::try_from(*pid).ok())
        .filter(|pid| *pid > 1)
    {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
    }
}

/// sshd's processes for connections: its children, and theirs that are sshd too.
fn connections_of(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for (child, name) in children_of(parent) {
            if name.starts_with("sshd") {
                found.push(child);
                parents.push(child);
            }
        }
    }
    found
}

fn children_of(parent: u32) -> Vec<(u32, String)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let stats = entries.filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    stats
        .filter_map(|stat| {
            let (pid, rest) = stat.split_once(" (")?;
            let (name, rest) = rest.rsplit_once(") ")?;
            let of: u32 = rest.split(' ').nth(1)?.parse().ok()?;
            (of == parent).then(|| (pid.parse().unwrap_or(0), name.to_owned()))
        })
        .collect()
}

/// Whether a path is there, waited for.
pub(crate) fn appears(path: &Path, within: Duration) -> bool {
    let until = Instant::now() + within;
    while !path.exists() {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}
