//! Which flows there are: every combination of source address, source port and destination, in an
//! order that a seed makes (RFC 4814, section 4.5: ports at random, the privileged ones apart).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::Serialize;

/// Source ports, the privileged ones apart.
const FIRST_PORT: u64 = 1_024;
/// Source ports that flows can have.
pub(crate) const PORTS: u64 = 65_536 - FIRST_PORT;
const ROUNDS: u64 = 4;
/// Addresses of one range.
const MAX_ADDRESSES: u128 = 1 << 32;

/// Consecutive addresses of one family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AddressRange {
    first: IpAddr,
    count: u64,
}

impl AddressRange {
    /// Of one address.
    pub(crate) fn one(first: IpAddr) -> Self {
        Self { first, count: 1 }
    }

    /// The first of them.
    pub(crate) fn first(&self) -> IpAddr {
        self.first
    }

    fn nth(&self, index: u64) -> IpAddr {
        match self.first {
            IpAddr::V4(first) => Ipv4Addr::from_bits(first.to_bits() + index as u32).into(),
            IpAddr::V6(first) => Ipv6Addr::from_bits(first.to_bits() + u128::from(index)).into(),
        }
    }

    /// From one address to another.
    ///
    /// # Errors
    /// When they are of two families, or in the wrong order, or too far apart.
    pub(crate) fn between(first: IpAddr, last: IpAddr) -> Result<Self, String> {
        let count = match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                u128::from(last.to_bits()).checked_sub(first.to_bits().into())
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => last.to_bits().checked_sub(first.to_bits()),
            _ => return Err(format!("{first} and {last} are not of one family")),
        };
        match count {
            None => Err(format!("{last} comes before {first}")),
            Some(count) if count >= MAX_ADDRESSES => {
                Err("more than 4,294,967,296 addresses".into())
            }
            Some(count) => Ok(Self { first, count: count as u64 + 1 }),
        }
    }

    fn prefix(address: &str, length: &str) -> Result<Self, String> {
        let address = parse_address(address)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let length: u32 = length.parse().map_err(|_| format!("{length} is no prefix length"))?;
        let host_bits =
            u32::checked_sub(bits, length).ok_or(format!("a prefix has at most {bits} bits"))?;
        let mask = if host_bits == 128 { u128::MAX } else { (1 << host_bits) - 1 };
        match address {
            IpAddr::V4(ip) => {
                let first = ip.to_bits() & !(mask as u32);
                let last = first | mask as u32;
                Self::between(Ipv4Addr::from_bits(first).into(), Ipv4Addr::from_bits(last).into())
            }
            IpAddr::V6(ip) => {
                let first = ip.to_bits() & !mask;
                Self::between(
                    Ipv6Addr::from_bits(first).into(),
                    Ipv6Addr::from_bits(first | mask).into(),
                )
            }
        }
    }
}

impl FromStr for AddressRange {
    type Err = String;

    /// `A`, `A-B` or `A/LENGTH`.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((address, length)) = text.split_once('/') {
            return Self::prefix(address, length);
        }
        match text.split_once('-') {
            Some((first, last)) => Self::between(parse_address(first)?, parse_address(last)?),
            None => Ok(Self::one(parse_address(text)?)),
        }
    }
}

fn parse_address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is no IP address"))
}

/// Where packets go: addresses, and a port of theirs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Destination {
    /// The addresses.
    pub(crate) addresses: AddressRange,
    /// The port of each.
    pub(crate) port: u16,
}

impl FromStr for Destination {
    type Err = String;

    /// `RANGE:PORT`, with an IPv6 range in brackets.
    fn from_str(text: &str) -> Result<Self, String> {
        let missing = || "expected ADDRESS:PORT, or [ADDRESS]:PORT for IPv6".to_owned();
        let (addresses, port) = text.rsplit_once(':').ok_or_else(missing)?;
        let port = port.parse().map_err(|_| missing())?;
        let bare = addresses.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let addresses: AddressRange = bare.unwrap_or(addresses).parse()?;
        if addresses.first.is_ipv6() && bare.is_none() {
            return Err(missing());
        }
        Ok(Self { addresses, port })
    }
}

/// Both ends of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
pub(crate) struct Tuple {
    /// The client.
    pub(crate) source: (IpAddr, u16),
    /// The Service, or whatever it talks to.
    pub(crate) destination: (IpAddr, u16),
}

/// All flows that there can be, in a random order.
#[derive(Clone, Debug)]
pub(crate) struct Tuples {
    sources: Vec<AddressRange>,
    destinations: Vec<Destination>,
    source_count: u64,
    destination_count: u64,
    count: u64,
    half_bits: u32,
    keys: [u64; ROUNDS as usize],
}

