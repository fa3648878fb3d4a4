//! What arrived of one direction: counted once each, in order or not, whole or not, and how late.

use hdrhistogram::Histogram;

use super::packet::Located;
use super::stamp::{Found, Run, Stamp};
use super::translation::path;
use super::tuples::Tuple;

/// Sequence numbers back to which a packet is known to have come twice.
const WINDOW: u64 = 1 << 20;
const WORDS: usize = (WINDOW / 64) as usize;
/// An hour: what comes later is lost.
const LATEST_NS: u64 = 3_600_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;
/// Length of one step of the time line.
pub(crate) const STEP_NS: u64 = 100_000_000;
/// Steps of a time line: two hours. The last one takes what comes after.
pub(crate) const MAX_STEPS: usize = 72_000;

/// Counts of one direction.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Counts {
    /// Packets that came, each once.
    pub(crate) received: u64,
    /// Further copies.
    pub(crate) duplicated: u64,
    /// Packets that came after a later one of their flow (RFC 4737, section 3.3).
    pub(crate) reordered: u64,
    /// With a wrong checksum, or a stamp that somebody changed. They count as lost, too.
    pub(crate) corrupted: u64,
    /// Packets of somebody else's, or of another trial.
    pub(crate) foreign: u64,
    /// Replies that do not come from where their flow was sent, or are for somebody else. They
    /// count as lost, too.
    pub(crate) mistranslated: u64,
    /// Packets that were brought to another destination than their flow's first one.
    pub(crate) moved: u64,
}

/// What came of one direction during one trial.
pub(crate) struct Meter {
    /// When packets began to count; none that does has come yet while this is not known.
    start_ns: Option<u64>,
    counts: Counts,
    seen: Box<[u64]>,
    newest: u64,
    /// The newest packet of every flow, and of the one that had its place before.
    newest_of_flow: Vec<[u64; 2]>,
    /// The path of each one's first packet.
    path_of_flow: Vec<[u64; 2]>,
    latency: Histogram<u64>,
    first_latency: Histogram<u64>,
    steps: Vec<u64>,
}

/// A packet of this run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// Where its parts are.
    pub(crate) located: Located,
    /// What it says.
    pub(crate) stamp: Stamp,
}

/// What a meter came to.
pub(crate) struct Metered {
    /// Counts.
    pub(crate) counts: Counts,
    /// Of packets of flows that were known, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// Of flows' first packets.
    pub(crate) first_latency: Histogram<u64>,
    /// Packets that came, by the step in which they were to be sent.
    pub(crate) steps: Vec<u64>,
}

impl Metered {
    /// Packets that nobody knows more of than that they came.
    pub(crate) fn of_unstamped(received: u64) -> Self {
        Self {
            counts: Counts { received, ..Counts::default() },
            latency: histogram(),
            first_latency: histogram(),
            steps: Vec::new(),
        }
    }
}

/// Reads a packet, whichever direction it is of.
#[inline]
pub(crate) fn read(frame: &[u8], run: Run) -> Result<Arrival, Found> {
    let located = Located::find(frame).ok_or(Found::Foreign)?;
    let stamp = located.stamp(frame).ok_or(Found::Foreign)?;
    match Stamp::read(stamp, run) {
        Found::Ours(stamp) if located.sums_are_right(frame) => Ok(Arrival { located, stamp }),
        Found::Ours(_) => Err(Found::Corrupted),
        other => Err(other),
    }
}

impl Meter {
    /// For so many flows.
    pub(crate) fn new(flows: u32) -> Self {
        Self {
            start_ns: None,
            counts: Counts::default(),
            seen: vec![0; WORDS].into(),
            newest: 0,
            newest_of_flow: vec![[0; 2]; flows as usize],
            path_of_flow: vec![[0; 2]; flows as usize],
            latency: histogram(),
            first_latency: histogram(),
            steps: Vec::new(),
        }
    }

    /// Packets count from this time on.
    pub(crate) fn begin(&mut self, start_ns: u64) {
        self.start_ns = Some(start_ns);
    }

    /// Whether it knows since when packets count.
    pub(crate) fn has_begun(&self) -> bool {
        self.start_ns.is_some()
    }

    /// Packets that came, each once.
    pub(crate) fn received(&self) -> u64 {
        self.counts.received
    }

    /// Something came that is not to be counted as received.
    #[cold]
    pub(crate) fn refuse(&mut self, found: Found) {
        match found {
            Found::Corrupted => self.counts.corrupted += 1,
            _ => self.counts.foreign += 1,
        }
    }

    /// A packet came with addresses that it must not have.
    #[cold]
    pub(crate) fn take_mistranslated(&mut self, stamp: &Stamp) {
        self.counts.mistranslated += u64::from(stamp.counts);
    }

    /// A packet came to a destination: the same as those of its flow before?
    #[inline]
    pub(crate) fn follow(&mut self, stamp: &Stamp, tuple: &Tuple) {
        let Some(first) = self.path_of_flow.get_mut(stamp.flow as usize) else { return };
        let first = &mut first[usize::from(stamp.odd)];
        let this = path(tuple);
        // From another source it is of another flow, whose first packet was lost.
        if stamp.first || this >> 32 != *first >> 32 {
            *first = this;
        }
        self.counts.moved += u64::from(stamp.counts && this != *first);
    }

