//! Asking the processor for what the packets of a batch will read.
//!
//! An established flow is one look into the index away. A new one needs its Service, that one's
//! table, the backend, and the reply's buckets, each of which is known only when the one before is
//! there: all new flows of a batch take each of these steps together, and wait for memory once a
//! step, not once a step and packet. So they cost nearly the same with ten Services as with
//! ten thousand, which no cache holds.

use arrayvec::ArrayVec;

use super::open::Pick;
use super::packet::BATCH;
use super::{Likely, Next, Pipeline, Staged};
use crate::service::{Frontend, Lookup, Snapshot};
use crate::wire::{HashKeys, Tuple};

/// A packet of no flow, on the way to its backend.
struct Opening<'a> {
    staged: &'a mut Staged,
    /// The hash that picks the backend.
    public_hash: u64,
    found: Lookup<'a>,
    /// Of the reply's tuple.
    reply_hash: Option<u64>,
}

impl Pipeline {
    /// Has each packet of a batch know its flow, or who is to answer a new one, and what either
    /// needs on its way from memory.
    #[inline(always)]
    pub(super) fn look_ahead(&self, stages: &mut [Staged], snapshot: &Snapshot) {
        let mut openings = ArrayVec::<Opening<'_>, BATCH>::new();
        for staged in stages {
            if !matches!(staged.next, Next::Transport) {
                continue;
            }
            match self.flows.prefetch_entry(staged.hash) {
                Some(hit) => staged.likely = Likely::Flow(hit),
                None => {
                    snapshot.services.prefetch(&Frontend::of(&staged.headers.tuple));
                    let found = Lookup::NotAService;
                    openings.push(Opening { staged, public_hash: 0, found, reply_hash: None });
                }
            }
        }
        if !openings.is_empty() {
            self.look_ahead_of_openings(&mut openings, snapshot);
        }
    }

    #[inline(never)]
    fn look_ahead_of_openings<'a>(
        &self,
        openings: &mut ArrayVec<Opening<'a>, BATCH>,
        snapshot: &'a Snapshot,
    ) {
        for (nth, opening) in openings.iter_mut().enumerate() {
            let tuple = &opening.staged.headers.tuple;
            opening.public_hash = HashKeys::PUBLIC.tuple(tuple);
            opening.found = snapshot.services.lookup(&Frontend::of(tuple));
            if let Lookup::Service(service) = opening.found {
                service.prefetch_slot(opening.public_hash);
                self.flows.prefetch_second_bucket(opening.staged.hash);
                self.flows.prefetch_place(nth, !tuple.source.address.is_ipv4());
            }
        }
        for opening in openings.iter() {
            if let Lookup::Service(service) = opening.found {
                service.prefetch_backend(opening.public_hash);
            }
        }
        for Opening { staged, public_hash, found, reply_hash } in openings.iter_mut() {
            let pick = Pick::from_lookup(found, *public_hash);
            staged.likely = Likely::NoFlow(pick);
            if let Pick::Backend(backend) = pick {
                // As it will be unless the client is masqueraded, which is rare.
                let reply = Tuple { destination: backend, ..staged.headers.tuple }.reversed();
                let hash = self.flows.keys().tuple(&reply);
                self.flows.prefetch_bucket(hash);
                self.fingerprints.prefetch(hash);
                *reply_hash = Some(hash);
            }
        }
        for hash in openings.iter().filter_map(|opening| opening.reply_hash) {
            self.flows.prefetch_second_bucket(hash);
        }
    }
}
