//! Packets as a line of text, built and read by etherparse, which shares no code with the dataplane.
//!
//! ```text
//! [vlan N] tcp|udp|icmp|sctp SOURCE > DESTINATION [FLAGS | TYPE/CODE] [seq N ack N] [mtu N]
//!     [len N] [ttl N] [options] [first | later] [cut] [{ the quoted packet }]
//! ```
//!
//! What is not said is: TTL 64, no payload, sequence number 1000, acknowledgment 2000 with ACK.
//! [`read`] asserts every checksum and that the payload is as it was built.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    EtherType, Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpNumber, Ipv4Header,
    Ipv6Header, NetSlice, SlicedPacket, TcpHeader, TransportSlice, UdpHeader,
    checksum::Sum16BitWords,
};

const SEQUENCE: u32 = 1_000;
const ACKNOWLEDGMENT: u32 = 2_000;
/// Two hop-by-hop and destination option headers, each all padding, without their first byte.
const EXTENSION: [u8; 7] = [0, 1, 4, 0, 0, 0, 0];
const HOP_BY_HOP: u8 = 0;
const DESTINATION_OPTIONS: u8 = 60;
const FRAGMENT: u8 = 44;
/// What is left of a quoted packet that is cut: as little as RFC 792 allows.
const CUT_BYTES: usize = 8;

#[derive(Clone, Default)]
struct Described<'a> {
    vlan: Option<u16>,
    kind: &'a str,
    source: &'a str,
    destination: &'a str,
    flags: &'a str,
    time_to_live: Option<u8>,
    length: usize,
    mtu: u16,
    options: bool,
    fragment: &'a str,
    cut: bool,
    quoted: Option<&'a str>,
}

fn describe(text: &str) -> Described<'_> {
    let mut packet = Described::default();
    let mut head = text;
    if let Some((before, quoted)) = text.split_once('{') {
        head = before;
        packet.quoted = Some(quoted.trim().trim_end_matches('}').trim());
    }
    let mut words = head.split_whitespace();
    while let Some(word) = words.next() {
        let mut number = || words.next().expect("a number").parse::<u16>().expect("a number");
        match word {
            "vlan" => packet.vlan = Some(number()),
            "ttl" => packet.time_to_live = Some(number() as u8),
            "len" => packet.length = number().into(),
            "mtu" => packet.mtu = number(),
            "options" => packet.options = true,
            "cut" => packet.cut = true,
            "first" | "later" => packet.fragment = word,
            "tcp" | "udp" | "icmp" | "sctp" => {
                packet.kind = word;
                packet.source = words.next().expect("a source");
                assert_eq!(words.next(), Some(">"), "{text}");
                packet.destination = words.next().expect("a destination");
            }
            flags => packet.flags = flags,
        }
    }
    packet
}

/// The frame that a text describes; its Ethernet addresses are 0.
pub(crate) fn build(text: &str) -> Vec<u8> {
    let described = describe(text);
    let packet = build_ip(&described);
    let mut frame = vec![0; 12];
    if let Some(vlan) = described.vlan {
        frame.extend([0x81, 0x00]);
        frame.extend(vlan.to_be_bytes());
    }
    let ethertype = if packet[0] >> 4 == 4 { EtherType::IPV4 } else { EtherType::IPV6 };
    frame.extend(ethertype.0.to_be_bytes());
    frame.extend(packet);
    frame
}

fn build_ip(described: &Described<'_>) -> Vec<u8> {
    let (source, destination) = (ip(described.source), ip(described.destination));
    let (number, transport) = build_transport(described, source, destination);
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let (source, destination) = (source.octets(), destination.octets());
            let bytes = transport.len() as u16;
            let time_to_live = described.time_to_live.unwrap_or(64);
            let mut header =
                Ipv4Header::new(bytes, time_to_live, IpNumber(number), source, destination)
                    .expect("an IPv4 header");
            header.dont_fragment = described.fragment.is_empty();
            header.more_fragments = described.fragment == "first";
            if described.fragment == "later" {
                header.fragment_offset = 185.try_into().expect("an offset");
            }
            if described.options {
                header.options = [1; 8].into();
                header.total_len += 8;
            }
            header.header_checksum = header.calc_header_checksum();
            [header.to_bytes().as_slice(), &transport].concat()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut next = number;
            let mut payload = transport;
            let mut prepend = |protocol: u8, bytes: &[u8]| {
                payload = [&[next], bytes, &payload].concat();
                next = protocol;
            };
            match described.fragment {
                "first" => prepend(FRAGMENT, &[0, 0, 1, 0, 0, 0, 7]),
                "later" => prepend(FRAGMENT, &[0, 5, 0xc8, 0, 0, 0, 7]),
                _ => {}
            }
            if described.options {
                prepend(DESTINATION_OPTIONS, &EXTENSION);
                prepend(HOP_BY_HOP, &EXTENSION);
            }
            let header = Ipv6Header {
                payload_length: payload.len() as u16,
                next_header: IpNumber(next),
                hop_limit: described.time_to_live.unwrap_or(64),
                source: source.octets(),
                destination: destination.octets(),
                ..Ipv6Header::default()
            };
            [header.to_bytes().as_slice(), &payload].concat()
        }
        mixed => panic!("{mixed:?}"),
    }
}

