use std::fs;
use std::thread;

use serde::{Deserialize, Serialize};

/// Where it was measured, for whoever reads the figures later.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Release of the kernel.
    pub(crate) kernel: String,
    /// The processor's name.
    pub(crate) processor: String,
    /// Cores that this process may use.
    pub(crate) cores: usize,
    /// Load averages over 1, 5 and 15 minutes before it began: what else ran.
    pub(crate) load_before: String,
}

impl Machine {
    /// This one, now.
    pub(crate) fn now() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("unknown".to_owned(), |(_, name)| name.to_owned());
        let load = read("/proc/loadavg");
        Self {
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            processor,
            cores: thread::available_parallelism().map_or(1, usize::from),
            load_before: load.split(' ').take(3).collect::<Vec<_>>().join(" "),
        }
    }

    /// One line.
    pub(crate) fn show(&self) -> String {
        format!(
            "{} cores, {}, Linux {}, load {}",
            self.cores, self.processor, self.kernel, self.load_before
        )
    }
}
