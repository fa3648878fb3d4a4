use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

use crossbeam::channel::{Receiver, Sender, unbounded};
use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;

use super::Command;
use super::hand_over::Inbox;
use crate::pipeline::{COUNTERS, Pipeline};
use crate::service::Snapshot;
use crate::xsk::{PortQueue, Waker, XskError, wait};

/// What a worker shows of itself, and the ways to reach it.
///
/// A snapshot is handed over through a slot of one place: whoever publishes replaces what the
/// worker has not fetched, then raises the generation; the worker compares generations once a
/// batch and fetches only then. The publisher keeps a reference until no worker has one, so that
/// no worker ever frees a snapshot.
pub struct Mailbox {
    generation: CachePadded<AtomicU32>,
    snapshot: ArrayQueue<Arc<Snapshot>>,
    acknowledged: CachePadded<AtomicU32>,
    asleep: CachePadded<AtomicBool>,
    waker: Waker,
    commands: Sender<Command>,
    counters: CachePadded<[AtomicU64; COUNTERS]>,
    flows: AtomicU64,
    pub(super) inbox: Inbox,
}

impl Mailbox {
    /// A mailbox, and the worker's end of its commands. Other workers may hand over as many
    /// packets at once as there are `parcels`.
    ///
    /// # Errors
    /// When the process has no descriptors left.
    pub fn new(parcels: u32) -> Result<(Self, Receiver<Command>), XskError> {
        let (commands, receiver) = unbounded();
        let mailbox = Self {
            generation: CachePadded::default(),
            snapshot: ArrayQueue::new(1),
            acknowledged: CachePadded::default(),
            asleep: CachePadded::default(),
            waker: Waker::new()?,
            commands,
            counters: CachePadded::new([const { AtomicU64::new(0) }; COUNTERS]),
            flows: AtomicU64::new(0),
            inbox: Inbox::new(parcels),
        };
        Ok((mailbox, receiver))
    }

    /// Asks the worker for something; the answer comes as the command says.
    pub fn send(&self, command: Command) {
        // A worker that has stopped has no answers; who waits for one sees the channel close.
        let _ = self.commands.send(command);
        self.waker.wake();
    }

    /// Hands a snapshot over.
    pub fn publish_snapshot(&self, snapshot: Arc<Snapshot>) {
        let generation = snapshot.generation;
        drop(self.snapshot.force_push(snapshot));
        self.generation.store(generation, Ordering::SeqCst);
        self.waker.wake();
    }

    /// Of the snapshot that the worker now works with.
    pub fn acknowledged(&self) -> u32 {
        self.acknowledged.load(Ordering::Acquire)
    }

    /// The counters, as of a moment ago, in the order of
    /// [`Counters::names`](crate::pipeline::Counters::names).
    pub fn counters(&self) -> impl Iterator<Item = u64> + '_ {
        self.counters.iter().map(|counter| counter.load(Ordering::Relaxed))
    }

    /// Flows tracked a moment ago.
    pub fn flows(&self) -> u64 {
        self.flows.load(Ordering::Relaxed)
    }

    /// Wakes the worker if it sleeps, without a system call if it does not.
    pub(super) fn wake_if_asleep(&self) {
        // Pairs with the store in `sleep_unless`: either this sees the worker asleep, or the
        // worker sees what was put into its inbox before.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) {
            self.waker.wake();
        }
    }

    /// Of the newest snapshot.
    #[inline]
    pub(super) fn generation(&self) -> u32 {
        self.generation.load(Ordering::SeqCst)
    }

    /// The newest snapshot, if it has not been fetched yet.
    #[cold]
    pub(super) fn fetch_snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.pop()
    }

    pub(super) fn acknowledge(&self, generation: u32) {
        self.acknowledged.store(generation, Ordering::Release);
    }

    pub(super) fn publish(&self, pipeline: &Pipeline) {
        for (shown, value) in self.counters.iter().zip(pipeline.counters().values()) {
            shown.store(*value, Ordering::Relaxed);
        }
        self.flows.store(pipeline.flows().len().into(), Ordering::Relaxed);
    }

    pub(super) fn sleep_unless<'a>(
        &'a self,
        has_work: impl FnOnce() -> bool,
        ports: impl Iterator<Item = &'a PortQueue>,
        timeout_ms: u32,
    ) {
        self.asleep.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if !has_work() {
            // Without memory to poll with, the worker goes round once more and tries again.
            let _ = wait(ports, &self.waker, timeout_ms);
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}
