/// The chunks that the kernel holds on behalf of one port: one bit each.
///
/// Set when a chunk is put into the fill or the transmit ring, cleared when it comes back. A chunk
/// that comes back without its bit is not ours to take, and a bit that is left when the socket is
/// closed is a frame to recover.
pub(super) struct Custody {
    words: Box<[u64]>,
}

impl Custody {
    pub(super) fn new(chunks: usize) -> Self {
        Self { words: vec![0; chunks.div_ceil(64)].into_boxed_slice() }
    }

    /// The kernel gets the chunk.
    #[inline]
    pub(super) fn give(&mut self, chunk: usize) {
        if let Some(word) = self.words.get_mut(chunk / 64) {
            *word |= 1 << (chunk % 64);
        }
    }

    /// The kernel returns the chunk; false if it did not have it.
    #[inline]
    pub(super) fn take(&mut self, chunk: usize) -> bool {
        let Some(word) = self.words.get_mut(chunk / 64) else { return false };
        let held = *word & (1 << (chunk % 64));
        *word ^= held;
        held != 0
    }

    /// The chunks that the kernel has not returned.
    pub(super) fn held(&self) -> impl Iterator<Item = usize> + '_ {
        let bits = |word: u64| (0..64).filter(move |bit| word & (1 << bit) != 0);
        self.words
            .iter()
            .enumerate()
            .flat_map(move |(index, word)| bits(*word).map(move |bit| index * 64 + bit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_taken_once_and_only_if_given() {
        let mut custody = Custody::new(130);
        assert!(!custody.take(129));
        for chunk in [0, 63, 64, 129] {
            custody.give(chunk);
        }
        assert_eq!(custody.held().collect::<Vec<_>>(), [0, 63, 64, 129]);
        assert!(custody.take(63));
        assert!(!custody.take(63));
        assert_eq!(custody.held().collect::<Vec<_>>(), [0, 64, 129]);
    }

    #[test]
    fn an_address_beyond_the_umem_is_nobodys() {
        let mut custody = Custody::new(64);
        custody.give(64);
        assert!(!custody.take(64));
        assert!(!custody.take(usize::MAX));
        assert_eq!(custody.held().count(), 0);
    }
}
