use std::ops::Range;

use crate::wire::{Endpoint, HashKeys, Protocol, Tuple};

use super::config::{FlowConfig, FlowConfigError};
use super::deadline::Deadlines;
use super::entries::{self, Entries};
use super::eviction::EvictionLists;
use super::index::{Index, Slot};
use super::key::{Direction, Entered, FlowId, Hit, NewFlow};
use super::state::State;

/// The flows of one worker: one writer, a fixed number of places, no allocation after
/// [`FlowTable::new`].
///
/// Times are milliseconds since the engine's start and must never go back.
///
/// For a batch of packets: hash all tuples, call [`Self::prefetch_bucket`] for all, then
/// [`Self::prefetch_entry`] for all, then look up one after the other. With a million flows the
/// cost is memory latency, and that is what this order hides.
pub struct FlowTable {
    pub(super) keys: HashKeys,
    pub(super) entries: Entries,
    pub(super) index: Index,
    eviction: EvictionLists,
    pub(super) deadlines: Deadlines,
    pub(super) timeouts_ms: [u32; State::COUNT],
    len: u32,
}

/// Why a flow left the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RemovalReason {
    /// It was silent for too long.
    Expired,
    /// The table was full and a new flow took its place.
    Evicted,
    /// [`FlowTable::remove`].
    Requested,
}

/// A flow that has left the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Removed {
    /// [`HashKeys::tuple`] of the backend's packets: the flow's fingerprint.
    pub reply_hash: u64,
    /// Why it left.
    pub reason: RemovalReason,
}

/// Why a flow was not entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// Every place is taken by a flow that may not be evicted.
    #[error("the flow table is full of established flows")]
    TableFull,
    /// There is a place, but the buckets that lead to it are full.
    #[error("the flow table's index is full")]
    IndexFull,
    /// One of the tuples is that of another flow, or both are the same.
    #[error("another flow has the same tuple")]
    Duplicate,
}

impl FlowTable {
    /// An empty table, all its memory taken and touched.
    ///
    /// # Errors
    /// The first field of `config` that is out of range.
    pub fn new(config: FlowConfig, keys: HashKeys) -> Result<Self, FlowConfigError> {
        config.check()?;
        let capacity = config.capacity_flows;
        Ok(Self {
            keys,
            entries: Entries::new(capacity),
            index: Index::new(capacity),
            eviction: EvictionLists::new(capacity),
            deadlines: Deadlines::new(capacity),
            timeouts_ms: config.timeouts.by_state(),
            len: 0,
        })
    }

    /// The keys with which tuples are to be hashed.
    #[inline]
    pub fn keys(&self) -> &HashKeys {
        &self.keys
    }

    /// How many flows are in the table, silent ones that were not swept yet among them.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is no flow in the table.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many flows fit.
    pub fn capacity(&self) -> u32 {
        self.entries.capacity()
    }

    /// Where the tables that packets read stand in memory.
    pub fn memory(&self) -> impl Iterator<Item = Range<*const u8>> {
        let beside = [self.index.memory(), self.eviction.memory(), self.deadlines.memory()];
        self.entries.memory().into_iter().chain(beside)
    }

