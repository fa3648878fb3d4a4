//! The agent that is measured, in a network namespace of its own beside the API server.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;

use super::server::{Certificate, World, kubeconfig, node_name, serve};
use crate::error::BenchError;
use crate::interrupt::Interrupt;
use crate::rig::{ip, spawn};

/// How long the agent may take to end.
const GRACE_S: u64 = 10;
/// How much of its log is shown when something is wrong.
const TAIL_LINES: usize = 10;

/// A running agent, and the directory with what it was given.
pub(super) struct Agent {
    child: Child,
    directory: tempfile::TempDir,
    /// When it was started.
    pub(super) started: Instant,
}

/// What a process takes.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Memory {
    /// Now, in bytes.
    pub(super) resident: u64,
    /// At most so far, in bytes.
    pub(super) peak: u64,
}

impl Agent {
    /// Makes a namespace, serves `world` in it, and starts the agent there. The namespace goes
    /// with both.
    pub(super) fn start(program: &Path, workers: u32, world: Arc<World>) -> anyhow::Result<Self> {
        let program = program.to_owned();
        let (sender, started) = std::sync::mpsc::sync_channel(1);
        thread::spawn(move || {
            let begun = begin(&program, workers);
            let (listener, certificate, agent) = match begun {
                Ok((listener, certificate, agent)) => (listener, certificate, Ok(agent)),
                Err(error) => return drop(sender.send(Err(error))),
            };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => {
                    let _ = sender.send(agent);
                    runtime.block_on(serve(listener, &certificate, world));
                }
                Err(error) => drop(sender.send(Err(error.into()))),
            }
        });
        started.recv().context("the API server's thread ended")?
    }

    /// Where it answers.
    pub(super) fn socket(&self) -> PathBuf {
        self.directory.path().join("agent.sock")
    }

    /// Waits until somebody answers there.
    pub(super) fn wait_for_socket(&mut self, interrupt: &Interrupt) -> anyhow::Result<()> {
        let socket = self.socket();
        loop {
            interrupt.check()?;
            if UnixStream::connect(&socket).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!("the agent ended ({status}): {}", self.log_tail());
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// What it wrote last.
    pub(super) fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// What it takes now.
    pub(super) fn memory(&self) -> anyhow::Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number =
                line.and_then(|line| line.trim_start_matches(':').trim().split(' ').next());
            number.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0)
        };
        Ok(Memory { resident: kib("VmRSS") << 10, peak: kib("VmHWM") << 10 })
    }

    /// The processor time that its control thread has had.
    pub(super) fn control_time(&self) -> anyhow::Result<Duration> {
        let pid = self.child.id();
        let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/schedstat"))?;
        let nanoseconds = text.split(' ').next().and_then(|number| number.parse().ok());
        Ok(Duration::from_nanos(nanoseconds.unwrap_or(0)))
    }

    /// Asks it to end, and waits until it has.
    pub(super) fn stop(mut self, interrupt: &Interrupt) -> anyhow::Result<()> {
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        interrupt.wait_until("the agent to end", GRACE_S, || {
            Ok(!matches!(self.child.try_wait(), Ok(None)))
        })?;
        Ok(())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// On the thread that becomes the API server's: what it starts is in its namespace.
fn begin(program: &Path, workers: u32) -> anyhow::Result<(TcpListener, Certificate, Agent)> {
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(BenchError::kernel("make a network namespace", "this thread"))?;
    for words in [
        "link set lo up",
        // Its other end leads nowhere: the node has an address, and no Pod.
        "link add uplink type veth peer name nowhere",
        "address add 192.168.77.2/24 dev uplink",
        "link set uplink up",
    ] {
        ip(words)?;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let certificate = Certificate::new()?;
    let directory = tempfile::tempdir()?;
    let path = |name: &str| directory.path().join(name);
    fs::write(path("ca.crt"), &certificate.pem)?;
    fs::write(path("kubeconfig"), kubeconfig(listener.local_addr()?, &path("ca.crt")))?;
    let log = fs::File::create(path("log"))?;
    let mut command = Command::new(program);
    command
        .arg("agent")
        .arg("--kubeconfig")
        .arg(path("kubeconfig"))
        .arg("--socket")
        .arg(path("agent.sock"))
        .args(["--node-name", node_name(), "--workers", &workers.to_string()])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let started = Instant::now();
    let child = spawn(&mut command)?;
    Ok((listener, certificate, Agent { child, directory, started }))
}
