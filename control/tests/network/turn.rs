//! The program, and the right to bring up the machine's lab with it.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::fcntl::{Flock, FlockArg};
use serde_json::Value;

/// One test at a time has the machine's lab, in this process and in others.
const TURN: &str = "/run/maglane-test.lock";

/// The right to bring up the machine's lab. Puts it away when it is given back.
pub(crate) struct Turn {
    files: tempfile::TempDir,
    _lock: Flock<File>,
}

impl Turn {
    /// Waits for it. `None`, with a line that says so, where the test cannot run.
    pub(crate) fn take(test: &str) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED {test}: needs root");
            return None;
        }
        if Command::new("ip").arg("-V").output().is_err() {
            eprintln!("SKIPPED {test}: needs ip (iproute2)");
            return None;
        }
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).open(TURN).expect(TURN);
        let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno);
        // A lab of somebody's who knows nothing of turns is not to be put away by a test.
        let taken = Path::new("/run/netns/maglane-node").exists();
        assert!(!taken, "a lab is up: put it away with `maglane lab down`");
        let files = tempfile::tempdir().expect("a directory");
        Some(Self { files, _lock: lock.expect(TURN) })
    }

    /// A file that is there until the turn is over.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.files.path().join(name);
        std::fs::write(&path, text).expect(name);
        path
    }

    pub(crate) fn directory(&self) -> &Path {
        self.files.path()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let output = maglane(["lab", "down"]);
        if !output.status.success() {
            eprintln!("lab down: {}", stderr(&output));
        }
    }
}

/// Runs the program.
pub(crate) fn maglane<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    program().args(args).output().expect("maglane")
}

pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_maglane"))
}

/// What a command says with `-o json`.
pub(crate) fn json(command: &[&str]) -> Value {
    let output = maglane(command.iter().chain(&["-o", "json"]));
    succeed(&output);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

pub(crate) fn succeed(output: &Output) {
    assert!(output.status.success(), "{}: {}", output.status, stderr(output));
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
