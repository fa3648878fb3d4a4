//! The hash of tuples, shared with the steering programs (`bpf/hash.h`).
//!
//! Keys come from the network, so the hash is keyed; Linux `connect()` picks even ports and
//! neighbouring addresses, so it mixes. It folds 64 × 64 → 128 bit products, as wyhash does,
//! because that is cheap here and can be written in BPF with four 32-bit products.

use super::{Address, Endpoint, Protocol, Tuple};

/// The secret words of the hash: the same in all workers and in the steering programs of one
/// engine, drawn anew at each start.
#[derive(Clone, Copy)]
pub struct HashKeys([u64; 8]);

impl HashKeys {
    /// Wraps eight secret words, which must be random in all their 64 bits: the products spread
    /// nothing if a word is zero or small.
    pub const fn new(words: [u64; 8]) -> Self {
        Self(words)
    }

    /// Known words, for choices that every node and every restart must make alike.
    pub const PUBLIC: Self = Self::new([
        0x243f_6a88_85a3_08d3,
        0x1319_8a2e_0370_7344,
        0xa409_3822_299f_31d0,
        0x082e_fa98_ec4e_6c89,
        0x4528_21e6_38d0_1377,
        0xbe54_66cf_34e9_0c6c,
        0xc0ac_29b7_c97c_50dd,
        0x3f84_d5b5_b547_0917,
    ]);

    /// The words, for the steering programs.
    pub const fn words(&self) -> [u64; 8] {
        self.0
    }

    /// Hashes a tuple to 64 bits.
    #[inline]
    pub fn tuple(&self, tuple: &Tuple) -> u64 {
        self.parts(&tuple.source, &tuple.destination, tuple.protocol)
    }

    /// As [`Self::tuple`], of its parts where they are.
    #[inline]
    pub fn parts(&self, source: &Endpoint, destination: &Endpoint, protocol: Protocol) -> u64 {
        let k = &self.0;
        // Each field where it is loaded as it was stored: a wider load would wait for the store.
        let rest = source.port as u64 | (destination.port as u64) << 32 | (protocol as u64) << 48;
        let source = fold(source.address.high() ^ k[0], source.address.low() ^ k[1]);
        let destination = fold(destination.address.high() ^ k[2], destination.address.low() ^ k[3]);
        fold(source ^ rest ^ k[4], destination ^ k[5])
    }

    /// Hashes one endpoint to 64 bits.
    #[inline]
    pub fn endpoint(&self, endpoint: &Endpoint) -> u64 {
        fold(self.address(&endpoint.address) ^ endpoint.port as u64 ^ self.0[6], self.0[7])
    }

    /// Hashes an address to 64 bits.
    #[inline]
    pub fn address(&self, address: &Address) -> u64 {
        fold(address.high() ^ self.0[0], address.low() ^ self.0[1])
    }

    /// The worker, of `workers`, that owns all flows of this client. Both directions of a
    /// connection meet there, because the client is the source on the way out and the
    /// destination on the way back.
    #[inline]
    pub fn worker_of(&self, client: &Endpoint, workers: u32) -> u32 {
        (((self.endpoint(client) >> 32) * workers as u64) >> 32) as u32
    }
}

#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_ports_and_neighbouring_clients_spread_over_workers() {
        for workers in [2u32, 3, 8] {
            let mut load = vec![0u32; workers as usize];
            for host in 1..=20 {
                for port in (32768..61000).step_by(2) {
                    let client =
                        Endpoint { address: Address::from_v4_bits(0x0af4_0000 + host), port };
                    load[HashKeys::PUBLIC.worker_of(&client, workers) as usize] += 1;
                }
            }
            let even = load.iter().sum::<u32>() as f64 / workers as f64;
            for worker in load {
                assert!((worker as f64 / even - 1.0).abs() < 0.02, "{worker} of {even}");
            }
        }
    }
}
