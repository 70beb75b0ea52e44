//! The private folder of control sockets: ours, 0700, with a path short enough for a socket's address.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// What a socket's address holds, with its closing zero.
const ADDRESS_LIMIT: usize = 108;
/// `/`, our 16 digits, and the suffix that ssh adds while it makes the socket.
const NAME_ROOM: usize = 1 + 16 + 17 + 1;

/// Makes the folder for the dashboard on `data_dir`, or takes the one that is there.
pub(super) fn folder(data_dir: &Path) -> io::Result<PathBuf> {
    let digest = digits(data_dir.as_os_str().as_encoded_bytes(), 8);
    let uid = nix::unistd::geteuid().as_raw();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR")
        .map(|dir| PathBuf::from(dir).join(format!("quarterdeck-{digest}")))
        .filter(|path| path.is_absolute() && path.as_os_str().len() + NAME_ROOM <= ADDRESS_LIMIT);
    let fallback = PathBuf::from(format!("/tmp/qd-{uid}-{digest}"));
    match runtime.map(private) {
        Some(Ok(path)) => Ok(path),
        Some(Err(_)) | None => private(fallback),
    }
}

/// The socket for one host of the dashboard.
pub(super) fn socket(folder: &Path, host: &str) -> PathBuf {
    folder.join(digits(host.as_bytes(), 16))
}

fn private(path: PathBuf) -> io::Result<PathBuf> {
    match DirBuilder::new().mode(0o700).create(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let seen = fs::symlink_metadata(&path)?;
    if !seen.is_dir() || seen.uid() != nix::unistd::geteuid().as_raw() || seen.mode() & 0o077 != 0 {
        let problem = format!("{} is not a private folder of ours; remove it", path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
    }
    Ok(path)
}

fn digits(bytes: &[u8], count: usize) -> String {
    let mut text: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(count);
    text
}
