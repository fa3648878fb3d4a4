use std::net::Ipv4Addr;
use std::time::Instant;

use maglane_dataplane::maglev::{Maglev, table_size};
use maglane_dataplane::wire::Endpoint;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::figures::Figure;
use crate::interrupt::Interrupt;

/// Backends that go, one after the other, for one figure of disruption.
const LEAVERS: usize = 5;
const NS_PER_S: f64 = 1e9;

/// One table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Table {
    /// Backends.
    pub(crate) backends: usize,
    /// Slots.
    pub(crate) size: usize,
    /// Whether the dataplane chooses this size for so many.
    pub(crate) chosen: bool,
    /// Median time to build it.
    pub(crate) build_ns: f64,
    /// The least and the greatest.
    pub(crate) build_spread_ns: [f64; 2],
    /// Of the slots.
    pub(crate) memory_bytes: usize,
    /// The largest share of a backend beyond an even one.
    pub(crate) imbalance: f64,
    /// When a backend goes: share of the other backends' slots that change hands.
    pub(crate) moved_on_leave: Option<f64>,
    /// When one comes: share of the slots that change hands between those that were there.
    pub(crate) moved_on_join: f64,
    /// The same with the size that the dataplane chooses for one more, where that is another.
    pub(crate) moved_on_resize: Option<f64>,
}

impl Table {
    /// Builds, counts and compares.
    ///
    /// # Errors
    /// [`BenchError::Interrupted`](crate::error::BenchError::Interrupted): large tables take seconds.
    pub(super) fn measure(
        backends: usize,
        size: usize,
        chosen: bool,
        rounds: u32,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let members = endpoints(0..backends);
        let mut table = Maglev::build(&members, size);
        let times = (0..rounds).map(|_| {
            interrupt.check()?;
            let start = Instant::now();
            table = std::hint::black_box(Maglev::build(std::hint::black_box(&members), size));
            Ok(start.elapsed().as_secs_f64() * NS_PER_S)
        });
        let build = Figure::of(times.collect::<Result<Vec<_>>>()?.into_iter());
        let joined = endpoints(0..backends + 1);
        let next_size = table_size(backends + 1);
        Ok(Self {
            backends,
            size,
            chosen,
            build_ns: build.median,
            build_spread_ns: [build.min, build.max],
            memory_bytes: size * size_of::<u16>(),
            imbalance: imbalance(&table, backends, size),
            moved_on_leave: moved_on_leave(&table, &members, size, interrupt)?,
            moved_on_join: moved(&table, &Maglev::build(&joined, size), size, |after| {
                after < backends
            }),
            moved_on_resize: (chosen && next_size != size).then(|| {
                moved(&table, &Maglev::build(&joined, next_size), size, |after| after < backends)
            }),
        })
    }
}

fn endpoints(numbers: std::ops::Range<usize>) -> Vec<(Endpoint, u32)> {
    let endpoint = |number: usize| {
        let address = Ipv4Addr::from_bits(0x0af4_0001 + number as u32);
        (Endpoint { address: address.into(), port: 8_080 }, 1)
    };
    numbers.map(endpoint).collect()
}

/// A hash that falls in the middle of a slot.
fn hash_of(slot: usize, size: usize) -> u64 {
    (((slot as u128 * 2 + 1) << 63) / size as u128) as u64
}

fn imbalance(table: &Maglev, backends: usize, size: usize) -> f64 {
    let mut slots = vec![0_u32; backends];
    for slot in 0..size {
        if let Some(count) = table.pick(hash_of(slot, size)).and_then(|at| slots.get_mut(at)) {
            *count += 1;
        }
    }
    let most = slots.iter().max().copied().unwrap_or(0);
    f64::from(most) * backends as f64 / size as f64 - 1.0
}

/// Share of the slots that `counts` says count and that change hands. Backends keep their indices.
fn moved(before: &Maglev, after: &Maglev, size: usize, counts: impl Fn(usize) -> bool) -> f64 {
    let (mut all, mut moved) = (0_u64, 0_u64);
    for slot in 0..size {
        let hash = hash_of(slot, size);
        let (Some(before), Some(after)) = (before.pick(hash), after.pick(hash)) else { continue };
        all += 1;
        moved += u64::from(counts(after) && before != after);
    }
    if all == 0 { 0.0 } else { moved as f64 / all as f64 }
}

fn moved_on_leave(
    table: &Maglev,
    members: &[(Endpoint, u32)],
    size: usize,
    interrupt: &Interrupt,
) -> Result<Option<f64>> {
    if members.len() < 2 {
        return Ok(None);
    }
    let step = members.len().div_ceil(LEAVERS);
    let leavers: Vec<usize> = (0..members.len()).step_by(step).collect();
    let mut total = 0.0;
    for leaver in &leavers {
        interrupt.check()?;
        let mut rest = members.to_vec();
        rest.remove(*leaver);
        let without = Maglev::build(&rest, size);
        let (mut all, mut moved) = (0_u64, 0_u64);
        for slot in 0..size {
            let hash = hash_of(slot, size);
            let (Some(before), Some(after)) = (table.pick(hash), without.pick(hash)) else {
                continue;
            };
            if before != *leaver {
                all += 1;
                // Those behind it have moved up by one.
                let after = after + usize::from(after >= *leaver);
                moved += u64::from(before != after);
            }
        }
        total += moved as f64 / all.max(1) as f64;
    }
    Ok(Some(total / leavers.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(backends: usize, size: usize) -> Table {
        Table::measure(backends, size, true, 1, &Interrupt::default()).expect("no signal")
    }

    #[test]
    fn every_slot_has_a_hash() {
        // Two backends: a table whose slots differ, and a hash that misses would be seen.
        let table = Maglev::build(&endpoints(0..2), 1_009);
        let picks = (0..1_009).filter(|slot| table.pick(hash_of(*slot, 1_009)) == Some(0)).count();
        assert!((500..=509).contains(&picks), "{picks}");
        assert_eq!(hash_of(0, 1) >> 63, 1);
    }

    #[test]
    fn what_the_paper_promises_is_measured() {
        let table = measured(100, 16_411);
        assert!(table.imbalance < 0.02, "{table:?}");
        let moved = table.moved_on_leave.expect("more than one");
        assert!(moved > 0.0 && moved < 0.05, "{table:?}");
        assert_eq!(table.moved_on_resize, None);
        assert_eq!(table.memory_bytes, 32_822);
    }

    #[test]
    fn another_size_moves_nearly_all() {
        let table = measured(10, 1_009);
        assert!(table.moved_on_resize.expect("the next rung") > 0.5, "{table:?}");
        assert!(table.moved_on_join < 0.2, "{table:?}");
    }

    #[test]
    fn one_backend_has_all_slots_and_nobody_to_leave_them_to() {
        let table = measured(1, 1_009);
        assert_eq!((table.imbalance, table.moved_on_leave), (0.0, None));
    }
}
