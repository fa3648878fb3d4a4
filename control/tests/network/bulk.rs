//! Many bytes over one TCP connection, with the offloads that veth has by default.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::lab::Lab;
use crate::manifest::{FAMILIES, client, pod, service};
use crate::namespace::{CLIENT, Namespace, PATIENCE};

const BLOCK_BYTES: usize = 1 << 20;
const BLOCKS: u64 = 200;

/// Bytes that look random and are not: xorshift64*, told apart by `seed`.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    while block.len() < BLOCK_BYTES {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        block.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes());
    }
    block
}

/// Every block is the same noise behind its own number: one that is lost, doubled or moved shows.
fn send(mut stream: &TcpStream, seed: u64) {
    let mut block = noise(seed);
    for number in 0..BLOCKS {
        block[..8].copy_from_slice(&number.to_be_bytes());
        stream.write_all(&block).expect("write");
    }
    stream.shutdown(Shutdown::Write).expect("shutdown");
}

fn receive(mut stream: &TcpStream, seed: u64) {
    let mut expected = noise(seed);
    let mut block = vec![0; BLOCK_BYTES];
    for number in 0..BLOCKS {
        expected[..8].copy_from_slice(&number.to_be_bytes());
        stream.read_exact(&mut block).expect("read");
        assert!(block == expected, "block {number} differs");
    }
    assert_eq!(stream.read(&mut block).expect("the end"), 0, "nothing more");
}

fn both_ways(test: &str, workers: u32) {
    let manifest =
        service("web", 10, "[{port: 80, targetPort: 8080}]") + &client() + &pod("web-1", 11, "web");
    let Some(_lab) = Lab::with_workers(test, &manifest, workers) else { return };
    let listener = Namespace::Pod("web-1").listen(8080);
    for family in FAMILIES {
        let near = CLIENT.connect(family.service(10, 80)).expect("connect");
        let (far, _) = listener.accept().expect("accept");
        far.set_read_timeout(Some(PATIENCE)).expect("SO_RCVTIMEO");
        far.set_write_timeout(Some(PATIENCE)).expect("SO_SNDTIMEO");
        for (from, to, seed) in [(&near, &far, 0xa5), (&far, &near, 0x5a)] {
            std::thread::scope(|scope| {
                scope.spawn(|| send(from, seed));
                scope.spawn(|| receive(to, seed));
            });
        }
    }
}

#[test]
fn bytes_arrive_1_worker() {
    both_ways("bytes_arrive_1_worker", 1);
}

#[test]
fn bytes_arrive_2_workers() {
    both_ways("bytes_arrive_2_workers", 2);
}
