//! Frames for the tests, built and verified by etherparse, which shares no code with this module.

use std::net::{IpAddr, SocketAddr};

use etherparse::checksum::Sum16BitWords;
use etherparse::{
    EtherType, Ipv4Header, NetSlice, PacketBuilder, PacketBuilderStep, SlicedPacket, TcpHeader,
    TransportSlice,
};

use super::{Address, Endpoint, Headers, IcmpError, Parsed, Protocol, Tuple, parse};

/// Length of an Ethernet header without tag.
const ETHERNET: usize = 14;

pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const RST: u8 = 0x04;
pub(super) const ACK: u8 = 0x10;

pub(super) const SEQUENCE: u32 = 0xffff_fff0;
pub(super) const ACKNOWLEDGMENT: u32 = 0x0102_0304;

pub(super) fn address(text: &str) -> Address {
    Address::from(text.parse::<IpAddr>().expect("an address"))
}

pub(super) fn endpoint(text: &str) -> Endpoint {
    let socket: SocketAddr = text.parse().expect("an address and a port");
    Endpoint { address: Address::from(socket.ip()), port: socket.port() }
}

pub(super) fn tuple(protocol: Protocol, source: &str, destination: &str) -> Tuple {
    Tuple { source: endpoint(source), destination: endpoint(destination), protocol }
}

/// A tuple of each family and protocol, and what a Service makes of it.
pub(super) fn translations() -> Vec<(Tuple, Tuple)> {
    let mut pairs = Vec::new();
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let from = tuple(protocol, "10.244.1.2:40000", "10.96.0.10:80");
        let to = tuple(protocol, "10.244.1.2:40000", "10.244.2.7:8080");
        pairs.push((from, to));
        let from = tuple(protocol, "[fd00:244:1::2]:40000", "[fd00:96::a]:80");
        let to = tuple(protocol, "[fd00:100::1]:50001", "[fd00:244:2::7]:8080");
        pairs.push((from, to));
    }
    pairs
}

fn ip(source: Address, destination: Address) -> PacketBuilderStep<etherparse::IpHeaders> {
    let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let bytes = |address: Address| address.bits().to_be_bytes();
    if source.is_ipv4() {
        let bytes = |address: Address| address.v4_bits().to_be_bytes();
        ethernet.ipv4(bytes(source), bytes(destination), 64)
    } else {
        ethernet.ipv6(bytes(source), bytes(destination), 64)
    }
}

/// A UDP packet, or a TCP segment with ACK.
pub(super) fn frame(tuple: &Tuple, payload: &[u8]) -> Vec<u8> {
    match tuple.protocol {
        Protocol::Tcp => segment(tuple, ACK, payload),
        Protocol::Udp => {
            let mut frame = Vec::new();
            ip(tuple.source.address, tuple.destination.address)
                .udp(tuple.source.port, tuple.destination.port)
                .write(&mut frame, payload)
                .expect("a datagram");
            frame
        }
    }
}

/// A TCP segment with these flags.
pub(super) fn segment(tuple: &Tuple, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = TcpHeader::new(tuple.source.port, tuple.destination.port, SEQUENCE, 0x7210);
    header.acknowledgment_number = if flags & ACK != 0 { ACKNOWLEDGMENT } else { 0 };
    header.fin = flags & FIN != 0;
    header.syn = flags & SYN != 0;
    header.rst = flags & RST != 0;
    header.ack = flags & ACK != 0;
    // An option, so that the header is longer than the fixed one.
    header.set_options_raw(&[2, 4, 5, 0xb4]).expect("an option");
    let mut frame = Vec::new();
    ip(tuple.source.address, tuple.destination.address)
        .tcp_header(header)
        .write(&mut frame, payload)
        .expect("a segment");
    frame
}

/// An ICMP message of the sender's family.
pub(super) fn icmp(
    source: Address,
    destination: Address,
    kind: u8,
    code: u8,
    rest: [u8; 4],
    payload: &[u8],
) -> Vec<u8> {
    let mut frame = Vec::new();
    let ip = ip(source, destination);
    let written = if source.is_ipv4() {
        ip.icmpv4_raw(kind, code, rest).write(&mut frame, payload)
    } else {
        ip.icmpv6_raw(kind, code, rest).write(&mut frame, payload)
    };
    written.expect("a message");
    frame
}

