//! A lab to measure in, and who forwards in it: the agent, a bare forwarder in its place, or
//! nobody.
//!
//! ```text
//!   client Pod ── veth ── node ── veth ── backend Pods
//!                          │
//!                      mlg1 ═══ mlg0      the agent's, or while it is stopped the harness's own
//! ```

mod agent;
mod bare;
mod command;
mod cpu;
mod lab;
mod machine;
mod place;

pub(crate) use bare::{BareCounters, BareForwarder};
pub(crate) use command::{message, run, run_until, spawn, typed};
pub(crate) use cpu::{CpuClocks, CpuCost, process_cpu_ns, thread_cpu_ns};
pub(crate) use lab::{Lab, LabOptions, Pod, Programs, SERVICE_PORT};
pub(crate) use machine::Machine;
pub(crate) use place::{Placed, inside, pin};

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
