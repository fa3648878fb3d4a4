//! What the tests send, and how they know it again.

use std::net::UdpSocket;

use etherparse::PacketBuilder;
use maglane_dataplane::xsk::{Frame, FramePool};

use crate::rig::{KERNEL_MAC, PORT, XSK_MAC};

/// Turns a UDP frame of the client's around; false for anything else.
pub(crate) fn turn_around(frame: &mut [u8]) -> bool {
    let is_udp = frame.len() >= 42 && frame[12..14] == [8, 0] && frame[23] == 17;
    if is_udp {
        let (to, from) = frame[..12].split_at_mut(6);
        to.swap_with_slice(from);
        let (from, to) = frame[26..34].split_at_mut(4);
        from.swap_with_slice(to);
        let (from, to) = frame[34..38].split_at_mut(2);
        from.swap_with_slice(to);
        // The sender left it to hardware that is not there; 0 means "none".
        frame[40..42].fill(0);
    }
    is_udp
}

/// A datagram that tells its number and has a length of its own.
pub(crate) fn datagram(number: u32) -> Vec<u8> {
    let length = 20 + number as usize * 7 % 1_400;
    let mut bytes: Vec<u8> = (0..length).map(|index| (index + number as usize) as u8).collect();
    bytes[..4].copy_from_slice(&number.to_ne_bytes());
    bytes
}

/// Sends `numbers`, then gets each of them back unharmed, in any order.
pub(crate) fn exchange(clients: &[UdpSocket], numbers: std::ops::Range<u32>) {
    let share = |client: usize| {
        numbers.clone().filter(move |number| *number as usize % clients.len() == client)
    };
    for (index, client) in clients.iter().enumerate() {
        for number in share(index) {
            client.send(&datagram(number)).expect("send");
        }
    }
    let mut buffer = [0; 2_048];
    for (index, client) in clients.iter().enumerate() {
        let mut missing: Vec<u32> = share(index).collect();
        while !missing.is_empty() {
            let length = client.recv(&mut buffer).unwrap_or_else(|error| {
                panic!("{} of {numbers:?} missing: {error}", missing.len())
            });
            let number = u32::from_ne_bytes(buffer[..4].try_into().expect("four bytes"));
            assert_eq!(&buffer[..length], datagram(number), "datagram {number}");
            let place = missing.iter().position(|candidate| *candidate == number);
            missing.swap_remove(place.expect("sent once, and not yet back"));
        }
    }
}

/// Writes a datagram for the client of pair 0 into a free frame.
pub(crate) fn frame_to(client: &UdpSocket, payload: &[u8], pool: &mut FramePool) -> Frame {
    let to = client.local_addr().expect("address").port();
    let headers = PacketBuilder::ethernet2(XSK_MAC, KERNEL_MAC)
        .ipv4([10, 77, 0, 2], [10, 77, 0, 1], 64)
        .udp(PORT, to);
    let length = headers.size(payload.len());
    let mut frame = pool.allocate().expect("a free frame");
    let mut room = pool.buffer(&mut frame);
    headers.write(&mut room, payload).expect("room for the packet");
    frame.set_length(length);
    frame
}
