//! Processor time of the whole machine: whoever forwards, wherever the kernel does it. (The rig's
//! clocks say which process spent it, where it is known who forwards.)
//!
//! Counted as the time in which no core was idle, less that of programs that are none of the lab's.
//! Of what cores do the kernel takes a sample each tick, which a load that comes and goes with the
//! clock escapes; but it knows to the microsecond since when a core has been idle, and to the
//! nanosecond how long a thread ran.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::rig::process_cpu_ns;

/// What `/proc/stat` counts in (USER_HZ): nothing less can be told apart.
pub(super) const TICK_NS: f64 = 1e7;

/// Begins to count.
pub(super) struct Busy {
    start: Instant,
    before: Times,
    others: HashMap<u32, u64>,
}

/// What was spent of so much time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent {
    /// The time, in nanoseconds.
    pub(super) passed_ns: f64,
    /// In which cores were busy, of all cores together.
    busy_ns: f64,
    /// With programs that are none of the lab's.
    others_ns: f64,
}

/// A part of a trial in which packets are counted, from when the first one was sent.
pub(super) struct Window {
    length: Duration,
    begun: Option<(Busy, u64)>,
    result: Option<(Spent, u64)>,
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
        let others = others().collect();
        Self { start: Instant::now(), before: Times::now(), others }
    }

    /// Until now.
    pub(super) fn end(&self) -> Spent {
        let (passed_ns, now) = (self.start.elapsed().as_nanos() as f64, Times::now());
        let away_ns = now.away_ticks.saturating_sub(self.before.away_ticks) as f64 * TICK_NS;
        // Of one that came meanwhile, all; of one that has gone, nobody knows.
        let since =
            |(pid, ns): (u32, u64)| ns.saturating_sub(self.others.get(&pid).copied().unwrap_or(0));
        Spent {
            passed_ns,
            busy_ns: passed_ns * f64::from(now.cores) - away_ns,
            others_ns: others().map(since).sum::<u64>() as f64,
        }
    }
}

impl Spent {
    /// All but what other programs spent.
    pub(super) fn ours_ns(&self) -> f64 {
        self.busy_ns - self.others_ns
    }

    /// Cores' worth of other programs.
    pub(super) fn others_cores(&self) -> f64 {
        self.others_ns / self.passed_ns
    }
}

impl Window {
    /// Of such a length.
    pub(super) fn new(length: Duration) -> Self {
        Self { length, begun: None, result: None }
    }

    /// Looks how far it is, when so many packets have been sent.
    pub(super) fn look(&mut self, sent: u64) {
        match &self.begun {
            None if sent > 0 => self.begun = Some((Busy::begin(), sent)),
            Some((busy, before))
                if self.result.is_none() && busy.start.elapsed() >= self.length =>
            {
                self.result = Some((busy.end(), sent - before));
            }
            _ => {}
        }
    }

    /// What was spent on how many packets; none when the trial ended before.
    pub(super) fn result(&self) -> Option<(Spent, u64)> {
        self.result.filter(|(_, packets)| *packets > 0)
    }
}

/// Processes that are neither this one nor its children, and their processor time so far, in
/// nanoseconds. The kernel's threads are not among them: they may work for a subject.
fn others() -> impl Iterator<Item = (u32, u64)> {
    let own = std::process::id();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(move |process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let path = process.path();
        let is_other = pid != own && is_program(&path) && parent(&path) != Some(own);
        is_other.then(|| (pid, process_cpu_ns(&path)))
    })
}

/// Threads of the kernel have no command line, proc_pid_cmdline(5).
fn is_program(process: &Path) -> bool {
    fs::read(process.join("cmdline")).is_ok_and(|line| !line.is_empty())
}

/// `pid (comm) state ppid …`, proc_pid_stat(5).
fn parent(process: &Path) -> Option<u32> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    stat.rsplit(')').next()?.split_ascii_whitespace().nth(1)?.parse().ok()
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
    use std::process::Command;

    use super::*;

    #[test]
    fn idle_waiting_and_stolen_time_is_not_busy() {
        let text = "cpu  1 2 4 8 16 32 64 128 256 512\ncpu0 1 2 4 8\ncpu1 0 0 0 0\nintr 5\ncpu9\n";
        assert_eq!(Times::read(text), Times { cores: 2, away_ticks: 8 + 16 + 128 });
        assert_eq!(Times::read(""), Times::default());
    }

    #[test]
    fn a_thread_that_never_rests_is_seen() {
        let (mut window, start) = (Window::new(Duration::from_millis(200)), Instant::now());
        window.look(0);
        window.look(5);
        while start.elapsed().as_millis() < 300 {}
        window.look(105);
        let (spent, packets) = window.result().expect("a result");
        assert_eq!(packets, 100);
        assert!(spent.passed_ns >= 2e8 && spent.busy_ns >= 1.5e8, "{spent:?}");
    }

    #[test]
    fn children_are_of_the_lab_and_strangers_are_not() {
        let mut child = Command::new("sleep").arg("10").spawn().expect("sleep");
        let known: HashMap<u32, u64> = others().collect();
        // Who started this test, and the child that it started.
        let is_strange = known.contains_key(&std::os::unix::process::parent_id());
        let is_child_strange = known.contains_key(&child.id());
        child.kill().and_then(|()| child.wait()).expect("ended");
        assert!(is_strange && !is_child_strange && !known.contains_key(&std::process::id()));
    }
}
