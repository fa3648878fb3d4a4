//! What the processor counts: not on every virtual machine.

use std::io;

use perf_event::events::Hardware;
use perf_event::{Builder, Counter, Group};

/// Counters of the calling thread.
pub(crate) struct Counters {
    group: Group,
    instructions: Counter,
    cache_misses: Counter,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    /// Instructions of this program, not of the kernel.
    pub(crate) instructions: u64,
    /// Misses of the last level of the cache.
    pub(crate) cache_misses: u64,
}

impl Counters {
    /// Asks for them.
    ///
    /// # Errors
    /// When the kernel or the machine has none, or does not let us.
    pub(crate) fn open() -> io::Result<Self> {
        let mut group = Group::new()?;
        let instructions = group.add(&Builder::new(Hardware::INSTRUCTIONS))?;
        let cache_misses = group.add(&Builder::new(Hardware::CACHE_MISSES))?;
        Ok(Self { group, instructions, cache_misses })
    }

    /// Counts what `work` takes.
    pub(crate) fn count(&mut self, work: impl FnOnce()) -> io::Result<Counted> {
        self.group.reset()?;
        self.group.enable()?;
        work();
        self.group.disable()?;
        let counts = self.group.read()?;
        Ok(Counted {
            instructions: counts[&self.instructions],
            cache_misses: counts[&self.cache_misses],
        })
    }
}
