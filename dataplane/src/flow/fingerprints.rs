//! What the steering programs must know of flows (`bpf/`): which packets from backends are
//! replies.
//!
//! Shared memory, 64-byte buckets of eight 64-bit words, one region of buckets for each worker.
//! A word is the hash of a reply tuple, 0 if free. The hash is keyed, so nobody outside can
//! choose tuples that crowd one bucket. A program that finds another flow's fingerprint, one
//! packet in 2^60 or so, is put right by the worker, which has the tuples themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prefetch_index::prefetch_index;

const WORDS_PER_BUCKET: usize = 8;
/// With capacity reached, an eighth of the words is used: about one flow in ten thousand million
/// finds both of its buckets full. (Two a bucket refused one in a million, and the client's next
/// try has the same buckets.)
const FLOWS_PER_BUCKET: u32 = 1;

/// Memory that workers write and the steering programs read: a BPF map, or a `Vec` in tests.
pub type FingerprintsMemory = Arc<dyn AsRef<[AtomicU64]> + Send + Sync>;

/// The fingerprints of one worker's flows.
///
/// Fingerprint: the hash, 1 instead of 0. Its buckets: the lower and the upper 32 bits, each
/// masked to the region's size. It stands in either.
pub struct Fingerprints {
    memory: FingerprintsMemory,
    first_word: usize,
    mask: u32,
}

/// The memory does not fit its description.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FingerprintsError {
    /// The number of buckets cannot be a mask.
    #[error("fingerprints: {buckets_per_worker} buckets a worker is not a power of two")]
    NotPowerOfTwo {
        /// What was asked for.
        buckets_per_worker: u32,
    },
    /// The worker's region would end behind the memory's end.
    #[error("fingerprints: {have_words} words of memory, but worker {worker} needs {need_words}")]
    TooSmall {
        /// Whose region it is.
        worker: u32,
        /// How many 64-bit words there are.
        have_words: usize,
        /// How many there would have to be.
        need_words: usize,
    },
}

/// Both buckets of a fingerprint are full.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("both buckets of the flow's fingerprint are full")]
pub struct FingerprintsFull;

impl Fingerprints {
    /// How many buckets a worker with a flow table of this capacity needs: a power of two.
    pub const fn buckets_for(capacity_flows: u32) -> u32 {
        capacity_flows.div_ceil(FLOWS_PER_BUCKET).next_power_of_two()
    }

    /// 64-bit words of memory that so many buckets take.
    pub const fn words_for(buckets: u32) -> usize {
        buckets as usize * WORDS_PER_BUCKET
    }

    /// The region of `worker` in `memory`, which must be all zero. Nobody else may write it.
    ///
    /// # Errors
    /// If the number of buckets is no power of two or the memory too small.
    pub fn new(
        memory: FingerprintsMemory,
        worker: u32,
        buckets_per_worker: u32,
    ) -> Result<Self, FingerprintsError> {
        if !buckets_per_worker.is_power_of_two() {
            return Err(FingerprintsError::NotPowerOfTwo { buckets_per_worker });
        }
        let words = Self::words_for(buckets_per_worker);
        let first_word = worker as usize * words;
        let (have_words, need_words) = ((*memory).as_ref().len(), first_word + words);
        if have_words < need_words {
            return Err(FingerprintsError::TooSmall { worker, have_words, need_words });
        }
        Ok(Self { memory, first_word, mask: buckets_per_worker - 1 })
    }

    /// Asks the processor for the first bucket that [`Self::insert`] will read.
    #[inline]
    pub fn prefetch(&self, reply_hash: u64) {
        let bucket = fingerprint(reply_hash) as u32 & self.mask;
        let memory = (*self.memory).as_ref();
        prefetch_index(memory, self.first_word + bucket as usize * WORDS_PER_BUCKET);
    }

    /// Publishes a flow's reply hash. A hash that is there already is entered once more.
    ///
    /// # Errors
    /// If both buckets are full.
    pub fn insert(&mut self, reply_hash: u64) -> Result<(), FingerprintsFull> {
        let fingerprint = fingerprint(reply_hash);
        let free = self.word_with(0, fingerprint).ok_or(FingerprintsFull)?;
        // Whoever sees the packet that is sent next must see this too.
        free.store(fingerprint, Ordering::Release);
        Ok(())
    }

    /// Clears a flow's reply hash: once, if it was entered more than once.
    pub fn remove(&mut self, reply_hash: u64) {
        let fingerprint = fingerprint(reply_hash);
        if let Some(word) = self.word_with(fingerprint, fingerprint) {
            word.store(0, Ordering::Release);
        }
    }

    /// Whether a flow with this reply hash is published.
    pub fn contains(&self, reply_hash: u64) -> bool {
        let fingerprint = fingerprint(reply_hash);
        self.word_with(fingerprint, fingerprint).is_some()
    }

    /// The first word in the fingerprint's buckets that has this value.
    fn word_with(&self, value: u64, fingerprint: u64) -> Option<&AtomicU64> {
        let memory = (*self.memory).as_ref();
        [fingerprint as u32, (fingerprint >> 32) as u32].into_iter().find_map(|bucket| {
            let first = self.first_word + (bucket & self.mask) as usize * WORDS_PER_BUCKET;
            let bucket = memory.get(first..first + WORDS_PER_BUCKET)?;
            // There is one writer, this one: it sees its own stores.
            bucket.iter().find(|word| word.load(Ordering::Relaxed) == value)
        })
    }
}

const fn fingerprint(reply_hash: u64) -> u64 {
    if reply_hash == 0 { 1 } else { reply_hash }
}
