//! Processor time by who spent it: unlike packets a second, it says what a packet costs on a
//! machine that others use too.
//!
//! What the kernel does in softirqs counts for the thread that they interrupt, mostly the one that
//! caused them; what it puts off until later, for its `ksoftirqd` threads. (A kernel with
//! `CONFIG_IRQ_TIME_ACCOUNTING` counts softirqs for nobody.)
//!
//! `lab` compares with what no process does, and counts the whole machine's time instead.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::figures::ratio;

const PROC: &str = "/proc";
const SOFTIRQ_THREADS: &str = "ksoftirqd/";

/// Processor time since each of them was started, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuTime {
    harness: u64,
    forwarder: u64,
    softirq: u64,
}

/// Processor time for each packet, in nanoseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct CpuCost {
    /// Of the sender, its kernel's way to the workers' ring included.
    pub(crate) sender_ns: f64,
    /// Of the agent or the bare forwarder, its kernel's way to the backend included.
    pub(crate) forwarder_ns: f64,
    /// Of the kernel's softirq threads: work of both that was put off, and what others cause.
    pub(crate) softirq_ns: f64,
}

/// Reads the clocks.
pub(crate) struct CpuClocks {
    forwarder: Option<PathBuf>,
    softirq: Vec<PathBuf>,
}

impl CpuClocks {
    /// Those of this process, of the forwarder if there is one, and of the kernel.
    pub(crate) fn new(forwarder: Option<u32>) -> Self {
        let processes = fs::read_dir(PROC).into_iter().flatten().flatten();
        let softirq = processes.map(|entry| entry.path()).filter(|path| {
            let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
            name.starts_with(SOFTIRQ_THREADS)
        });
        Self {
            forwarder: forwarder.map(|pid| Path::new(PROC).join(pid.to_string())),
            softirq: softirq.collect(),
        }
    }

    /// What they say now. A process that has gone has none.
    pub(crate) fn read(&self) -> CpuTime {
        CpuTime {
            harness: process_cpu_ns(&Path::new(PROC).join("self")),
            forwarder: self.forwarder.as_deref().map_or(0, process_cpu_ns),
            softirq: self.softirq.iter().map(|path| process_cpu_ns(path)).sum(),
        }
    }
}

impl CpuTime {
    /// What was spent since then on each of so many packets.
    pub(crate) fn cost_since(&self, before: Self, packets: u64) -> CpuCost {
        let each = |now: u64, then: u64| ratio(now.saturating_sub(then) as f64, packets as f64);
        CpuCost {
            sender_ns: each(self.harness, before.harness),
            forwarder_ns: each(self.forwarder, before.forwarder),
            softirq_ns: each(self.softirq, before.softirq),
        }
    }
}

impl CpuCost {
    /// Of all together.
    pub(crate) fn total_ns(&self) -> f64 {
        self.sender_ns + self.forwarder_ns + self.softirq_ns
    }
}

/// Time that all threads of a process, as `/proc` has it, were on a processor, in nanoseconds.
pub(crate) fn process_cpu_ns(process: &Path) -> u64 {
    let threads = fs::read_dir(process.join("task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| on_cpu(&fs::read_to_string(thread.path().join("schedstat")).ok()?))
        .sum()
}

/// Time that the calling thread was on a processor, in nanoseconds.
pub(crate) fn thread_cpu_ns() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    on_cpu(&text).unwrap_or(0)
}

/// `on_cpu waiting timeslices`, in nanoseconds: sched-stats.rst of the kernel.
fn on_cpu(schedstat: &str) -> Option<u64> {
    schedstat.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_on_the_processor_is_the_first_field() {
        assert_eq!(on_cpu("69133 12 1\n"), Some(69133));
        assert_eq!(on_cpu(""), None);
    }

    #[test]
    fn costs_are_for_each_packet() {
        let before = CpuTime { harness: 100, forwarder: 0, softirq: 7 };
        let after = CpuTime { harness: 600, forwarder: 1_000, softirq: 7 };
        let cost = after.cost_since(before, 10);
        assert_eq!([cost.sender_ns, cost.forwarder_ns, cost.softirq_ns], [50.0, 100.0, 0.0]);
        assert!((cost.total_ns() - 150.0).abs() < f64::EPSILON);
    }

    #[test]
    fn this_process_takes_time() {
        assert!(CpuClocks::new(None).read().harness > 0);
    }
}
