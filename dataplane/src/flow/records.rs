//! Reading the table out.

use crate::wire::{Endpoint, Protocol};

use super::entry::{Entry, FlowId};
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
        self.record(&self.entries[id.index()])
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

    #[inline]
    fn record(&self, entry: &Entry) -> FlowRecord {
        FlowRecord {
            client: entry.client(),
            service: entry.service(),
            backend: entry.backend(),
            translated: entry.translated(),
            protocol: entry.protocol,
            state: entry.state,
            generation: entry.generation,
            forward_packets: entry.packets[0],
            forward_bytes: entry.bytes[0],
            reply_packets: entry.packets[1],
            reply_bytes: entry.bytes[1],
            last_packet_ms: entry.expires_ms - u64::from(self.timeouts_ms[entry.state as usize]),
            expires_ms: entry.expires_ms,
        }
    }
}
