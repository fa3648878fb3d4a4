//! All that is kept of flows, one cache line each, or two.
//!
//! With a million flows a packet's cost is the lines that it touches. The first line has all that
//! an IPv4 packet needs. The second has the upper 96 bits of addresses, which only flows with an
//! IPv6 address have (*wide* ones), and what is touched every four billion packets. Unless the first
//! line says that there is something in it, it is never looked at, nor written: a new flow would
//! wait for it.
//!
//! Endpoints stand in the order client, service, backend, translated: a direction's tuple then
//! starts at `2 * direction`, and what it becomes ends at `3 - 2 * direction`, with no branch.

use std::ops::Range;

use prefetch_index::prefetch_index;

use crate::wire::{Address, Endpoint, Protocol, Tuple};

use super::key::{Direction, FlowId, Hit, NewFlow};
use super::state::State;

const CLIENT: usize = 0;
const SERVICE: usize = 1;
const BACKEND: usize = 2;
const TRANSLATED: usize = 3;

/// The first line of a flow.
#[derive(Clone)]
#[repr(C, align(64))]
pub(super) struct Entry {
    /// The lower 32 bits of the addresses.
    lower: [u32; 4],
    ports: [u16; 4],
    pub(super) generation: u32,
    protocol: Protocol,
    pub(super) state: State,
    is_wide: bool,
    /// Whether `packets` has overflown, and the second line has the rest.
    is_long: bool,
    /// The first millisecond in which the flow is no more, unless a packet comes before.
    pub(super) expires_ms: u64,
    /// By direction, the lower 32 bits.
    packets: [u32; 2],
    /// By direction.
    bytes: [u64; 2],
}

const _: () = assert!(size_of::<Entry>() == 64);

/// The second line of a flow.
#[derive(Clone, Default)]
#[repr(C, align(64))]
struct Upper {
    /// Bits 64 and up of the addresses.
    high: [u64; 4],
    /// Bits 32 to 63 of the addresses.
    middle: [u32; 4],
    /// By direction, the upper 32 bits.
    packets: [u32; 2],
}

const _: () = assert!(size_of::<Upper>() == 64);

/// What stands where there is no flow.
const VACANT: Entry = Entry {
    lower: [0; 4],
    ports: [0; 4],
    generation: 0,
    protocol: Protocol::Tcp,
    state: State::CloseUnreplied,
    is_wide: false,
    is_long: false,
    expires_ms: 0,
    packets: [0; 2],
    bytes: [0; 2],
};

/// Packets and bytes of one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Counted {
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

/// The entries of a table.
pub(super) struct Entries {
    entries: Box<[Entry]>,
    uppers: Box<[Upper]>,
}

impl Entries {
    pub(super) fn new(capacity_flows: u32) -> Self {
        Self {
            entries: vec![VACANT; capacity_flows as usize].into(),
            uppers: vec![Upper::default(); capacity_flows as usize].into(),
        }
    }

    pub(super) fn memory(&self) -> [Range<*const u8>; 2] {
        let (entries, uppers) = (self.entries.as_ptr_range(), self.uppers.as_ptr_range());
        [entries.start.cast()..entries.end.cast(), uppers.start.cast()..uppers.end.cast()]
    }

    pub(super) fn capacity(&self) -> u32 {
        self.entries.len() as u32
    }

    #[inline]
    pub(super) fn get(&self, id: FlowId) -> &Entry {
        &self.entries[id.index()]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: FlowId) -> &mut Entry {
        &mut self.entries[id.index()]
    }

    /// Writes a flow over whatever stood there, nothing counted yet.
    pub(super) fn write(&mut self, id: FlowId, new: &NewFlow, state: State, expires_ms: u64) {
        let ends = [&new.client, &new.service, &new.backend, &new.translated];
        let is_wide = is_wide(new);
        self.entries[id.index()] = Entry {
            lower: ends.map(|end| end.address.v4_bits()),
            ports: ends.map(|end| end.port),
            generation: new.generation,
            protocol: new.protocol,
            state,
            is_wide,
            is_long: false,
            expires_ms,
            packets: [0; 2],
            bytes: [0; 2],
        };
        if is_wide {
            let upper = &mut self.uppers[id.index()];
            upper.high = ends.map(|end| end.address.high());
            upper.middle = ends.map(|end| (end.address.low() >> 32) as u32);
        }
    }

    #[inline]
    pub(super) fn count(&mut self, id: FlowId, direction: Direction, bytes: u32) {
        let entry = &mut self.entries[id.index()];
        let (packets, carry) = entry.packets[direction as usize].overflowing_add(1);
        entry.packets[direction as usize] = packets;
        entry.bytes[direction as usize] += u64::from(bytes);
        if carry {
            let upper = &mut self.uppers[id.index()];
            if !std::mem::replace(&mut entry.is_long, true) {
                upper.packets = [0; 2];
            }
            upper.packets[direction as usize] += 1;
        }
    }

