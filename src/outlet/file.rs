//! Lines at the end of a file. It is opened anew when another file has taken its name (a log was rotated), is made
//! with mode 0600, and is synced before what was written counts as arrived. Nothing in it is ever changed: a line that
//! was cut off (a full disk, a loss of power) stays, and the next one begins behind a line feed.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::NotSent;

/// A file that is appended to.
#[derive(Debug)]
pub struct Appended {
    path: PathBuf,
    open: Arc<Open>,
    /// The last write was cut off.
    torn: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Device and inode.
    is: (u64, u64),
    /// It ended in the middle of a line.
    torn: bool,
}

impl Appended {
    pub(super) async fn open(path: &Path) -> Result<Self, NotSent> {
        let wanted = path.to_owned();
        let open = blocking(move || open(&wanted)).await?;
        Ok(Self {
            path: path.to_owned(),
            torn: open.torn,
            open: Arc::new(open),
        })
    }

    pub(super) async fn append(&mut self, lines: &[Vec<u8>]) -> Result<(), NotSent> {
        let (path, mut now) = (self.path.clone(), Arc::clone(&self.open));
        let torn = self.torn;
        let mut text = Vec::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
        for line in lines {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        // Until it is known that all of it went.
        self.torn = true;
        self.open = blocking(move || {
            let mut torn = torn;
            if identity_at(&path)? != Some(now.is) {
                // What went to the old one is there before anything goes to the new one.
                now.file.sync_data().map_err(NotSent::new)?;
                now = Arc::new(open(&path)?);
                torn = now.torn;
            }
            let mut file = &now.file;
            if torn {
                file.write_all(b"\n").map_err(NotSent::new)?;
            }
            file.write_all(&text).map_err(NotSent::new)?;
            Ok(now)
        })
        .await?;
        self.torn = false;
        Ok(())
    }

    pub(super) async fn sync(&mut self) -> Result<(), NotSent> {
        let open = Arc::clone(&self.open);
        blocking(move || open.file.sync_data().map_err(NotSent::new)).await
    }
}

fn identity_at(path: &Path) -> Result<Option<(u64, u64)>, NotSent> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(Some((found.dev(), found.ino()))),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(NotSent::new(why)),
    }
}

fn open(path: &Path) -> Result<Open, NotSent> {
    let append = |options: &mut OpenOptions| {
        // A pipe without a reader would hold up whoever opens it.
        let options = options.append(true).create(true).mode(0o600);
        options.custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits()).open(path)
    };
    // Reading tells whether the last line is whole; where that is not allowed, it counts as whole.
    let mut file = match append(OpenOptions::new().read(true)) {
        Err(why) if why.kind() == std::io::ErrorKind::PermissionDenied => append(&mut OpenOptions::new()),
        opened => opened,
    }
    .map_err(NotSent::new)?;
    let found = file.metadata().map_err(NotSent::new)?;
    if !found.is_file() {
        return Err(NotSent::new(format!("{} is no regular file", path.display())));
    }
    let mut last = [b'\n'];
    let torn = found.len() > 0
        && file.seek(SeekFrom::End(-1)).is_ok()
        && file.read_exact(&mut last).is_ok()
        && last != [b'\n'];
    Ok(Open {
        is: (found.dev(), found.ino()),
        file,
        torn,
    })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, NotSent> + Send + 'static) -> Result<T, NotSent> {
    tokio::task::spawn_blocking(work).await.map_err(NotSent::new)?
}
