//! Many datagrams of every size, in bursts, there and back.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use crate::lab::Lab;
use crate::manifest::{FAMILIES, Family, client, pod, service};
use crate::namespace::{CLIENT, Namespace};

const DATAGRAMS: u32 = 100_000;
const LONGEST: usize = 1_400;
const BURST: u32 = 500;
/// 20,000 a second.
const BURST_EVERY: Duration = Duration::from_millis(25);
/// Every so many are answered.
const ANSWERED: u32 = 10;
/// Enough for all of them, as the kernel accounts for small ones.
const BUFFER_BYTES: usize = 256 << 20;
/// Without a datagram for so long, no more will come.
const SILENCE: Duration = Duration::from_secs(3);

/// Sizes go through 1..=1400, out of order: 577 and 1400 have no common divisor.
fn length(sequence: u32) -> usize {
    (sequence as usize * 577) % LONGEST + 1
}

/// The number first, as far as there is room, then a stretch of the pattern that depends on it.
fn fill(sequence: u32, pattern: &[u8], datagram: &mut [u8]) {
    let offset = sequence as usize % 251;
    datagram.copy_from_slice(&pattern[offset..offset + datagram.len()]);
    let head = sequence.to_be_bytes();
    let room = datagram.len().min(head.len());
    // The last bytes are those that differ between neighbours.
    datagram[..room].copy_from_slice(&head[head.len() - room..]);
}

fn buffer(socket: &UdpSocket) {
    setsockopt(socket, sockopt::RcvBufForce, &BUFFER_BYTES).expect("SO_RCVBUFFORCE");
    socket.set_read_timeout(Some(SILENCE)).expect("SO_RCVTIMEO");
}

/// Takes in what comes until all are there, or nobody speaks any more. Returns what is missing.
/// Those too short for their number are told apart by what they hold, and counted.
fn receive(socket: &UdpSocket, wanted: impl Iterator<Item = u32>, echo: bool) -> usize {
    let pattern: Vec<u8> = (0..=255).cycle().take(4_096).collect();
    let mut expected = [0; LONGEST];
    let mut content = |sequence| {
        fill(sequence, &pattern, &mut expected[..length(sequence)]);
        expected[..length(sequence)].to_vec()
    };
    let mut missing = std::collections::HashMap::<Vec<u8>, u32>::new();
    for sequence in wanted {
        *missing.entry(content(sequence)).or_default() += 1;
    }
    let mut left: u32 = missing.values().sum();
    let mut datagram = [0; 2_048];
    while left > 0 {
        let Ok((length, from)) = socket.recv_from(&mut datagram) else { break };
        let datagram = &datagram[..length];
        let count = missing.get_mut(datagram).filter(|count| **count > 0);
        *count.unwrap_or_else(|| panic!("altered or doubled: {datagram:02x?}")) -= 1;
        left -= 1;
        let number = datagram.first_chunk().map(|head| u32::from_be_bytes(*head));
        if echo && number.is_some_and(|number| number.is_multiple_of(ANSWERED)) {
            socket.send_to(datagram, from).expect("an answer");
        }
    }
    left as usize
}

fn is_answered(sequence: &u32) -> bool {
    length(*sequence) >= 4 && sequence.is_multiple_of(ANSWERED)
}

fn flood(family: Family) {
    let server = Namespace::Pod("echo-1").udp(5353);
    let client = CLIENT.udp_connected(family.service(10, 53));
    buffer(&server);
    buffer(&client);
    let (lost, unanswered) = std::thread::scope(|scope| {
        let received = scope.spawn(|| receive(&server, 0..DATAGRAMS, true));
        let answered = scope.spawn(|| receive(&client, (0..DATAGRAMS).filter(is_answered), false));
        let pattern: Vec<u8> = (0..=255).cycle().take(4_096).collect();
        let mut datagram = [0; LONGEST];
        let mut next = Instant::now();
        for sequence in 0..DATAGRAMS {
            if sequence.is_multiple_of(BURST) {
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
                next += BURST_EVERY;
            }
            let datagram = &mut datagram[..length(sequence)];
            fill(sequence, &pattern, datagram);
            client.send(datagram).expect("send");
        }
        (received.join().expect("received"), answered.join().expect("answered"))
    });
    assert_eq!((lost, unanswered), (0, 0), "lost on the way there and back, {family:?}");
}

fn all_arrive(test: &str, workers: u32) {
    let manifest = service("echo", 10, "[{port: 53, targetPort: 5353, protocol: UDP}]")
        + &client()
        + &pod("echo-1", 11, "echo");
    let Some(_lab) = Lab::with_workers(test, &manifest, workers) else { return };
    for family in FAMILIES {
        flood(family);
    }
}

#[test]
fn datagrams_arrive_1_worker() {
    all_arrive("datagrams_arrive_1_worker", 1);
}

#[test]
fn datagrams_arrive_2_workers() {
    all_arrive("datagrams_arrive_2_workers", 2);
}
