//! The machine that a test's hosts live on: their processes, their spools, and a boot of the test's own choice.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::sshd;

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
