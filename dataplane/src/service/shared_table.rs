//! A hash table whose copies share all that they have in common.
//!
//! A snapshot is never changed, and each change makes a new one. With ten thousand Services in one
//! table, one endpoint's change would copy them all: so the table is cut into shards, a copy shares
//! every shard, and only the shard that is changed is copied before. A lookup goes through one
//! pointer more, to a shard's head, of which all are in the cache.

use std::sync::Arc;

use hashbrown::HashTable;
use prefetch_index::prefetch_index;

/// Shards of a table: enough that one of 10,000 entries holds some 40, few enough that a copy of
/// all pointers costs next to nothing. A power of two.
const SHARDS: usize = 256;

/// Entries of `T`, found by a hash that the caller computes and a comparison.
pub(super) struct SharedTable<T> {
    shards: Box<[Arc<HashTable<T>>; SHARDS]>,
    len: usize,
}

impl<T: Clone> SharedTable<T> {
    /// The entry with this hash that `equals` accepts.
    #[inline]
    pub(super) fn find(&self, hash: u64, equals: impl FnMut(&T) -> bool) -> Option<&T> {
        self.shards[shard_of(hash)].find(hash, equals)
    }

    /// Asks the processor for what [`Self::find`] will compare: nearly always one entry.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        self.shards[shard_of(hash)].find(hash, |likely| {
            prefetch_index(std::slice::from_ref(likely), 0);
            false
        });
    }

    /// Puts an entry in, in place of the one that `equals` accepts. `hasher` gives the hash of any
    /// entry.
    pub(super) fn insert(
        &mut self,
        hash: u64,
        entry: T,
        equals: impl FnMut(&T) -> bool,
        hasher: impl Fn(&T) -> u64,
    ) {
        let shard = Arc::make_mut(&mut self.shards[shard_of(hash)]);
        match shard.find_mut(hash, equals) {
            Some(known) => *known = entry,
            None => {
                shard.insert_unique(hash, entry, hasher);
                self.len += 1;
            }
        }
    }

    /// Takes the entry out that `equals` accepts; false when there is none.
    pub(super) fn remove(&mut self, hash: u64, mut equals: impl FnMut(&T) -> bool) -> bool {
        let shared = &mut self.shards[shard_of(hash)];
        if shared.find(hash, &mut equals).is_none() {
            return false;
        }
        if let Ok(entry) = Arc::make_mut(shared).find_entry(hash, equals) {
            entry.remove();
            self.len -= 1;
        }
        true
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All entries, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    /// The entries of shards that `other` does not share: all in which the two differ, and some in
    /// which they do not.
    pub(super) fn iter_unshared<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a T> {
        let pairs = self.shards.iter().zip(other.shards.iter());
        pairs.filter(|(ours, theirs)| !Arc::ptr_eq(ours, theirs)).flat_map(|(ours, _)| ours.iter())
    }
}

impl<T> Clone for SharedTable<T> {
    fn clone(&self) -> Self {
        Self { shards: self.shards.clone(), len: self.len }
    }
}

impl<T> Default for SharedTable<T> {
    fn default() -> Self {
        let empty = Arc::new(HashTable::new());
        Self { shards: Box::new(std::array::from_fn(|_| empty.clone())), len: 0 }
    }
}

/// By bits that a shard's own table uses neither for its place (the lowest) nor to tell entries
/// apart (the highest seven).
#[inline]
fn shard_of(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// A key and what stands there.
    type Pair = (u16, u32);

    fn hash(key: u16) -> u64 {
        u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn insert(table: &mut SharedTable<Pair>, pair: Pair) {
        table.insert(hash(pair.0), pair, |known| known.0 == pair.0, |known| hash(known.0));
    }

    fn content(table: &SharedTable<Pair>) -> BTreeMap<u16, u32> {
        table.iter().copied().collect()
    }

    proptest! {
        #[test]
        fn it_is_a_map_and_its_copies_stay_as_they_were(
            steps in prop::collection::vec((0u16..300, prop::option::of(any::<u32>())), 0..400),
            copy_after in 0usize..400,
        ) {
            let mut table = SharedTable::default();
            let mut model = BTreeMap::new();
            let mut copy = None;
            for (step, (key, value)) in steps.into_iter().enumerate() {
                if step == copy_after {
                    copy = Some((table.clone(), model.clone()));
                }
                match value {
                    Some(value) => {
                        insert(&mut table, (key, value));
                        model.insert(key, value);
                    }
                    None => {
                        let known = table.remove(hash(key), |known| known.0 == key);
                        prop_assert_eq!(known, model.remove(&key).is_some());
                    }
                }
                prop_assert_eq!(table.len(), model.len());
            }
            for key in 0..300 {
                let found = table.find(hash(key), |known| known.0 == key).map(|pair| pair.1);
                prop_assert_eq!(found, model.get(&key).copied());
            }
            prop_assert_eq!(content(&table), model.clone());
            if let Some((copy, expect)) = copy {
                prop_assert_eq!(content(&copy), expect.clone());
                let unshared: BTreeMap<_, _> = table.iter_unshared(&copy).copied().collect();
                for (key, value) in &model {
                    prop_assert!(expect.get(key) == Some(value) || unshared.contains_key(key));
                }
            }
        }
    }

    #[test]
    fn one_change_leaves_the_other_shards_shared() {
        let mut table = SharedTable::default();
        (0..10_000).for_each(|key| insert(&mut table, (key, 0)));
        let before = table.clone();
        insert(&mut table, (77, 1));
        assert!(table.iter_unshared(&before).count() < 200);
        let of = |table: &SharedTable<Pair>| table.find(hash(77), |known| known.0 == 77).copied();
        assert_eq!((of(&before), of(&table)), (Some((77, 0)), Some((77, 1))));
    }
}
