//! Where this machine remembers what no copy of the data folder may bring back.

use std::path::{Path, PathBuf};

use crate::config::Config;

/// The folder for the high-water mark: that of local jobs and their lock where it was chosen, else one in the account's
/// home, whatever `HOME` says. None where that lies in the data folder, and would be copied with it, or there is no home.
#[must_use]
pub fn machine_folder(config: &Config) -> Option<PathBuf> {
    let folder = match &config.jobs.local_spool {
        Some(folder) => folder.clone(),
        None => {
            let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok()??;
            // Homes may be shared by machines; not below `quarterdeck`, which is where data folders are.
            user.dir.join(".local/state/quarterdeck-machines").join(machine_id())
        }
    };
    let outside = !whole(&folder).starts_with(whole(&config.data_dir));
    outside.then_some(folder)
}

/// The path without links, as far as it is there.
fn whole(path: &Path) -> PathBuf {
    let mut missing = PathBuf::new();
    for part in path.ancestors() {
        if let Ok(found) = part.canonicalize() {
            return if missing.as_os_str().is_empty() {
                found
            } else {
                found.join(missing)
            };
        }
        if let Some(name) = part.file_name() {
            missing = if missing.as_os_str().is_empty() {
                PathBuf::from(name)
            } else {
                Path::new(name).join(missing)
            };
        }
    }
    path.to_owned()
}

fn machine_id() -> String {
    let files = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
    let id = files
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .map(|text| text.trim().to_owned())
        .find(|text| !text.is_empty());
    let id = id
        .or_else(|| nix::unistd::gethostname().ok()?.into_string().ok())
        .unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let id: String = id.chars().map(plain).collect();
    if id.is_empty() { "unknown".to_owned() } else { id }
}
