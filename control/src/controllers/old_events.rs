//! Events do not pile up: each is kept for an hour, and only so many of them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::change::Change;
use super::kind::Kind;
use super::task::Plan;
use super::world::World;

/// As long as the real API server keeps them (`--event-ttl`).
const AGE_MAX: SignedDuration = SignedDuration::from_hours(1);
/// How many there are at most; then the oldest go.
const EVENTS_MAX: usize = 4096;
/// How many are deleted at a time.
const BURST: usize = 500;

/// The Events that have to go.
pub(super) fn plan(world: &World, now: Timestamp) -> Plan {
    let mut events: Vec<_> = world.events.iter().map(|(_, event)| event).collect();
    let surplus = events.len().saturating_sub(EVENTS_MAX);
    let last = |event: &super::world::record::EventRecord| event.last.unwrap_or(now);
    if surplus > 0 {
        events.sort_by_key(|event| last(event));
    }
    let is_old = |at: Timestamp| now.duration_since(at) >= AGE_MAX;
    let old = events.iter().enumerate();
    let old = old.filter(|(index, event)| *index < surplus || is_old(last(event)));
    let changes: Vec<_> =
        old.take(BURST).map(|(_, event)| Change::delete(Kind::Event, &event.metadata)).collect();
    let oldest = events.iter().map(|event| last(event)).filter(|at| !is_old(*at)).min();
    let left = oldest.map(|at| AGE_MAX - now.duration_since(at));
    let again_after = left.map(|left| {
        // Not for each Event on its own.
        Duration::try_from(left).unwrap_or_default().max(Duration::from_secs(30))
    });
    Plan { changes, again_after }
}
