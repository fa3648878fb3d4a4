//! The processes inside a network namespace: who they are, and how all of them end.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::error::{NetError, Result};
use super::namespace::{self, Identity};

const POLL: Duration = Duration::from_millis(10);
/// How long a killed process may take to vanish from `/proc`.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// The processes whose main thread is in the named namespace; this one is never among them.
pub(crate) fn inside(name: &str) -> Result<Vec<Pid>> {
    Ok(inside_any(&[namespace::identity(name)?]))
}

/// Ends every process inside the named namespaces: SIGTERM, and SIGKILL to those that are left
/// after `grace`. Names that do not exist are skipped, and so is the machine's own namespace. The
/// caller itself is spared, the shell it was called from inside is not.
pub(crate) fn end_all(names: &[String], grace: Duration) -> Result<()> {
    // Not everywhere may root look at the first process; the second is the kernel's own.
    let of = |pid: u32| Identity::of(Path::new(&format!("/proc/{pid}/ns/net")));
    let machine = of(1).or_else(|_| of(2)).ok();
    let identities: Vec<Identity> = names
        .iter()
        .filter_map(|name| namespace::identity(name).ok())
        .filter(|identity| Some(*identity) != machine)
        .collect();
    if identities.is_empty() || ended(&identities, Signal::SIGTERM, grace).is_empty() {
        return Ok(());
    }
    let left = ended(&identities, Signal::SIGKILL, AFTER_KILL);
    if left.is_empty() {
        return Ok(());
    }
    let pids = left.into_iter().map(Pid::as_raw).collect();
    Err(NetError::StillRunning { pids, namespaces: names.to_vec() })
}

/// Ends one process, politely first. True when it is gone.
pub(crate) fn end(pid: Pid, grace: Duration) -> bool {
    let gone = |within: Duration| {
        let deadline = Instant::now() + within;
        loop {
            if !runs(pid) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(POLL);
        }
    };
    let _ = kill(pid, Signal::SIGTERM);
    if gone(grace) {
        return true;
    }
    let _ = kill(pid, Signal::SIGKILL);
    gone(AFTER_KILL)
}

/// Whether the process exists and has not ended (a zombie has).
pub(crate) fn runs(pid: Pid) -> bool {
    stat_fields(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// When the process started, in clock ticks since boot: with the pid, its identity.
pub(crate) fn start_ticks(pid: Pid) -> Option<u64> {
    stat_fields(pid).map(|(_, start)| start)
}

/// State (field 3) and start time (field 22) of `/proc/PID/stat`, proc_pid_stat(5).
fn stat_fields(pid: Pid) -> Option<(char, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Field 2 is the program's name in parentheses, and may hold anything.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// Signals everyone inside until nobody is left or `within` is over; returns who is left.
/// Processes that are forked meanwhile are found by the next look.
fn ended(identities: &[Identity], signal: Signal, within: Duration) -> Vec<Pid> {
    let deadline = Instant::now() + within;
    let mut told: Vec<Pid> = Vec::new();
    loop {
        let left = inside_any(identities);
        for pid in &left {
            if !told.contains(pid) {
                told.push(*pid);
                let _ = kill(*pid, signal);
            }
        }
        if left.is_empty() || Instant::now() >= deadline {
            return left;
        }
        std::thread::sleep(POLL);
    }
}

fn inside_any(identities: &[Identity]) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .map(Pid::from_raw)
        .filter(|pid| *pid != nix::unistd::getpid())
        .filter(|pid| {
            // A zombie has no namespace any more, and a kernel thread is in the first one.
            Identity::of(Path::new(&format!("/proc/{pid}/ns/net")))
                .is_ok_and(|identity| identities.contains(&identity))
        })
        .collect()
}
