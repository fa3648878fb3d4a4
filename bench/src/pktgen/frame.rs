//! Frames made from templates: what all packets of a kind have in common is written once, with its
//! sums; the rest (addresses, ports, the stamp, TCP's numbers) for each packet.

use std::net::IpAddr;

use etherparse::checksum::u64_16bit_word as sum;
use etherparse::{IpFragOffset, IpHeaders, IpNumber, Ipv4Header, Ipv6Header, PacketBuilder};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::packet::{ETHERNET_BYTES, STAMP_OPTION, Tcp, pseudo_header};
use super::stamp::STAMP_BYTES;
use super::tuples::Tuple;

const TIME_TO_LIVE: u8 = 64;
const UDP_BYTES: usize = 8;
const TCP_BYTES: usize = 20;
/// Shift of TCP's window: a gigabyte, so that no window is ever full.
const WINDOW_SHIFT: u8 = 14;

/// What a flow's packets are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    /// IPv6 instead of IPv4.
    pub(crate) ipv6: bool,
    /// TCP instead of UDP.
    pub(crate) tcp: bool,
}

impl Shape {
    /// The smallest frame with data that holds a stamp, without the frame check sequence.
    pub(crate) fn smallest_frame(self) -> usize {
        let network = if self.ipv6 { 40 } else { 20 };
        let transport = if self.tcp { TCP_BYTES } else { UDP_BYTES };
        (ETHERNET_BYTES + network + transport + STAMP_BYTES).max(60)
    }
}

/// Ethernet's addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Link {
    /// Of the sending interface.
    pub(crate) source: [u8; 6],
    /// Of the next hop.
    pub(crate) destination: [u8; 6],
}

/// Which packet of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A datagram, or a segment with data: the whole frame has this many bytes.
    Data(usize),
    /// A segment that opens a connection.
    Syn,
    /// Any other segment without data.
    Control,
}

/// What all frames of a kind have in common.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    tcp: bool,
    network: usize,
    transport: usize,
    addresses: usize,
    stamp: usize,
    network_sum: u64,
    transport_sum: u64,
    data: u32,
}

impl Template {
    /// Made for a link and a shape. `Data` is at least [`Shape::smallest_frame`].
    pub(crate) fn new(shape: Shape, kind: Kind, link: Link, seed: u64) -> Self {
        let network = ETHERNET_BYTES;
        let transport = network + if shape.ipv6 { 40 } else { 20 };
        let header = if shape.tcp { TCP_BYTES } else { UDP_BYTES };
        let options = match kind {
            Kind::Data(_) => Vec::new(),
            Kind::Syn => syn_options(),
            Kind::Control => control_options(),
        };
        let stamp = match kind {
            // An option's kind and length stand before it.
            Kind::Syn => transport + TCP_BYTES + options.len() - STAMP_BYTES,
            Kind::Control => transport + TCP_BYTES + options.len() - STAMP_BYTES,
            Kind::Data(_) => transport + header,
        };
        let payload = match kind {
            Kind::Data(size) => fill(size.saturating_sub(transport + header), seed),
            Kind::Syn | Kind::Control => Vec::new(),
        };
        let mut bytes = assemble(shape, link, &options, &payload);
        let checksum = transport + if shape.tcp { 16 } else { 6 };
        clear(&mut bytes, checksum..checksum + 2);
        clear(&mut bytes, stamp..stamp + STAMP_BYTES);
        if !shape.ipv6 {
            clear(&mut bytes, network + 10..network + 12);
        }
        let segment = bytes.get(transport..).unwrap_or_default();
        let protocol = if shape.tcp { IpNumber::TCP } else { IpNumber::UDP };
        let transport_sum = sum::add_slice(pseudo_header(protocol.0, segment.len()), segment);
        let network_sum = sum::add_slice(0, bytes.get(network..transport).unwrap_or_default());
        // Folded, so that sums of sums stay in range.
        let [network_sum, transport_sum] =
            [network_sum, transport_sum].map(|sum| u64::from(!sum::ones_complement(sum)));
        Self {
            tcp: shape.tcp,
            network,
            transport,
            addresses: network + if shape.ipv6 { 8 } else { 12 },
            stamp,
            network_sum,
            transport_sum,
            data: payload.len() as u32,
            bytes,
        }
    }

