use super::ethernet::{self, Payload};
use super::icmp::{self, EchoRequest, IcmpError};
use super::network::{Addresses, Extent, Fragment, Network, Version, protocol};
use super::transport::{self, TcpFlags, Transport};
use super::{Address, Endpoint, Malformed, Protocol, Tuple, ipv4, ipv6};

/// What a dataplane needs to know of a TCP or UDP packet, and where it stands in the frame.
#[derive(Clone, Copy, Debug)]
pub struct Headers {
    /// As it stands in the packet.
    pub tuple: Tuple,
    /// Empty for UDP.
    pub tcp_flags: TcpFlags,
    /// TTL or hop limit.
    pub time_to_live: u8,
    /// The packet is the first of several fragments: its payload goes on elsewhere.
    pub first_fragment: bool,
    /// Of the IP header, bytes from the frame's start.
    pub network_offset: u16,
    /// Of the TCP or UDP header, bytes from the frame's start.
    pub transport_offset: u16,
    /// End of the IP packet, bytes from the frame's start. Ethernet padding lies behind it.
    pub end: u16,
}

/// What a well-formed frame is.
#[derive(Clone, Copy, Debug)]
pub enum Parsed {
    /// A TCP or UDP packet with its ports.
    Transport(Headers),
    /// An ICMP error about a TCP or UDP packet.
    IcmpError(IcmpError),
    /// An ICMP echo request.
    EchoRequest(EchoRequest),
    /// A fragment with an offset over 0: no ports.
    LaterFragment {
        /// Who sent it.
        source: Address,
        /// To whom it is addressed.
        destination: Address,
    },
    /// An IP packet of another protocol, or an ICMP message that is neither an error about TCP or
    /// UDP nor a whole echo request.
    OtherIp {
        /// Who sent it.
        source: Address,
        /// To whom it is addressed.
        destination: Address,
        /// Of the IP header, bytes from the frame's start.
        network_offset: u16,
    },
    /// Not IP: ARP, LLDP, two VLAN tags.
    NotIp,
}

impl Headers {
    /// Nothing read yet, to be filled in by [`parse_transport`].
    pub const UNREAD: Self = Self {
        tuple: Tuple {
            source: Endpoint { address: Address::from_v4_bits(0), port: 0 },
            destination: Endpoint { address: Address::from_v4_bits(0), port: 0 },
            protocol: Protocol::Tcp,
        },
        tcp_flags: TcpFlags::from_bits(0),
        time_to_live: 0,
        first_fragment: false,
        network_offset: 0,
        transport_offset: 0,
        end: 0,
    };
}

/// Reads a frame: Ethernet with at most one 802.1Q tag, IPv4 with options or IPv6 with extension
/// headers, then TCP, UDP or ICMP.
///
/// Checksums are not verified; every offset that is handed out lies within the frame.
///
/// # Errors
///
/// The reason why the frame is not a packet.
pub fn parse(frame: &[u8]) -> Result<Parsed, Malformed> {
    let mut network = Network::unread(0);
    if !read_network(frame, &mut network)? {
        return Ok(Parsed::NotIp);
    }
    parse_network(frame, network)
}

/// Reads what an IP header leads to.
pub(super) fn parse_network(frame: &[u8], network: Network) -> Result<Parsed, Malformed> {
    let mut headers = Headers::UNREAD;
    if read_transport(frame, &network, &mut headers)? {
        return Ok(Parsed::Transport(headers));
    }
    if network.fragment == Fragment::Later {
        let Addresses { source, destination } = network.addresses(frame);
        return Ok(Parsed::LaterFragment { source, destination });
    }
    parse_other(frame, network)
}

/// Reads a frame as [`parse`] does, if it holds a TCP or UDP packet with its ports; `false`, and
/// `headers` as they were, if it holds something else.
///
/// Most packets need no more, and filling `headers` in where they are to stay costs half of what
/// moving them costs.
///
/// # Errors
///
/// The reason why the frame is not a packet.
#[inline(always)]
pub fn parse_transport(frame: &[u8], headers: &mut Headers) -> Result<bool, Malformed> {
    let mut network = Network::unread(0);
    Ok(read_network(frame, &mut network)? && read_transport(frame, &network, headers)?)
}

/// Reads the IP header; `false` if there is none.
#[inline(always)]
fn read_network(frame: &[u8], network: &mut Network) -> Result<bool, Malformed> {
    // From here on every offset within the frame fits into 16 bits.
    if frame.len() > usize::from(u16::MAX) {
        return Err(Malformed::FrameTooLong);
    }
    match ethernet::payload(frame)? {
        Payload::Ipv4(offset) => {
            *network = Network::unread(offset);
            ipv4::read(frame, Extent::Whole, network)?;
        }
        Payload::Ipv6(offset) => {
            *network = Network::unread(offset);
            ipv6::read(frame, Extent::Whole, network)?;
        }
        Payload::Other => return Ok(false),
    }
    Ok(true)
}

