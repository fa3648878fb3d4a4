//! Answers to a packet, written over it in the frame that holds it.
//!
//! Every answer goes back to where the packet came from: Ethernet addresses swapped, VLAN tag
//! kept. Its IP header has no options or extension headers, whatever the packet had. An answer may
//! be larger than the packet, so it needs a buffer larger than the frame; where that is too small,
//! and where an RFC forbids to answer, the buffer is left as it is. Answers are not padded to
//! Ethernet's minimum: veth needs none, and NICs pad by themselves.

mod echo;
mod icmp;
mod tcp_reset;

pub use echo::answer_echo;
pub use icmp::{IcmpAnswer, answer_icmp};
pub use tcp_reset::answer_tcp_reset;

use super::checksum;
use super::{Address, ipv4, ipv6};

/// TTL or hop limit that answers start with, as RFC 1700 recommends.
const TIME_TO_LIVE: u8 = 64;

/// Identification, flags and fragment offset of an IPv4 packet that nobody may fragment, so that
/// its identification need not be unique (RFC 6864, section 4.1).
const ATOMIC: [u8; 4] = [0, 0, 0x40, 0];

/// The IP header of an answer.
struct IpHeader {
    source: Address,
    destination: Address,
    protocol: u8,
    /// Type of service or traffic class.
    traffic_class: u8,
    /// Bytes 4 to 7 of an IPv4 header; IPv6 has none.
    identification: [u8; 4],
}

impl IpHeader {
    const fn bytes(&self) -> usize {
        if self.source.is_ipv4() { ipv4::HEADER_BYTES } else { ipv6::HEADER_BYTES }
    }

    /// The end of a packet of this header at `offset` and `payload_bytes`, if `buffer` reaches it.
    fn end(&self, buffer: &[u8], offset: usize, payload_bytes: usize) -> Option<usize> {
        let end = offset + self.bytes() + payload_bytes;
        (end <= buffer.len() && end <= usize::from(u16::MAX)).then_some(end)
    }

    /// Writes the header at the beginning of `packet`, which it and its payload fill.
    fn write(&self, packet: &mut [u8]) {
        let total_bytes = packet.len() as u16;
        if self.source.is_ipv4() {
            if let Some(header) = packet.first_chunk_mut() {
                self.write_ipv4(header, total_bytes);
            }
        } else if let Some(header) = packet.first_chunk_mut() {
            self.write_ipv6(header, total_bytes);
        }
    }

    fn write_ipv4(&self, header: &mut [u8; ipv4::HEADER_BYTES], total_bytes: u16) {
        header[0] = 0x45;
        header[1] = self.traffic_class;
        header[2..4].copy_from_slice(&total_bytes.to_be_bytes());
        header[4..8].copy_from_slice(&self.identification);
        header[8] = TIME_TO_LIVE;
        header[9] = self.protocol;
        header[10..12].fill(0);
        header[12..16].copy_from_slice(&self.source.v4_bits().to_be_bytes());
        header[16..20].copy_from_slice(&self.destination.v4_bits().to_be_bytes());
        let checksum = !checksum::fold(checksum::sum(header));
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
    }

    fn write_ipv6(&self, header: &mut [u8; ipv6::HEADER_BYTES], total_bytes: u16) {
        let payload_bytes = total_bytes.saturating_sub(ipv6::HEADER_BYTES as u16);
        let first_word = 6 << 28 | u32::from(self.traffic_class) << 20;
        header[0..4].copy_from_slice(&first_word.to_be_bytes());
        header[4..6].copy_from_slice(&payload_bytes.to_be_bytes());
        header[6] = self.protocol;
        header[7] = TIME_TO_LIVE;
        header[8..24].copy_from_slice(&self.source.bits().to_be_bytes());
        header[24..40].copy_from_slice(&self.destination.bits().to_be_bytes());
    }

    /// The unfolded sum of the pseudo-header that stands for this header in a checksum.
    fn pseudo_header_sum(&self, payload_bytes: usize) -> u64 {
        checksum::pseudo_header_sum(self.source, self.destination, self.protocol, payload_bytes)
    }
}

/// Whether a packet between these addresses may be answered at all: the sender must be one host,
/// and the packet must have been for one (RFC 1122, sections 3.2.2 and 4.2.3.10; RFC 4443, section
/// 2.4(e)).
///
/// A link-layer broadcast is for the caller to see, who knows whether the Ethernet header is one.
fn may_answer(source: Address, destination: Address) -> bool {
    let multicast = |address: Address| {
        if address.is_ipv4() {
            // Multicast, class E and limited broadcast.
            address.v4_bits() >> 28 >= 0xe
        } else {
            address.bits() >> 120 == 0xff
        }
    };
    let no_host = if source.is_ipv4() {
        matches!(source.v4_bits() >> 24, 0 | 127)
    } else {
        // Unspecified and loopback.
        source.bits() <= 1
    };
    !no_host && !multicast(source) && !multicast(destination)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::may_answer;
    use crate::wire::Address;

    fn address(text: &str) -> Address {
        Address::from(text.parse::<IpAddr>().expect("an address"))
    }

    #[test]
    fn only_one_host_is_answered() {
        for (source, answered) in [
            ("10.0.0.1", true),
            ("223.255.255.255", true),
            ("0.0.0.0", false),
            ("127.0.0.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
        ] {
            assert_eq!(may_answer(address(source), address("10.96.0.10")), answered, "{source}");
        }
        for (source, answered) in [
            ("fd00::1", true),
            ("fe80::1", true),
            ("::", false),
            ("::1", false),
            ("ff02::1", false),
        ] {
            assert_eq!(may_answer(address(source), address("fd00::a")), answered, "{source}");
        }
    }

    #[test]
    fn packets_for_many_hosts_are_not_answered() {
        assert!(!may_answer(address("10.0.0.1"), address("239.0.0.1")));
        assert!(!may_answer(address("10.0.0.1"), address("255.255.255.255")));
        assert!(!may_answer(address("fd00::1"), address("ff02::1")));
    }
}
