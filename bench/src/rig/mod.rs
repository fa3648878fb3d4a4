//! What is measured in: a lab, and who forwards in it: the agent, a bare forwarder in its place, or
//! nobody; and, for all harnesses, the programs and host ports that they make.
//!
//! ```text
//!   client Pod ── veth ── node ── veth ── backend Pods
//!                          │
//!                      mlg1 ═══ mlg0      the agent's, or while it is stopped the harness's own
//! ```

mod agent;
mod bare;
mod command;
mod forwarder_process;
pub(crate) mod host_port;
mod lab;
mod machine;
mod pod_thread;
mod process_time;
mod program;

pub(crate) use bare::{BareCounters, BareForwarder, BareProgram};
pub(crate) use command::{ip, run, run_until, typed};
pub(crate) use forwarder_process::Forwarder;
pub(crate) use host_port::HostPort;
pub(crate) use lab::{Lab, LabOptions, Pod, Programs, SERVICE_PORT};
pub(crate) use machine::Machine;
pub(crate) use pod_thread::{Placed, inside, pin};
pub(crate) use process_time::{CpuClocks, CpuCost, process_cpu_ns, thread_cpu_ns};
pub(crate) use program::{Program, end, spawn};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How workers wait for packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Poll {
    /// Never sleep: one whole core a worker.
    Busy,
    /// Sleep when there is nothing to do.
    Adaptive,
}

impl Poll {
    /// As the agent and the bare forwarder take it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Adaptive => "adaptive",
        }
    }
}
