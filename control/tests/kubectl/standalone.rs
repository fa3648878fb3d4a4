//! An agent with an API of its own, for as long as a test has it.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::unistd::Pid;

use crate::kubectl::{Kubectl, await_that};

/// Runs the agent with its standard input as the socket that it is passed: the process that is
/// spawned becomes the agent, so that its id is the agent's.
const START: &str = r#"
ip link set lo up && exec 3<&0 </dev/null && LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"
"#;

/// An agent and its API.
pub(crate) struct Standalone {
    folder: tempfile::TempDir,
    listener: TcpListener,
    agent: Child,
    kubectl: Kubectl,
}

impl Standalone {
    /// Starts one. `None`, with a line that says so, where the test cannot run.
    pub(crate) fn start(test: &str) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED {test}: needs root");
            return None;
        }
        if !Kubectl::is_there(test) {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let agent = spawn(folder.path(), &listener);
        let kubectl = Kubectl::new(&kubeconfig(folder.path()));
        let mut started = Self { folder, listener, agent, kubectl };
        started.await_ready();
        Some(started)
    }

    pub(crate) fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// Where the API listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("an address")
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        kubeconfig(self.folder.path())
    }

    /// Ends it as a power cut would, as far as the process is concerned.
    pub(crate) fn kill(&mut self) {
        self.agent.kill().expect("kill");
        self.agent.wait().expect("wait");
    }

    /// Starts it again, with what it has on disk.
    pub(crate) fn restart(&mut self) {
        self.agent = spawn(self.folder.path(), &self.listener);
        self.await_ready();
    }

    /// Memory of the process that is not swapped out: anonymous, file-backed and shared, in KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.agent.id()));
        let status = status.expect("the agent runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// `maglane status`, of this agent.
    pub(crate) fn status(&self, options: &[&str]) -> Output {
        status(&self.folder.path().join("agent.sock"), options)
    }

    /// The agent's process.
    pub(crate) fn process(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.agent.id()).expect("a pid"))
    }

    /// Overwrites the middle of the file that holds the objects; its name.
    pub(crate) fn damage_store(&self) -> String {
        let path = self.folder.path().join("data/objects/objects.redb");
        let mut bytes = std::fs::read(&path).expect("a store");
        let middle = bytes.len() / 8..bytes.len() * 7 / 8;
        bytes[middle].fill(0xa5);
        std::fs::write(&path, bytes).expect("a store");
        "objects.redb".to_owned()
    }

    /// Starts it, and it must not stay; what it said.
    pub(crate) fn does_not_restart(&mut self) -> String {
        self.agent = spawn(self.folder.path(), &self.listener);
        await_that("it ends by itself", || !self.runs());
        assert!(!self.agent.wait().expect("wait").success());
        self.log()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Whether the agent still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.agent.try_wait().expect("wait").is_none()
    }

    fn await_ready(&mut self) {
        await_that("the API is ready", || {
            assert!(self.runs(), "the agent ended: {}", self.log());
            self.kubeconfig().exists() && self.kubectl.try_run("get --raw /readyz").stdout == "ok"
        });
    }
}

impl Drop for Standalone {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the agent's log:\n{}", self.log());
        }
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

/// An agent that follows an API which it cannot reach, in a network namespace that goes with it.
pub(crate) struct Follower {
    agent: Child,
    folder: tempfile::TempDir,
}

impl Follower {
    /// Starts one with a kubeconfig. It answers.
    pub(crate) fn start(kubeconfig: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = agent(folder.path());
        command.arg("--kubeconfig").arg(kubeconfig).stdin(Stdio::null());
        let mut follower = Self { agent: command.spawn().expect("unshare"), folder };
        await_that("it answers", || {
            assert!(follower.agent.try_wait().expect("wait").is_none(), "it runs");
            follower.status(&[]).status.success()
        });
        follower
    }

    /// `maglane status`, of this agent.
    pub(crate) fn status(&self, options: &[&str]) -> Output {
        status(&self.folder.path().join("agent.sock"), options)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

fn status(socket: &Path, options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maglane"));
    command.arg("status").arg("--socket").arg(socket).args(options);
    command.output().expect("maglane")
}

fn kubeconfig(folder: &Path) -> PathBuf {
    folder.join("data/kubeconfig")
}

fn spawn(folder: &Path, listener: &TcpListener) -> Child {
    let passed_on = OwnedFd::from(listener.try_clone().expect("a socket"));
    let mut command = agent(folder);
    command.args(["--standalone", "--service-cidr", "10.96.0.0/16,fd00:10:96::/112"]);
    command.arg("--data-dir").arg(folder.join("data")).stdin(Stdio::from(passed_on));
    command.spawn().expect("unshare")
}

/// With as little packet memory as can be: no test here sends a packet through it.
fn agent(folder: &Path) -> Command {
    let log = File::options().create(true).append(true).open(folder.join("log")).expect("a log");
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", START, "sh", env!("CARGO_BIN_EXE_maglane"), "agent"]);
    command.args(["--node-name", "node-1", "--flow-capacity", "1024", "--ring-size-frames", "64"]);
    command.arg("--socket").arg(folder.join("agent.sock"));
    command.stdout(Stdio::null()).stderr(log);
    command
}
