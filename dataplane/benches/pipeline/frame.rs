//! Packets as frames hold them.

use std::net::IpAddr;

use etherparse::PacketBuilder;
use maglane_dataplane::wire::Endpoint;

pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const ACK: u8 = 16;

/// Where a translated packet goes.
pub(super) fn destination(frame: &[u8], ipv6: bool) -> Endpoint {
    let port = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    match ipv6 {
        true => {
            let bytes: [u8; 16] = frame[38..54].try_into().unwrap();
            Endpoint { address: IpAddr::from(bytes).into(), port: port(56) }
        }
        false => {
            let bytes: [u8; 4] = frame[30..34].try_into().unwrap();
            Endpoint { address: IpAddr::from(bytes).into(), port: port(36) }
        }
    }
}

/// Writes a TCP packet that fills the frame.
pub(super) fn write_packet(frame: &mut [u8], source: Endpoint, destination: Endpoint, flags: u8) {
    let ethernet = PacketBuilder::ethernet2([0; 6], [0x0a, 1, 0, 0, 0, 7]);
    let [from, to] = [source.address, destination.address];
    let (ip, headers) = if from.is_ipv4() {
        let octets = |address: maglane_dataplane::wire::Address| address.v4_bits().to_be_bytes();
        (ethernet.ipv4(octets(from), octets(to), 64), 54)
    } else {
        (ethernet.ipv6(from.bits().to_be_bytes(), to.bits().to_be_bytes(), 64), 74)
    };
    let mut tcp = ip.tcp(source.port, destination.port, 1, 65_535);
    if flags & SYN != 0 {
        tcp = tcp.syn();
    }
    if flags & RST != 0 {
        tcp = tcp.rst();
    }
    if flags & ACK != 0 {
        tcp = tcp.ack(1);
    }
    let payload = vec![0; frame.len() - headers];
    tcp.write(&mut &mut frame[..], &payload).unwrap();
}
