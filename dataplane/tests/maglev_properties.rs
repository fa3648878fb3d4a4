//! The Maglev tables: filled, deterministic, balanced, minimally disrupted.

use maglane_dataplane::maglev::{Maglev, table_size};
use maglane_dataplane::wire::{Address, Endpoint};
use proptest::prelude::*;

fn backend(number: u32) -> Endpoint {
    Endpoint { address: Address::from_v4_bits(0x0a2a_0000 + number), port: 8080 }
}

fn equal(numbers: impl IntoIterator<Item = u32>) -> Vec<(Endpoint, u32)> {
    numbers.into_iter().map(|number| (backend(number), 1)).collect()
}

/// A hash that is sure to pick this slot, of `size`.
fn hash_of_slot(slot: usize, size: usize) -> u64 {
    (((slot as u128) << 64).div_ceil(size as u128)) as u64
}

/// Which backend has each slot.
fn slots(backends: &[(Endpoint, u32)], size: usize) -> Vec<Option<Endpoint>> {
    let table = Maglev::build(backends, size);
    let owner = |slot| table.pick(hash_of_slot(slot, size)).map(|index| backends[index].0);
    (0..size).map(owner).collect()
}

fn shares(backends: &[(Endpoint, u32)], size: usize) -> Vec<usize> {
    let slots = slots(backends, size);
    let share = |end| slots.iter().filter(|owner| **owner == Some(end)).count();
    backends.iter().map(|backend| share(backend.0)).collect()
}

/// Every node and every release must build the same table: a change of these values moves the
/// connections of clusters whose nodes are not all upgraded at once.
#[test]
fn tables_are_frozen() {
    let check = |backends: &[(Endpoint, u32)], size: usize, golden: u64| {
        // FNV-1a over the slots.
        let digest = slots(backends, size).iter().fold(0xcbf2_9ce4_8422_2325, |digest, owner| {
            let index = backends.iter().position(|backend| Some(backend.0) == *owner);
            (digest ^ index.map_or(u64::MAX, |index| index as u64)).wrapping_mul(0x100_0000_01b3)
        });
        assert_eq!(digest, golden, "{} backends: {digest:#018x}", backends.len());
    };
    check(&equal(1..=3), 1_009, 0x06f9_f9e3_110a_6c7b);
    check(&equal(1..=100), 16_411, 0xcf5e_bd90_ff7e_f022);
    check(&[(backend(1), 1), (backend(2), 3), (backend(3), 0)], 1_009, 0x6942_49a0_e400_fb44);

    let v6 = Endpoint { address: Address::from_v6_bits(0xfd00 << 112 | 1), port: 53 };
    let first = slots(&[(backend(1), 1), (v6, 1)], 13);
    let have: Vec<u8> = first.iter().map(|owner| u8::from(*owner == Some(v6))).collect();
    assert_eq!(have, [0, 0, 1, 0, 0, 0, 1, 1, 0, 1, 1, 0, 1]);
}

#[test]
fn no_backend_or_no_weight_makes_an_empty_table() {
    for backends in [vec![], vec![(backend(1), 0), (backend(2), 0)]] {
        let table = Maglev::build(&backends, 1_009);
        assert_eq!(table.pick(0), None);
        assert_eq!(table.pick(u64::MAX), None);
    }
}

#[test]
fn one_backend_has_all_slots() {
    let table = Maglev::build(&equal([7]), 1_009);
    for hash in [0, 1, u64::MAX / 2, u64::MAX] {
        assert_eq!(table.pick(hash), Some(0));
    }
}

#[test]
fn more_backends_than_slots_leave_some_without() {
    let shares = shares(&equal(1..=20), 13);
    assert_eq!(shares.iter().sum::<usize>(), 13);
    assert!(shares.iter().all(|&share| share <= 1));
}

#[test]
#[should_panic(expected = "no prime")]
fn a_size_that_is_no_prime_is_refused() {
    Maglev::build(&equal(1..=3), 1_000);
}

