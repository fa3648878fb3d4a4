use super::{DropReason, Verdict};
use crate::wire::Malformed;

/// What is counted beside drops: the names, in the order of [`Event`].
const EVENTS: [&str; 7] = [
    "forwarded",
    "answered",
    "to_kernel",
    "handed_over",
    "flows_opened",
    "flows_expired",
    "flows_evicted",
];

/// Verdicts that are no drops, and what happened to flows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Event {
    Forwarded,
    Answered,
    ToKernel,
    HandedOver,
    /// A new flow was entered.
    FlowOpened,
    /// A flow was silent for too long.
    FlowExpired,
    /// A flow made place for a new one.
    FlowEvicted,
}

const _: () = assert!(EVENTS.len() == Event::FlowEvicted as usize + 1);

/// All counters of a worker.
pub const COUNTERS: usize = EVENTS.len() + DropReason::NAMED.len() + Malformed::ALL.len();

/// Plain integers that one worker owns: one for every verdict, every drop reason and every way to
/// be malformed.
pub struct Counters([u64; COUNTERS]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; COUNTERS])
    }
}

impl Counters {
    /// The names, in the order of [`Counters::values`].
    pub fn names() -> impl Iterator<Item = String> {
        let malformed = Malformed::ALL.iter().map(|reason| format!("malformed_{reason}"));
        let named = DropReason::NAMED.iter().map(|(_, name)| (*name).to_owned());
        EVENTS.iter().map(|name| (*name).to_owned()).chain(named).chain(malformed)
    }

    /// The values.
    pub fn values(&self) -> &[u64; COUNTERS] {
        &self.0
    }

    /// Counts one packet's verdict.
    #[inline]
    pub fn count(&mut self, verdict: Verdict) {
        let index = match verdict {
            Verdict::Forward(_) => Event::Forwarded as usize,
            Verdict::Answer(_) => Event::Answered as usize,
            Verdict::Kernel(_) => Event::ToKernel as usize,
            Verdict::HandOver(_) => Event::HandedOver as usize,
            Verdict::Drop(reason) => EVENTS.len() + reason as usize,
            Verdict::Malformed(reason) => EVENTS.len() + DropReason::NAMED.len() + reason as usize,
        };
        self.0[index] += 1;
    }

    /// Counts what happened to a flow.
    #[inline]
    pub(super) fn count_flow(&mut self, event: Event) {
        self.0[event as usize] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_a_counter_of_its_own() {
        let via = crate::pipeline::Via::HostPort;
        let mut verdicts = vec![
            Verdict::Forward(via),
            Verdict::Answer(via),
            Verdict::Kernel(via),
            Verdict::HandOver(1),
        ];
        verdicts.extend(DropReason::NAMED.iter().map(|(reason, _)| Verdict::Drop(*reason)));
        verdicts.extend(Malformed::ALL.iter().copied().map(Verdict::Malformed));
        let mut counters = Counters::default();
        for verdict in &verdicts {
            counters.count(*verdict);
        }
        let counted = counters.values().iter().filter(|value| **value == 1).count();
        assert_eq!(counted, verdicts.len());
        assert_eq!(Counters::names().count(), COUNTERS);
    }
}