/// Reads the TCP or UDP header that an IP header leads to; `false` if it leads to neither.
#[inline(always)]
fn read_transport(
    frame: &[u8],
    network: &Network,
    headers: &mut Headers,
) -> Result<bool, Malformed> {
    if network.fragment == Fragment::Later {
        return Ok(false);
    }
    let (transport, protocol) = match network.protocol {
        protocol::TCP => (transport::read_tcp(frame, network)?, Protocol::Tcp),
        protocol::UDP => (transport::read_udp(frame, network)?, Protocol::Udp),
        _ => return Ok(false),
    };
    *headers = Headers {
        tuple: tuple(network.addresses(frame), transport, protocol),
        tcp_flags: transport.tcp_flags,
        time_to_live: network.time_to_live,
        first_fragment: network.fragment == Fragment::First,
        network_offset: network.offset,
        transport_offset: network.payload_offset,
        end: network.end,
    };
    Ok(true)
}

/// Reads ICMP, if it is all there, and nothing else.
#[cold]
fn parse_other(frame: &[u8], network: Network) -> Result<Parsed, Malformed> {
    let icmp = match network.version {
        Version::V4 => protocol::ICMP,
        Version::V6 => protocol::ICMPV6,
    };
    if network.protocol == icmp && network.fragment == Fragment::Whole {
        return icmp::read(frame, network);
    }
    let Addresses { source, destination } = network.addresses(frame);
    Ok(Parsed::OtherIp { source, destination, network_offset: network.offset })
}

#[inline]
pub(super) fn tuple(addresses: Addresses, transport: Transport, protocol: Protocol) -> Tuple {
    Tuple {
        source: Endpoint { address: addresses.source, port: transport.source_port },
        destination: Endpoint { address: addresses.destination, port: transport.destination_port },
        protocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sample::{self, address, tagged};

    #[test]
    fn a_frame_of_each_kind_is_read() {
        for (tuple, _) in sample::translations() {
            let frame = sample::frame(&tuple, b"payload");
            let ip_bytes = if tuple.source.address.is_ipv4() { 20 } else { 40 };
            for (frame, network_offset) in [(frame.clone(), 14), (tagged(&frame), 18)] {
                let headers = sample::headers(&frame);
                assert_eq!(headers.tuple, tuple);
                assert_eq!(headers.network_offset, network_offset);
                assert_eq!(headers.transport_offset, network_offset + ip_bytes);
                assert_eq!(usize::from(headers.end), frame.len());
                assert_eq!(headers.time_to_live, 64);
                assert_eq!(headers.tcp_flags.ack(), tuple.protocol == Protocol::Tcp);
                assert!(!headers.first_fragment);
            }
        }
    }

    #[test]
    fn padding_is_not_part_of_the_packet() {
        for (tuple, _) in sample::translations() {
            let mut frame = sample::frame(&tuple, b"");
            let bytes = frame.len();
            frame.resize(bytes + 20, 0xee);
            assert_eq!(usize::from(sample::headers(&frame).end), bytes);
        }
    }

    #[test]
    fn no_truncated_frame_is_a_packet() {
        for (tuple, _) in sample::translations() {
            let frame = tagged(&sample::frame(&tuple, b"payload"));
            for length in 0..frame.len() {
                assert!(parse(&frame[..length]).is_err(), "{length} bytes of {tuple:?}");
            }
        }
    }

    #[test]
    fn ports_are_found_behind_options() {
        let (tuple, _) = sample::translations()[0];
        let frame = sample::with_options(&sample::frame(&tuple, b"payload"), 10);
        let headers = sample::headers(&frame);
        assert_eq!(headers.transport_offset, 14 + 60);
        assert_eq!(headers.tuple, tuple);
    }

    #[test]
    fn fragments_with_and_without_ports() {
        let (tuple, _) = sample::translations()[0];
        let mut frame = sample::frame(&tuple, b"payload");
        frame[20] = 0x20;
        assert!(sample::headers(&frame).first_fragment);
        frame[21] = 1;
        match parse(&frame) {
            Ok(Parsed::LaterFragment { source, destination }) => {
                assert_eq!(source, tuple.source.address);
                assert_eq!(destination, tuple.destination.address);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_ours_says_how_far_it_was_understood() {
        let (tuple, _) = sample::translations()[0];
        let mut frame = sample::frame(&tuple, b"payload");
        frame[23] = 132;
        match parse(&tagged(&frame)) {
            Ok(Parsed::OtherIp { source, destination, network_offset }) => {
                assert_eq!((source, destination), (address("10.244.1.2"), address("10.96.0.10")));
                assert_eq!(network_offset, 18);
            }
            other => panic!("{other:?}"),
        }
        // ICMP's number in the other family is another protocol.
        frame[23] = protocol::ICMPV6;
        assert!(matches!(parse(&frame), Ok(Parsed::OtherIp { .. })));
        frame[13] = 0x06;
        assert!(matches!(parse(&frame), Ok(Parsed::NotIp)));
    }

    #[test]
    fn offsets_fit_into_sixteen_bits() {
        let (tuple, _) = sample::translations()[0];
        let mut frame = sample::frame(&tuple, b"");
        frame.resize(65_535, 0);
        assert!(parse(&frame).is_ok());
        frame.push(0);
        assert_eq!(parse(&frame).err(), Some(Malformed::FrameTooLong));
    }
}
