//! A lab, for as long as a test has it.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::namespace::{NODE, await_that};

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

/// A lab that is up.
pub(crate) struct Lab {
    turn: Turn,
}

impl Lab {
    /// Brings one up, without a word of complaint.
    pub(crate) fn up(test: &str, manifest: &str, options: &[&str]) -> Option<Self> {
        let turn = Turn::take(test)?;
        let file = turn.file("lab.yaml", manifest);
        let command = ["lab", "up", "-f", file.to_str().expect("UTF-8")];
        succeed(&maglane(command.iter().chain(options)));
        Some(Self { turn })
    }

    /// With so many workers.
    pub(crate) fn with_workers(test: &str, manifest: &str, workers: u32) -> Option<Self> {
        Self::up(test, manifest, &["--workers", &workers.to_string()])
    }

    /// `lab apply` of a manifest, whatever comes of it.
    pub(crate) fn try_apply(&self, manifest: &str) -> Output {
        let file = self.turn.file("apply.yaml", manifest);
        maglane(["lab", "apply", "-f", file.to_str().expect("UTF-8")])
    }

    pub(crate) fn apply(&self, manifest: &str) {
        succeed(&self.try_apply(manifest));
    }

    pub(crate) fn delete(&self, manifest: &str) {
        let file = self.turn.file("delete.yaml", manifest);
        succeed(&maglane(["lab", "delete", "-f", file.to_str().expect("UTF-8")]));
    }

    /// The agent's process, if it runs.
    pub(crate) fn agent(&self) -> Option<Pid> {
        let pid = json(&["lab", "ls"])["node"]["agent"]["pid"].as_i64()?;
        Some(Pid::from_raw(i32::try_from(pid).expect("a pid")))
    }

    /// Signals the agent and waits until it is no more.
    pub(crate) fn end_agent(&self, signal: Signal) {
        kill(self.agent().expect("the agent runs"), signal).expect("kill");
        await_that("the agent ends", || self.agent().is_none());
    }

    /// Packets that the kernel sent into the host port.
    pub(crate) fn host_port_packets(&self) -> u64 {
        let links: Value = serde_json::from_str(&NODE.command("ip -s -j link show")).expect("JSON");
        let links = links.as_array().expect("an array").iter();
        let ours = links.filter(|link| ["mlg0", "mlg1"].map(Value::from).contains(&link["ifname"]));
        ours.map(|link| link["stats64"]["tx"]["packets"].as_u64().expect("a counter")).sum()
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
