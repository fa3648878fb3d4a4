//! Waits until ports are listened on, as the kernel tells it: `/proc/net/tcp` and `tcp6`.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::Result;
use super::interrupt::Interrupt;
use super::state::Process;
use crate::net::namespace;

const POLL: Duration = Duration::from_millis(20);
/// TCP_LISTEN, include/net/tcp_states.h.
const LISTEN: &str = "0A";

/// A port that a container declares, and that its process is expected to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    /// Where.
    pub(super) network_namespace: String,
    /// The TCP port.
    pub(super) port: u16,
    /// Who shall open it.
    pub(super) process: Process,
    /// The container, for messages.
    pub(super) container: String,
}

/// Waits until all ports are listened on, their processes have ended, or `within` is over.
/// Returns those that nobody listens on.
pub(super) fn wait(
    mut expected: Vec<Expected>,
    within: Duration,
    interrupt: &Interrupt,
) -> Result<Vec<Expected>> {
    let deadline = Instant::now() + within;
    let mut missing = Vec::new();
    loop {
        let namespaces: HashSet<String> =
            expected.iter().map(|one| one.network_namespace.clone()).collect();
        for name in namespaces {
            let open = namespace::run_in(&name, ports)?;
            expected.retain(|one| one.network_namespace != name || !open.contains(&one.port));
        }
        // Who has ended will open nothing any more.
        let (alive, ended) = expected.into_iter().partition(|one| one.process.runs());
        expected = alive;
        missing.extend::<Vec<_>>(ended);
        if expected.is_empty() || Instant::now() >= deadline {
            missing.extend(expected);
            return Ok(missing);
        }
        interrupt.sleep(POLL)?;
    }
}

/// The TCP ports that are listened on in this thread's network namespace.
fn ports() -> HashSet<u16> {
    ["tcp", "tcp6"]
        .iter()
        .filter_map(|file| std::fs::read_to_string(format!("/proc/thread-self/net/{file}")).ok())
        .flat_map(|text| text.lines().filter_map(listening_port).collect::<Vec<_>>())
        .collect()
}

/// `sl local_address rem_address st …`, proc_pid_net(5).
fn listening_port(line: &str) -> Option<u16> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = fields.next()?;
    let state = fields.nth(1)?;
    (state == LISTEN).then(|| u16::from_str_radix(local.rsplit(':').next()?, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_count() {
        let listening = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000";
        let established = "   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000";
        assert_eq!(listening_port(listening), Some(8080));
        assert_eq!(listening_port(established), None);
        assert_eq!(listening_port("  sl  local_address rem_address   st"), None);
        assert_eq!(listening_port(""), None);
    }
}