fn build_transport(
    described: &Described<'_>,
    source: IpAddr,
    destination: IpAddr,
) -> (u8, Vec<u8>) {
    let payload = pattern(described.length);
    match described.kind {
        "tcp" => {
            let mut header =
                TcpHeader::new(port(described.source), port(described.destination), SEQUENCE, 8192);
            header.syn = described.flags.contains('S');
            header.fin = described.flags.contains('F');
            header.rst = described.flags.contains('R');
            header.ack = described.flags.contains('A');
            header.acknowledgment_number = if header.ack { ACKNOWLEDGMENT } else { 0 };
            header.checksum = match (source, destination) {
                (IpAddr::V4(source), IpAddr::V4(destination)) => {
                    header.calc_checksum_ipv4_raw(source.octets(), destination.octets(), &payload)
                }
                (IpAddr::V6(source), IpAddr::V6(destination)) => {
                    header.calc_checksum_ipv6_raw(source.octets(), destination.octets(), &payload)
                }
                mixed => panic!("{mixed:?}"),
            }
            .expect("a checksum");
            (6, [header.to_bytes().as_slice(), &payload].concat())
        }
        "udp" => {
            let mut header = UdpHeader {
                source_port: port(described.source),
                destination_port: port(described.destination),
                length: 8 + payload.len() as u16,
                checksum: 0,
            };
            header.checksum = match (source, destination) {
                (IpAddr::V4(source), IpAddr::V4(destination)) => {
                    header.calc_checksum_ipv4_raw(source.octets(), destination.octets(), &payload)
                }
                (IpAddr::V6(source), IpAddr::V6(destination)) => {
                    header.calc_checksum_ipv6_raw(source.octets(), destination.octets(), &payload)
                }
                mixed => panic!("{mixed:?}"),
            }
            .expect("a checksum");
            (17, [header.to_bytes().as_slice(), &payload].concat())
        }
        "icmp" => build_icmp(described, source, destination),
        "sctp" => (132, vec![0; 12]),
        other => panic!("{other}"),
    }
}

fn build_icmp(described: &Described<'_>, source: IpAddr, destination: IpAddr) -> (u8, Vec<u8>) {
    let (kind, code) = described.flags.split_once('/').expect("TYPE/CODE");
    let (type_u8, code_u8) = (kind.parse().expect("a type"), code.parse().expect("a code"));
    let (rest, payload) = match described.quoted {
        Some(quoted) => {
            let quoted = describe(quoted);
            let mut packet = build_ip(&quoted);
            if quoted.cut {
                packet.truncate(if source.is_ipv4() { 20 } else { 40 } + CUT_BYTES);
            }
            let [high, low] = described.mtu.to_be_bytes();
            ([0, 0, high, low], packet)
        }
        None => ([0x12, 0x34, 0, 1], pattern(described.length)),
    };
    match (source, destination) {
        (IpAddr::V4(_), IpAddr::V4(_)) => {
            let kind = Icmpv4Type::Unknown { type_u8, code_u8, bytes5to8: rest };
            let header = Icmpv4Header::with_checksum(kind, &payload);
            (1, [header.to_bytes().as_slice(), &payload].concat())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let kind = Icmpv6Type::Unknown { type_u8, code_u8, bytes5to8: rest };
            let (source, destination) = (source.octets(), destination.octets());
            let header = Icmpv6Header::with_checksum(kind, source, destination, &payload)
                .expect("a checksum");
            (58, [header.to_bytes().as_slice(), &payload].concat())
        }
        mixed => panic!("{mixed:?}"),
    }
}

/// Describes a frame, all but its Ethernet addresses.
pub(crate) fn read(frame: &[u8]) -> String {
    let sliced = SlicedPacket::from_ethernet(frame).expect("a frame");
    let tag = sliced.vlan_ids().first().map(|vlan| format!("vlan {} ", vlan.value()));
    tag.unwrap_or_default() + &read_ip(&sliced)
}