impl Tuples {
    /// Of these sources and destinations, none of them empty.
    pub(crate) fn new(
        sources: Vec<AddressRange>,
        destinations: Vec<Destination>,
        seed: u64,
    ) -> Self {
        let source_count: u64 = sources.iter().map(|range| range.count).sum();
        let destination_count: u64 =
            destinations.iter().map(|destination| destination.addresses.count).sum();
        let all = u128::from(source_count) * u128::from(PORTS) * u128::from(destination_count);
        // More than anybody can send: the rest is never reached.
        let count = all.min(1 << 62) as u64;
        let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
        let mut key = seed;
        let keys = [(); ROUNDS as usize].map(|()| {
            key = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix(key)
        });
        let half_bits = bits.div_ceil(2).max(1);
        Self { sources, destinations, source_count, destination_count, count, half_bits, keys }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The flow at a place of the random order; beyond the last they come again.
    pub(crate) fn nth(&self, place: u64) -> Tuple {
        let index = self.permute(place % self.count);
        let (port, rest) = (index % PORTS, index / PORTS);
        let (destination, source) = (rest % self.destination_count, rest / self.destination_count);
        Tuple {
            source: (self.source(source % self.source_count), (FIRST_PORT + port) as u16),
            destination: self.destination(destination),
        }
    }

    fn source(&self, mut index: u64) -> IpAddr {
        for range in &self.sources {
            if index < range.count {
                return range.nth(index);
            }
            index -= range.count;
        }
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    }

    fn destination(&self, mut index: u64) -> (IpAddr, u16) {
        for Destination { addresses, port } in &self.destinations {
            if index < addresses.count {
                return (addresses.nth(index), *port);
            }
            index -= addresses.count;
        }
        (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)
    }

    /// A Feistel network over the next power of four, walked until it is back within the count: a
    /// permutation that takes no memory.
    fn permute(&self, mut index: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        loop {
            let (mut left, mut right) = (index >> self.half_bits, index & mask);
            for key in self.keys {
                (left, right) = (right, left ^ (mix(right ^ key) & mask));
            }
            index = left << self.half_bits | right;
            if index < self.count {
                return index;
            }
        }
    }
}

/// The finalizer of MurmurHash3.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    value = (value ^ (value >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    value ^ (value >> 33)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn range(text: &str) -> AddressRange {
        text.parse().expect("a range")
    }

    #[test]
    fn ranges_are_read_as_people_write_them() {
        assert_eq!(range("10.0.0.7").count, 1);
        assert_eq!(range("10.0.0.7-10.0.1.6").count, 256);
        assert_eq!(range("10.0.0.7/24"), range("10.0.0.0-10.0.0.255"));
        assert_eq!(range("fd00::/112").count, 65_536);
        assert_eq!(range("0.0.0.0/0").count, 1 << 32);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for (text, message) in [
            ("10.0.0", "\"10.0.0\" is no IP address"),
            ("10.0.0.2-10.0.0.1", "10.0.0.1 comes before 10.0.0.2"),
            ("10.0.0.2-fd00::1", "10.0.0.2 and fd00::1 are not of one family"),
            ("10.0.0.0/33", "a prefix has at most 32 bits"),
            ("fd00::/64", "more than 4,294,967,296 addresses"),
        ] {
            assert_eq!(text.parse::<AddressRange>(), Err(message.to_owned()));
        }
        for text in ["10.0.0.1", "fd00::1:80", "10.0.0.1:http", "[fd00::1]"] {
            text.parse::<Destination>().expect_err(text);
        }
    }

    #[test]
    fn every_flow_comes_once() {
        let destinations = vec![
            "10.96.0.1-10.96.0.3:80".parse().expect("a destination"),
            "10.97.0.1:53".parse().expect("a destination"),
        ];
        let tuples = Tuples::new(vec![range("10.0.0.1-10.0.0.2")], destinations, 5);
        assert_eq!(tuples.count(), 2 * PORTS * 4);
        let all: HashSet<Tuple> = (0..tuples.count()).map(|place| tuples.nth(place)).collect();
        assert_eq!(all.len() as u64, tuples.count());
        assert!(all.iter().all(|tuple| u64::from(tuple.source.1) >= FIRST_PORT));
    }

    #[test]
    fn a_seed_says_it_all_and_ports_are_spread() {
        let tuples = |seed| {
            Tuples::new(
                vec![range("fd00::1")],
                vec!["[fd00::2]:9".parse().expect("a destination")],
                seed,
            )
        };
        let some = |seed| (0..1_000).map(|place| tuples(seed).nth(place)).collect::<Vec<_>>();
        assert_eq!(some(1), some(1));
        assert_ne!(some(1), some(2));
        let low = some(1).iter().filter(|tuple| tuple.source.1 < 33_280).count();
        assert!((400..600).contains(&low), "{low} of 1,000 ports in the lower half");
    }
}
