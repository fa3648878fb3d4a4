//! The bare forwarder for host ports: in the agent's place, on a host port like the agent's.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde::Serialize;

use super::forwarder_process::Forwarder;
use super::host_port::HostPort;
use super::lab::{require, sibling};
use super::{Lab, Poll};
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::namespace::Namespace;

/// Where the bare forwarder is.
#[derive(Args, Clone, Debug)]
pub(crate) struct BareForwarder {
    /// The bare forwarder [default: examples/bare_forwarder beside this program].
    #[arg(long, value_name = "PATH")]
    bare_forwarder: Option<PathBuf>,
}

/// Its program.
pub(crate) struct BareProgram(pub(crate) PathBuf);

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
        let program = BareProgram(self.path()?);
        let node = Namespace::named(&lab.node)?;
        let sink = lab.backends.first().unwrap_or(&lab.client);
        let ends = [&*lab.client.interface, &*sink.interface];
        let _host_port = HostPort::make(&node, lab.options.workers)?;
        let (workers, poll) = (lab.options.workers, lab.options.poll);
        let start = || program.start(ends, lab.service, workers, poll, lab.interrupt());
        let forwarder = node.run(start)?;
        let result = work(forwarder.pid())?;
        Ok((result, BareCounters::read(&forwarder.stop()?)))
    }
}

impl BareProgram {
    /// Starts it in the calling thread's namespace: what the client sends to one address goes to
    /// the sink, over a host port that is there.
    ///
    /// # Errors
    /// Why it does not start.
    pub(crate) fn start(
        &self,
        [client, sink]: [&str; 2],
        service: Ipv4Addr,
        workers: u32,
        poll: Poll,
        interrupt: &Interrupt,
    ) -> Result<Forwarder> {
        let mut command = Command::new(&self.0);
        command.args(["--client", client, "--sink", sink, "--vip", &service.to_string()]);
        command.args(["--workers", &workers.to_string(), "--poll", poll.as_str()]);
        Forwarder::start(&mut command, None, interrupt)
    }
}

impl BareCounters {
    /// From lines of a name and a number.
    fn read(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        Self(pairs.filter_map(|(name, count)| Some((name.into(), count.parse().ok()?))).collect())
    }
}
