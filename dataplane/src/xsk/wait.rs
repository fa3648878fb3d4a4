use std::{
    os::fd::{AsFd, FromRawFd, OwnedFd},
    sync::Arc,
};

use arrayvec::ArrayVec;
use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd,
};

use super::{MAX_PORTS, PortQueue, XskError};

/// Wakes a worker out of [`wait`], from any thread. Clones wake the same worker.
#[derive(Debug, Clone)]
pub struct Waker {
    event: Arc<OwnedFd>,
}

impl Waker {
    /// A waker for one worker.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left.
    pub fn new() -> Result<Self, XskError> {
        // SAFETY: the call takes no pointer.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        let descriptor = Errno::result(descriptor)
            .map_err(|source| XskError::Wait { operation: "making an eventfd", source })?;
        // SAFETY: the kernel just made this descriptor, and nobody else has it.
        let event = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self { event: Arc::new(event) })
    }

    /// Wakes the worker now, or lets its next [`wait`] return at once.
    pub fn wake(&self) {
        // It can fail only when 2^64 - 2 wakes are pending already.
        let _ = unistd::write(&self.event, &1_u64.to_ne_bytes());
    }

    fn clear(&self) {
        // It can fail only when no wake is pending.
        let _ = unistd::read(&self.event, &mut [0; 8]);
    }
}

/// Why [`wait`] returned; neither on a timeout or a signal.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Wakeup {
    /// A port has received frames.
    pub frames: bool,
    /// [`Waker::wake`] was called since the last time this was set.
    pub waker: bool,
}

/// Sleeps until a port has received something, `waker` fires or `timeout_ms` have passed. Looks at
/// the first [`MAX_PORTS`] ports, which is all that a pool can have.
///
/// In copy mode the kernel also sends what is in the ports' transmit rings.
///
/// # Errors
///
/// Only if the kernel has no memory to poll with.
pub fn wait<'a>(
    queues: impl IntoIterator<Item = &'a PortQueue>,
    waker: &'a Waker,
    timeout_ms: u32,
) -> Result<Wakeup, XskError> {
    let mut watched = ArrayVec::<PollFd<'_>, { MAX_PORTS + 1 }>::new();
    watched.push(PollFd::new(waker.event.as_fd(), PollFlags::POLLIN));
    let ports = queues.into_iter().take(MAX_PORTS);
    watched.extend(ports.map(|port| PollFd::new(port.fd(), PollFlags::POLLIN)));
    let timeout = PollTimeout::try_from(timeout_ms).unwrap_or(PollTimeout::MAX);
    match poll(&mut watched, timeout) {
        Ok(_) => {}
        Err(Errno::EINTR) => return Ok(Wakeup::default()),
        Err(source) => return Err(XskError::Wait { operation: "polling the sockets", source }),
    }
    let mut ready = watched.iter().map(|watched| watched.any().unwrap_or(true));
    let woken = Wakeup { waker: ready.next() == Some(true), frames: ready.any(|ready| ready) };
    if woken.waker {
        waker.clear();
    }
    Ok(woken)
}
