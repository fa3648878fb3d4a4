//! One interface of the generator: its sockets, one a queue, and where their frames go. What is in
//! them, `part` knows.

use std::os::fd::{AsRawFd, RawFd};

use arrayvec::ArrayVec;
use maglane_dataplane::steer::receive_queues;
use maglane_dataplane::xsk::{
    BATCH, CopyMode, Frame, FramePool, FramePoolConfig, PortQueue, PortQueueConfig,
};

use super::interface::Interface;
use super::part::Part;
use super::shared::Shared;
use super::source::Source;
use super::take::{Taken, Taking, Xdp};
use crate::error::Result;

/// Queues that are used of one interface.
const MAX_QUEUES: u32 = 64;
/// Frames of all rings of an interface together, as far as they go round.
const RING_FRAMES: u32 = 4_096;
const MIN_RING_FRAMES: u32 = 512;

/// What an interface is there for.
#[derive(Clone, Debug)]
pub(crate) struct EndPlan {
    /// The interface.
    pub(crate) interface: Interface,
    /// Whether they arrive here, and what else does.
    pub(crate) takes: Option<Taken>,
    /// Where XDP runs.
    pub(crate) xdp: Xdp,
    /// Whether they are answered here.
    pub(crate) responds: bool,
}

/// What drivers and kernel did with frames of an interface, since it was opened.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct DeviceCounts {
    /// Frames that the sending device or the kernel dropped.
    pub(crate) not_sent: u64,
    /// Packets that the receiving sockets had no room for.
    pub(crate) overrun: u64,
    /// How often the kernel refused to send because the link was down.
    pub(crate) link_down: u64,
}

impl DeviceCounts {
    /// What was added since.
    pub(crate) fn since(self, before: &Self) -> Self {
        Self {
            not_sent: self.not_sent - before.not_sent,
            overrun: self.overrun - before.overrun,
            link_down: self.link_down - before.link_down,
        }
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            not_sent: self.not_sent + other.not_sent,
            overrun: self.overrun + other.overrun,
            link_down: self.link_down + other.link_down,
        }
    }
}

/// An interface at work.
pub(crate) struct End {
    plan: EndPlan,
    pool: FramePool,
    queues: Vec<PortQueue>,
    ring_frames: usize,
    /// None in the driver, where the driver has no XDP.
    taking: Option<Taking>,
}

impl End {
    /// Opens an interface of the calling thread's namespace.
    pub(crate) fn open(plan: EndPlan) -> Result<Self> {
        let name = plan.interface.name.as_str();
        let queues = receive_queues(name).unwrap_or(1).clamp(1, MAX_QUEUES);
        let ring = (RING_FRAMES / queues.next_power_of_two()).max(MIN_RING_FRAMES);
        let mut pool = FramePool::new(FramePoolConfig {
            // Fill, receive and transmit ring of each queue, and what is on its way between them.
            frames: 4 * ring * queues,
            ring_size_frames: ring,
            huge_pages: false,
        })?;
        let mut bound = Vec::new();
        for queue in 0..queues {
            let config = PortQueueConfig {
                interface: name.to_owned(),
                queue,
                copy: None,
                ring_size_frames: ring,
            };
            bound.push(PortQueue::bind(&mut pool, &config)?);
        }
        let mut taking = None;
        if let Some(what) = plan.takes {
            bound.iter_mut().for_each(|queue| queue.refill(&mut pool));
            let sockets: Vec<RawFd> = bound.iter().map(|queue| queue.fd().as_raw_fd()).collect();
            taking = Some(Taking::attach(name, &sockets, what, plan.xdp)?);
        }
        Ok(Self { plan, pool, queues: bound, ring_frames: ring as usize, taking })
    }

    /// Its sockets.
    pub(crate) fn queues(&self) -> &[PortQueue] {
        &self.queues
    }

    /// How frames come and go: `zero-copy` or `copy`, and where XDP runs.
    pub(crate) fn mode(&self) -> String {
        let zero = |queue: &PortQueue| queue.copy_mode() == CopyMode::ZeroCopy;
        let copy = if self.queues.iter().all(zero) { "zero-copy" } else { "copy" };
        let xdp = match &self.taking {
            Some(taking) if taking.native => ", native XDP",
            Some(_) => ", generic XDP",
            None => "",
        };
        let queues = match self.queues.len() {
            1 => "1 queue".to_owned(),
            more => format!("{more} queues"),
        };
        format!("{copy}{xdp}, {queues}")
    }

