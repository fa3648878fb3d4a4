//! The pipeline in memory: nanoseconds and allocations a packet, from parsing to the finished
//! frame, the forwarding lookup included.
//!
//! TCP in the smallest Ethernet frames there are, in batches of 64, flows in random order: 64 bytes
//! on the wire, of which AF_XDP shows 60, all but the frame check sequence. Packets are written
//! outside the measured time. Each figure is the median of several rounds, with the fastest and the
//! slowest.
//!
//! `cargo bench -p maglane-dataplane` prints all cases; a word after `--` picks those that
//! start with it, as `new` or `established/10/65536` (case, Services, flows).

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark's output, and its set-up"
)]

#[path = "pipeline/allocations.rs"]
mod allocations;
#[path = "pipeline/world.rs"]
mod world;

use std::time::Instant;

use world::{Case, PACKETS, World, WorldConfig};

const FLOWS: [u32; 4] = [1, 1_024, 65_536, 1_000_000];
const SERVICES: [u32; 3] = [10, 10_000, 100_000];
const ROUNDS: usize = 101;

fn main() {
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with("--"));
    println!(
        "{:<12} {:>9} {:>9} {:>10} {:>7} {:>7} {:>12}",
        "case", "services", "flows", "ns/packet", "min", "max", "allocations"
    );
    for services in SERVICES {
        for flows in FLOWS {
            let mut world = None;
            for (case, name) in Case::ALL {
                if wanted
                    .as_ref()
                    .is_some_and(|wanted| !format!("{name}/{services}/{flows}").starts_with(wanted))
                {
                    continue;
                }
                let world =
                    world.get_or_insert_with(|| World::new(WorldConfig::new(flows, services)));
                if world.has(case) {
                    measure(case, name, world);
                }
            }
        }
    }
}

fn measure(case: Case, name: &str, world: &mut World) {
    let mut rounds_ns = Vec::with_capacity(ROUNDS);
    let before = allocations::count();
    let mut outside = 0;
    for round in 0..=ROUNDS {
        let start = allocations::count();
        world.write(case);
        outside += allocations::count() - start;
        let start = Instant::now();
        world.process();
        let passed_ns = start.elapsed().as_nanos() as f64 / PACKETS as f64;
        if round > 0 {
            rounds_ns.push(passed_ns);
        }
        let start = allocations::count();
        world.settle(case);
        outside += allocations::count() - start;
    }
    let inside = allocations::count() - before - outside;
    rounds_ns.sort_by(f64::total_cmp);
    println!(
        "{name:<12} {:>9} {:>9} {:>10.1} {:>7.1} {:>7.1} {:>12}",
        world.config.services,
        world.config.flows,
        rounds_ns[ROUNDS / 2],
        rounds_ns[0],
        rounds_ns[ROUNDS - 1],
        inside as f64 / (PACKETS * (ROUNDS + 1)) as f64,
    );
}