#[test]
fn shares_of_equal_backends_differ_by_one_slot_at_most() {
    for count in [1, 2, 3, 10, 11, 40, 160, 250] {
        let shares = shares(&equal(1..=count), table_size(count as usize));
        let (least, most) = (shares.iter().min(), shares.iter().max());
        assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{shares:?}");
    }
}

#[test]
fn the_largest_tables_are_balanced_too() {
    let backends = equal(1..=10_485);
    let size = table_size(backends.len());
    let table = Maglev::build(&backends, size);
    let mut shares = vec![0u32; backends.len()];
    for slot in 0..size {
        if let Some(index) = table.pick(hash_of_slot(slot, size)) {
            shares[index] += 1;
        }
    }
    assert!(shares.iter().all(|share| (100..=101).contains(share)));
}

#[test]
fn one_heavy_backend_among_many_light_ones_has_its_share() {
    let mut backends = equal(1..=100);
    backends[40].1 = u32::MAX;
    let shares = shares(&backends, 16_411);
    assert!(shares[40] >= 16_311, "{}", shares[40]);
}

/// How many slots change from one backend to another although neither comes nor goes.
fn disrupted(before: &[(Endpoint, u32)], after: &[(Endpoint, u32)], size: usize) -> usize {
    let stays = |owner: &Option<Endpoint>| {
        [before, after].iter().all(|set| set.iter().any(|backend| Some(backend.0) == *owner))
    };
    let (old, new) = (slots(before, size), slots(after, size));
    old.iter().zip(&new).filter(|(old, new)| old != new && stays(old) && stays(new)).count()
}

#[test]
fn a_backend_that_leaves_moves_few_slots_of_others() {
    // The more slots a backend has, the fewer move.
    for (count, size, limit) in [(10, 1_009, 0.03), (100, 16_411, 0.02), (100, 65_537, 0.01)] {
        let moved = disrupted(&equal(1..=count), &equal(1..count), size);
        let share = moved as f64 / size as f64;
        assert!(share < limit, "{count} backends: {share} of {size} slots");
    }
}

#[test]
fn an_arrival_moves_few_slots_of_others() {
    // As long as the table keeps its size.
    for count in 2..10 {
        for arrival in 100..150 {
            let after = equal((1..=count).chain([arrival]));
            let moved = disrupted(&equal(1..=count), &after, 1_009);
            assert!(moved < 100, "{moved} of 1,009 with {arrival} after {count}");
        }
    }
}

#[test]
fn a_weight_of_zero_drains_like_leaving() {
    let mut drained = equal(1..=10);
    drained[9].1 = 0;
    assert_eq!(slots(&drained, 1_009), slots(&equal(1..=9), 1_009));
}

fn any_backends() -> impl Strategy<Value = Vec<(Endpoint, u32)>> {
    prop::collection::btree_map(0u32..10_000, 0u32..50, 1..40).prop_map(|backends| {
        backends.into_iter().map(|(number, weight)| (backend(number), weight)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn filled_and_independent_of_order(
        (backends, shuffled) in any_backends()
            .prop_flat_map(|backends| (Just(backends.clone()), Just(backends).prop_shuffle()))
    ) {
        let table = slots(&backends, 1_009);
        let weighed = backends.iter().any(|backend| backend.1 > 0);
        prop_assert!(table.iter().all(|owner| owner.is_some() == weighed));
        prop_assert_eq!(table, slots(&shuffled, 1_009));
    }

    #[test]
    fn shares_follow_the_weights(backends in any_backends()) {
        let total: u64 = backends.iter().map(|backend| u64::from(backend.1)).sum();
        prop_assume!(total > 0);
        for (share, (_, weight)) in shares(&backends, 4_099).into_iter().zip(&backends) {
            let fair = 4_099.0 * f64::from(*weight) / total as f64;
            prop_assert!((share as f64 - fair).abs() <= backends.len() as f64, "{share}, {fair}");
        }
    }

    #[test]
    fn duplicates_end(number in 0u32..100, copies in 1usize..50) {
        let backends = vec![(backend(number), 1); copies];
        prop_assert!(slots(&backends, 101).iter().all(|owner| *owner == Some(backend(number))));
    }
}
