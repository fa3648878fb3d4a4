//! From a tuple's hash to a place in the table, in one cache line.
//!
//! A bucket is a cache line of eight slots. A slot holds sixteen bits of the hash, which decide
//! nearly always whether an entry is worth a cache miss, and the entry's number with the
//! direction. A hash names two buckets; the second is used when the first is crowded, and the
//! first counts how many of its own live elsewhere. While that count is zero, as it is for nearly
//! all, a hit and a miss both cost one line.

use std::ops::Range;

use prefetch_index::prefetch_index;

use super::config::MAX_CAPACITY_FLOWS;
use super::key::{Direction, FlowId, Hit};

const SLOTS_PER_BUCKET: usize = 8;
/// Both directions of each flow have a slot, and at most half of the slots are used: then both
/// buckets of a hash are practically never full.
const FLOWS_PER_BUCKET: usize = 2;
/// Bucket numbers are taken from bits 0 and 24 of the hash, the tag from bit 48: none overlap.
const BUCKET_BITS: u32 = 24;

const _: () = assert!(MAX_CAPACITY_FLOWS as usize / FLOWS_PER_BUCKET <= 1 << BUCKET_BITS);

/// An entry's number, one of its directions and whether it needs its second cache line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Slot(u32);

impl Slot {
    #[inline]
    pub(super) const fn new(id: FlowId, direction: Direction, is_wide: bool) -> Self {
        Self(id.0 << 2 | (is_wide as u32) << 1 | direction as u32)
    }

    #[inline]
    pub(super) const fn id(self) -> FlowId {
        FlowId(self.0 >> 2)
    }

    #[inline]
    pub(super) const fn is_wide(self) -> bool {
        self.0 & 2 != 0
    }

    #[inline]
    pub(super) const fn direction(self) -> Direction {
        if self.0 & 1 == 0 { Direction::Forward } else { Direction::Reply }
    }
}

impl From<Slot> for Hit {
    #[inline]
    fn from(slot: Slot) -> Self {
        Self { id: slot.id(), direction: slot.direction() }
    }
}

/// Both buckets of a hash are full.
#[derive(Debug)]
pub(super) struct IndexFull;

#[derive(Clone, Default)]
#[repr(C, align(64))]
struct Bucket {
    /// Four tags a word, so that plain 64-bit arithmetic compares them all: slot `s` has lane
    /// `s / 2` of word `s % 2`. [`FREE`] where there is no slot.
    tags: [u64; 2],
    slots: [Slot; SLOTS_PER_BUCKET],
    /// How many slots have this as their first bucket and stand in their second.
    elsewhere: u32,
}

const _: () = assert!(size_of::<Bucket>() == 64);

const FREE: u16 = 0;
const LANE_BITS: u32 = 16;
const LANES: u64 = 0x0001_0001_0001_0001;
const LANE_TOPS: u64 = LANES << (LANE_BITS - 1);

/// The top bit of each lane that is zero.
#[inline]
const fn zero_lanes(word: u64) -> u64 {
    // A lane's lower bits carry into its top bit unless all are zero, and never beyond.
    !(((word & !LANE_TOPS) + !LANE_TOPS) | word) & LANE_TOPS
}

/// Some slots of a bucket: two neighbouring bits for each lane, one for each word.
#[derive(Clone, Copy)]
struct Matches(u64);

impl Iterator for Matches {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let bit = self.0.trailing_zeros();
        self.0 &= self.0 - 1;
        Some((bit / LANE_BITS * 2 + bit % 2) as usize % SLOTS_PER_BUCKET)
    }
}

impl Bucket {
    /// The slots whose tag is `tag`.
    #[inline]
    fn matches(&self, tag: u16) -> Matches {
        let wanted = u64::from(tag) * LANES;
        Matches(zero_lanes(self.tags[0] ^ wanted) >> 1 | zero_lanes(self.tags[1] ^ wanted))
    }