    /// Bytes of data in each packet.
    pub(crate) fn data(&self) -> u32 {
        self.data
    }

    /// Writes one packet. Returns its length; 0 if the buffer is too small.
    #[inline]
    pub(crate) fn write(
        &self,
        buffer: &mut [u8],
        tuple: &Tuple,
        stamp: &[u8; STAMP_BYTES],
        tcp: &Tcp,
    ) -> usize {
        let Some(frame) = buffer.get_mut(..self.bytes.len()) else { return 0 };
        frame.copy_from_slice(&self.bytes);
        let addresses = match (tuple.source.0, tuple.destination.0) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                put(frame, self.addresses, &source.octets())
                    + put(frame, self.addresses + 4, &destination.octets())
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                put_wide(frame, self.addresses, &source.octets())
                    + put_wide(frame, self.addresses + 16, &destination.octets())
            }
            _ => return 0,
        };
        let mut total = self.transport_sum
            + addresses
            + put(frame, self.transport, &tuple.source.1.to_be_bytes())
            + put(frame, self.transport + 2, &tuple.destination.1.to_be_bytes())
            + put_wide(frame, self.stamp, stamp);
        let checksum = if self.tcp {
            total += put(frame, self.transport + 4, &tcp.sequence.to_be_bytes());
            total += put(frame, self.transport + 8, &tcp.acknowledgement.to_be_bytes());
            // The header's length stands beside the flags, and is in the sum.
            put(frame, self.transport + 13, &[tcp.flags]);
            total += sum::add_2bytes(0, [0, tcp.flags]);
            (self.transport + 16, sum::ones_complement(total))
        } else {
            (self.transport + 6, sum::ones_complement_with_no_zero(total))
        };
        put(frame, checksum.0, &checksum.1.to_ne_bytes());
        if self.addresses == self.network + 12 {
            let network = sum::ones_complement(self.network_sum + addresses);
            put(frame, self.network + 10, &network.to_ne_bytes());
        }
        frame.len()
    }
}

/// Writes bytes at an even offset, at most four of them. Returns their sum.
#[inline]
fn put(frame: &mut [u8], at: usize, bytes: &[u8]) -> u64 {
    if let Some(place) = frame.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
    sum::add_slice(0, bytes)
}

/// As [`put`], of any even number of bytes, the sum folded so that sums of sums stay in range.
#[inline]
fn put_wide(frame: &mut [u8], at: usize, bytes: &[u8]) -> u64 {
    u64::from(!sum::ones_complement(put(frame, at, bytes)))
}

fn clear(bytes: &mut [u8], range: std::ops::Range<usize>) {
    if let Some(range) = bytes.get_mut(range) {
        range.fill(0);
    }
}

/// Data that no link can compress, the same for a seed.
fn fill(bytes: usize, seed: u64) -> Vec<u8> {
    let mut fill = vec![0; bytes];
    StdRng::seed_from_u64(seed).fill(fill.as_mut_slice());
    fill
}

fn stamp_option() -> [u8; STAMP_BYTES + 2] {
    let mut option = [0; STAMP_BYTES + 2];
    option[..2].copy_from_slice(&[STAMP_OPTION, STAMP_BYTES as u8 + 2]);
    option
}

/// The largest segment, window scaling, the stamp.
fn syn_options() -> Vec<u8> {
    let mut options = vec![2, 4, 0x05, 0xb4, 1, 3, 3, WINDOW_SHIFT];
    options.extend(stamp_option());
    options
}

/// The stamp.
fn control_options() -> Vec<u8> {
    stamp_option().to_vec()
}

/// A packet without addresses, ports and valid sums.
fn assemble(shape: Shape, link: Link, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let protocol = if shape.tcp { IpNumber::TCP } else { IpNumber::UDP };
    let network = if shape.ipv6 {
        let header =
            Ipv6Header { hop_limit: TIME_TO_LIVE, next_header: protocol, ..Ipv6Header::default() };
        IpHeaders::Ipv6(header, Default::default())
    } else {
        let header = Ipv4Header {
            time_to_live: TIME_TO_LIVE,
            protocol,
            // Never fragmented, so it needs no identification (RFC 6864).
            dont_fragment: true,
            fragment_offset: IpFragOffset::ZERO,
            ..Ipv4Header::default()
        };
        IpHeaders::Ipv4(header, Default::default())
    };
    let builder = PacketBuilder::ethernet2(link.source, link.destination).ip(network);
    let mut bytes = Vec::new();
    // Only lengths that no link has can fail here.
    let _ = if shape.tcp {
        match builder.tcp(0, 0, 0, u16::MAX).options_raw(options) {
            Ok(builder) => builder.write(&mut bytes, payload),
            Err(_) => Ok(()),
        }
    } else {
        builder.udp(0, 0).write(&mut bytes, payload)
    };
    bytes
}

