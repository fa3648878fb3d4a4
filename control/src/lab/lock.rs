//! One lab command at a time: a lock file in the lab's directory.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::{LabError, Result, Site};

/// How long another command may take before this one gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Held while a command changes the lab. The kernel releases it with the process.
#[derive(Debug)]
pub(crate) struct LabLock(#[expect(dead_code, reason = "held, not read")] Flock<File>);

impl LabLock {
    /// Waits for its turn, making the lab's directory (0700) if there is none.
    pub(crate) fn take(site: &Site) -> Result<Self> {
        let path = site.directory().join("lock");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut file = open(site.directory(), &path).map_err(LabError::io("open", &path))?;
            loop {
                match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                    Ok(lock) if is_at(&lock, &path) => return Ok(Self(lock)),
                    Ok(_) => break, // a `down` removed the file meanwhile: there is a new one
                    Err((_, Errno::EWOULDBLOCK)) if Instant::now() >= deadline => {
                        return Err(LabError::Busy(path));
                    }
                    Err((back, Errno::EWOULDBLOCK)) => file = back,
                    Err((_, errno)) => return Err(LabError::io("lock", &path)(errno.into())),
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

fn open(directory: &Path, path: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

fn is_at(file: &File, path: &Path) -> bool {
    let identity = |meta: fs::Metadata| (meta.dev(), meta.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(there)) => identity(held) == identity(there),
        _ => false,
    }
}