    #[inline]
    fn find(&self, tag: u16, mut accept: impl FnMut(Slot) -> bool) -> Option<Slot> {
        self.matches(tag).map(|at| self.slots[at]).find(|&slot| accept(slot))
    }

    fn used_slots(&self) -> u32 {
        SLOTS_PER_BUCKET as u32 - self.matches(FREE).0.count_ones()
    }

    /// Whether no more than two slots are free: then new ones go to the second bucket if that is
    /// emptier. Asked of every new flow, and cheaper than to count.
    #[inline]
    fn is_crowded(&self) -> bool {
        let mut free = self.matches(FREE).0;
        free &= free.wrapping_sub(1);
        free & free.wrapping_sub(1) == 0
    }

    fn insert(&mut self, tag: u16, slot: Slot) -> Result<(), IndexFull> {
        let at = self.matches(FREE).next().ok_or(IndexFull)?;
        self.tags[at % 2] |= u64::from(tag) << (at as u32 / 2 * LANE_BITS);
        self.slots[at] = slot;
        Ok(())
    }

    /// Whether the slot was here.
    fn remove(&mut self, tag: u16, slot: Slot) -> bool {
        let at = self.matches(tag).find(|&at| self.slots[at] == slot);
        if let Some(at) = at {
            self.tags[at % 2] &= !(u64::from(u16::MAX) << (at as u32 / 2 * LANE_BITS));
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

    pub(super) fn memory(&self) -> Range<*const u8> {
        let Range { start, end } = self.buckets.as_ptr_range();
        start.cast()..end.cast()
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

    /// Asks the processor for the second bucket of the hash, if it will be looked at before
    /// something is put in.
    #[inline]
    pub(super) fn prefetch_second(&self, hash: u64) {
        let first = &self.buckets[self.first(hash)];
        if first.elsewhere != 0 || first.is_crowded() {
            prefetch_index(&self.buckets, self.second(hash));
        }
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
        if !self.buckets[first].is_crowded()
            || self.buckets[first].used_slots() <= self.buckets[second].used_slots()
        {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(number: u32) -> Slot {
        Slot::new(FlowId(number), Direction::Reply, true)
    }

    #[test]
    fn a_slot_tells_what_it_was_made_of() {
        let slot = slot(MAX_CAPACITY_FLOWS - 1);
        assert_eq!(slot.id(), FlowId(MAX_CAPACITY_FLOWS - 1));
        assert_eq!((slot.direction(), slot.is_wide()), (Direction::Reply, true));
    }

    #[test]
    fn crowded_buckets_use_the_second_refuse_when_both_are_full_and_come_clean() {
        let mut index = Index::new(8);
        // All have bucket 1 first and bucket 2 second; neighbouring tags share words.
        let hash = |number: u32| 1 | 2 << BUCKET_BITS | u64::from(number) << 48;
        for number in 0..16 {
            assert!(index.insert(hash(number), slot(number)).is_ok());
        }
        assert!(index.insert(hash(16), slot(16)).is_err());
        assert_eq!(index.buckets[1].elsewhere, 8);
        for number in 0..16 {
            let found = index.find(hash(number), |found| found == slot(number));
            assert_eq!(found, Some(slot(number)));
            index.remove(hash(number), slot(number));
            assert_eq!(index.find(hash(number), |found| found == slot(number)), None);
        }
        assert!(index.buckets.iter().all(|bucket| bucket.tags == [0; 2] && bucket.elsewhere == 0));
    }

    #[test]
    fn equal_tags_are_all_looked_at() {
        let mut index = Index::new(1);
        for number in 0..6 {
            assert!(index.insert(0, slot(number)).is_ok());
        }
        let mut seen = vec![];
        let found = index.find(0, |slot| {
            seen.push(slot);
            false
        });
        assert_eq!(found, None);
        seen.sort_by_key(|slot| slot.id().0);
        assert_eq!(seen, (0..6).map(slot).collect::<Vec<_>>());
    }
}
