//! A lab, for as long as a test has it.

use std::process::Output;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::namespace::{NODE, await_that};
pub(crate) use crate::turn::{Turn, json, maglane, program, stderr, succeed};

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
