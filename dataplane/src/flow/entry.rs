use crate::wire::{Address, Endpoint, Protocol, Tuple};

use super::state::State;

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

const CLIENT: usize = 0;
const SERVICE: usize = 1;
const BACKEND: usize = 2;
const TRANSLATED: usize = 3;

/// All that is kept of a flow, in two cache lines: the addresses fill the first, everything else
/// stands in the second.
///
/// Endpoints are kept apart from each other in the order client, service, backend, translated:
/// a direction's tuple then starts at `2 * direction`, and what it becomes ends at
/// `3 - 2 * direction`, with no branch.
#[derive(Clone)]
#[repr(C, align(128))]
pub(super) struct Entry {
    addresses: [Address; 4],
    ports: [u16; 4],
    pub(super) generation: u32,
    pub(super) protocol: Protocol,
    pub(super) state: State,
    /// The first millisecond in which the flow is no more, unless a packet comes before.
    pub(super) expires_ms: u64,
    /// By direction.
    pub(super) packets: [u64; 2],
    /// By direction.
    pub(super) bytes: [u64; 2],
}

const _: () = assert!(size_of::<Entry>() == 128);

impl Entry {
    /// What stands where there is no flow.
    pub(super) const VACANT: Self = Self {
        addresses: [Address::from_v6_bits(0); 4],
        ports: [0; 4],
        generation: 0,
        protocol: Protocol::Tcp,
        state: State::CloseUnreplied,
        expires_ms: 0,
        packets: [0; 2],
        bytes: [0; 2],
    };

    pub(super) fn new(new: &NewFlow, state: State, bytes: u32, expires_ms: u64) -> Self {
        let ends = [new.client, new.service, new.backend, new.translated];
        Self {
            addresses: ends.map(|end| end.address),
            ports: ends.map(|end| end.port),
            generation: new.generation,
            protocol: new.protocol,
            state,
            expires_ms,
            packets: [1, 0],
            bytes: [u64::from(bytes), 0],
        }
    }

    #[inline]
    fn end(&self, at: usize) -> Endpoint {
        Endpoint { address: self.addresses[at & 3], port: self.ports[at & 3] }
    }

    #[inline]
    pub(super) fn client(&self) -> Endpoint {
        self.end(CLIENT)
    }

    #[inline]
    pub(super) fn service(&self) -> Endpoint {
        self.end(SERVICE)
    }

    #[inline]
    pub(super) fn backend(&self) -> Endpoint {
        self.end(BACKEND)
    }

    #[inline]
    pub(super) fn translated(&self) -> Endpoint {
        self.end(TRANSLATED)
    }

    /// The tuple of packets in this direction, as they arrive.
    #[inline]
    pub(super) fn tuple(&self, direction: Direction) -> Tuple {
        let first = 2 * direction as usize;
        Tuple { source: self.end(first), destination: self.end(first + 1), protocol: self.protocol }
    }

    /// The tuple of packets in this direction, as they leave.
    #[inline]
    pub(super) fn translation(&self, direction: Direction) -> Tuple {
        let last = 3 - 2 * direction as usize;
        Tuple { source: self.end(last), destination: self.end(last - 1), protocol: self.protocol }
    }

    /// Asks the processor for both cache lines.
    #[inline]
    pub(super) fn prefetch(&self) {
        prefetch_index::prefetch_index(&self.addresses[..], 0);
        prefetch_index::prefetch_index(&self.ports[..], 0);
    }
}