    /// A packet came.
    #[inline]
    pub(crate) fn take(&mut self, stamp: &Stamp, now_ns: u64) {
        let sequence = stamp.sequence;
        let is_reordered = self.is_reordered(stamp);
        if !stamp.counts {
            return;
        }
        if !self.is_new(sequence) {
            self.counts.duplicated += 1;
            return;
        }
        self.counts.received += 1;
        self.counts.reordered += u64::from(is_reordered);
        let latency = now_ns.saturating_sub(stamp.time_ns).max(1);
        if stamp.first {
            self.first_latency.saturating_record(latency);
        } else {
            self.latency.saturating_record(latency);
        }
        count_step(&mut self.steps, stamp.time_ns.saturating_sub(self.start_ns.unwrap_or(0)));
    }

    #[inline]
    fn is_reordered(&mut self, stamp: &Stamp) -> bool {
        let Some(newest) = self.newest_of_flow.get_mut(stamp.flow as usize) else { return false };
        let newest = &mut newest[usize::from(stamp.odd)];
        // One more, so that 0 is "none yet".
        let this = stamp.sequence + 1;
        let is_late = this < *newest;
        *newest = this.max(*newest);
        is_late
    }

    /// Whether it has not come before. Of what is older than the window nobody knows: it is taken
    /// for new.
    #[inline]
    fn is_new(&mut self, sequence: u64) -> bool {
        if sequence > self.newest {
            // What lies between has not been seen: the words that it enters are cleared.
            let (from, to) = (self.newest / 64 + 1, sequence / 64);
            for word in from..=to.min(from + WORDS as u64 - 1) {
                self.seen[word as usize % WORDS] = 0;
            }
            self.newest = sequence;
        } else if self.newest - sequence >= WINDOW - 64 {
            return true;
        }
        let word = &mut self.seen[(sequence / 64) as usize % WORDS];
        let bit = 1 << (sequence % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// What it came to.
    pub(crate) fn finish(self) -> Metered {
        let Self { counts, latency, first_latency, steps, .. } = self;
        Metered { counts, latency, first_latency, steps }
    }
}

/// Counts one packet in the step that a time falls in.
#[inline]
pub(crate) fn count_step(steps: &mut Vec<u64>, since_start_ns: u64) {
    let step = ((since_start_ns / STEP_NS) as usize).min(MAX_STEPS - 1);
    if step >= steps.len() {
        steps.resize(step + 1, 0);
    }
    steps[step] += 1;
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATEST_NS, SIGNIFICANT_DIGITS).expect("bounds that are in order")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pktgen::stamp::Direction;

    fn stamp(flow: u32, sequence: u64) -> Stamp {
        Stamp {
            direction: Direction::Forward,
            first: false,
            odd: false,
            counts: sequence >= 10,
            flow,
            sequence,
            time_ns: sequence * 1_000,
        }
    }

    fn metered(packets: &[(u32, u64)]) -> Counts {
        let mut meter = Meter::new(4);
        meter.begin(10_000);
        for (flow, sequence) in packets {
            meter.take(&stamp(*flow, *sequence), sequence * 1_000 + 500);
        }
        meter.finish().counts
    }

    #[test]
    fn each_packet_counts_once() {
        let counts = metered(&[(0, 9), (0, 10), (0, 11), (0, 11), (0, 10), (1, 12)]);
        let expected = Counts { received: 3, duplicated: 2, ..Counts::default() };
        assert_eq!(counts, expected);
    }

    #[test]
    fn order_counts_within_a_flow() {
        let counts = metered(&[(0, 13), (1, 10), (0, 12), (0, 14), (1, 15), (1, 11)]);
        assert_eq!((counts.received, counts.reordered), (6, 2));
    }

    #[test]
    fn a_flow_that_is_brought_elsewhere_is_noticed() {
        let to = |port, backend: u8| Tuple {
            source: ([10, 0, 0, 1].into(), port),
            destination: ([10, 0, 0, backend].into(), 80),
        };
        let mut meter = Meter::new(2);
        let first = Stamp { first: true, ..stamp(0, 11) };
        // What does not count says where a flow belongs, too.
        meter.follow(&stamp(0, 9), &to(1, 7));
        meter.follow(&stamp(0, 10), &to(1, 7));
        meter.follow(&stamp(1, 12), &to(2, 8));
        assert_eq!(meter.counts.moved, 0);
        meter.follow(&stamp(0, 13), &to(1, 8));
        meter.follow(&stamp(0, 14), &to(1, 7));
        assert_eq!(meter.counts.moved, 1);
        // Another flow may go elsewhere, even if its first packet was lost.
        meter.follow(&first, &to(1, 8));
        meter.follow(&stamp(0, 15), &to(1, 8));
        meter.follow(&stamp(0, 16), &to(3, 7));
        meter.follow(&stamp(0, 17), &to(3, 7));
        assert_eq!(meter.counts.moved, 1);
    }

    #[test]
    fn copies_are_known_over_a_window_and_after_gaps() {
        let mut packets: Vec<(u32, u64)> = (10..200).map(|sequence| (0, sequence)).collect();
        let far = 10 + 3 * WINDOW;
        packets.extend([(0, 150), (0, far), (0, far), (0, far - WINDOW / 2), (0, far + 70)]);
        packets.extend([(0, far - WINDOW / 2), (0, far + 1)]);
        let counts = metered(&packets);
        assert_eq!((counts.received, counts.duplicated), (190 + 4, 3));
    }

    #[test]
    fn first_packets_have_a_latency_of_their_own() {
        let mut meter = Meter::new(1);
        meter.begin(0);
        meter.take(&stamp(0, 11), 13_000);
        meter.take(&Stamp { first: true, ..stamp(0, 12) }, 62_000);
        let metered = meter.finish();
        assert_eq!((metered.latency.len(), metered.first_latency.len()), (1, 1));
        assert!((1_990..=2_010).contains(&metered.latency.max()));
        assert!((49_900..=50_100).contains(&metered.first_latency.max()));
        assert_eq!(metered.steps, [2]);
    }
}
