use std::{
    fmt,
    os::fd::{AsRawFd, BorrowedFd},
};

use arrayvec::ArrayVec;
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, recv, send},
};
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, TxQueue, Umem};

use super::{
    BATCH, CopyMode, Frame, FramePool, KernelStatistics, PortQueueCounters, XskError,
    custody::Custody,
    frame::{PoolId, chunk_of},
    umem::PortId,
};

/// Frames that a `sendto` sends in copy mode where the budget cannot be raised (TX_BATCH_SIZE).
const KERNEL_BATCH: usize = 32;

/// One AF_XDP socket: a queue of a port, and its four rings.
///
/// [`PortQueue::bind`] loads no XDP program: put [`PortQueue::fd`] into an `XSKMAP` for packets to
/// arrive. Give it up with [`PortQueue::unbind`]; merely dropped, its frames and the queue of its
/// device are lost until the pool is gone.
///
/// One breath of a worker: `reclaim`, `refill`, `receive`, `transmit`, `kick`.
pub struct PortQueue {
    pub(super) id: PortId,
    pub(super) pool: PoolId,
    pub(super) interface: String,
    pub(super) queue: u32,
    pub(super) copy_mode: CopyMode,
    pub(super) rings: Rings,
    pub(super) umem: Umem,
    pub(super) custody: Custody,
    pub(super) outstanding: usize,
    pub(super) counters: PortQueueCounters,
    pub(super) last_error: Option<Errno>,
    /// Descriptors on their way into or out of a ring.
    pub(super) scratch: [FrameDesc; BATCH],
}

/// All four hold the socket, and all four must go before it is closed.
pub(super) struct Rings {
    pub(super) receive: RxQueue,
    pub(super) transmit: TxQueue,
    pub(super) fill: FillQueue,
    pub(super) completion: CompQueue,
    pub(super) transmit_size: u32,
}

impl Rings {
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the rings keep the socket open, and they live as long as the borrow.
        unsafe { BorrowedFd::borrow_raw(self.transmit.fd().as_raw_fd()) }
    }

    /// Frames in the transmit ring that the kernel has not looked at.
    fn untransmitted(&mut self) -> usize {
        (self.transmit_size - self.transmit.nb_free_exact()) as usize
    }
}

