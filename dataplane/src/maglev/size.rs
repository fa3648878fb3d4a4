/// Most backends that a table has room for.
pub const MAX_BACKENDS: usize = u16::MAX as usize;

/// Sizes, each the first prime over a power of four, and the most backends each is for: a hundred
/// slots for each.
const LADDER: [(usize, usize); 8] = [
    (10, 1_009),
    (40, 4_099),
    (160, 16_411),
    (655, 65_537),
    (2_621, 262_147),
    (10_485, 1_048_583),
    (41_943, 4_194_319),
    (MAX_BACKENDS, 16_777_259),
];

/// The number of slots, a prime, of a table for so many backends.
///
/// There are few sizes, far apart, because nearly all keys move when a table changes its size.
/// Every size has at least 100 slots a backend, for which the paper gives an imbalance of 1%.
/// More than [`MAX_BACKENDS`] backends get the largest size.
pub fn table_size(backends: usize) -> usize {
    let rung = LADDER.iter().find(|(most, _)| backends <= *most);
    rung.unwrap_or(&LADDER[LADDER.len() - 1]).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_primes_with_a_hundred_slots_for_each_backend() {
        for (most, size) in LADDER {
            assert!((2..).take_while(|d| d * d <= size).all(|d| size % d != 0), "{size}");
            assert!(size / most >= 100, "{size} slots, {most} backends");
        }
    }

    #[test]
    fn sizes_change_where_the_ladder_says() {
        let sizes = [0, 1, 10, 11, 40, 41, 655, 656, 10_000, 65_535, 1 << 20].map(table_size);
        assert_eq!(
            sizes,
            [
                1_009, 1_009, 1_009, 4_099, 4_099, 16_411, 65_537, 262_147, 1_048_583, 16_777_259,
                16_777_259
            ]
        );
    }
}