fn read_ip(sliced: &SlicedPacket<'_>) -> String {
    let (source, destination, time_to_live, options): (IpAddr, IpAddr, u8, bool);
    let pseudo_header = match sliced.net.as_ref().expect("IP") {
        NetSlice::Ipv4(ipv4) => {
            let header = ipv4.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum(), "IPv4 checksum");
            (source, destination) = (header.source.into(), header.destination.into());
            (time_to_live, options) = (header.time_to_live, !header.options.is_empty());
            Sum16BitWords::new().add_slice(&header.source).add_slice(&header.destination)
        }
        NetSlice::Ipv6(ipv6) => {
            let header = ipv6.header();
            (source, destination) = (header.source().into(), header.destination().into());
            (time_to_live, options) = (header.hop_limit(), !ipv6.extensions().is_empty());
            Sum16BitWords::new().add_slice(&header.source()).add_slice(&header.destination())
        }
        NetSlice::Arp(_) => panic!("ARP"),
    };
    let check = |protocol: u8, bytes: &[u8]| {
        let sum = pseudo_header
            .add_2bytes([0, protocol])
            .add_2bytes((bytes.len() as u16).to_be_bytes())
            .add_slice(bytes);
        assert_eq!(sum.ones_complement(), 0, "checksum of protocol {protocol}");
    };
    let mut text = match sliced.transport.as_ref().expect("a transport") {
        TransportSlice::Tcp(tcp) => {
            check(6, tcp.slice());
            let ends = ends(source, tcp.source_port(), destination, tcp.destination_port());
            let numbers = (tcp.sequence_number(), tcp.acknowledgment_number());
            let expected = (SEQUENCE, if tcp.ack() { ACKNOWLEDGMENT } else { 0 });
            let numbers = match numbers == expected {
                true => String::new(),
                false => format!(" seq {} ack {}", numbers.0, numbers.1),
            };
            let flags = [(tcp.syn(), 'S'), (tcp.fin(), 'F'), (tcp.rst(), 'R'), (tcp.ack(), 'A')];
            let flags: String =
                flags.iter().filter(|(set, _)| *set).map(|(_, letter)| letter).collect();
            format!("tcp {ends} {flags}{numbers}{}", read_payload(tcp.payload()))
        }
        TransportSlice::Udp(udp) => {
            check(17, udp.slice());
            let ends = ends(source, udp.source_port(), destination, udp.destination_port());
            format!("udp {ends}{}", read_payload(udp.payload()))
        }
        TransportSlice::Icmpv4(icmp) => {
            let sum = Sum16BitWords::new().add_slice(icmp.slice());
            assert_eq!(sum.ones_complement(), 0, "ICMP checksum");
            let is_error = matches!(icmp.type_u8(), 3 | 11 | 12);
            let rest = read_icmp_rest(is_error, icmp.bytes5to8(), &icmp.slice()[8..]);
            format!("icmp {source} > {destination} {}/{}{rest}", icmp.type_u8(), icmp.code_u8())
        }
        TransportSlice::Icmpv6(icmp) => {
            check(58, icmp.slice());
            let is_error = icmp.type_u8() < 128;
            let rest = read_icmp_rest(is_error, icmp.bytes5to8(), &icmp.slice()[8..]);
            format!("icmp {source} > {destination} {}/{}{rest}", icmp.type_u8(), icmp.code_u8())
        }
        TransportSlice::Igmp(_) => panic!("IGMP"),
    };
    let mut marks = String::new();
    if time_to_live != 64 {
        marks += &format!(" ttl {time_to_live}");
    }
    if options {
        marks += " options";
    }
    // What an ICMP error quotes stands last.
    let at = text.find(" {").unwrap_or(text.len());
    text.insert_str(at, &marks);
    text
}

fn read_icmp_rest(is_error: bool, rest: [u8; 4], payload: &[u8]) -> String {
    if !is_error {
        assert_eq!(rest, [0x12, 0x34, 0, 1], "identifier and sequence number");
        return read_payload(payload);
    }
    let mtu = u32::from_be_bytes(rest);
    let mtu = if mtu == 0 { String::new() } else { format!(" mtu {mtu}") };
    format!("{mtu} {{ {} }}", read_quoted(payload))
}

fn read_quoted(packet: &[u8]) -> String {
    if let Ok(sliced) = SlicedPacket::from_ip(packet) {
        return read_ip(&sliced);
    }
    // Cut: there is no more than the header's checksum to verify.
    let (source, destination, protocol, rest): (IpAddr, IpAddr, u8, &[u8]);
    if packet[0] >> 4 == 4 {
        let (header, payload) = Ipv4Header::from_slice(packet).expect("a quoted IPv4 header");
        assert_eq!(header.header_checksum, header.calc_header_checksum(), "IPv4 checksum");
        (source, destination) = (header.source.into(), header.destination.into());
        (protocol, rest) = (header.protocol.0, payload);
    } else {
        let (header, payload) = Ipv6Header::from_slice(packet).expect("a quoted IPv6 header");
        (source, destination) = (header.source.into(), header.destination.into());
        (protocol, rest) = (header.next_header.0, payload);
    }
    let port = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
    let kind = match protocol {
        6 => "tcp",
        17 => "udp",
        other => panic!("a quoted packet of protocol {other}"),
    };
    format!("{kind} {} cut", ends(source, port(0), destination, port(2)))
}

fn read_payload(payload: &[u8]) -> String {
    assert_eq!(payload, pattern(payload.len()), "the payload was changed");
    if payload.is_empty() { String::new() } else { format!(" len {}", payload.len()) }
}

fn ends(source: IpAddr, source_port: u16, destination: IpAddr, destination_port: u16) -> String {
    let source = SocketAddr::from((source, source_port));
    format!("{source} > {}", SocketAddr::from((destination, destination_port)))
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| at as u8 ^ 0x5a).collect()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    let socket = text.parse::<SocketAddr>().map(|socket| socket.ip());
    socket.unwrap_or_else(|_| text.parse().expect("an address"))
}

fn port(text: &str) -> u16 {
    text.parse::<SocketAddr>().expect("an address and a port").port()
}
