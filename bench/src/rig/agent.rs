//! The lab's agent, which is nobody's child.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::Result;
use crate::interrupt::Interrupt;

/// How long it may take to take down what it set up.
const GRACE_S: u64 = 10;

/// Its process, until it is stopped.
pub(super) struct Agent(Pid);

impl Agent {
    /// The agent that the lab says it has.
    pub(super) fn of(pid: u32) -> Self {
        Self(Pid::from_raw(pid.cast_signed()))
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.as_raw().cast_unsigned()
    }

    /// Asks it to end, and waits until it has.
    pub(super) fn stop(&self, interrupt: &Interrupt) -> Result<()> {
        // One that has ended needs no signal.
        let _ = kill(self.0, Signal::SIGTERM);
        interrupt.wait_until("the agent to end", GRACE_S, || Ok(!self.runs()))
    }

    /// Ended, it may wait for its new parent to take note of it.
    pub(super) fn runs(&self) -> bool {
        fs::read_to_string(format!("/proc/{}/stat", self.0))
            .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z"))
    }
}
