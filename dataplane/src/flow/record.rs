use crate::wire::{Endpoint, Protocol};

/// What can be told of one tracked connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowRecord {
    /// Who opened it.
    pub client: Endpoint,
    /// The frontend that it was sent to.
    pub service: Endpoint,
    /// The endpoint that was picked.
    pub backend: Endpoint,
    /// The client as the backend sees it.
    pub translated: Endpoint,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The TCP state, or whether a UDP flow was replied to.
    pub state: &'static str,
    /// Packets from the client and from the backend.
    pub packets: [u64; 2],
    /// Bytes of IP packets from the client and from the backend.
    pub bytes: [u64; 2],
    /// Until it is forgotten if nothing more comes.
    pub expires_in_ms: u64,
}
