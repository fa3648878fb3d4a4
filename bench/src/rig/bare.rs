//! The bare forwarder in the agent's place, on a host port like the agent's.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use clap::Args;
use serde::Serialize;

use super::Lab;
use super::command::{run, spawn, typed};
use super::lab::{require, sibling};
use crate::error::{BenchError, Result};

/// Of the agent's host port (`maglane agent --mtu`).
const HOST_PORT_MTU: &str = "3498";

/// Where the bare forwarder is.
#[derive(Args, Clone, Debug)]
pub(crate) struct BareForwarder {
    /// The bare forwarder [default: examples/bare_forwarder beside this program].
    #[arg(long, value_name = "PATH")]
    bare_forwarder: Option<PathBuf>,
}

/// What a bare forwarder counted until it ended.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct BareCounters(HashMap<String, u64>);

impl BareForwarder {
    /// The program, if it was named.
    pub(crate) fn given(&self) -> Option<&Path> {
        self.bare_forwarder.as_deref()
    }

    /// The program.
    ///
    /// # Errors
    /// When it is not there.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        let default = || sibling("examples").join("bare_forwarder");
        let path = self.bare_forwarder.clone().unwrap_or_else(default);
        let build = "cargo build --release -p maglane-dataplane --example bare_forwarder";
        require("bare_forwarder", path, build, "--bare-forwarder")
    }

    /// Runs `work`, which is told the process, while the bare forwarder sends everything for the
    /// Service to the first backend. The agent must not run.
    ///
    /// # Errors
    /// When it cannot be started, and those of `work`.
    pub(crate) fn run<T>(
        &self,
        lab: &Lab,
        work: impl FnOnce(u32) -> Result<T>,
    ) -> Result<(T, BareCounters)> {
        let path = self.path()?;
        let _host_port = HostPort::make(lab)?;
        let mut command = lab.on_node();
        command.arg(path).args(["--client", &lab.client.interface]);
        if let Some(sink) = lab.backends.first() {
            command.args(["--sink", &sink.interface]);
        }
        command.args(["--vip", &lab.service.to_string()]);
        command.args(["--workers", &lab.options.workers.to_string()]);
        command.args(["--poll", lab.options.poll.as_str()]);
        let mut forwarder = Forwarder::start(&mut command)?;
        let result = work(forwarder.child.id())?;
        Ok((result, forwarder.stop()?))
    }
}

/// The host port, as the agent makes it.
struct HostPort<'a>(&'a Lab);

impl<'a> HostPort<'a> {
    fn make(lab: &'a Lab) -> Result<Self> {
        let queues = lab.options.workers.to_string();
        let end = ["mtu", HOST_PORT_MTU, "numtxqueues", &queues, "numrxqueues", &queues];
        let mut add = lab.on_node();
        add.args(["ip", "link", "add", "mlg0"]).args(end);
        // An address of its own: one that begins as a message does would be taken for one.
        let address = ["address", "02:6d:6c:67:00:01"];
        add.args(["type", "veth", "peer", "name", "mlg1"]).args(address).args(end);
        run(&mut add, "")?;
        let host_port = Self(lab);
        for name in ["mlg0", "mlg1"] {
            run(lab.on_node().args(["ip", "link", "set", name, "arp", "off", "up"]), "")?;
        }
        Ok(host_port)
    }
}

impl Drop for HostPort<'_> {
    fn drop(&mut self) {
        // At the latest it goes with the lab.
        let _ = run(self.0.on_node().args(["ip", "link", "del", "mlg0"]), "");
    }
}

/// It runs. Dropped without [`Forwarder::stop`], it is killed.
struct Forwarder {
    child: Child,
    output: BufReader<ChildStdout>,
    command: String,
}

impl Forwarder {
    fn start(command: &mut Command) -> Result<Self> {
        let text = typed(command);
        let failed = |cause| BenchError::Run { command: text.clone(), cause };
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn(piped)?;
        let output = child.stdout.take().map(BufReader::new);
        let output = output.ok_or_else(|| failed(std::io::ErrorKind::BrokenPipe.into()))?;
        let mut forwarder = Self { child, output, command: text };
        let mut line = String::new();
        // When it ends without a word, so does its output.
        let _ = forwarder.output.read_line(&mut line);
        if line.trim() == "ready" { Ok(forwarder) } else { Err(forwarder.failure()) }
    }

    fn stop(&mut self) -> Result<BareCounters> {
        drop(self.child.stdin.take());
        let mut text = String::new();
        let read = self.output.read_to_string(&mut text);
        if read.is_err() || !self.child.wait().is_ok_and(|status| status.success()) {
            return Err(self.failure());
        }
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        let counters = pairs.filter_map(|(name, count)| Some((name.into(), count.parse().ok()?)));
        Ok(BareCounters(counters.collect()))
    }

    /// Why it ended.
    fn failure(&mut self) -> BenchError {
        drop(self.child.stdin.take());
        let mut message = String::new();
        if let Some(errors) = &mut self.child.stderr {
            let _ = errors.read_to_string(&mut message);
        }
        match self.child.wait() {
            Ok(status) => BenchError::Failed {
                command: self.command.clone(),
                status,
                message: message.trim().to_owned(),
            },
            Err(cause) => BenchError::Run { command: self.command.clone(), cause },
        }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
