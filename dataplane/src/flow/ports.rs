//! Choosing the client's address and port as the backend is to see them.

use crate::wire::{Address, Endpoint, Protocol, Tuple};

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
    /// Chooses the endpoint under which a backend is to see a client, such that the backend's
    /// packets tell this flow from all others in the table and come to the same worker, of
    /// `workers`.
    ///
    /// The client's own port is kept if possible, and its own address unless it is to be
    /// masqueraded. `None` if no port was found among 1,024.
    pub fn allocate_translated(
        &self,
        client: Endpoint,
        backend: Endpoint,
        protocol: Protocol,
        masquerade: Option<Address>,
        worker: u32,
        workers: u32,
    ) -> Option<Endpoint> {
        let address = masquerade.unwrap_or(client.address);
        let usable = |port: u16| {
            let translated = Endpoint { address, port };
            let reply = Tuple { source: backend, destination: translated, protocol };
            let fits = self.keys.worker_of(&translated, workers) == worker
                && self.find(&reply, self.keys.tuple(&reply)).is_none();
            fits.then_some(translated)
        };
        usable(client.port).or_else(|| {
            let seed = self.keys.tuple(&Tuple { source: client, destination: backend, protocol });
            // One client may come to one backend by many Services: not always the same order.
            let turn = u64::from(self.len()).wrapping_mul(GOLDEN_RATIO);
            probes(seed ^ turn).find_map(usable)
        })
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
