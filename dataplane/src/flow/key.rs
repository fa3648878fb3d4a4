use crate::wire::{Endpoint, Protocol, Tuple};

/// Which of a flow's two tuples a packet bears.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Direction {
    /// From the client to the Service.
    Forward = 0,
    /// From the backend to the client, as the backend knows it.
    Reply = 1,
}

/// A flow in one worker's table.
///
/// Good until the flow is removed: do not keep it over a call that may remove flows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlowId(pub(super) u32);

impl FlowId {
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A flow that the table found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hit {
    /// The flow.
    pub id: FlowId,
    /// Which of its tuples was asked for.
    pub direction: Direction,
}

/// A flow that the table took in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entered {
    /// The flow.
    pub id: FlowId,
    /// The hash of the backend's packets: the flow's fingerprint.
    pub reply_hash: u64,
}

/// A flow to be entered into the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewFlow {
    /// Who talks to the Service.
    pub client: Endpoint,
    /// The Service's address and port.
    pub service: Endpoint,
    /// Who answers for the Service.
    pub backend: Endpoint,
    /// The client as the backend is to see it.
    pub translated: Endpoint,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The snapshot generation in which the backend was chosen.
    pub generation: u32,
}

impl NewFlow {
    /// The tuple of packets from the client.
    pub const fn forward_tuple(&self) -> Tuple {
        Tuple { source: self.client, destination: self.service, protocol: self.protocol }
    }

    /// The tuple of packets from the backend.
    pub const fn reply_tuple(&self) -> Tuple {
        Tuple { source: self.backend, destination: self.translated, protocol: self.protocol }
    }
}
