//! Named network namespaces, compatible with `ip netns`: a bind mount on `/run/netns/NAME`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

use super::error::{NetError, Result};

const DIRECTORY: &str = "/run/netns";

/// A namespace's identity: what its name points to, and what stays if the name goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Of the namespace behind a file, such as `/proc/PID/ns/net`.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|meta| Self { device: meta.dev(), inode: meta.ino() })
    }
}

/// Where a namespace of that name is mounted.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

/// Makes a namespace of that name. Its loopback is down, as the kernel leaves it.
///
/// # Errors
/// When the name is taken, and when the kernel refuses.
pub(crate) fn create(name: &str) -> Result<()> {
    let fail = |cause| NetError::Namespace { operation: "create", name: name.to_owned(), cause };
    let target = path(name);
    loop {
        prepare_directory().map_err(fail)?;
        match OpenOptions::new().write(true).create_new(true).open(&target) {
            Ok(_) => break,
            // Somebody who removed the last name took the directory with it: see `tidy`.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fail(error)),
        }
    }
    let made = on_thread(|| -> nix::Result<()> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        let own = Path::new("/proc/thread-self/ns/net");
        mount(Some(own), &target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
    });
    made.map_err(|errno| {
        // Nothing is mounted there: without the file the name is free again.
        let _ = fs::remove_file(&target);
        fail(errno.into())
    })
}

/// Removes the name. The namespace itself goes with its last process and socket.
/// A name that does not exist is fine.
pub(crate) fn delete(name: &str) -> Result<()> {
    let fail = |cause| NetError::Namespace { operation: "delete", name: name.to_owned(), cause };
    let target = path(name);
    loop {
        match umount2(&target, MntFlags::MNT_DETACH) {
            Ok(()) => {}
            Err(Errno::ENOENT) => return Ok(()),
            Err(Errno::EINVAL) => break, // no mount is left
            Err(errno) => return Err(fail(errno.into())),
        }
    }
    fs::remove_file(&target).map_err(fail)
}

/// Whether a namespace of that name exists.
pub(crate) fn exists(name: &str) -> bool {
    path(name).exists()
}

/// The names that begin with `prefix`, sorted.
pub(crate) fn list(prefix: &str) -> Result<Vec<String>> {
    let entries = match fs::read_dir(DIRECTORY) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => {
            return Err(NetError::Namespace { operation: "list", name: prefix.to_owned(), cause });
        }
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    Ok(names)
}

/// The identity of a named namespace, for comparison with a process's.
pub(crate) fn identity(name: &str) -> Result<Identity> {
    Identity::of(&path(name)).map_err(|cause| missing_or("read", name, cause))
}

/// An open descriptor of the namespace, for links that are moved there.
pub(crate) fn open(name: &str) -> Result<File> {
    File::open(path(name)).map_err(|cause| missing_or("open", name, cause))
}

/// Runs `work` inside the namespace, on a thread of its own, and waits for it.
pub(crate) fn run_in<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> Result<T> {
    let file = open(name)?;
    on_thread(move || {
        setns(&file, CloneFlags::CLONE_NEWNET).map_err(|errno| NetError::Namespace {
            operation: "enter",
            name: name.to_owned(),
            cause: errno.into(),
        })?;
        Ok(work())
    })
}

/// Takes back what [`create`] set up besides names, if no name is left in it.
/// `ip netns` makes it anew when it needs it.
pub(crate) fn tidy() {
    let empty = fs::read_dir(DIRECTORY).is_ok_and(|mut entries| entries.next().is_none());
    if empty {
        // Both are best effort: another program may be about to use the directory.
        let _ = umount2(DIRECTORY, MntFlags::empty());
        let _ = fs::remove_dir(DIRECTORY);
    }
}

/// Makes the directory a shared mount, as `ip netns` does, so that a name removed here is removed
/// in mount namespaces that were copied meanwhile, too.
fn prepare_directory() -> io::Result<()> {
    fs::create_dir_all(DIRECTORY)?;
    let share = || {
        let flags = MsFlags::MS_SHARED | MsFlags::MS_REC;
        mount(None::<&str>, DIRECTORY, None::<&str>, flags, None::<&str>)
    };
    match share() {
        Err(Errno::EINVAL) => {
            let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
            mount(Some(DIRECTORY), DIRECTORY, None::<&str>, flags, None::<&str>)?;
            Ok(share()?)
        }
        other => Ok(other?),
    }
}

fn missing_or(operation: &'static str, name: &str, cause: io::Error) -> NetError {
    match cause.kind() {
        io::ErrorKind::NotFound => NetError::NoSuchNamespace(name.to_owned()),
        _ => NetError::Namespace { operation, name: name.to_owned(), cause },
    }
}

/// A thread that may change its namespace, since it ends with `work`.
fn on_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
