//! The flow fingerprints against a plain multiset.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use maglane_dataplane::flow::{Fingerprints, FingerprintsError, FingerprintsFull};
use proptest::prelude::*;

fn memory(buckets: u32) -> Arc<Vec<AtomicU64>> {
    Arc::new((0..buckets * 8).map(|_| AtomicU64::new(0)).collect())
}

/// What a steering program does: both buckets, all eight words of each.
fn program_finds(memory: &[AtomicU64], worker: u32, buckets: u32, hash: u64) -> bool {
    let fingerprint = hash.max(1);
    [fingerprint as u32, (fingerprint >> 32) as u32].iter().any(|bucket| {
        let first = ((worker * buckets + (bucket & (buckets - 1))) * 8) as usize;
        memory[first..first + 8].iter().any(|word| word.load(Ordering::Acquire) == fingerprint)
    })
}

#[test]
fn memory_must_fit() {
    let new = |worker, buckets| Fingerprints::new(memory(8), worker, buckets).err();
    assert_eq!(new(1, 4), None);
    assert_eq!(
        new(2, 4),
        Some(FingerprintsError::TooSmall { worker: 2, have_words: 64, need_words: 96 })
    );
    assert_eq!(new(0, 3), Some(FingerprintsError::NotPowerOfTwo { buckets_per_worker: 3 }));
    assert_eq!(new(0, 0), Some(FingerprintsError::NotPowerOfTwo { buckets_per_worker: 0 }));
}

#[test]
fn an_eighth_of_the_words_is_used_at_most() {
    for (flows, buckets) in [(1, 1), (2, 2), (3, 4), (1_000, 1_024), (1_000_000, 1 << 20)] {
        assert_eq!(Fingerprints::buckets_for(flows), buckets);
    }
}

#[test]
fn a_hash_of_zero_is_a_flow_too() {
    let memory = memory(1);
    let mut fingerprints = Fingerprints::new(memory.clone(), 0, 1).expect("fits");
    assert!(!fingerprints.contains(0));
    assert_eq!(fingerprints.insert(0), Ok(()));
    assert!(fingerprints.contains(0) && program_finds(&memory, 0, 1, 0));
    fingerprints.remove(0);
    assert!(!fingerprints.contains(0));
}

#[test]
fn buckets_overflow_into_the_second_and_then_refuse() {
    let memory = memory(4);
    let mut fingerprints = Fingerprints::new(memory.clone(), 0, 4).expect("fits");
    // First bucket 1, second bucket 2, told apart by bits that are masked away.
    let hash = |number: u64| 2 << 32 | 1 | number << 40;
    for number in 0..16 {
        assert_eq!(fingerprints.insert(hash(number)), Ok(()));
    }
    let used = |bucket: usize| {
        memory[bucket * 8..][..8].iter().filter(|word| word.load(Ordering::Relaxed) != 0).count()
    };
    assert_eq!([used(0), used(1), used(2), used(3)], [0, 8, 8, 0]);
    assert_eq!(fingerprints.insert(hash(16)), Err(FingerprintsFull));
    fingerprints.remove(hash(3));
    assert_eq!(fingerprints.insert(hash(16)), Ok(()));
    assert!(!fingerprints.contains(hash(3)) && fingerprints.contains(hash(16)));
}

#[test]
fn workers_do_not_see_each_others_flows() {
    let memory = memory(8);
    let mut first = Fingerprints::new(memory.clone(), 0, 4).expect("fits");
    let second = Fingerprints::new(memory.clone(), 1, 4).expect("fits");
    assert_eq!(first.insert(77), Ok(()));
    assert!(first.contains(77) && !second.contains(77));
    assert!(program_finds(&memory, 0, 4, 77) && !program_finds(&memory, 1, 4, 77));
}

proptest! {
    #[test]
    fn a_multiset(operations in prop::collection::vec((any::<bool>(), 0u64..40), 1..400)) {
        let memory = memory(32);
        let mut fingerprints = Fingerprints::new(memory.clone(), 1, 16).expect("fits");
        let mut model: HashMap<u64, u32> = HashMap::new();
        for (enter, number) in operations {
            // Hashes 0 and 1 are kept apart here, as they have the same fingerprint.
            let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let count = model.entry(hash).or_default();
            if enter {
                // Refused only if both buckets are full.
                *count += u32::from(fingerprints.insert(hash).is_ok());
            } else {
                fingerprints.remove(hash);
                *count = count.saturating_sub(1);
            }
            for (&hash, &count) in &model {
                prop_assert_eq!(fingerprints.contains(hash), count > 0);
                prop_assert_eq!(program_finds(&memory, 1, 16, hash), count > 0);
            }
            let used = memory.iter().filter(|word| word.load(Ordering::Relaxed) != 0).count();
            prop_assert_eq!(used as u32, model.values().sum::<u32>());
        }
    }
}
