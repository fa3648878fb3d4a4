//! From a tuple's hash to a place in the table, in one cache line.
//!
//! A bucket is a cache line of eight slots. A slot holds sixteen bits of the hash, which decide
//! nearly always whether an entry is worth its two cache misses, and the entry's number with the
//! direction. A hash names two buckets; the second is used when the first is crowded, and the
//! first counts how many of its own live elsewhere. While that count is zero, as it is for nearly
//! all, a hit and a miss both cost one line.

use prefetch_index::prefetch_index;

use super::config::MAX_CAPACITY_FLOWS;
use super::entry::{Direction, FlowId};

const SLOTS_PER_BUCKET: usize = 8;
/// A bucket this full lets new slots go to the second one if that is emptier.
const CROWDED_SLOTS: u32 = 6;
/// Both directions of each flow have a slot, and at most half of the slots are used: then both
/// buckets of a hash are practically never full.
const FLOWS_PER_BUCKET: usize = 2;
/// Bucket numbers are taken from bits 0 and 24 of the hash, the tag from bit 48: none overlap.
const BUCKET_BITS: u32 = 24;

const _: () = assert!(MAX_CAPACITY_FLOWS as usize / FLOWS_PER_BUCKET <= 1 << BUCKET_BITS);

/// An entry's number and one of its directions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Slot(u32);

impl Slot {
    #[inline]
    pub(super) const fn new(id: FlowId, direction: Direction) -> Self {
        Self(id.0 << 1 | direction as u32)
    }

    #[inline]
    pub(super) const fn id(self) -> FlowId {
        FlowId(self.0 >> 1)
    }

    #[inline]
    pub(super) const fn direction(self) -> Direction {
        if self.0 & 1 == 0 { Direction::Forward } else { Direction::Reply }
    }
}

/// Both buckets of a hash are full.
#[derive(Debug)]
pub(super) struct IndexFull;

#[derive(Clone, Default)]
#[repr(C, align(64))]
struct Bucket {
    /// [`FREE`] where there is no slot.
    tags: [u16; SLOTS_PER_BUCKET],
    slots: [Slot; SLOTS_PER_BUCKET],
    /// How many slots have this as their first bucket and stand in their second.
    elsewhere: u32,
}

const _: () = assert!(size_of::<Bucket>() == 64);

const FREE: u16 = 0;

impl Bucket {
    /// A bit for each slot whose tag is `tag`.
    #[inline]
    fn matches(&self, tag: u16) -> u32 {
        let mut mask = 0;
        for (at, &have) in self.tags.iter().enumerate() {
            mask |= u32::from(have == tag) << at;
        }
        mask
    }

    #[inline]
    fn find(&self, tag: u16, mut accept: impl FnMut(Slot) -> bool) -> Option<Slot> {
        let mut mask = self.matches(tag);
        while mask != 0 {
            let slot = self.slots[mask.trailing_zeros() as usize % SLOTS_PER_BUCKET];
            if accept(slot) {
                return Some(slot);
            }
            mask &= mask - 1;
        }
        None
    }

    fn used_slots(&self) -> u32 {
        SLOTS_PER_BUCKET as u32 - self.matches(FREE).count_ones()
    }

    fn insert(&mut self, tag: u16, slot: Slot) -> Result<(), IndexFull> {
        let at = self.tags.iter().position(|&tag| tag == FREE).ok_or(IndexFull)?;
        self.tags[at] = tag;
        self.slots[at] = slot;
        Ok(())
    }

    /// Whether the slot was here.
    fn remove(&mut self, tag: u16, slot: Slot) -> bool {
        let at = (0..SLOTS_PER_BUCKET).find(|&at| self.tags[at] == tag && self.slots[at] == slot);
        if let Some(at) = at {
            self.tags[at] = FREE;
        }
        at.is_some()
    }
}

/// The buckets.
pub(super) struct Index {
    buckets: Box<[Bucket]>,
    mask: usize,
}

impl Index {
    pub(super) fn new(capacity_flows: u32) -> Self {
        let buckets = (capacity_flows as usize).div_ceil(FLOWS_PER_BUCKET).next_power_of_two();
        Self { buckets: vec![Bucket::default(); buckets].into_boxed_slice(), mask: buckets - 1 }
    }

    #[inline]
    fn first(&self, hash: u64) -> usize {
        hash as usize & self.mask
    }

    #[inline]
    fn second(&self, hash: u64) -> usize {
        (hash >> BUCKET_BITS) as usize & self.mask
    }

    #[inline]
    fn tag(hash: u64) -> u16 {
        ((hash >> 48) as u16).max(FREE + 1)
    }

    /// Asks the processor for the first bucket of the hash.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        prefetch_index(&self.buckets, self.first(hash));
    }

    /// The first slot with the hash's tag that is accepted.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut accept: impl FnMut(Slot) -> bool) -> Option<Slot> {
        let tag = Self::tag(hash);
        let first = &self.buckets[self.first(hash)];
        let found = first.find(tag, &mut accept);
        if found.is_some() || first.elsewhere == 0 {
            return found;
        }
        self.buckets[self.second(hash)].find(tag, accept)
    }

    pub(super) fn insert(&mut self, hash: u64, slot: Slot) -> Result<(), IndexFull> {
        let (first, second) = (self.first(hash), self.second(hash));
        let used = self.buckets[first].used_slots();
        if used < CROWDED_SLOTS || used <= self.buckets[second].used_slots() {
            return self.buckets[first].insert(Self::tag(hash), slot);
        }
        self.buckets[second].insert(Self::tag(hash), slot)?;
        self.buckets[first].elsewhere += 1;
        Ok(())
    }

    pub(super) fn remove(&mut self, hash: u64, slot: Slot) {
        let (first, second) = (self.first(hash), self.second(hash));
        if self.buckets[first].remove(Self::tag(hash), slot) {
            return;
        }
        if self.buckets[second].remove(Self::tag(hash), slot) {
            self.buckets[first].elsewhere -= 1;
        }
    }
}
