//! What both ends of a trial, and whoever watches it, tell each other. Each number has one writer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use super::part::Part;
use super::source::Source;

const UNKNOWN: u64 = u64::MAX;
/// When nothing has come for so long after the last packet was sent, the rest is lost.
const DRAIN_NS: u64 = 250_000_000;
/// The same, whatever else still comes.
const MAX_DRAIN_NS: u64 = 5_000_000_000;

/// One trial's.
pub(crate) struct Shared {
    epoch: Instant,
    /// When packets began to count.
    start_ns: AtomicU64,
    sent: AtomicU64,
    answered: AtomicU64,
    received: [AtomicU64; 2],
    last_arrival_ns: AtomicU64,
    /// When the last packet was sent.
    over_ns: AtomicU64,
    /// The sender is to end before its time.
    stop: AtomicBool,
    /// A station failed: the others have nothing to wait for.
    abandoned: AtomicBool,
}

impl Shared {
    /// A trial that begins now.
    pub(crate) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            start_ns: AtomicU64::new(UNKNOWN),
            sent: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            received: [AtomicU64::new(0), AtomicU64::new(0)],
            last_arrival_ns: AtomicU64::new(0),
            over_ns: AtomicU64::new(UNKNOWN),
            stop: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
        }
    }

    /// Time since the trial began.
    #[inline]
    pub(crate) fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// Ends it early: nothing more is sent, and what is on its way may still come.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the sender is to send nothing more.
    #[inline]
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Ends it at once: nothing will come of it.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// Packets sent and received so far that count.
    pub(crate) fn so_far(&self) -> [u64; 2] {
        [&self.sent, &self.received[0]].map(|count| count.load(Ordering::Relaxed))
    }

    /// When packets began to count, once they do.
    #[inline]
    pub(crate) fn start_ns(&self) -> Option<u64> {
        let start_ns = self.start_ns.load(Ordering::Acquire);
        (start_ns != UNKNOWN).then_some(start_ns)
    }

    /// Before packets are counted, but after they have come: tells meters since when they count.
    #[inline]
    pub(crate) fn begin(&self, part: &mut Part) {
        for meter in [&mut part.forward, &mut part.reply].into_iter().flatten() {
            if !meter.has_begun()
                && let Some(start_ns) = self.start_ns()
            {
                meter.begin(start_ns);
            }
        }
    }

    /// Before packets are sent: says since when they count, and how many have been.
    #[inline]
    pub(crate) fn note_sending(&self, source: &Source, now_ns: u64) {
        if let Some(start_ns) = source.start_ns() {
            self.start_ns.store(start_ns, Ordering::Release);
        }
        self.sent.store(source.sent(), Ordering::Relaxed);
        if source.is_over() && self.over_ns.load(Ordering::Relaxed) == UNKNOWN {
            self.over_ns.store(now_ns, Ordering::Release);
        }
    }

    /// After packets were received.
    #[inline]
    pub(crate) fn note_receiving(&self, part: &Part, now_ns: u64) {
        if let Some(meter) = &part.forward {
            self.received[0].store(meter.received(), Ordering::Relaxed);
        } else if part.run.is_none() {
            self.received[0].store(part.unstamped, Ordering::Relaxed);
        }
        if let Some(meter) = &part.reply {
            self.received[1].store(meter.received(), Ordering::Relaxed);
        }
        if part.forward.is_some() {
            self.answered.store(part.answers.sent, Ordering::Relaxed);
        }
        self.last_arrival_ns.store(now_ns, Ordering::Relaxed);
    }

    /// Whether all was sent, and has come or will not come any more.
    #[inline]
    pub(crate) fn is_over(&self, now_ns: u64) -> bool {
        if self.abandoned.load(Ordering::Relaxed) {
            return true;
        }
        let over_ns = self.over_ns.load(Ordering::Acquire);
        if over_ns == UNKNOWN {
            return false;
        }
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let all_came = count(&self.received[0]) >= count(&self.sent)
            && count(&self.received[1]) >= count(&self.answered);
        let last_ns = over_ns.max(count(&self.last_arrival_ns));
        // Copies come right behind.
        let copies_came = now_ns > over_ns + DRAIN_NS / 50;
        all_came && copies_came || now_ns > (last_ns + DRAIN_NS).min(over_ns + MAX_DRAIN_NS)
    }
}
