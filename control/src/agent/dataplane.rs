use maglane_dataplane::engine::{Engine, EngineError, EngineStatus};
use maglane_dataplane::flow::FlowRecord;
use maglane_dataplane::service::Snapshot;

/// What the agent needs of an engine.
///
/// A trait for the sake of tests. They bring one that remembers its calls and fails when told to,
/// and check what a real engine does not show: that nothing is published when nothing changed, in
/// which order Pods are detached and attached, and that one `attach` or `publish` that failed is
/// tried again and leaves the others alone.
pub(crate) trait Dataplane {
    /// Why it cannot.
    type Error: std::error::Error;
    /// Steers Service traffic of a Pod, by the index of the node's end of its veth.
    fn attach_pod(&mut self, interface: u32) -> Result<(), Self::Error>;
    /// Forgets a Pod; its interface may have gone already.
    fn detach_pod(&mut self, interface: u32);
    /// Has replies of other machines to the node's own processes translated, by interface index.
    fn attach_uplink(&mut self, interface: u32) -> Result<(), Self::Error>;
    /// Forgets an uplink; it may have gone already.
    fn detach_uplink(&mut self, interface: u32);
    /// Puts a snapshot in force and returns its generation.
    fn publish(&mut self, snapshot: Snapshot) -> Result<u32, Self::Error>;
    /// What it tells of itself.
    fn status(&self) -> EngineStatus;
    /// Up to `limit` tracked flows.
    fn flows(&self, limit: usize) -> Vec<FlowRecord>;
    /// The time that flows are stamped with, in milliseconds.
    fn now_ms(&self) -> u64;
}

impl Dataplane for Engine {
    type Error = EngineError;

    fn attach_pod(&mut self, interface: u32) -> Result<(), EngineError> {
        Self::attach_pod(self, interface)
    }

    fn detach_pod(&mut self, interface: u32) {
        Self::detach_pod(self, interface);
    }

    fn attach_uplink(&mut self, interface: u32) -> Result<(), EngineError> {
        Self::attach_uplink(self, interface)
    }

    fn detach_uplink(&mut self, interface: u32) {
        Self::detach_uplink(self, interface);
    }

    fn publish(&mut self, snapshot: Snapshot) -> Result<u32, EngineError> {
        Self::publish(self, snapshot)
    }

    fn status(&self) -> EngineStatus {
        Self::status(self)
    }

    fn flows(&self, limit: usize) -> Vec<FlowRecord> {
        // Nothing is asked of workers when nothing is wanted.
        if limit == 0 { Vec::new() } else { Self::flows(self, limit) }
    }

    fn now_ms(&self) -> u64 {
        Self::now_ms(self)
    }
}
