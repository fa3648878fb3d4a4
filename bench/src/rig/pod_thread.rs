//! Threads inside a Pod: in its network namespace, on a core of their choice.

use std::thread::{self, JoinHandle};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::error::{BenchError, Result};
use crate::namespace::Namespace;

/// A thread inside a network namespace.
pub(crate) struct Placed<T>(JoinHandle<Result<T>>);

impl<T: Send + 'static> Placed<T> {
    /// Starts `work` in a namespace, pinned to a core if one is given and the machine has it.
    pub(crate) fn spawn(
        namespace: &str,
        core: Option<usize>,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Self {
        let namespace = namespace.to_owned();
        Self(thread::spawn(move || {
            Namespace::named(&namespace)?.enter()?;
            if let Some(core) = core {
                pin(core);
            }
            work()
        }))
    }

    /// What it came to.
    pub(crate) fn join(self) -> Result<T> {
        self.0.join().map_err(|_| BenchError::Panicked)?
    }
}

/// Runs `work` in a namespace, and waits for it.
pub(crate) fn inside<T: Send + 'static>(
    namespace: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    Placed::spawn(namespace, None, work).join()
}

/// A machine with fewer cores runs the thread wherever it can.
pub(crate) fn pin(core: usize) {
    let mut cores = CpuSet::new();
    if cores.set(core).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &cores);
    }
}
