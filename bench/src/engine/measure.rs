use std::time::Instant;

use super::counters::{Counted, Counters};
use super::stages::{self, Stage};
use super::world::{Case, PACKETS, World};
use crate::allocations;
use crate::error::Result;
use crate::figures::Figure;
use crate::interrupt::Interrupt;

/// Rounds in which the processor counts: it does so exactly.
const COUNTED_ROUNDS: u32 = 11;

/// One case in one world.
pub(crate) struct Measured {
    /// Nanoseconds a packet.
    pub(crate) ns_per_packet: Figure,
    /// Allocations a packet, of the pipeline alone.
    pub(crate) allocations_per_packet: f64,
    /// What the processor counted, a packet.
    pub(crate) counted: Option<[f64; 2]>,
    /// Where the time goes, in order.
    pub(crate) stages: Vec<Stage>,
}

impl Measured {
    /// Measures.
    ///
    /// # Errors
    /// [`BenchError::Interrupted`](crate::error::BenchError::Interrupted).
    pub(crate) fn of(
        world: &mut World,
        case: Case,
        rounds: u32,
        counters: Option<&mut Counters>,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let mut allocated = 0;
        let mut timed = Vec::with_capacity(rounds as usize);
        // The first round warms up.
        for round in 0..=rounds {
            interrupt.check()?;
            world.write(case);
            let before = allocations::count();
            let start = Instant::now();
            world.process();
            let passed = start.elapsed();
            allocated += allocations::count() - before;
            if round > 0 {
                timed.push(passed.as_nanos() as f64 / PACKETS as f64);
            }
            world.settle(case);
        }
        let ns_per_packet = Figure::of(timed.into_iter());
        let packets = PACKETS as f64 * f64::from(rounds + 1);
        Ok(Self {
            ns_per_packet,
            allocations_per_packet: allocated as f64 / packets,
            counted: counters.and_then(|counters| count(world, case, counters)),
            stages: stages::measure(world, case, rounds, ns_per_packet.median, interrupt)?,
        })
    }
}

fn count(world: &mut World, case: Case, counters: &mut Counters) -> Option<[f64; 2]> {
    let mut total = Counted::default();
    for _ in 0..COUNTED_ROUNDS {
        world.write(case);
        let counted = counters.count(|| world.process()).ok()?;
        total.instructions += counted.instructions;
        total.cache_misses += counted.cache_misses;
        world.settle(case);
    }
    let packets = PACKETS as f64 * f64::from(COUNTED_ROUNDS);
    Some([total.instructions, total.cache_misses].map(|count| count as f64 / packets))
}
