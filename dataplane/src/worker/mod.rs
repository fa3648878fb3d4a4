//! Floor 4: the pinned loop of one worker.
//!
//! A worker owns queue *i* of every port, the frames on it, and its flows; it shares none of
//! them. What others may ask of it comes through its [`Mailbox`]; what other workers pass on to it
//! comes through the inbox there.

mod breath;
mod commands;
mod hand_over;
mod mailbox;

pub use commands::{Bound, Command, PortReport, Stopped};
pub use mailbox::Mailbox;

use std::sync::Arc;
use std::time::Instant;

use arrayvec::ArrayVec;
use crossbeam::channel::Receiver;

use crate::pipeline::{BATCH, Ingress, Pipeline};
use crate::service::Snapshot;
use crate::xsk::{Frame, FramePool, PortQueue};

/// Rounds without a packet after which an adaptive worker goes to sleep: some microseconds, so
/// that a request and its reply find it awake.
const IDLE_ROUNDS: u32 = 64;
/// How long it sleeps if nobody wakes it; then it looks for expired flows.
const SLEEP_MS: u32 = 100;

/// Everything that one worker owns.
pub struct Worker {
    /// Its state of flows.
    pub pipeline: Pipeline,
    /// Its UMEM.
    pub pool: FramePool,
    /// What is in force.
    pub snapshot: Arc<Snapshot>,
    /// Of all workers, in order.
    pub mailboxes: Arc<[Mailbox]>,
    /// Its number: its own mailbox's place.
    pub number: usize,
    /// The other end of [`Mailbox::send`].
    pub commands: Receiver<Command>,
    /// Whether it never sleeps.
    pub busy_poll: bool,
    /// The engine's start: zero of all times.
    pub started: Instant,
}

/// One queue that the worker serves.
struct Port {
    queue: PortQueue,
    ingress: Ingress,
    /// Frames to be sent at the end of the breath.
    outgoing: ArrayVec<Frame, BATCH>,
}

/// A worker at work.
struct Running {
    worker: Worker,
    ports: Vec<Port>,
    now_ms: u64,
    /// When the worker last kept house.
    kept_ms: u64,
}

impl Worker {
    fn mailbox(&self) -> &Mailbox {
        &self.mailboxes[self.number]
    }

    /// Works until it is told to stop, on the calling thread.
    pub fn run(self) {
        let mut running = Running { worker: self, ports: Vec::new(), now_ms: 0, kept_ms: 0 };
        let mut idle_rounds = 0;
        loop {
            let active = running.breathe();
            if running.keep_house() {
                return;
            }
            idle_rounds = if active { 0 } else { idle_rounds + 1 };
            if idle_rounds >= IDLE_ROUNDS && !running.worker.busy_poll {
                running.sleep();
                idle_rounds = 0;
            }
        }
    }
}

impl Running {
    /// What need not happen with every batch: once a millisecond at most. Returns whether the
    /// worker is to stop.
    fn keep_house(&mut self) -> bool {
        if self.kept_ms == self.now_ms && self.worker.commands.is_empty() {
            return false;
        }
        self.kept_ms = self.now_ms;
        self.worker.pipeline.expire(self.now_ms);
        self.worker.mailbox().publish(&self.worker.pipeline);
        while let Ok(command) = self.worker.commands.try_recv() {
            if self.obey(command) {
                return true;
            }
        }
        false
    }

    /// Sleeps in the kernel until a packet, another worker or a command comes.
    #[cold]
    fn sleep(&mut self) {
        let worker = &self.worker;
        let mailbox = worker.mailbox();
        mailbox.publish(&worker.pipeline);
        mailbox.sleep_unless(
            || {
                !mailbox.inbox.is_empty()
                    || !worker.commands.is_empty()
                    || mailbox.generation() != worker.snapshot.generation
            },
            self.ports.iter().map(|port| &port.queue),
            SLEEP_MS,
        );
    }
}
