//! A file system of a few megabytes in a mount namespace of its own, with the data folder of a dashboard on it: it can be
//! filled to the last byte, made read-only before a start, and it is gone when the test is.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::process::folder;
use super::{Dashboard, sql};

/// The disk; dropped, it is gone. Mounting needs root: without it a test fails, it does not pass unseen.
pub(crate) struct SmallDisk {
    holder: Child,
    data: PathBuf,
}

impl SmallDisk {
    /// A disk of `megabytes` under the data folder of a dashboard that is not started yet.
    pub(crate) fn with_dashboard(megabytes: u32, config: &str) -> (Self, Dashboard) {
        let dir = folder();
        let data = dir.path().join("data");
        fs::create_dir(&data).expect("data folder");
        let mount = format!("mount -t tmpfs -o size={megabytes}m,mode=700 none \"$1\" && echo mounted && exec cat");
        let mut holder = Command::new("unshare")
            .args(["-m", "sh", "-c", &mount, "sh"])
            .arg(&data)
            // Whatever ends the test ends this pipe, and so the namespace.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare (Debian: util-linux)");
        let mut said = String::new();
        let out = holder.stdout.take().expect("stdout");
        BufReader::new(out).read_line(&mut said).expect("its word");
        assert_eq!(
            said.trim(),
            "mounted",
            "this test mounts a small file system in a mount namespace: it has to run as root"
        );
        let seen = PathBuf::from(format!("/proc/{}/root{}", holder.id(), data.display()));
        let disk = Self { holder, data: seen };
        let mut dashboard = Dashboard::prepare_in(dir, &disk.data, config);
        dashboard.wrapper = disk.inside();
        (disk, dashboard)
    }

    fn inside(&self) -> Vec<String> {
        let pid = self.holder.id().to_string();
        ["nsenter", "-t", &pid, "-m", "--"].map(str::to_owned).to_vec()
    }

    /// From now on it can be read only.
    pub(crate) fn becomes_read_only(&self, dashboard: &Dashboard) {
        let inside = self.inside();
        let done = Command::new(&inside[0])
            .args(&inside[1..])
            .args(["mount", "-o", "remount,ro"])
            .arg(dashboard.path("data"))
            .status();
        assert!(done.expect("nsenter").success(), "remounted");
    }

    /// Writes until at most `left` bytes are free.
    pub(crate) fn fill(&self, left: u64) {
        let mut file = fs::File::options()
            .create(true)
            .append(true)
            .open(self.data.join("filling"))
            .expect("filling");
        let block = vec![0u8; 4096];
        while self.free() > left && file.write_all(&block).is_ok() {}
    }

    /// Makes room again.
    pub(crate) fn empty(&self) {
        fs::remove_file(self.data.join("filling")).expect("room");
    }

    fn free(&self) -> u64 {
        let found = nix::sys::statvfs::statvfs(&self.data).expect("statvfs");
        found.blocks_available() * found.fragment_size()
    }

    /// One value of the journal, from a copy: nobody else reaches into the namespace. For a dashboard that is down.
    pub(crate) fn sql(&self, query: &str) -> String {
        let copy = folder();
        for name in ["quarterdeck.db", "quarterdeck.db-wal"] {
            let _ = fs::copy(self.data.join(name), copy.path().join(name));
        }
        sql(&copy.path().join("quarterdeck.db"), query)
    }

    /// A path of the data folder, as the test sees it.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