    /// Counts since it was opened.
    pub(crate) fn device_counts(&self) -> DeviceCounts {
        let mut counts = DeviceCounts::default();
        for queue in &self.queues {
            let own = queue.counters();
            counts.not_sent += own.kicks_busy + own.kicks_no_buffers;
            counts.link_down += own.kicks_net_down;
            if let Ok(kernel) = queue.statistics() {
                // Of a packet that finds the fill ring empty, too, `rx_dropped` is one.
                counts.overrun += kernel.rx_ring_full + kernel.rx_dropped;
            }
        }
        counts
    }

    /// Frames that were to leave and are still there.
    pub(crate) fn not_left(&mut self) -> u64 {
        let left = |queue: &mut PortQueue| {
            queue.reclaim(&mut self.pool);
            queue.outstanding() as u64
        };
        self.queues.iter_mut().map(left).sum()
    }

    /// Gives the interface back.
    pub(crate) fn close(mut self) -> Result<()> {
        drop(self.taking.take());
        for queue in self.queues.drain(..) {
            queue.unbind(&mut self.pool)?;
        }
        Ok(())
    }

    /// Takes back what was sent, sends what is due, receives what came. Returns whether there was
    /// anything to do.
    pub(crate) fn breathe(&mut self, part: &mut Part, now_ns: u64, shared: &Shared) -> bool {
        for queue in &mut self.queues {
            queue.reclaim(&mut self.pool);
        }
        let sent = match &mut part.source {
            Some(source) => {
                if shared.is_stopped() {
                    source.stop(now_ns);
                }
                self.send(source, now_ns, shared)
            }
            None => false,
        };
        let mut received = false;
        if self.plan.takes.is_some() {
            for at in 0..self.queues.len() {
                received |= self.receive(at, part, shared);
            }
        }
        sent || received
    }

    fn send(&mut self, source: &mut Source, now_ns: u64, shared: &Shared) -> bool {
        let room = |queue: &PortQueue| self.ring_frames.saturating_sub(queue.outstanding());
        let room = self.queues.iter().map(room).min().unwrap_or(0).min(BATCH);
        let mut batch = ArrayVec::<(Frame, usize), BATCH>::new();
        if room == 0 {
            source.blocked(now_ns);
        }
        while batch.len() < room {
            let Some(mut frame) = self.pool.allocate() else { break };
            let Some(job) = source.next(now_ns) else {
                self.pool.free(frame);
                break;
            };
            let length = source.write(&job, self.pool.buffer(&mut frame));
            frame.set_length(length);
            batch.push((frame, job.queue(self.queues.len())));
        }
        shared.note_sending(source, now_ns);
        let any = !batch.is_empty();
        for (at, queue) in self.queues.iter_mut().enumerate() {
            if any {
                let mut own = ArrayVec::<Frame, BATCH>::new();
                let mut rest = ArrayVec::new();
                for (frame, to) in batch.drain(..) {
                    if to == at { own.push(frame) } else { rest.push((frame, to)) }
                }
                batch = rest;
                queue.transmit(&mut own);
                // There was room for all of them: none is left but one that was too short.
                own.into_iter().for_each(|frame| self.pool.free(frame));
            }
            queue.kick();
        }
        any
    }

    fn receive(&mut self, at: usize, part: &mut Part, shared: &Shared) -> bool {
        let queue = &mut self.queues[at];
        let mut frames = ArrayVec::<Frame, BATCH>::new();
        queue.refill(&mut self.pool);
        if queue.receive(&mut frames) == 0 {
            return false;
        }
        // They had come when this is read, and not long before: it is read for every batch.
        let now_ns = shared.now_ns();
        shared.begin(part);
        let before = part.arrived;
        let mut answers = ArrayVec::<Frame, BATCH>::new();
        for mut frame in frames {
            let length = frame.length();
            let buffer = self.pool.buffer(&mut frame);
            let bytes = buffer.get_mut(..length).unwrap_or_default();
            if part.arrive(bytes, now_ns, self.plan.responds, shared) {
                answers.push(frame);
            } else {
                self.pool.free(frame);
            }
        }
        // What others send does not keep a trial open.
        if part.arrived > before {
            shared.note_receiving(part, now_ns);
        }
        if !answers.is_empty() {
            queue.transmit(&mut answers);
            // The ring is full: this answer is lost, and seen to be.
            answers.into_iter().for_each(|frame| self.pool.free(frame));
        }
        queue.kick();
        true
    }
}
