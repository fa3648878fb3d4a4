//! Finding silent flows without touching the busy ones.
//!
//! An entry's own expiry moves with every packet. Here stands, four bytes a flow, a time before
//! which the flow cannot have expired: written when a flow enters and when its state makes it
//! die sooner, put right only when the sweep finds it due. The sweep then reads sixteen flows a
//! cache line, and entries only of flows that were silent for a whole timeout or are due for
//! correction.

use std::ops::Range;

use prefetch_index::prefetch_index;

use super::key::FlowId;

/// The length of a tick, in milliseconds: by so much the sweep may be late.
const TICK_MS: u64 = 1_024;
/// The deadline of a vacant place. As a tick it is 139 years away.
const NEVER: u32 = u32::MAX;
/// How many deadlines are compared at once.
const STRIDE: usize = 16;

/// A lower bound of each flow's expiry, rounded up to a whole tick.
pub(super) struct Deadlines {
    ticks: Box<[u32]>,
    cursor: usize,
}

impl Deadlines {
    pub(super) fn new(capacity_flows: u32) -> Self {
        Self { ticks: vec![NEVER; capacity_flows as usize].into_boxed_slice(), cursor: 0 }
    }

    pub(super) fn memory(&self) -> Range<*const u8> {
        let Range { start, end } = self.ticks.as_ptr_range();
        start.cast()..end.cast()
    }

    /// Asks the processor for what [`Self::arm`] will write.
    #[inline]
    pub(super) fn prefetch(&self, id: FlowId) {
        prefetch_index(&self.ticks, id.index());
    }

    /// Whether there is a flow at this place.
    #[inline]
    pub(super) fn is_armed(&self, id: FlowId) -> bool {
        self.ticks[id.index()] != NEVER
    }

    pub(super) fn arm(&mut self, id: FlowId, expires_ms: u64) {
        self.ticks[id.index()] = tick_not_before(expires_ms);
    }

    /// Takes note that a flow may now expire sooner than before.
    pub(super) fn advance(&mut self, id: FlowId, expires_ms: u64) {
        let tick = &mut self.ticks[id.index()];
        *tick = (*tick).min(tick_not_before(expires_ms));
    }

    pub(super) fn disarm(&mut self, id: FlowId) {
        self.ticks[id.index()] = NEVER;
    }

    /// The next flow that is due, having looked at no more than `budget_entries` places, which
    /// are taken off the budget. Goes round and round.
    pub(super) fn next_due(&mut self, now_ms: u64, budget_entries: &mut usize) -> Option<FlowId> {
        let now = (now_ms / TICK_MS) as u32;
        while *budget_entries > 0 {
            let rest = &self.ticks[self.cursor..];
            let look = rest.len().min(STRIDE).min(*budget_entries);
            let due = match rest.first_chunk::<STRIDE>() {
                // Without a branch for each, so that it becomes vector code.
                Some(chunk) if look == STRIDE && !any_due(chunk, now) => None,
                _ => rest[..look].iter().position(|&tick| tick <= now),
            };
            let looked = due.map_or(look, |at| at + 1);
            let found = due.map(|at| FlowId((self.cursor + at) as u32));
            *budget_entries -= looked;
            self.cursor += looked;
            if self.cursor == self.ticks.len() {
                self.cursor = 0;
            }
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

fn any_due(ticks: &[u32; STRIDE], now: u32) -> bool {
    ticks.iter().fold(false, |any, &tick| any | (tick <= now))
}

fn tick_not_before(time_ms: u64) -> u32 {
    time_ms.div_ceil(TICK_MS).min(u64::from(NEVER) - 1) as u32
}
