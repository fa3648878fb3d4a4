//! Threads inside a Pod: in its network namespace, on a core of their choice.

use std::fs::File;
use std::path::Path;
use std::thread::{self, JoinHandle};

use nix::sched::{CloneFlags, CpuSet, sched_setaffinity, setns};
use nix::unistd::Pid;

use crate::error::{BenchError, Result};

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
            enter(&namespace)?;
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

fn enter(namespace: &str) -> Result<()> {
    let file = File::open(Path::new("/run/netns").join(namespace))
        .map_err(BenchError::kernel("open the namespace", namespace))?;
    setns(&file, CloneFlags::CLONE_NEWNET)
        .map_err(BenchError::kernel("enter the namespace", namespace))
}

/// A machine with fewer cores runs the thread wherever it can.
fn pin(core: usize) {
    let mut cores = CpuSet::new();
    if cores.set(core).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &cores);
    }
}
