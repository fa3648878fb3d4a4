//! Processor time of the whole machine: whoever forwards, wherever the kernel does it.

use std::fs;

/// What `/proc/stat` counts in (USER_HZ).
const TICK_NS: f64 = 1e7;

/// Nanoseconds that all cores together were busy since the machine's start.
pub(super) fn busy_ns() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    text.lines().next().and_then(busy_ticks).map_or(0.0, |ticks| ticks as f64 * TICK_NS)
}

/// `cpu user nice system idle iowait irq softirq steal guest guest_nice`, proc_stat(5). What a
/// hypervisor takes away is nobody's work; guests are counted as user already.
fn busy_ticks(line: &str) -> Option<u64> {
    let fields = line.strip_prefix("cpu ")?.split_ascii_whitespace();
    let ticks: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
    let [user, nice, system, _idle, _waiting, irq, softirq, ..] = ticks.as_slice() else {
        return None;
    };
    Some(user + nice + system + irq + softirq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_waiting_and_stolen_time_is_not_busy() {
        assert_eq!(busy_ticks("cpu  1 2 4 8 16 32 64 128 256 512"), Some(1 + 2 + 4 + 32 + 64));
        assert_eq!(busy_ticks("cpu0 1 2 4 8 16 32 64"), None);
        assert!(busy_ns() > 0.0);
    }
}
