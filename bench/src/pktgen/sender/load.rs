use crate::pktgen::frame::{Link, Shape};
use crate::pktgen::schedule::{Pace, Rate};
use crate::pktgen::tuples::Tuples;

/// Flows are opened no faster than this before the trial, unless asked for.
pub(crate) const OPEN_RATE_PPS: f64 = 100_000.0;

/// What is late by so much of a trial's time when that is over is not sent any more, or the trial
/// would be of another rate than it says.
const GRACE_SHARE: u64 = 200;
/// But anybody may be late by a millisecond, and what is later than this is lost.
const GRACE_NS: [u64; 2] = [1_000_000, 20_000_000];

/// What a trial's sender is to do.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Load {
    /// How fast.
    pub(crate) pace: Pace,
    /// How long, unless `count` comes first.
    pub(crate) duration_ns: u64,
    /// How many packets, if not as many as the time has.
    pub(crate) count: Option<u64>,
    /// Packets before those that count.
    pub(crate) warm_up_ns: u64,
    /// How fast flows are opened before.
    pub(crate) open_rate: Rate,
    /// Flows that take another's place, each second.
    pub(crate) new_flows: Option<Rate>,
}

impl Load {
    /// How late a packet may be that is still sent.
    pub(crate) fn grace_ns(&self) -> u64 {
        (self.duration_ns / GRACE_SHARE).clamp(GRACE_NS[0], GRACE_NS[1])
    }
}

/// What flows there are, and what their packets look like.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    /// IPv4 or 6, UDP or TCP.
    pub(crate) shape: Shape,
    /// Frame sizes in turn.
    pub(crate) sizes: Vec<usize>,
    /// Ethernet's addresses.
    pub(crate) link: Link,
    /// All that may be.
    pub(crate) tuples: Tuples,
    /// At a time.
    pub(crate) flows: u32,
    /// Of every choice.
    pub(crate) seed: u64,
}

/// What was sent in a trial.
#[derive(Clone, Debug, Default)]
pub(crate) struct SenderReport {
    /// Packets that count.
    pub(crate) sent: u64,
    /// Packets that were due and could not be sent in time.
    pub(crate) missed: u64,
    /// Of frames that count, without the frame check sequence.
    pub(crate) bytes: u64,
    /// From the first packet to the end of the last one's place in the schedule, or until it was
    /// sent, whichever was later.
    pub(crate) elapsed_ns: u64,
    /// Flows that were opened while packets counted.
    pub(crate) new_flows: u64,
    /// TCP segments that got no answer in time and were sent again.
    pub(crate) retries: u64,
    /// TCP flows that never opened.
    pub(crate) never_open: u64,
    /// Packets by the step in which they were to be sent.
    pub(crate) steps: Vec<u64>,
}

impl SenderReport {
    /// The last so many packets never left: they were due, and were not sent.
    pub(crate) fn take_back(&mut self, packets: u64) {
        let mut left = packets.min(self.sent);
        self.sent -= left;
        self.missed += left;
        for step in self.steps.iter_mut().rev() {
            let own = left.min(*step);
            *step -= own;
            left -= own;
        }
    }
}