    pub(super) fn counted(&self, id: FlowId, direction: Direction) -> Counted {
        let entry = self.get(id);
        let lower = entry.packets[direction as usize];
        let upper =
            if entry.is_long { self.uppers[id.index()].packets[direction as usize] } else { 0 };
        Counted {
            packets: u64::from(upper) << 32 | u64::from(lower),
            bytes: entry.bytes[direction as usize],
        }
    }

    #[inline]
    fn end(&self, id: FlowId, at: usize) -> Endpoint {
        let entry = &self.entries[id.index()];
        let (lower, port) = (entry.lower[at], entry.ports[at]);
        let address = if entry.is_wide {
            let upper = &self.uppers[id.index()];
            let low = u64::from(upper.middle[at]) << 32 | u64::from(lower);
            Address::from_v6_bits(u128::from(upper.high[at]) << 64 | u128::from(low))
        } else {
            Address::from_v4_bits(lower)
        };
        Endpoint { address, port }
    }

    #[inline]
    pub(super) fn client(&self, id: FlowId) -> Endpoint {
        self.end(id, CLIENT)
    }

    #[inline]
    pub(super) fn service(&self, id: FlowId) -> Endpoint {
        self.end(id, SERVICE)
    }

    #[inline]
    pub(super) fn backend(&self, id: FlowId) -> Endpoint {
        self.end(id, BACKEND)
    }

    #[inline]
    pub(super) fn translated(&self, id: FlowId) -> Endpoint {
        self.end(id, TRANSLATED)
    }

    #[inline]
    pub(super) fn protocol(&self, id: FlowId) -> Protocol {
        self.get(id).protocol
    }

    #[inline]
    pub(super) fn is_wide(&self, id: FlowId) -> bool {
        self.get(id).is_wide
    }

    /// The tuple of packets in this direction, as they arrive.
    #[inline]
    pub(super) fn tuple(&self, id: FlowId, direction: Direction) -> Tuple {
        let first = 2 * direction as usize;
        Tuple {
            source: self.end(id, first),
            destination: self.end(id, first + 1),
            protocol: self.protocol(id),
        }
    }

    /// Whether packets of the flow have this tuple, in the hit's direction, as they arrive.
    #[inline(always)]
    pub(super) fn bears(
        &self,
        hit: Hit,
        source: &Endpoint,
        destination: &Endpoint,
        protocol: Protocol,
    ) -> bool {
        let own = self.tuple(hit.id, hit.direction);
        own.source == *source && own.destination == *destination && own.protocol == protocol
    }

    /// The tuple of packets in this direction, as they leave.
    #[inline]
    pub(super) fn translation(&self, id: FlowId, direction: Direction) -> Tuple {
        let last = 3 - 2 * direction as usize;
        Tuple {
            source: self.end(id, last),
            destination: self.end(id, last - 1),
            protocol: self.protocol(id),
        }
    }

    /// Asks the processor for the lines that a packet of a flow needs.
    #[inline]
    pub(super) fn prefetch(&self, id: FlowId, is_wide: bool) {
        prefetch_index(&self.entries, id.index());
        if is_wide {
            prefetch_index(&self.uppers, id.index());
        }
    }
}

/// Whether any of the flow's addresses needs more than 32 bits.
pub(super) fn is_wide(new: &NewFlow) -> bool {
    [&new.client, &new.service, &new.backend, &new.translated]
        .iter()
        .any(|end| !end.address.is_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_counted_beyond_32_bits() {
        let end = Endpoint { address: Address::from_v4_bits(1), port: 2 };
        let new = NewFlow {
            client: end,
            service: end,
            backend: end,
            translated: end,
            protocol: Protocol::Udp,
            generation: 0,
        };
        let (id, mut entries) = (FlowId(0), Entries::new(1));
        entries.write(id, &new, State::UdpUnreplied, 0);
        entries.entries[0].packets = [u32::MAX, 7];
        entries.entries[0].bytes = [1 << 40, 8];
        entries.count(id, Direction::Forward, 1_500);
        let forward = Counted { packets: 1 << 32, bytes: (1 << 40) + 1_500 };
        assert_eq!(entries.counted(id, Direction::Forward), forward);
        assert_eq!(entries.counted(id, Direction::Reply), Counted { packets: 7, bytes: 8 });
        entries.entries[0].packets[1] = u32::MAX;
        entries.count(id, Direction::Reply, 0);
        assert_eq!(entries.counted(id, Direction::Reply), Counted { packets: 1 << 32, bytes: 8 });
        assert_eq!(entries.counted(id, Direction::Forward), forward);
        entries.write(id, &new, State::UdpUnreplied, 0);
        assert_eq!(entries.counted(id, Direction::Forward), Counted { packets: 0, bytes: 0 });
        // What the flow before had counted is not the next one's.
        entries.entries[0].packets[0] = u32::MAX;
        entries.count(id, Direction::Forward, 0);
        assert_eq!(entries.counted(id, Direction::Forward).packets, 1 << 32);
        assert_eq!(entries.counted(id, Direction::Reply).packets, 0);
    }
}