impl PortQueue {
    /// The socket's descriptor, for an `XSKMAP` and for `poll`. A duplicate would keep the device
    /// taken, and the kernel writing, after [`PortQueue::unbind`]: make none.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.rings.fd()
    }

    /// Name of the interface at the time of the bind.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Queue of the interface.
    pub fn queue(&self) -> u32 {
        self.queue
    }

    /// What the socket became, which the kernel was asked after the bind.
    pub fn copy_mode(&self) -> CopyMode {
        self.copy_mode
    }

    /// Frames given to [`PortQueue::transmit`] that have not come back by [`PortQueue::reclaim`].
    #[inline]
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// What happened between this port and the kernel.
    pub fn counters(&self) -> &PortQueueCounters {
        &self.counters
    }

    /// The last answer to a kick that was not a passing one; ENXIO when the device has gone.
    pub fn last_error(&self) -> Option<Errno> {
        self.last_error
    }

    /// The kernel's counters of this socket. A system call.
    ///
    /// # Errors
    ///
    /// Only if the kernel does not know `XDP_STATISTICS`.
    pub fn statistics(&self) -> Result<KernelStatistics, XskError> {
        match self.rings.transmit.fd().xdp_statistics() {
            Ok(statistics) => Ok(statistics.into()),
            Err(source) => Err(self.failed("reading XDP_STATISTICS", source)),
        }
    }

    /// Fills the fill ring from the pool, as far as the pool goes, and wakes a zero-copy driver
    /// that sleeps for want of it.
    pub fn refill(&mut self, pool: &mut FramePool) {
        debug_assert_eq!(pool.id, self.pool, "another port's pool");
        if pool.id != self.pool {
            return;
        }
        loop {
            let room = self.rings.fill.nb_free(BATCH as u32) as usize;
            let count = room.min(BATCH).min(pool.available());
            if count == 0 {
                break;
            }
            for slot in &mut self.scratch[..count] {
                let Some(frame) = pool.allocate() else { break };
                *slot = frame.descriptor;
                self.custody.give(chunk_of(slot));
            }
            // SAFETY: these frames were the pool's, which is this port's, and were given up just
            // now; the ring has room for all of them, so all are taken.
            let filled = unsafe { self.rings.fill.produce(&self.scratch[..count]) };
            debug_assert_eq!(filled, count);
        }
        if self.rings.fill.needs_wakeup() {
            self.counters.fill_wakeups += 1;
            // The answer is always EAGAIN or an error that the next kick meets too.
            let _ = recv(self.rings.fd().as_raw_fd(), &mut [], MsgFlags::MSG_DONTWAIT);
        }
    }

    /// Appends received frames, lengths set, as many as are there and `into` has room for. Returns
    /// how many.
    #[inline]
    pub fn receive(&mut self, into: &mut ArrayVec<Frame, BATCH>) -> usize {
        let room = into.remaining_capacity();
        // SAFETY: the ring is of the socket whose UMEM is this pool's.
        let count = unsafe { self.rings.receive.consume(&mut self.scratch[..room]) };
        let before = into.len();
        for descriptor in &self.scratch[..count] {
            if self.custody.take(chunk_of(descriptor)) {
                into.push(Frame::new(*descriptor, self.pool));
            } else {
                self.counters.alien_descriptors += 1;
            }
        }
        into.len() - before
    }

    /// Moves frames from the front of `frames` to the transmit ring; [`PortQueue::kick`] sends
    /// them. What stays is the caller's to free and to count: what the ring had no room for, and
    /// frames shorter than an Ethernet header or of another pool. Returns how many were taken.
    #[inline]
    pub fn transmit(&mut self, frames: &mut ArrayVec<Frame, BATCH>) -> usize {
        let room = self.rings.transmit.nb_free(frames.len() as u32) as usize;
        let mut count = 0;
        frames.retain(|frame| {
            if count == room || frame.pool != self.pool || !frame.is_sendable() {
                return true;
            }
            let slot = &mut self.scratch[count];
            *slot = frame.descriptor;
            slot.set_options(0);
            // SAFETY: the frame is of this UMEM and exclusively borrowed.
            let mut data = unsafe { self.umem.data_mut(slot) };
            data.cursor().set_pos(frame.length());
            self.custody.give(chunk_of(slot));
            count += 1;
            false
        });
        // SAFETY: these frames are of this UMEM and were given up just now; the ring has room for
        // all of them, so all are taken.
        let taken = unsafe { self.rings.transmit.produce(&self.scratch[..count]) };
        debug_assert_eq!(taken, count);
        self.outstanding += count;
        count
    }

    /// Returns frames that were sent to the pool.
    #[inline]
    pub fn reclaim(&mut self, pool: &mut FramePool) {
        debug_assert_eq!(pool.id, self.pool, "another port's pool");
        while self.outstanding > 0 && pool.id == self.pool {
            // SAFETY: the ring is of the socket whose UMEM is this pool's.
            let count = unsafe { self.rings.completion.consume(&mut self.scratch) };
            for descriptor in &self.scratch[..count] {
                if self.custody.take(chunk_of(descriptor)) {
                    pool.take_back(*descriptor);
                    self.outstanding -= 1;
                } else {
                    self.counters.alien_descriptors += 1;
                }
            }
            if count < BATCH {
                break;
            }
        }
    }

    /// Tells the kernel to send what is in the transmit ring, as often as it makes progress. What
    /// it does not send now is tried again by the next kick.
    pub fn kick(&mut self) {
        if self.outstanding == 0 || !self.rings.transmit.needs_wakeup() {
            return;
        }
        let mut pending = self.rings.untransmitted();
        let rounds = pending / KERNEL_BATCH + 1;
        for _ in 0..rounds {
            if pending == 0 {
                break;
            }
            self.counters.kicks += 1;
            let answer = send(self.rings.fd().as_raw_fd(), &[], MsgFlags::MSG_DONTWAIT);
            if let Err(error) = answer {
                self.count_kick(error);
            }
            let left = self.rings.untransmitted();
            if left == pending {
                break;
            }
            pending = left;
        }
    }

    #[cold]
    fn count_kick(&mut self, error: Errno) {
        match error {
            Errno::EAGAIN => self.counters.kicks_again += 1,
            Errno::EBUSY => self.counters.kicks_busy += 1,
            Errno::ENOBUFS => self.counters.kicks_no_buffers += 1,
            Errno::ENETDOWN => self.counters.kicks_net_down += 1,
            other => {
                self.counters.kicks_failed += 1;
                self.last_error = Some(other);
            }
        }
    }

    #[cold]
    pub(super) fn failed(&self, operation: &'static str, source: std::io::Error) -> XskError {
        let (interface, queue) = (self.interface.clone(), self.queue);
        XskError::Socket { operation, interface, queue, source }
    }
}

impl fmt::Debug for PortQueue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PortQueue")
            .field("interface", &self.interface)
            .field("queue", &self.queue)
            .field("copy_mode", &self.copy_mode)
            .field("outstanding", &self.outstanding)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
