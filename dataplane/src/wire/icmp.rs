use super::network::{self, Addresses, Extent, Fragment, Network, Version, protocol};
use super::parse::tuple;
use super::{Address, Malformed, Parsed, Protocol, Tuple, transport};

/// Bytes of an ICMP header, with the four that depend on the type.
pub(super) const HEADER_BYTES: usize = 8;
/// Where the checksum stands in an ICMP header.
pub(super) const CHECKSUM: usize = 2;

/// Type of an ICMPv4 echo reply (RFC 792).
pub(super) const V4_ECHO_REPLY: u8 = 0;
/// Type of an ICMPv4 echo request (RFC 792).
pub(super) const V4_ECHO_REQUEST: u8 = 8;
/// Type of an ICMPv6 echo request (RFC 4443).
pub(super) const V6_ECHO_REQUEST: u8 = 128;
/// Type of an ICMPv6 echo reply (RFC 4443).
pub(super) const V6_ECHO_REPLY: u8 = 129;

/// The shortest original datagram that RFC 4884, section 3 lets an extension follow.
const EXTENDED_QUOTE_BYTES_MIN: usize = 128;

/// An ICMP error about a TCP or UDP packet, and where its parts are.
///
/// ICMPv4 destination unreachable, time exceeded and parameter problem; ICMPv6 types 1 to 4.
#[derive(Clone, Copy, Debug)]
pub struct IcmpError {
    /// Who reports.
    pub source: Address,
    /// To whom: the sender of the quoted packet, as far as the reporter knows.
    pub destination: Address,
    /// The tuple as it stands in the quoted packet.
    pub inner: Tuple,
    /// TTL or hop limit of the packet that reports.
    pub time_to_live: u8,
    /// Of the outer IP header, bytes from the frame's start.
    pub network_offset: u16,
    /// End of the outer IP packet, bytes from the frame's start.
    pub end: u16,
    pub(super) icmp_offset: u16,
    pub(super) inner_network_offset: u16,
    pub(super) inner_transport_offset: u16,
    /// Where the quoted packet ends, or is cut.
    pub(super) quote_end: u16,
}

/// An ICMP echo request, whole.
#[derive(Clone, Copy, Debug)]
pub struct EchoRequest {
    /// Who asks.
    pub source: Address,
    /// Who is asked.
    pub destination: Address,
    /// TTL or hop limit.
    pub time_to_live: u8,
    /// Of the IP header, bytes from the frame's start.
    pub network_offset: u16,
    /// End of the IP packet, bytes from the frame's start.
    pub end: u16,
    pub(super) icmp_offset: u16,
}

enum Kind {
    Error,
    EchoRequest,
    Other,
}

/// Reads the ICMP message that `network`, a whole datagram, leads to.
///
/// An error whose quoted packet is no readable TCP or UDP packet is [`Parsed::OtherIp`]: the
/// message is sound, only none of ours.
///
/// # Errors
///
/// [`Malformed::TruncatedTransport`].
#[cold]
pub(super) fn read(frame: &[u8], network: Network) -> Result<Parsed, Malformed> {
    let Some(header) = network.payload(frame).first_chunk::<HEADER_BYTES>() else {
        return Err(Malformed::TruncatedTransport);
    };
    let Addresses { source, destination } = network.addresses(frame);
    let parsed = match kind(network.version, header) {
        Kind::Error => read_error(frame, network, header).map(Parsed::IcmpError),
        Kind::EchoRequest => Some(Parsed::EchoRequest(EchoRequest {
            source,
            destination,
            time_to_live: network.time_to_live,
            network_offset: network.offset,
            end: network.end,
            icmp_offset: network.payload_offset,
        })),
        Kind::Other => None,
    };
    let other = Parsed::OtherIp { source, destination, network_offset: network.offset };
    Ok(parsed.unwrap_or(other))
}

