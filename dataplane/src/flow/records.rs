//! Reading the table out.

use crate::wire::{Endpoint, Protocol};

use super::key::{Direction, FlowId};
use super::state::State;
use super::table::FlowTable;

/// All that is known of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowRecord {
    /// Who talks to the Service.
    pub client: Endpoint,
    /// The Service's address and port.
    pub service: Endpoint,
    /// Who answers for the Service.
    pub backend: Endpoint,
    /// The client as the backend sees it.
    pub translated: Endpoint,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// What the flow is up to.
    pub state: State,
    /// The snapshot generation against which the backend was last checked.
    pub generation: u32,
    /// Packets from the client.
    pub forward_packets: u64,
    /// Bytes from the client.
    pub forward_bytes: u64,
    /// Packets from the backend.
    pub reply_packets: u64,
    /// Bytes from the backend.
    pub reply_bytes: u64,
    /// When the last packet came, in milliseconds since the engine's start.
    pub last_packet_ms: u64,
    /// When the flow expires unless a packet comes, in milliseconds since the engine's start.
    pub expires_ms: u64,
}

impl FlowTable {
    /// All that is known of a flow.
    #[inline]
    pub fn get(&self, id: FlowId) -> FlowRecord {
        let entry = self.entries.get(id);
        let forward = self.entries.counted(id, Direction::Forward);
        let reply = self.entries.counted(id, Direction::Reply);
        FlowRecord {
            client: self.entries.client(id),
            service: self.entries.service(id),
            backend: self.entries.backend(id),
            translated: self.entries.translated(id),
            protocol: self.entries.protocol(id),
            state: entry.state,
            generation: entry.generation,
            forward_packets: forward.packets,
            forward_bytes: forward.bytes,
            reply_packets: reply.packets,
            reply_bytes: reply.bytes,
            last_packet_ms: entry.expires_ms - u64::from(self.timeouts_ms[entry.state as usize]),
            expires_ms: entry.expires_ms,
        }
    }

    /// The flows in the next `places` places of the table, starting at place `from`, and the
    /// place to go on from, if any is left. Begin with 0. A flow that comes or goes between two
    /// calls may be missed; one that stays is read once.
    pub fn records(
        &self,
        from: u32,
        places: u32,
    ) -> (impl Iterator<Item = FlowRecord> + '_, Option<u32>) {
        let from = from.min(self.capacity());
        let end = from.saturating_add(places).min(self.capacity());
        let records = (from..end)
            .map(FlowId)
            .filter(|&id| self.deadlines.is_armed(id))
            .map(|id| self.get(id));
        (records, (end < self.capacity()).then_some(end))
    }
}