    /// Asks the processor for what [`Self::prefetch_entry`] will read.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        self.index.prefetch(hash);
    }

    /// Asks the processor for what [`Self::lookup`] will read, and returns the flow that it will
    /// most likely find.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) -> Option<Hit> {
        let slot = self.index.find(hash, |slot| {
            self.entries.prefetch(slot.id(), slot.is_wide());
            true
        })?;
        Some(slot.into())
    }

    /// Asks the processor for what [`Self::insert`] will read of this hash beyond what
    /// [`Self::prefetch_bucket`] asks for.
    #[inline]
    pub fn prefetch_second_bucket(&self, hash: u64) {
        self.index.prefetch_second(hash);
    }

    /// Asks the processor for what [`Self::insert`] will write of the `nth` flow from now.
    #[inline]
    pub fn prefetch_place(&self, nth: usize, is_wide: bool) {
        if let Some(id) = self.eviction.upcoming(nth) {
            self.entries.prefetch(id, is_wide);
            self.eviction.prefetch(id);
            self.deadlines.prefetch(id);
        }
    }

    /// Finds the flow that a packet with this tuple belongs to, if it is `likely`: then neither the
    /// tuple's hash nor the index are needed. `None` says nothing: look it up.
    #[inline]
    pub fn confirm(&self, likely: Hit, tuple: &Tuple, now_ms: u64) -> Option<Hit> {
        let Tuple { source, destination, protocol } = tuple;
        let is_it = self.entries.bears(likely, source, destination, *protocol)
            // Never true of a place whose flow has left.
            && now_ms < self.entries.get(likely.id).expires_ms;
        is_it.then_some(likely)
    }

    /// Finds the flow that a packet with this tuple belongs to. `hash` is
    /// [`HashKeys::tuple`] of it under [`Self::keys`]. A flow that has expired is removed
    /// instead, and handed to `on_removed`.
    #[inline]
    pub fn lookup(
        &mut self,
        tuple: &Tuple,
        hash: u64,
        now_ms: u64,
        on_removed: impl FnMut(&Removed),
    ) -> Option<Hit> {
        let Tuple { source, destination, protocol } = tuple;
        self.lookup_parts(source, destination, *protocol, hash, now_ms, on_removed)
    }

    /// A new flow's tuples are looked up before they exist: putting them together would mean to
    /// wait for what was stored in other pieces than it is loaded in.
    #[inline]
    fn lookup_parts(
        &mut self,
        source: &Endpoint,
        destination: &Endpoint,
        protocol: Protocol,
        hash: u64,
        now_ms: u64,
        mut on_removed: impl FnMut(&Removed),
    ) -> Option<Hit> {
        let hit = self.find(source, destination, protocol, hash)?;
        if now_ms < self.entries.get(hit.id).expires_ms {
            return Some(hit);
        }
        on_removed(&self.take_out(hit.id, RemovalReason::Expired));
        None
    }

    #[inline]
    pub(super) fn find(
        &self,
        source: &Endpoint,
        destination: &Endpoint,
        protocol: Protocol,
        hash: u64,
    ) -> Option<Hit> {
        let slot = self
            .index
            .find(hash, |slot| self.entries.bears(slot.into(), source, destination, protocol))?;
        Some(slot.into())
    }

    /// Counts one packet of a flow, moves its state and puts its expiry off. `tcp_flags` are the
    /// flag bits of the TCP header, 0 for UDP.
    #[inline]
    pub fn advance(
        &mut self,
        id: FlowId,
        direction: Direction,
        tcp_flags: u8,
        bytes: u32,
        now_ms: u64,
    ) {
        self.entries.count(id, direction, bytes);
        let entry = self.entries.get_mut(id);
        let from = entry.state;
        let to = from.next(direction, tcp_flags);
        let expires_ms = now_ms + u64::from(self.timeouts_ms[to as usize]);
        entry.expires_ms = expires_ms;
        if from != to {
            entry.state = to;
            self.deadlines.advance(id, expires_ms);
            self.eviction.change_class(id, from.eviction_class(), to.eviction_class());
        }
    }

    /// What the tuple of a packet in this direction must become: from the translated client to
    /// the backend, or from the Service to the client.
    #[inline]
    pub fn translation(&self, id: FlowId, direction: Direction) -> Tuple {
        self.entries.translation(id, direction)
    }

    /// Whether a client's plain SYN opens a new connection rather than belonging to this one:
    /// then remove the flow and insert it anew.
    #[inline]
    pub fn accepts_new_syn(&self, id: FlowId) -> bool {
        self.entries.get(id).state.accepts_new_syn()
    }

    /// The snapshot generation against which the flow's backend was last checked.
    #[inline]
    pub fn generation(&self, id: FlowId) -> u32 {
        self.entries.get(id).generation
    }

    /// Takes note that the flow's backend was checked against this snapshot generation.
    #[inline]
    pub fn set_generation(&mut self, id: FlowId, generation: u32) {
        self.entries.get_mut(id).generation = generation;
    }

    /// Enters a flow with its first packet, which came from the client.
    ///
    /// If the table is full, the flow that has been longest in the first of these classes that
    /// has any is evicted: those without an answer, closing ones, UDP. Flows that leave for this
    /// one, evicted or found expired, are handed to `on_evicted`.
    ///
    /// # Errors
    /// See [`Refused`]. The table is then as before, but for flows handed to `on_evicted`.
    pub fn insert(
        &mut self,
        new: &NewFlow,
        tcp_flags: u8,
        bytes: u32,
        now_ms: u64,
        mut on_evicted: impl FnMut(&Removed),
    ) -> Result<Entered, Refused> {
        let NewFlow { client, service, backend, translated, protocol, .. } = new;
        let forward_hash = self.keys.parts(client, service, *protocol);
        let reply_hash = self.keys.parts(backend, translated, *protocol);
        let mut is_known = |source, destination, hash| {
            self.lookup_parts(source, destination, *protocol, hash, now_ms, &mut on_evicted)
                .is_some()
        };
        if (client, service) == (backend, translated)
            || is_known(client, service, forward_hash)
            || is_known(backend, translated, reply_hash)
        {
            return Err(Refused::Duplicate);
        }
        let id = self.place(&mut on_evicted)?;
        if !self.enter_index(id, entries::is_wide(new), forward_hash, reply_hash) {
            self.eviction.give_vacant(id);
            return Err(Refused::IndexFull);
        }
        let state = match new.protocol {
            Protocol::Tcp => State::of_first_segment(tcp_flags),
            Protocol::Udp => State::UdpUnreplied,
        };
        let expires_ms = now_ms + u64::from(self.timeouts_ms[state as usize]);
        self.entries.write(id, new, state, expires_ms);
        self.entries.count(id, Direction::Forward, bytes);
        self.deadlines.arm(id, expires_ms);
        self.eviction.change_class(id, None, state.eviction_class());
        self.len += 1;
        Ok(Entered { id, reply_hash })
    }

    /// A vacant place, made by eviction if need be.
    fn place(&mut self, mut on_evicted: impl FnMut(&Removed)) -> Result<FlowId, Refused> {
        if let Some(id) = self.eviction.take_vacant() {
            return Ok(id);
        }
        let victim = self.eviction.next_victim().ok_or(Refused::TableFull)?;
        on_evicted(&self.take_out(victim, RemovalReason::Evicted));
        self.eviction.take_vacant().ok_or(Refused::TableFull)
    }

    /// Enters both directions, or neither.
    fn enter_index(
        &mut self,
        id: FlowId,
        is_wide: bool,
        forward_hash: u64,
        reply_hash: u64,
    ) -> bool {
        let [forward, reply] = [Direction::Forward, Direction::Reply]
            .map(|direction| Slot::new(id, direction, is_wide));
        if self.index.insert(forward_hash, forward).is_err() {
            return false;
        }
        if self.index.insert(reply_hash, reply).is_err() {
            self.index.remove(forward_hash, forward);
            return false;
        }
        true
    }

    /// Removes a flow that is in the table.
    pub fn remove(&mut self, id: FlowId) -> Removed {
        self.take_out(id, RemovalReason::Requested)
    }

    fn take_out(&mut self, id: FlowId, reason: RemovalReason) -> Removed {
        let reply_hash = self.keys.tuple(&self.entries.tuple(id, Direction::Reply));
        debug_assert!(self.deadlines.is_armed(id), "the flow was removed before");
        if self.deadlines.is_armed(id) {
            let forward_hash = self.keys.tuple(&self.entries.tuple(id, Direction::Forward));
            let is_wide = self.entries.is_wide(id);
            let class = self.entries.get(id).state.eviction_class();
            self.index.remove(forward_hash, Slot::new(id, Direction::Forward, is_wide));
            self.index.remove(reply_hash, Slot::new(id, Direction::Reply, is_wide));
            self.deadlines.disarm(id);
            self.entries.get_mut(id).expires_ms = 0;
            self.eviction.change_class(id, class, None);
            self.eviction.give_vacant(id);
            self.len -= 1;
        }
        Removed { reply_hash, reason }
    }

    /// Removes flows that have expired, looking at the next `budget_entries` places only. Called
    /// once a batch it makes its rounds without a stall; a flow then leaves at most a second
    /// (and a round) after its time. [`Self::lookup`] is exact in any case.
    pub fn expire(
        &mut self,
        now_ms: u64,
        budget_entries: usize,
        mut on_removed: impl FnMut(&Removed),
    ) {
        let mut budget_entries = budget_entries.min(self.entries.capacity() as usize);
        while let Some(id) = self.deadlines.next_due(now_ms, &mut budget_entries) {
            let expires_ms = self.entries.get(id).expires_ms;
            if expires_ms <= now_ms {
                on_removed(&self.take_out(id, RemovalReason::Expired));
            } else {
                self.deadlines.arm(id, expires_ms);
            }
        }
    }
}
