use std::{
    thread,
    time::{Duration, Instant},
};

use super::{CopyMode, FramePool, PortQueue, XskError};

/// How long frames in the transmit ring get to be sent.
const DRAIN_LIMIT: Duration = Duration::from_millis(200);
const DRAIN_STEP: Duration = Duration::from_millis(1);

/// In zero-copy mode the kernel stops the device's queue from a work item after the socket was
/// closed, and nothing tells when: until then the device may write into chunks of the fill ring.
const ZERO_COPY_GRACE: Duration = Duration::from_millis(200);

/// What an unbind found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unbound {
    /// Frames the kernel still held, back in the pool now: those of the fill ring, received ones
    /// nobody fetched, and `unsent` ones.
    pub recovered: usize,
    /// Of these, frames given to [`PortQueue::transmit`] that were not sent in time.
    pub unsent: usize,
}

impl PortQueue {
    /// Closes the socket and returns every frame that it held to the pool. Blocks up to 200 ms
    /// while frames are still to be sent, and for 200 ms in zero-copy mode.
    ///
    /// Take the socket out of the `XSKMAP`, or the program off the device, before: packets that
    /// arrive meanwhile are lost.
    ///
    /// # Errors
    ///
    /// If the pool is another one, or the kernel would not let go of the socket. Its frames are
    /// lost then, until the pool is dropped.
    pub fn unbind(mut self, pool: &mut FramePool) -> Result<Unbound, XskError> {
        if pool.id != self.pool {
            let (interface, queue) = (self.interface, self.queue);
            return Err(XskError::ForeignPool { interface, queue });
        }
        self.drain(pool);
        let Self { id, interface, queue, copy_mode, rings, umem, custody, outstanding, .. } = self;
        drop(rings);
        drop(umem);
        pool.umem.release(id).map_err(|error| XskError::Socket {
            operation: "releasing the socket",
            interface,
            queue,
            source: error.into(),
        })?;
        if copy_mode == CopyMode::ZeroCopy {
            thread::sleep(ZERO_COPY_GRACE);
        }
        // Closing the socket waited for every packet on its way into it (`synchronize_net` in
        // `xsk_unbind_dev`), and what was on its way out in copy mode is a copy: nobody but the
        // bits remembers these chunks.
        let mut recovered = 0;
        for chunk in custody.held() {
            if let Some(home) = pool.home_of(chunk) {
                pool.take_back(home);
                recovered += 1;
            }
        }
        Ok(Unbound { recovered, unsent: outstanding })
    }

    fn drain(&mut self, pool: &mut FramePool) {
        let deadline = Instant::now() + DRAIN_LIMIT;
        let down = self.counters.kicks_net_down + self.counters.kicks_failed;
        loop {
            self.kick();
            self.reclaim(pool);
            let refused = self.counters.kicks_net_down + self.counters.kicks_failed > down;
            if self.outstanding == 0 || refused || Instant::now() >= deadline {
                break;
            }
            thread::sleep(DRAIN_STEP);
        }
    }
}
