//! Processor time of the whole machine: whoever forwards, wherever the kernel does it.
//!
//! Counted as the time in which no core was idle. Of what cores do the kernel takes a sample each
//! tick, which a load that comes and goes with the clock escapes; but it knows to the microsecond
//! since when a core has been idle.

use std::fs;
use std::time::Instant;

/// What `/proc/stat` counts in (USER_HZ): nothing less can be told apart.
pub(super) const TICK_NS: f64 = 1e7;

/// Begins to count.
pub(super) struct Busy {
    start: Instant,
    before: Times,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Times {
    cores: u32,
    /// Ticks of all cores together in which they did nothing, or were not ours.
    away_ticks: u64,
}

impl Busy {
    /// From now on.
    pub(super) fn begin() -> Self {
        Self { start: Instant::now(), before: Times::now() }
    }

    /// Nanoseconds that have passed, and those that all cores together were busy.
    pub(super) fn end(&self) -> (f64, f64) {
        let (passed_ns, now) = (self.start.elapsed().as_nanos() as f64, Times::now());
        let away_ns = now.away_ticks.saturating_sub(self.before.away_ticks) as f64 * TICK_NS;
        (passed_ns, passed_ns * f64::from(now.cores) - away_ns)
    }
}

impl Times {
    fn now() -> Self {
        Self::read(&fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    /// `cpu user nice system idle iowait irq softirq steal guest guest_nice`, proc_stat(5), then
    /// one such line for each core. What a hypervisor takes away is nobody's work.
    fn read(text: &str) -> Self {
        let mut lines = text.lines().take_while(|line| line.starts_with("cpu"));
        let field = |line: &str, at: usize| -> u64 {
            let field = line.split_ascii_whitespace().nth(at);
            field.and_then(|field| field.parse().ok()).unwrap_or(0)
        };
        let away_ticks =
            lines.next().map_or(0, |all| [4, 5, 8].map(|at| field(all, at)).iter().sum());
        Self { cores: lines.count() as u32, away_ticks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_waiting_and_stolen_time_is_not_busy() {
        let text = "cpu  1 2 4 8 16 32 64 128 256 512\ncpu0 1 2 4 8\ncpu1 0 0 0 0\nintr 5\ncpu9\n";
        assert_eq!(Times::read(text), Times { cores: 2, away_ticks: 8 + 16 + 128 });
        assert_eq!(Times::read(""), Times::default());
    }

    #[test]
    fn a_thread_that_never_rests_is_seen() {
        let (busy, start) = (Busy::begin(), Instant::now());
        while start.elapsed().as_millis() < 200 {}
        let (passed_ns, busy_ns) = busy.end();
        assert!(passed_ns >= 2e8 && busy_ns >= 1.5e8, "{busy_ns} of {passed_ns}");
    }
}
