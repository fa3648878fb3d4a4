//! What the responder makes of a packet: its answer, in the same frame. Both ends change places, a
//! datagram or data comes back as it is, and TCP is answered as a kernel would. It remembers
//! nothing: whatever addresses and ports a dataplane made of a flow, they are those that it takes
//! for the reply.

use etherparse::checksum::u64_16bit_word as sum;

use super::packet::{Located, Tcp, flags};
use super::stamp::STAMP_BYTES;

/// The responder's first sequence number.
const FIRST_SEQUENCE: u32 = 0x4d67_6c6e;
const ETHERNET_ADDRESSES: usize = 12;

/// The numbers of the segment that answers one; `None` where a kernel would say nothing.
pub(crate) fn tcp_answer(received: &Tcp) -> Option<Tcp> {
    let kind = received.flags & (flags::SYN | flags::FIN | flags::RST | flags::ACK);
    let (sequence, flags) = match kind {
        flags::SYN => (FIRST_SEQUENCE, flags::SYN | flags::ACK),
        kind if kind & (flags::SYN | flags::RST) != 0 => return None,
        kind if kind & flags::FIN != 0 => (received.acknowledgement, flags::FIN | flags::ACK),
        _ if received.data > 0 => (received.acknowledgement, flags::PSH | flags::ACK),
        _ => return None,
    };
    let counts = u32::from(received.flags & (flags::SYN | flags::FIN) != 0);
    Some(Tcp {
        sequence,
        acknowledgement: received.sequence.wrapping_add(received.data + counts),
        flags,
        data: received.data,
    })
}

/// Turns a packet round in place, with this stamp. `false` if it is not to be answered.
#[inline]
pub(crate) fn turn_round(frame: &mut [u8], located: &Located, stamp: &[u8; STAMP_BYTES]) -> bool {
    let tcp = match &located.tcp {
        Some(received) => match tcp_answer(received) {
            Some(answer) => Some(answer),
            None => return false,
        },
        None => None,
    };
    // Sums do not care who of the two is who.
    let mut change = 0;
    if let Some(answer) = tcp {
        change += replace(frame, located.transport + 4, &answer.sequence.to_be_bytes());
        change += replace(frame, located.transport + 8, &answer.acknowledgement.to_be_bytes());
        let length = frame.get(located.transport + 12).copied().unwrap_or_default();
        change += replace(frame, located.transport + 12, &[length, answer.flags]);
    }
    change += replace(frame, located.stamp, stamp);
    swap(frame, 0, 6);
    let addresses = if frame.get(ETHERNET_ADDRESSES) == Some(&0x86) { (22, 16) } else { (26, 4) };
    swap(frame, addresses.0, addresses.1);
    swap(frame, located.transport, 2);
    mend(frame, located.checksum(), change, tcp.is_none());
    true
}

/// Writes bytes over others. Returns by how much a sum changes (RFC 1624, equation 3).
#[inline]
fn replace(frame: &mut [u8], at: usize, bytes: &[u8]) -> u64 {
    let Some(place) = frame.get_mut(at..at + bytes.len()) else { return 0 };
    let old = sum::ones_complement(sum::add_slice(0, place));
    place.copy_from_slice(bytes);
    let new = !sum::ones_complement(sum::add_slice(0, bytes));
    u64::from(old) + u64::from(new)
}

/// Exchanges two neighbouring fields of so many bytes.
#[inline]
fn swap(frame: &mut [u8], at: usize, bytes: usize) {
    if let Some(fields) = frame.get_mut(at..at + 2 * bytes) {
        fields.rotate_left(bytes);
    }
}

