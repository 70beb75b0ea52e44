//! The machine that a test's hosts live on: their processes, their spools, and a boot of the test's own choice.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
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
    let wanted = HashMap::from([(id.to_owned(), ())]);
    jobs_of(&wanted).into_iter().map(|(pid, _)| pid).collect()
}

/// Processes whose environment carries the id of one of these commands, with that id.
pub(crate) fn jobs_of<T>(wanted: &HashMap<String, T>) -> Vec<(i32, String)> {
    let entries = fs::read_dir("/proc").expect("/proc");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let id = environ
            .split(|byte| *byte == 0)
            .find_map(|entry| entry.strip_prefix(b"QD_COMMAND="))?;
        let id = String::from_utf8(id.to_vec()).ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let zombie = stat
            .rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with(['Z', 'X']));
        (!zombie && wanted.contains_key(&id)).then_some((pid, id))
    })
    .collect()
}

/// SIGKILL to these processes.
pub(crate) fn kill_hard(pids: &[i32]) {
    let pids: Vec<u32> = pids.iter().filter_map(|pid| u32::try_from(*pid).ok()).collect();
    sshd::signal(Signal::SIGKILL, &pids);
}

/// The supervisor of a command's job, from its spool.
pub(crate) fn supervisor_of(spool: &Path, id: &str) -> i32 {
    let found = supervisors_in(spool).into_iter().find(|(_, of)| of == id);
    found
        .unwrap_or_else(|| panic!("no supervisor of {id} below {}", spool.display()))
        .0
}

/// Every supervisor that a spool's folders name, with its command's id; also those that have ended.
pub(crate) fn supervisors_in(spool: &Path) -> Vec<(i32, String)> {
    let dashboards = fs::read_dir(spool).into_iter().flatten().filter_map(Result::ok);
    let jobs = dashboards.flat_map(|dashboard| {
        fs::read_dir(dashboard.path())
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
    });
    jobs.filter_map(|job| {
        let text = fs::read_to_string(job.path().join("sup")).ok()?;
        let pid = text.split_whitespace().next()?.parse().ok()?;
        let name = job.file_name().into_string().ok()?;
        Some((pid, name.split('.').next()?.to_owned()))
    })
    .collect()
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
