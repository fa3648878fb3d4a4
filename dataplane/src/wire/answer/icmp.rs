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
    let frame = buffer.get(..length)?;
    let packet = answerable(frame, offset, source)?;
    let ipv4 = source.is_ipv4();
    let ip = IpHeader {
        source,
        destination: packet.addresses(frame).source,
        protocol: if ipv4 { protocol::ICMP } else { protocol::ICMPV6 },
        traffic_class: if ipv4 { INTERNETWORK_CONTROL } else { 0 },
        identification: ATOMIC,
    };
    let bytes_max = if ipv4 { V4_BYTES_MAX } else { V6_BYTES_MAX };
    let quote_bytes = (usize::from(packet.end) - offset).min(bytes_max - ip.bytes() - HEADER_BYTES);
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
    let allowed =
        matches!(parse_network(frame, packet), Ok(Parsed::Transport(_) | Parsed::EchoRequest(_)));
    let from = packet.addresses(frame);
    let same_family = from.source.is_ipv4() == source.is_ipv4();
    (allowed && same_family && may_answer(from.source, from.destination)).then_some(packet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sample::{self, address, assert_valid, icmp_error, tagged};

    const EVERY: [IcmpAnswer; 3] =
        [IcmpAnswer::PortUnreachable, IcmpAnswer::TimeExceeded, IcmpAnswer::TooBig { mtu: 1400 }];

    fn reporter(frame: &[u8]) -> Address {
        address(if frame[12] == 0x08 { "10.0.0.254" } else { "fd00::fe" })
    }

    /// The answer to an untagged frame, in a buffer of `buffer_bytes`.
    fn answer(frame: &[u8], buffer_bytes: usize, what: IcmpAnswer) -> Option<Vec<u8>> {
        let mut buffer = frame.to_vec();
        buffer.resize(buffer_bytes, 0xee);
        let before = buffer.clone();
        let length = answer_icmp(&mut buffer, frame.len(), 14, what, reporter(frame));
        match length {
            Some(length) => buffer.truncate(length),
            None => assert_eq!(buffer, before, "refused, but written"),
        }
        length.map(|_| buffer)
    }

    #[test]
    fn an_error_quotes_the_packet_and_is_valid() {
        for (tuple, _) in sample::translations() {
            for what in EVERY {
                let frame = sample::frame(&tuple, b"payload");
                let error = answer(&frame, 2048, what).expect("an answer");
                assert_valid(&error);
                let parsed = icmp_error(&error);
                assert_eq!(parsed.inner, tuple);
                assert_eq!(parsed.source, reporter(&frame));
                assert_eq!(parsed.destination, tuple.source.address);
                assert!(error.ends_with(&frame[14..]));
                assert_eq!(usize::from(parsed.end), error.len());
                assert_eq!(error[..6], frame[6..12]);
                assert_eq!(error[6..12], frame[..6]);
            }
        }
    }

    #[test]
    fn types_and_codes_are_those_of_the_rfcs() {
        let pairs = sample::translations();
        for (what, v4, v6) in [
            (IcmpAnswer::PortUnreachable, [3, 3, 0, 0, 0, 0], [1, 4, 0, 0, 0, 0]),
            (IcmpAnswer::TimeExceeded, [11, 0, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0]),
            (IcmpAnswer::TooBig { mtu: 1400 }, [3, 4, 0, 0, 5, 120], [2, 0, 0, 0, 5, 120]),
        ] {
            for (tuple, at, expected) in [(pairs[0].0, 34, v4), (pairs[1].0, 54, v6)] {
                let error = answer(&sample::frame(&tuple, b""), 2048, what).expect("an answer");
                let header = error[at..at + 8].first_chunk::<8>().expect("a header");
                let [kind, code, _, _, r0, r1, r2, r3] = *header;
                assert_eq!([kind, code, r0, r1, r2, r3], expected);
            }
        }
    }

    #[test]
    fn the_quote_is_as_long_as_allowed_and_without_padding() {
        for (tuple, _) in sample::translations() {
            let bytes_max = if tuple.source.address.is_ipv4() { 576 } else { 1280 };
            for payload_bytes in [0, 1, 480, 1400] {
                let mut frame = sample::frame(&tuple, &vec![7; payload_bytes]);
                let packet_bytes = frame.len() - 14;
                frame.extend([0xee; 6]);
                let error = answer(&frame, 2048, IcmpAnswer::TimeExceeded).expect("an answer");
                assert_valid(&error);
                let ip_bytes = if tuple.source.address.is_ipv4() { 20 } else { 40 };
                let whole = ip_bytes + 8 + packet_bytes;
                assert_eq!(error.len() - 14, whole.min(bytes_max));
                let quote = &error[14 + ip_bytes + 8..];
                assert_eq!(*quote, frame[14..14 + quote.len()]);
            }
        }
    }

    #[test]
    fn tags_options_and_extensions_are_no_obstacle() {
        let pairs = sample::translations();
        let options = sample::with_options(&sample::frame(&pairs[0].0, b"payload"), 2);
        let extension: (u8, &[u8]) = (60, &[0, 0, 1, 4, 0, 0, 0, 0]);
        let extended =
            sample::with_extensions(&sample::frame(&pairs[1].0, b"payload"), &[extension]);
        for (frame, tuple) in [(options, pairs[0].0), (extended, pairs[1].0)] {
            let mut buffer = tagged(&frame);
            let length = buffer.len();
            buffer.resize(2048, 0);
            let from = reporter(&frame);
            let length = answer_icmp(&mut buffer, length, 18, IcmpAnswer::TimeExceeded, from);
            let error = &buffer[..length.expect("an answer")];
            assert_valid(error);
            assert_eq!(icmp_error(error).inner, tuple);
            assert!(error.ends_with(&frame[14..]));
            assert_eq!(error[12..16], [0x81, 0x00, 0x20, 0x07]);
        }
    }

    #[test]
    fn what_must_not_be_answered_is_not() {
        let (tuple, _) = sample::translations()[0];
        let frame = sample::frame(&tuple, b"payload");
        let what = IcmpAnswer::TimeExceeded;
        let error = sample::unreachable(tuple.destination.address, &frame, 1000);
        assert_eq!(answer(&error, 2048, what), None);
        let redirect = sample::icmp(
            tuple.source.address,
            tuple.destination.address,
            5,
            0,
            [0; 4],
            &frame[14..],
        );
        assert_eq!(answer(&redirect, 2048, what), None);
        let mut later = frame.clone();
        later[21] = 1;
        assert_eq!(answer(&later, 2048, what), None);
        for (source, destination) in [("0.0.0.0:1", "10.0.0.1:2"), ("10.0.0.1:1", "224.0.0.1:2")] {
            let tuple = sample::tuple(tuple.protocol, source, destination);
            assert_eq!(answer(&sample::frame(&tuple, b""), 2048, what), None);
        }
        let mut buffer = frame.clone();
        buffer.resize(2048, 0);
        let other_family = address("fd00::fe");
        assert_eq!(answer_icmp(&mut buffer, frame.len(), 14, what, other_family), None);
    }

    #[test]
    fn a_buffer_that_is_too_small_stays_as_it_is() {
        for (tuple, _) in sample::translations() {
            let frame = sample::frame(&tuple, b"payload");
            let ip_bytes = if tuple.source.address.is_ipv4() { 20 } else { 40 };
            let needed = frame.len() + ip_bytes + 8;
            for bytes in frame.len()..needed {
                assert_eq!(answer(&frame, bytes, IcmpAnswer::PortUnreachable), None, "{bytes}");
            }
            assert!(answer(&frame, needed, IcmpAnswer::PortUnreachable).is_some());
        }
    }
}