fn kind(version: Version, header: &[u8; HEADER_BYTES]) -> Kind {
    match (version, header[0], header[1]) {
        (Version::V4, 3 | 11 | 12, _) | (Version::V6, 1..=4, _) => Kind::Error,
        (Version::V4, V4_ECHO_REQUEST, 0) | (Version::V6, V6_ECHO_REQUEST, 0) => Kind::EchoRequest,
        _ => Kind::Other,
    }
}

fn read_error(frame: &[u8], outer: Network, header: &[u8; HEADER_BYTES]) -> Option<IcmpError> {
    let inner_offset = usize::from(outer.payload_offset) + HEADER_BYTES;
    let quote_end = match extended_quote_bytes(outer.version, header) {
        Some(bytes) => usize::from(outer.end).min(inner_offset + bytes),
        None => usize::from(outer.end),
    };
    let quoting = frame.get(..quote_end)?;
    let inner = network::read(quoting, inner_offset, Extent::Quoted).ok()?;
    if inner.version != outer.version || inner.fragment == Fragment::Later {
        return None;
    }
    let protocol = match inner.protocol {
        protocol::TCP => Protocol::Tcp,
        protocol::UDP => Protocol::Udp,
        _ => return None,
    };
    let ports = transport::read_quoted(quoting, &inner).ok()?;
    let Addresses { source, destination } = outer.addresses(frame);
    Some(IcmpError {
        source,
        destination,
        inner: tuple(inner.addresses(frame), ports, protocol),
        time_to_live: outer.time_to_live,
        network_offset: outer.offset,
        end: outer.end,
        icmp_offset: outer.payload_offset,
        inner_network_offset: inner.offset,
        inner_transport_offset: inner.payload_offset,
        quote_end: inner.end,
    })
}

