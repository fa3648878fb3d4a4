//! Network namespaces: the one that the program was started in, one with a name, or one that is
//! nobody else's and gone when nobody holds it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

use crate::error::{BenchError, Result};

const CURRENT: &str = "/proc/thread-self/ns/net";

/// Holds a network namespace.
#[derive(Clone, Debug)]
pub(crate) struct Namespace {
    name: String,
    file: Arc<File>,
}

impl Namespace {
    /// The calling thread's.
    pub(crate) fn current() -> Result<Self> {
        Self::open("this network namespace", Path::new(CURRENT))
    }

    /// One of `ip netns`.
    pub(crate) fn named(name: &str) -> Result<Self> {
        Self::open(name, &Path::new("/run/netns").join(name))
    }

    /// A new one without a name.
    pub(crate) fn private() -> Result<Self> {
        let fail = BenchError::kernel("make a network namespace", "a thread of its own");
        let made = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).map_err(fail)?;
            Self::open("a namespace of its own", Path::new(CURRENT))
        });
        made.join().map_err(|_| BenchError::Panicked)?
    }

    fn open(name: &str, path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(BenchError::kernel("open the namespace", name))?;
        Ok(Self { name: name.to_owned(), file: Arc::new(file) })
    }

    /// A path that other processes can open, as long as this is held.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// Puts the calling thread there: have one for that.
    pub(crate) fn enter(&self) -> Result<()> {
        setns(&*self.file, CloneFlags::CLONE_NEWNET)
            .map_err(BenchError::kernel("enter the namespace", &self.name))
    }

    /// Runs `work` there, on a thread of its own, and waits for it.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let inside = || {
            self.enter()?;
            work()
        };
        thread::scope(|scope| scope.spawn(inside).join().map_err(|_| BenchError::Panicked)?)
    }

    /// Whether it is the machine's own, that of its first process; or may be: not everywhere may
    /// root look at that process (a hardened kernel, a container without CAP_SYS_PTRACE).
    pub(crate) fn may_be_the_machines(&self) -> bool {
        use std::os::linux::fs::MetadataExt;
        let machine = std::fs::metadata("/proc/1/ns/net").map(|own| own.st_ino());
        let this = self.file.metadata().map(|own| own.st_ino());
        may_be_same(machine, this)
    }
}

/// What cannot be known is taken for the same: the caller is about to refuse it.
fn may_be_same(one: io::Result<u64>, other: io::Result<u64>) -> bool {
    !matches!((one, other), (Ok(one), Ok(other)) if one != other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_cannot_be_told_from_the_machines_is_taken_for_it() {
        let denied = || Err(io::ErrorKind::PermissionDenied.into());
        assert!(!may_be_same(Ok(1), Ok(2)));
        assert!(may_be_same(Ok(1), Ok(1)));
        assert!(may_be_same(denied(), Ok(2)));
        assert!(may_be_same(Ok(1), denied()));
    }
}