/// "Destination unreachable" about the packet in `about`, of which `quoted` bytes are quoted.
pub(super) fn unreachable(source: Address, about: &[u8], quoted: usize) -> Vec<u8> {
    let to = match parse(about) {
        Ok(Parsed::Transport(headers)) => headers.tuple.source.address,
        other => panic!("not a packet with ports: {other:?}"),
    };
    let kind = if source.is_ipv4() { 3 } else { 1 };
    let quote = &about[ETHERNET..about.len().min(ETHERNET + quoted)];
    icmp(source, to, kind, 1, [0; 4], quote)
}

pub(super) fn tagged(frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &[0x81, 0x00, 0x20, 0x07], &frame[12..]].concat()
}

/// The IPv4 packet with `words` option words of no-operations.
pub(super) fn with_options(frame: &[u8], words: usize) -> Vec<u8> {
    let (mut header, payload) = Ipv4Header::from_slice(&frame[ETHERNET..]).expect("IPv4");
    let options = vec![1; words * 4];
    header.options = options.as_slice().try_into().expect("at most ten words");
    header.total_len += options.len() as u16;
    header.header_checksum = header.calc_header_checksum();
    [&frame[..ETHERNET], &header.to_bytes(), payload].concat()
}

/// The IPv6 packet with these extension headers, each a protocol number and its bytes, of which
/// the first is filled in.
pub(super) fn with_extensions(frame: &[u8], extensions: &[(u8, &[u8])]) -> Vec<u8> {
    let (fixed, payload) = frame.split_at(ETHERNET + 40);
    let mut fixed = fixed.to_vec();
    let mut chain = Vec::new();
    let mut next = fixed[ETHERNET + 6];
    for (protocol, bytes) in extensions.iter().rev() {
        chain = [&[next], &bytes[1..], &chain].concat();
        next = *protocol;
    }
    fixed[ETHERNET + 6] = next;
    let bytes = (chain.len() + payload.len()) as u16;
    fixed[ETHERNET + 4..ETHERNET + 6].copy_from_slice(&bytes.to_be_bytes());
    [fixed, chain, payload.to_vec()].concat()
}

pub(super) fn headers(frame: &[u8]) -> Headers {
    match parse(frame) {
        Ok(Parsed::Transport(headers)) => headers,
        other => panic!("not a packet with ports: {other:?}"),
    }
}

pub(super) fn icmp_error(frame: &[u8]) -> IcmpError {
    match parse(frame) {
        Ok(Parsed::IcmpError(error)) => error,
        other => panic!("not an ICMP error: {other:?}"),
    }
}

/// Asserts that a frame and all of its checksums are right.
pub(super) fn assert_valid(frame: &[u8]) {
    assert_valid_packet(&SlicedPacket::from_ethernet(frame).expect("a frame"));
}

/// Asserts that a packet without Ethernet header and all of its checksums are right.
pub(super) fn assert_valid_ip(packet: &[u8]) {
    let version = if packet[0] >> 4 == 4 { EtherType::IPV4 } else { EtherType::IPV6 };
    assert_valid_packet(&SlicedPacket::from_ether_type(version, packet).expect("a packet"));
}

fn assert_valid_packet(packet: &SlicedPacket<'_>) {
    let pseudo_header = match packet.net.as_ref().expect("IP") {
        NetSlice::Ipv4(ipv4) => {
            let header = ipv4.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum(), "IPv4 header");
            Sum16BitWords::new().add_slice(&header.source).add_slice(&header.destination)
        }
        NetSlice::Ipv6(ipv6) => {
            let header = ipv6.header();
            Sum16BitWords::new().add_slice(&header.source()).add_slice(&header.destination())
        }
        NetSlice::Arp(_) => panic!("ARP"),
    };
    let (protocol, bytes) = match packet.transport.as_ref().expect("TCP, UDP or ICMP") {
        TransportSlice::Tcp(tcp) => (6, tcp.slice()),
        TransportSlice::Udp(udp) if udp.checksum() == 0 => return,
        TransportSlice::Udp(udp) => (17, udp.slice()),
        TransportSlice::Icmpv4(icmp) => {
            let sum = Sum16BitWords::new().add_slice(icmp.slice());
            assert_eq!(sum.ones_complement(), 0, "ICMP checksum");
            return;
        }
        TransportSlice::Icmpv6(icmp) => (58, icmp.slice()),
        TransportSlice::Igmp(_) => panic!("IGMP"),
    };
    let sum = pseudo_header
        .add_2bytes([0, protocol])
        .add_2bytes((bytes.len() as u16).to_be_bytes())
        .add_slice(bytes);
    assert_eq!(sum.ones_complement(), 0, "checksum of protocol {protocol}");
}
