use super::{ATOMIC, IpHeader, may_answer};
use crate::wire::ethernet::swap_ethernet_addresses;
use crate::wire::icmp::{CHECKSUM, HEADER_BYTES};
use crate::wire::network::{self, Extent, Network, protocol};
use crate::wire::parse::parse_network;
use crate::wire::{Address, Parsed, checksum};

/// The longest ICMPv4 error, from its IP header on (RFC 1812, section 4.3.2.3).
const V4_BYTES_MAX: usize = 576;
/// The longest ICMPv6 error, from its IP header on (RFC 4443, section 2.4(c)).
const V6_BYTES_MAX: usize = 1280;

/// Precedence 6, internetwork control (RFC 1812, section 4.3.2.5).
const INTERNETWORK_CONTROL: u8 = 0xc0;

/// What an ICMP error says of the packet that it answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IcmpAnswer {
    /// Nobody listens at the port: ICMPv4 3/3, ICMPv6 1/4.
    PortUnreachable,
    /// TTL or hop limit used up in transit: 11/0, 3/0.
    TimeExceeded,
    /// Longer than the way out carries: 3/4 (RFC 1191), 2/0.
    TooBig {
        /// The longest IP packet that the way out carries, in bytes.
        mtu: u16,
    },
}

impl IcmpAnswer {
    /// Type, code, checksum (0 as yet) and the word that depends on the type.
    const fn header(self, ipv4: bool) -> [u8; HEADER_BYTES] {
        let (kind, code, mtu) = match (self, ipv4) {
            (Self::PortUnreachable, true) => (3, 3, 0),
            (Self::PortUnreachable, false) => (1, 4, 0),
            (Self::TimeExceeded, true) => (11, 0, 0),
            (Self::TimeExceeded, false) => (3, 0, 0),
            (Self::TooBig { mtu }, true) => (3, 4, mtu),
            (Self::TooBig { mtu }, false) => (2, 0, mtu),
        };
        // RFC 1191 has 16 bits behind 16 unused ones, RFC 4443 has 32 bits: the same bytes.
        let [high, low] = mtu.to_be_bytes();
        [kind, code, 0, 0, 0, 0, high, low]
    }
}

/// Writes an ICMP error from `source` over the packet that it is about, quotes as much of that as
/// is allowed, and returns the frame's new length in bytes.
///
/// `length` is that of the frame in `buffer`, `network_offset` where its IP header begins.
///
/// `None`, and nothing written, where RFC 1122, section 3.2.2 or RFC 4443, section 2.4(e) forbid
/// an error: about an ICMP error, about a later fragment, to a sender or about a destination that
/// is not one host. Likewise for what is neither TCP, UDP nor an echo request, where `source` is
/// of the other family, and where the buffer is too small.
#[cold]
pub fn answer_icmp(
    buffer: &mut [u8],
    length: usize,
    network_offset: u16,
    what: IcmpAnswer,
    source: Address,
) -> Option<usize> {
    let offset = usize::from(network_offset);
    let packet = answerable(buffer.get(..length)?, offset, source)?;
    let ipv4 = source.is_ipv4();
    let ip = IpHeader {
        source,
        destination: packet.source,
        protocol: if ipv4 { protocol::ICMP } else { protocol::ICMPV6 },
        traffic_class: if ipv4 { INTERNETWORK_CONTROL } else { 0 },
        identification: ATOMIC,
    };
    let bytes_max = if ipv4 { V4_BYTES_MAX } else { V6_BYTES_MAX };
    let quote_bytes = (packet.end - offset).min(bytes_max - ip.bytes() - HEADER_BYTES);
    let message_bytes = HEADER_BYTES + quote_bytes;
    let end = ip.end(buffer, offset, message_bytes)?;

    buffer.copy_within(offset..offset + quote_bytes, end - quote_bytes);
    ip.write(buffer.get_mut(offset..end)?);
    let message = buffer.get_mut(end - message_bytes..end)?;
    message[..HEADER_BYTES].copy_from_slice(&what.header(ipv4));
    // RFC 4443, section 2.3: only ICMPv6 has a pseudo-header.
    let pseudo_header = if ipv4 { 0 } else { ip.pseudo_header_sum(message_bytes) };
    let checksum = !checksum::fold(pseudo_header + checksum::sum(message));
    message[CHECKSUM..CHECKSUM + 2].copy_from_slice(&checksum.to_be_bytes());
    swap_ethernet_addresses(buffer);
    Some(end)
}

/// The packet at `offset`, if an error from `source` may be sent about it.
fn answerable(frame: &[u8], offset: usize, source: Address) -> Option<Network> {
    let packet = network::read(frame, offset, Extent::Whole).ok()?;
    let allowed = matches!(
        parse_network(frame, offset, &packet),
        Ok(Parsed::Transport(_) | Parsed::EchoRequest(_))
    );
    let same_family = packet.source.is_ipv4() == source.is_ipv4();
    (allowed && same_family && may_answer(packet.source, packet.destination)).then_some(packet)
}
