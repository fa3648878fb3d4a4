//! What a dataplane makes of a flow's addresses. A reply has to name what its client sent to, and a
//! flow has to stay with the destination that its first packet was brought to.

use std::net::IpAddr;

use super::tuples::Tuple;

/// Flows that are over of which replies may still come: some tenths of a second of a million new
/// flows each second.
const FORMER_BITS: u32 = 18;
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Tuple {
    /// As the other side sees it.
    #[inline]
    pub(crate) fn reversed(self) -> Self {
        Self { source: self.destination, destination: self.source }
    }

    /// As [`path`], but in full.
    fn digest(&self, flow: u32) -> u64 {
        let (source, destination) = (digest(self.source), digest(self.destination));
        (source ^ destination.rotate_left(29) ^ u64::from(flow)).wrapping_mul(SPREAD)
    }
}

/// From where (the upper half) and to where (the lower half) a packet came. As good as unique for
/// the few destinations of one flow.
#[inline]
pub(crate) fn path(tuple: &Tuple) -> u64 {
    digest(tuple.source) >> 32 << 32 | digest(tuple.destination) >> 32
}

#[inline]
fn digest((address, port): (IpAddr, u16)) -> u64 {
    let address = match address {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            ((bits >> 64) as u64).wrapping_mul(SPREAD).rotate_left(31) ^ bits as u64
        }
    };
    let mixed = (address ^ u64::from(port) << 48).wrapping_mul(SPREAD);
    (mixed ^ mixed >> 29).wrapping_mul(SPREAD)
}

/// Flows that gave their place to another, as many of the latest as there is room for.
pub(crate) struct Former(Vec<u64>);

impl Former {
    /// With room if there will be any.
    pub(crate) fn new(any: bool) -> Self {
        Self(vec![0; if any { 1 << FORMER_BITS } else { 0 }])
    }

    /// The flow of a place is over.
    pub(crate) fn add(&mut self, flow: u32, tuple: &Tuple) {
        let digest = tuple.digest(flow);
        if let Some(place) = self.0.get_mut(place(digest)) {
            *place = digest;
        }
    }

    /// Whether a place was that flow's.
    #[cold]
    pub(crate) fn has(&self, flow: u32, tuple: &Tuple) -> bool {
        let digest = tuple.digest(flow);
        self.0.get(place(digest)) == Some(&digest)
    }
}

/// The upper bits are those that all others have a share in.
fn place(digest: u64) -> usize {
    (digest >> (u64::BITS - FORMER_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(ipv6: bool, port: u16, backend: u16) -> Tuple {
        let address = |last: u16| match ipv6 {
            true => IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, last]),
            false => IpAddr::from([10, 0, 0, last as u8]),
        };
        Tuple { source: (address(1), port), destination: (address(backend), 80) }
    }

    #[test]
    fn a_path_has_two_halves() {
        for ipv6 in [false, true] {
            let one = path(&tuple(ipv6, 4_000, 2));
            let (moved, other) = (path(&tuple(ipv6, 4_000, 3)), path(&tuple(ipv6, 4_001, 2)));
            assert!(one >> 32 == moved >> 32 && one != moved);
            assert!(one as u32 == other as u32 && one >> 32 != other >> 32);
        }
    }

    #[test]
    fn former_flows_are_known_by_their_place() {
        let mut former = Former::new(true);
        for port in 1_024..2_024 {
            former.add(u32::from(port) % 8, &tuple(false, port, 2));
        }
        let known = |port: u16| former.has(u32::from(port) % 8, &tuple(false, port, 2));
        let count = (1_024..2_024).filter(|port| known(*port)).count();
        assert!(count > 980, "{count} of 1,000");
        assert!(!former.has(1, &tuple(false, 1_024, 2)));
        assert!(!known(2_024));
        assert!(!Former::new(false).has(0, &tuple(false, 1_024, 2)));
    }
}
