//! The private folder of control sockets: ours, 0700, with a path short enough for a socket's address.
//!
//! Its name is the same at each start, so that the folder of an earlier life is used again. `/tmp` is everybody's: where
//! somebody else has taken that name, a folder of a random name takes its place.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// What a socket's address holds, with its closing zero.
const ADDRESS_LIMIT: usize = 108;
/// `/`, our 16 digits, and the suffix that ssh adds while it makes the socket.
const NAME_ROOM: usize = 1 + 16 + 17 + 1;

/// Makes the folder for the dashboard on `data_dir`, or takes the one that is there; one of a random name where that is
/// not ours alone.
pub(super) fn folder(data_dir: &Path) -> io::Result<PathBuf> {
    let digest = digits(data_dir.as_os_str().as_encoded_bytes(), 8);
    let uid = nix::unistd::geteuid().as_raw();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR")
        .map(|dir| PathBuf::from(dir).join(format!("quarterdeck-{digest}")))
        .filter(|path| path.is_absolute() && path.as_os_str().len() + NAME_ROOM <= ADDRESS_LIMIT);
    let fallback = PathBuf::from(format!("/tmp/qd-{uid}-{digest}"));
    match runtime.map(private) {
        Some(Ok(path)) => Ok(path),
        Some(Err(_)) | None => private(fallback).or_else(|why| another(&why)),
    }
}

/// The folder while it is still ours and private; made again where somebody tidied it away, another one where somebody
/// else was faster.
pub(super) fn hold(folder: &Path) -> io::Result<PathBuf> {
    private(folder.to_owned()).or_else(|why| another(&why))
}

/// The name of one host's socket in the folder.
pub(super) fn socket(host: &str) -> String {
    digits(host.as_bytes(), 16)
}

/// A folder of a name that nobody can have taken before.
fn another(why: &io::Error) -> io::Result<PathBuf> {
    let uid = nix::unistd::geteuid().as_raw();
    let random = getrandom::u64().map_err(io::Error::other)?;
    let path = PathBuf::from(format!("/tmp/qd-{uid}-{random:016x}"));
    DirBuilder::new().mode(0o700).create(&path)?;
    let path = private(path)?;
    tracing::warn!(%why, folder = %path.display(), "ssh's control sockets go to another folder");
    Ok(path)
}

fn private(path: PathBuf) -> io::Result<PathBuf> {
    match DirBuilder::new().mode(0o700).create(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let seen = fs::symlink_metadata(&path)?;
    if !seen.is_dir() || seen.uid() != nix::unistd::geteuid().as_raw() || seen.mode() & 0o077 != 0 {
        let kind = if seen.is_dir() { "a folder" } else { "no folder" };
        let problem = format!(
            "{} is not a folder that only we can enter, but {kind} of user id {} with mode {:o}; remove it, or set \
             XDG_RUNTIME_DIR to a private folder",
            path.display(),
            seen.uid(),
            seen.mode() & 0o7777
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
    }
    Ok(path)
}

fn digits(bytes: &[u8], count: usize) -> String {
    let mut text: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(count);
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_that_others_made_or_can_enter_is_not_used() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("sockets");
        let ours = private(path.clone()).expect("made");
        assert_eq!(hold(&ours).expect("still ours"), path);
        let elsewhere = |what: &str| {
            let other = hold(&ours).expect(what);
            assert_ne!(other, path, "{what}");
            let seen = fs::symlink_metadata(&other).expect("there");
            assert!(seen.is_dir() && seen.mode() & 0o7777 == 0o700, "{what}");
            assert!(other.as_os_str().len() + NAME_ROOM <= ADDRESS_LIMIT, "{what}");
            fs::remove_dir(other).expect("removed");
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode");
        let open = private(path.clone()).expect_err("open to others").to_string();
        assert!(open.contains("mode 755") && open.contains("remove it"), "{open}");
        elsewhere("open to others");
        fs::remove_dir(&path).expect("removed");
        assert_eq!(hold(&ours).expect("made again"), path);
        fs::remove_dir(&path).expect("removed");
        std::os::unix::fs::symlink(dir.path(), &path).expect("a link in its place");
        elsewhere("a link is no folder of ours");
        if nix::unistd::geteuid().is_root() {
            fs::remove_file(&path).expect("removed");
            private(path.clone()).expect("made");
            nix::unistd::chown(&path, Some(nix::unistd::Uid::from_raw(65_534)), None).expect("given away");
            elsewhere("somebody else's");
        }
    }
}
