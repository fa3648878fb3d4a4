use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use prefetch_index::prefetch_index;

use crate::wire::Endpoint;
use crate::wire::HashKeys;

use super::MAX_BACKENDS;

/// A slot that no backend has taken yet; while building only.
const FREE: u16 = u16::MAX;

/// A lookup table from hashes to backends. Two bytes a slot. Copies share the slots.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Maglev {
    slots: Arc<[u16]>,
}

impl Maglev {
    /// Builds the table of `size` slots (see [`table_size`](super::table_size)) for these
    /// backends and their weights.
    ///
    /// A backend's share of the slots is its share of the weights; weight 0 takes none. Which
    /// backend has which slot depends on the set of (backend, weight) alone, not on its order.
    /// The same endpoint given twice counts as two backends. Backends behind the first
    /// [`MAX_BACKENDS`] take no slots.
    ///
    /// # Panics
    /// If `size` is not a prime: a backend might then find no free slot.
    pub fn build(backends: &[(Endpoint, u32)], size: usize) -> Self {
        assert!(is_prime(size), "a Maglev table cannot have {size} slots, which is no prime");
        let contenders = contenders(backends, size);
        let Some(first) = contenders.first() else {
            return Self { slots: Arc::default() };
        };
        let mut slots = vec![FREE; size];
        // Without weights three times as fast, and the rule in Kubernetes.
        if contenders.iter().all(|contender| contender.weight == first.weight) {
            fill_in_turn(contenders, &mut slots);
        } else {
            fill_by_weight(contenders.into(), &mut slots);
        }
        Self { slots: slots.into() }
    }

    /// The backend, as an index into what [`Self::build`] was given, for this hash; `None` if
    /// there is none. The upper bits of the hash decide.
    #[inline]
    pub fn pick(&self, hash: u64) -> Option<usize> {
        self.slots.get(self.slot(hash)).map(|&backend| usize::from(backend))
    }

    /// Asks the processor for what [`Self::pick`] will read.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        prefetch_index(&self.slots, self.slot(hash));
    }

    #[inline]
    fn slot(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.slots.len() as u128) >> 64) as usize
    }

    /// How many slots there are, of two bytes each.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }
}

/// A backend that takes slots in its turns.
#[derive(PartialEq, Eq)]
struct Contender {
    /// How many turns it will have had after its next one.
    turns: u32,
    weight: u32,
    /// Its place among the backends, sorted.
    rank: u16,
    /// Its index as the caller has it.
    backend: u16,
    /// The slot that it wants next, and the distance to the one that it wants thereafter: its
    /// permutation of the slots.
    wants: u32,
    skip: u32,
}

impl Contender {
    /// Takes the first free slot of the backend's permutation. The stride is prime to the
    /// number of slots, so it comes upon a free one if there is any.
    fn take_slot(&mut self, slots: &mut [u16]) {
        let size = slots.len() as u32;
        loop {
            let slot = &mut slots[self.wants as usize];
            self.wants += self.skip;
            if self.wants >= size {
                self.wants -= size;
            }
            if *slot == FREE {
                *slot = self.backend;
                self.turns += 1;
                return;
            }
        }
    }
}

/// The greatest has the next turn: a backend of weight `w` has its `n`th at the time `n / w`, so
/// that those of equal weights take turns as in the paper.
impl Ord for Contender {
    fn cmp(&self, other: &Self) -> Ordering {
        let time = u64::from(self.turns) * u64::from(other.weight);
        let other_time = u64::from(other.turns) * u64::from(self.weight);
        other_time.cmp(&time).then_with(|| other.rank.cmp(&self.rank))
    }
}

impl PartialOrd for Contender {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn fill_in_turn(mut contenders: Vec<Contender>, slots: &mut [u16]) {
    for turn in 0..slots.len() {
        let rank = turn % contenders.len();
        contenders[rank].take_slot(slots);
    }
}

fn fill_by_weight(mut contenders: BinaryHeap<Contender>, slots: &mut [u16]) {
    for _ in 0..slots.len() {
        // Changed in place, the contender moves to where it belongs at the end of its scope.
        let Some(mut contender) = contenders.peek_mut() else { return };
        contender.take_slot(slots);
    }
}

/// The backends that take slots, sorted.
fn contenders(backends: &[(Endpoint, u32)], size: usize) -> Vec<Contender> {
    let mut sorted: Vec<(usize, &(Endpoint, u32))> = backends
        .iter()
        .take(MAX_BACKENDS)
        .enumerate()
        .filter(|(_, (_, weight))| *weight > 0)
        .collect();
    sorted.sort_unstable_by_key(|(_, backend)| **backend);
    let contender = |(rank, (index, (endpoint, weight))): (usize, (usize, &(Endpoint, u32)))| {
        let hash = HashKeys::PUBLIC.endpoint(endpoint);
        Contender {
            turns: 1,
            weight: *weight,
            rank: rank as u16,
            backend: index as u16,
            wants: scale(hash as u32, size),
            skip: scale((hash >> 32) as u32, size - 1) + 1,
        }
    };
    sorted.into_iter().enumerate().map(contender).collect()
}

/// Brings 32 hash bits evenly to `0..limit`.
const fn scale(bits: u32, limit: usize) -> u32 {
    ((bits as u64 * limit as u64) >> 32) as u32
}

fn is_prime(number: usize) -> bool {
    number >= 2 && (2..).take_while(|d| d * d <= number).all(|d| !number.is_multiple_of(d))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Address;

    #[test]
    fn with_equal_weights_both_ways_of_filling_agree() {
        let endpoint = |host| Endpoint { address: Address::from_v4_bits(host), port: 80 };
        for count in [1, 2, 7, 50] {
            let backends: Vec<_> = (0..count).map(|host| (endpoint(host), 5)).collect();
            let (mut in_turn, mut by_weight) = ([FREE; 1_009], [FREE; 1_009]);
            fill_in_turn(contenders(&backends, 1_009), &mut in_turn);
            fill_by_weight(contenders(&backends, 1_009).into(), &mut by_weight);
            assert_eq!(in_turn, by_weight);
        }
    }
}
