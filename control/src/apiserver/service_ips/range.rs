//! The addresses of a CIDR that can be given away, counted from its first bit on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// First and last address that a machine can have: neither the network's own (in IPv6 the
/// routers' anycast address) nor, in IPv4, the broadcast address.
pub(crate) fn usable(cidr: IpNet) -> Option<(u128, u128)> {
    let (first, last) = (bits(cidr.network()), bits(cidr.broadcast()));
    let single = cidr.prefix_len() + 1 >= cidr.max_prefix_len();
    let (first, last) = match cidr {
        _ if single => (first, last),
        IpNet::V4(_) => (first + 1, last - 1),
        IpNet::V6(_) => (first + 1, last),
    };
    (first <= last).then_some((first, last))
}

/// How many addresses from the start people choose from: a sixteenth, 16 to 256 (KEP-3070).
pub(crate) fn static_band(size: u128) -> u128 {
    if size <= 16 { 0 } else { (size / 16).clamp(16, 256) }
}

/// The address with these bits, of the family of a CIDR.
pub(crate) fn address(cidr: IpNet, bits: u128) -> IpAddr {
    match cidr {
        IpNet::V4(_) => Ipv4Addr::from_bits(bits as u32).into(),
        IpNet::V6(_) => Ipv6Addr::from_bits(bits).into(),
    }
}

/// An address as a number.
pub(crate) fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}