#[cfg(test)]
mod tests {
    use etherparse::PacketHeaders;

    use super::*;
    use crate::pktgen::packet::{Located, flags};

    const LINK: Link = Link { source: [2; 6], destination: [4; 6] };

    fn tuple(ipv6: bool) -> Tuple {
        let address = |text: &str| text.parse().expect("an address");
        match ipv6 {
            true => Tuple {
                source: (address("fd00::ffff:1"), 65_535),
                destination: (address("fd00:10:96::a"), 80),
            },
            false => Tuple {
                source: (address("10.244.0.1"), 1_024),
                destination: (address("255.254.253.252"), 53),
            },
        }
    }

    fn written(shape: Shape, kind: Kind, stamp: [u8; STAMP_BYTES], tcp: Tcp) -> Vec<u8> {
        let mut buffer = vec![0xaa; 4_096];
        let template = Template::new(shape, kind, LINK, 1);
        let length = template.write(&mut buffer, &tuple(shape.ipv6), &stamp, &tcp);
        buffer.truncate(length);
        buffer
    }

    #[track_caller]
    fn check(shape: Shape, kind: Kind) {
        let stamp = std::array::from_fn(|at| 0xf0 - at as u8);
        let tcp = Tcp {
            sequence: 0xffff_fff0,
            acknowledgement: 0x8000_0001,
            flags: flags::ACK | flags::SYN,
            data: 0,
        };
        let frame = written(shape, kind, stamp, tcp);
        let packet = PacketHeaders::from_ethernet_slice(&frame).expect("a packet");
        let payload = packet.payload.slice();
        let network = packet.net.expect("IP");
        let found = packet.transport.expect("a transport");
        let mut right = found.clone();
        match &network {
            etherparse::NetHeaders::Ipv4(header, _) => {
                assert_eq!(header.header_checksum, header.calc_header_checksum());
                right.update_checksum_ipv4(header, payload).expect("a sum");
            }
            etherparse::NetHeaders::Ipv6(header, _) => {
                right.update_checksum_ipv6(header, payload).expect("a sum");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(right, found, "{shape:?} {kind:?}");
        let located = Located::find(&frame).expect("located");
        assert_eq!(located.stamp(&frame), Some(&stamp));
        assert!(located.sums_are_right(&frame));
        let seen = located.tcp.map(|seen| (seen.sequence, seen.acknowledgement, seen.flags));
        assert_eq!(seen, shape.tcp.then_some((tcp.sequence, tcp.acknowledgement, tcp.flags)));
        if let Kind::Data(bytes) = kind {
            assert_eq!(frame.len(), bytes);
        }
    }

    #[test]
    fn all_kinds_of_packets_are_whole() {
        for ipv6 in [false, true] {
            for tcp in [false, true] {
                let shape = Shape { ipv6, tcp };
                for size in [shape.smallest_frame(), 101, 590, 1_514] {
                    check(shape, Kind::Data(size));
                }
            }
            check(Shape { ipv6, tcp: true }, Kind::Syn);
            check(Shape { ipv6, tcp: true }, Kind::Control);
        }
    }

    #[test]
    fn the_smallest_frames_are_ethernets_where_the_stamp_fits() {
        let smallest = |ipv6, tcp| Shape { ipv6, tcp }.smallest_frame();
        assert_eq!(
            [
                smallest(false, false),
                smallest(false, true),
                smallest(true, false),
                smallest(true, true)
            ],
            [60, 72, 80, 92]
        );
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let frame = written(
            Shape { ipv6: false, tcp: false },
            Kind::Data(200),
            [7; STAMP_BYTES],
            Tcp::default(),
        );
        for at in 14..200 {
            let mut changed = frame.clone();
            changed[at] ^= 0x10;
            let located = Located::find(&changed);
            assert!(!located.is_some_and(|it| it.sums_are_right(&changed)), "byte {at}");
        }
    }
}
