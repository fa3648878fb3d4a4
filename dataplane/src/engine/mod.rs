//! Floor 4: start, attach, publish, read out, stop.

mod config;
mod status;

pub use config::{ConfigError, EngineConfig, HostPort, PollMode};
pub use status::{EngineStatus, PortStatus, WorkerStatus};

use crate::flow::FlowRecord;
use crate::service::Snapshot;

/// Stand-in.
#[derive(Debug, thiserror::Error)]
#[error("not yet")]
pub struct EngineError;

/// How XDP is attached to a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum XdpMode {
    /// In the driver.
    Native,
    /// In the kernel's receive path, for drivers without XDP.
    Generic,
}

/// A running dataplane: workers, sockets and steering programs. All its calls belong to one
/// control thread, in the network namespace where it was started.
pub struct Engine;

#[allow(unused_variables, clippy::todo, missing_docs, clippy::result_unit_err)]
impl Engine {
    pub fn start(config: &EngineConfig) -> Result<Self, EngineError> {
        todo!()
    }
    /// Attaches the steering programs to the node's end of a Pod's veth (by interface index).
    pub fn attach_pod(&mut self, interface: u32) -> Result<(), EngineError> {
        todo!()
    }
    /// Forgets it (no error when the interface has gone already).
    pub fn detach_pod(&mut self, interface: u32) {
        todo!()
    }
    pub fn attach_port(
        &mut self,
        interface: &str,
        mode: XdpMode,
    ) -> Result<PortStatus, EngineError> {
        todo!()
    }
    pub fn detach_port(&mut self, interface: &str) -> Result<(), EngineError> {
        todo!()
    }
    /// Puts the snapshot in force; its `generation` is set here. Returns the generation. In force
    /// means: VIP map filled and every worker has taken it, or will before its next packet.
    pub fn publish(&mut self, snapshot: Snapshot) -> Result<u32, EngineError> {
        todo!()
    }
    pub fn status(&self) -> EngineStatus {
        todo!()
    }
    /// Up to `limit` tracked flows.
    pub fn flows(&mut self, limit: usize) -> Vec<FlowRecord> {
        todo!()
    }
    pub fn stop(self) -> Result<(), EngineError> {
        todo!()
    }
}