/// Bytes of the quoted packet where an extension structure follows it (RFC 4884, sections 4 and 5).
///
/// The length stands in a byte that was reserved before, in words of 4 bytes for ICMPv4 and 8 for
/// ICMPv6. One that is too small for an extension to follow is taken as an old sender's garbage.
fn extended_quote_bytes(version: Version, header: &[u8; HEADER_BYTES]) -> Option<usize> {
    let bytes = match (version, header[0]) {
        (Version::V4, _) => usize::from(header[5]) * 4,
        (Version::V6, 1 | 3) => usize::from(header[4]) * 8,
        (Version::V6, _) => return None,
    };
    (bytes >= EXTENDED_QUOTE_BYTES_MIN).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::parse;
    use crate::wire::sample::{self, address, icmp_error};

    #[test]
    fn an_error_names_the_packet_that_it_quotes() {
        for (tuple, _) in sample::translations() {
            let reporter =
                address(if tuple.source.address.is_ipv4() { "10.0.0.254" } else { "fd00::fe" });
            let frame = sample::unreachable(reporter, &sample::frame(&tuple, b"payload"), 1000);
            let error = icmp_error(&frame);
            assert_eq!(error.inner, tuple);
            assert_eq!(error.source, reporter);
            assert_eq!(error.destination, tuple.source.address);
            assert_eq!(error.time_to_live, 64);
            assert_eq!(usize::from(error.end), frame.len());
            assert_eq!(error.quote_end, error.end);
        }
    }

    #[test]
    fn eight_bytes_behind_the_quoted_ip_header_are_needed() {
        for (tuple, _) in sample::translations() {
            let ip_bytes = if tuple.source.address.is_ipv4() { 20 } else { 40 };
            let about = sample::frame(&tuple, b"payload");
            for quoted in 0..ip_bytes + 8 {
                let frame = sample::unreachable(tuple.destination.address, &about, quoted);
                assert!(matches!(parse(&frame), Ok(Parsed::OtherIp { .. })), "{quoted}");
            }
            let frame = sample::unreachable(tuple.destination.address, &about, ip_bytes + 8);
            assert_eq!(icmp_error(&frame).inner, tuple);
        }
    }

    #[test]
    fn only_errors_are_errors() {
        for (tuple, _) in sample::translations() {
            let about = sample::frame(&tuple, b"payload");
            let ipv4 = tuple.source.address.is_ipv4();
            for kind in 0..=u8::MAX {
                let (to, from) = (tuple.source.address, tuple.destination.address);
                let frame = sample::icmp(from, to, kind, 0, [0; 4], &about[14..]);
                let error =
                    if ipv4 { [3, 11, 12].contains(&kind) } else { (1..=4).contains(&kind) };
                let echo = kind == if ipv4 { 8 } else { 128 };
                match parse(&frame) {
                    Ok(Parsed::IcmpError(_)) => assert!(error, "{kind}"),
                    Ok(Parsed::EchoRequest(_)) => assert!(echo, "{kind}"),
                    Ok(Parsed::OtherIp { .. }) => assert!(!error && !echo, "{kind}"),
                    other => panic!("{kind}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn a_quote_that_is_no_packet_of_ours_makes_no_error() {
        for (tuple, _) in sample::translations() {
            let about = sample::frame(&tuple, b"payload");
            let ipv4 = tuple.source.address.is_ipv4();
            let mut frame = sample::unreachable(tuple.destination.address, &about, 1000);
            let inner = if ipv4 { 14 + 20 + 8 } else { 14 + 40 + 8 };
            // A protocol without ports, then the other family.
            for (at, value) in [(inner + if ipv4 { 9 } else { 6 }, 132), (inner, 0x50)] {
                frame[at] = value;
                assert!(matches!(parse(&frame), Ok(Parsed::OtherIp { .. })));
            }
        }
    }

    #[test]
    fn an_extension_behind_the_quote_is_not_quoted() {
        let (tuple, _) = sample::translations()[0];
        let about = sample::frame(&tuple, &[7; 400]);
        let (to, from) = (tuple.source.address, tuple.destination.address);
        let quote_end = |words: u8| {
            let frame = sample::icmp(from, to, 3, 1, [0, words, 0, 0], &about[14..14 + 200]);
            usize::from(icmp_error(&frame).quote_end)
        };
        let inner = 14 + 20 + 8;
        assert_eq!(quote_end(0), inner + 200);
        assert_eq!(quote_end(31), inner + 200);
        assert_eq!(quote_end(32), inner + 128);
        assert_eq!(quote_end(255), inner + 200);
    }

    #[test]
    fn messages_shorter_than_their_header_are_malformed() {
        let (tuple, _) = sample::translations()[0];
        let mut frame =
            sample::icmp(tuple.source.address, tuple.destination.address, 8, 0, [0; 4], b"");
        assert!(matches!(parse(&frame), Ok(Parsed::EchoRequest(_))));
        frame[17] -= 1;
        assert_eq!(parse(&frame).err(), Some(Malformed::TruncatedTransport));
    }

    #[test]
    fn fragments_are_not_understood() {
        let (tuple, _) = sample::translations()[0];
        let about = sample::frame(&tuple, b"payload");
        let (to, from) = (tuple.source.address, tuple.destination.address);
        let quoted = |at: usize, value: u8| {
            let mut frame = sample::unreachable(from, &about, 1000);
            assert!(matches!(parse(&frame), Ok(Parsed::IcmpError(_))));
            frame[at] = value;
            parse(&frame)
        };
        let inner = 14 + 20 + 8;
        // More fragments in the message itself; in the quoted packet; and a quote without ports.
        assert!(matches!(quoted(20, 0x20), Ok(Parsed::OtherIp { .. })));
        assert!(matches!(quoted(inner + 6, 0x20), Ok(Parsed::IcmpError(_))));
        assert!(matches!(quoted(inner + 7, 1), Ok(Parsed::OtherIp { .. })));
        let mut echo = sample::icmp(to, from, V4_ECHO_REQUEST, 0, [0; 4], b"ping");
        assert!(matches!(parse(&echo), Ok(Parsed::EchoRequest(_))));
        echo[20] = 0x20;
        assert!(matches!(parse(&echo), Ok(Parsed::OtherIp { .. })));
    }
}
