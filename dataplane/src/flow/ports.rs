//! Choosing the client's port as the backend is to see it.

use crate::wire::{Address, Endpoint, Protocol};

use super::table::FlowTable;

/// At most so many ports are tried for one flow.
const MAX_PROBES: u32 = 1_024;

/// Linux draws the ports of outgoing connections from 32,768 to 60,999
/// (`net.ipv4.ip_local_port_range`): a client may use one itself at any time, so they are left
/// alone, as are the well-known ones below 1,024.
const LOW_FIRST: u16 = 1_024;
const LOW_PORTS: u32 = 32_768 - LOW_FIRST as u32;
const HIGH_FIRST: u16 = 61_000;
/// The number of ports to draw from, a prime, so that any stride visits all of them. (65,533 and
/// up are given up for that.)
const POOL_PORTS: u32 = 36_277;

/// 2^64 divided by the golden ratio: its multiples spread over all bits.
const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;

const _: () = assert!(HIGH_FIRST as u32 + POOL_PORTS - LOW_PORTS <= u16::MAX as u32 + 1);

impl FlowTable {
    /// Chooses the port under which a backend is to see a client at `address`, such that the
    /// backend's packets tell this flow from all others in the table and come to the same worker,
    /// of `workers`.
    ///
    /// The client's own port is kept if possible. `None` if no port was found among 1,024.
    #[inline]
    pub fn allocate_port(
        &self,
        client: &Endpoint,
        backend: &Endpoint,
        protocol: Protocol,
        address: Address,
        worker: u32,
        workers: u32,
    ) -> Option<u16> {
        let is_usable = |port: &u16| {
            let translated = Endpoint { address, port: *port };
            let hash = self.keys.parts(backend, &translated, protocol);
            self.keys.worker_of(&translated, workers) == worker
                && self.find(backend, &translated, protocol, hash).is_none()
        };
        if is_usable(&client.port) {
            return Some(client.port);
        }
        let seed = self.keys.parts(client, backend, protocol);
        // One client may come to one backend by many Services: not always the same order.
        let turn = u64::from(self.len()).wrapping_mul(GOLDEN_RATIO);
        probes(seed ^ turn).find(is_usable)
    }
}

/// Distinct ports in an order that depends on the secret seed.
fn probes(seed: u64) -> impl Iterator<Item = u16> {
    let start = seed as u32 % POOL_PORTS;
    let stride = (seed >> 32) as u32 % (POOL_PORTS - 1) + 1;
    (0..MAX_PROBES).map(move |probe| {
        let at = (u64::from(start) + u64::from(probe) * u64::from(stride)) % u64::from(POOL_PORTS);
        nth_port(at as u32)
    })
}

fn nth_port(at: u32) -> u16 {
    if at < LOW_PORTS { LOW_FIRST + at as u16 } else { HIGH_FIRST + (at - LOW_PORTS) as u16 }
}