#[inline]
fn mend(frame: &mut [u8], at: usize, change: u64, udp: bool) {
    let Some(place) = frame.get_mut(at..at + 2) else { return };
    let old = u16::from_ne_bytes([place[0], place[1]]);
    if udp && old == 0 {
        return;
    }
    let total = u64::from(!old) + change;
    let new = match udp {
        true => sum::ones_complement_with_no_zero(total),
        false => sum::ones_complement(total),
    };
    place.copy_from_slice(&new.to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pktgen::frame::{Kind, Link, Shape, Template};
    use crate::pktgen::tuples::Tuple;

    const LINK: Link = Link { source: [2; 6], destination: [4; 6] };

    fn tuple(ipv6: bool) -> Tuple {
        let address = |v4: &str, v6: &str| if ipv6 { v6 } else { v4 }.parse().expect("an address");
        Tuple {
            source: (address("10.0.0.1", "fd00::1"), 4_000),
            destination: (address("10.0.0.2", "fd00::2"), 80),
        }
    }

    fn turned(shape: Shape, kind: Kind, tcp: Tcp) -> Option<(Vec<u8>, Located)> {
        let mut frame = vec![0; 4_096];
        let length = Template::new(shape, kind, LINK, 3).write(
            &mut frame,
            &tuple(shape.ipv6),
            &[1; 18],
            &tcp,
        );
        frame.truncate(length);
        let located = Located::find(&frame).expect("located");
        turn_round(&mut frame, &located, &[0xfe; STAMP_BYTES])
            .then(|| (frame.clone(), Located::find(&frame).expect("an answer")))
    }

    #[test]
    fn answers_are_whole_and_go_back() {
        for ipv6 in [false, true] {
            for tcp in [false, true] {
                let shape = Shape { ipv6, tcp };
                let size = shape.smallest_frame() + 1;
                let ack = Tcp { flags: flags::ACK, ..Tcp::default() };
                let (frame, located) = turned(shape, Kind::Data(size), ack).expect("an answer");
                assert!(located.sums_are_right(&frame));
                assert_eq!(located.stamp(&frame), Some(&[0xfe; STAMP_BYTES]));
                assert_eq!(&frame[..12], &[2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4]);
                let ports = &frame[located.transport..located.transport + 4];
                assert_eq!(ports, [0, 80, 0x0f, 0xa0]);
                let headers = etherparse::PacketHeaders::from_ethernet_slice(&frame).expect("one");
                let expected = tuple(ipv6);
                let (source, destination) = match headers.net.expect("IP") {
                    etherparse::NetHeaders::Ipv4(ip, _) => {
                        (std::net::IpAddr::from(ip.source), ip.destination.into())
                    }
                    etherparse::NetHeaders::Ipv6(ip, _) => {
                        (std::net::IpAddr::from(ip.source), ip.destination.into())
                    }
                    other => panic!("{other:?}"),
                };
                assert_eq!([source, destination], [expected.destination.0, expected.source.0]);
            }
        }
    }

    #[test]
    fn a_connection_is_answered_from_syn_to_fin() {
        let shape = Shape { ipv6: false, tcp: true };
        let of = |kind, tcp| {
            let (frame, located) = turned(shape, kind, tcp)?;
            assert!(located.sums_are_right(&frame));
            located.tcp
        };
        let syn = Tcp { sequence: 99, flags: flags::SYN, ..Tcp::default() };
        let answer = of(Kind::Syn, syn).expect("SYN-ACK");
        assert_eq!((answer.flags, answer.acknowledgement), (flags::SYN | flags::ACK, 100));
        let data = Tcp {
            sequence: 100,
            acknowledgement: answer.sequence.wrapping_add(1),
            flags: flags::ACK,
            data: 0,
        };
        let echo = of(Kind::Data(72), data).expect("data");
        assert_eq!((echo.sequence, echo.acknowledgement), (data.acknowledgement, 118));
        let fin = Tcp { sequence: 118, flags: flags::FIN | flags::ACK, ..data };
        let answer = of(Kind::Control, fin).expect("FIN-ACK");
        assert_eq!((answer.flags, answer.acknowledgement), (flags::FIN | flags::ACK, 119));
        for silent in [flags::ACK, flags::RST, flags::RST | flags::ACK, flags::SYN | flags::ACK] {
            assert_eq!(of(Kind::Control, Tcp { flags: silent, ..data }), None);
        }
    }
}
