//! What is sent: flows, or a capture.

use super::replay::{Replay, ReplayJob};
use super::sender::{Job, Sender, SenderReport};

/// Where packets come from.
#[expect(clippy::large_enum_variant, reason = "there is one a trial")]
pub(crate) enum Source {
    /// Made, one after the other.
    Flows(Sender),
    /// As they were captured.
    Replay(Replay),
}

/// One packet to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next {
    /// Of a flow.
    Flow(Job),
    /// Of a capture.
    Replay(ReplayJob),
}

impl Next {
    /// Which of so many queues it leaves through.
    #[inline]
    pub(crate) fn queue(&self, queues: usize) -> usize {
        match self {
            Self::Flow(job) => job.slot() as usize % queues,
            Self::Replay(_) => 0,
        }
    }
}

impl Source {
    /// The next packet, if one is due.
    #[inline]
    pub(crate) fn next(&mut self, now_ns: u64) -> Option<Next> {
        match self {
            Self::Flows(sender) => sender.next(now_ns).map(Next::Flow),
            Self::Replay(replay) => replay.next(now_ns).map(Next::Replay),
        }
    }

    /// Writes it. Returns its length.
    #[inline]
    pub(crate) fn write(&mut self, next: &Next, buffer: &mut [u8]) -> usize {
        match (self, next) {
            (Self::Flows(sender), Next::Flow(job)) => sender.write(job, buffer),
            (Self::Replay(replay), Next::Replay(job)) => replay.write(job, buffer),
            _ => 0,
        }
    }

    /// When packets begin to count, once that is known.
    pub(crate) fn start_ns(&self) -> Option<u64> {
        match self {
            Self::Flows(sender) => sender.start_ns(),
            Self::Replay(replay) => replay.start_ns(),
        }
    }

    /// Packets so far that count.
    pub(crate) fn sent(&self) -> u64 {
        match self {
            Self::Flows(sender) => sender.sent(),
            Self::Replay(replay) => replay.sent(),
        }
    }

    /// There is no room for a packet, and time passes.
    pub(crate) fn blocked(&mut self, now_ns: u64) {
        match self {
            Self::Flows(sender) => sender.blocked(now_ns),
            Self::Replay(replay) => replay.blocked(now_ns),
        }
    }

    /// Ends it before its time: nothing more is sent.
    pub(crate) fn stop(&mut self, now_ns: u64) {
        match self {
            Self::Flows(sender) => sender.stop(now_ns),
            Self::Replay(replay) => replay.stop(now_ns),
        }
    }

    /// Whether all was sent.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Flows(sender) => sender.is_over(),
            Self::Replay(replay) => replay.is_over(),
        }
    }

    /// When the next packet is due: nobody needs to look before.
    pub(crate) fn next_due_ns(&self) -> u64 {
        match self {
            Self::Flows(sender) => sender.next_due_ns(),
            Self::Replay(replay) => replay.next_due_ns(),
        }
    }

    /// Flows used up so far.
    pub(crate) fn made(&self) -> u64 {
        match self {
            Self::Flows(sender) => sender.made(),
            Self::Replay(_) => 0,
        }
    }

    /// What was sent.
    pub(crate) fn finish(self) -> SenderReport {
        match self {
            Self::Flows(sender) => sender.finish(),
            Self::Replay(replay) => replay.finish(),
        }
    }
}
