//! A real server, in the server's namespace.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::place::{Place, TCP_PORT};
use crate::error::Result;
use crate::rig::{Program, end, typed};

/// How long a server may take to listen, or to end.
const PATIENCE_S: u64 = 5;

/// Listens until it is dropped.
pub(super) struct Server(Program);

impl Server {
    /// Starts it, and waits until it listens.
    ///
    /// # Errors
    /// When it does not.
    pub(super) fn start(place: &Place, mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        place.server.run(|| {
            let mut server = Self(Program::start(&mut command)?);
            let what = format!("{} to listen", typed(&command));
            place.interrupt.wait_until(&what, PATIENCE_S, || {
                server.check()?;
                Ok(is_listening(TCP_PORT))
            })?;
            Ok(server)
        })
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// How it ended, and what it said.
    pub(super) fn check(&mut self) -> Result<()> {
        self.0.check()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let child = &mut self.0.child;
        // nginx takes its workers with it only when it is asked.
        let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
        end(child, Duration::from_secs(PATIENCE_S));
    }
}

/// Whether somebody listens on a port of the calling thread's namespace. Not found out by a
/// connection: iperf3 would take it for a client.
fn is_listening(port: u16) -> bool {
    let tables = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"];
    tables.iter().any(|table| {
        let text = fs::read_to_string(table).unwrap_or_default();
        text.lines().any(|line| is_listener(line, port))
    })
}

/// `sl local_address rem_address st …`, proc_net_tcp(5): 0A is LISTEN.
fn is_listener(line: &str, port: u16) -> bool {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = fields.next().unwrap_or_default();
    local.ends_with(&format!(":{port:04X}")) && fields.nth(1) == Some("0A")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::interrupt::Interrupt;

    #[test]
    fn listeners_are_told_from_connections() {
        let line = "   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000";
        assert!(is_listener(line, 8080));
        assert!(!is_listener(line, 80));
        assert!(!is_listener(&line.replace(" 0A ", " 01 "), 8080));
    }

    #[test]
    fn a_server_that_ends_says_how_and_why() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: network namespaces need root");
            return;
        }
        let place = Place::make(&Interrupt::default()).expect("namespaces");
        let start = Instant::now();
        let mut command = Command::new("sh");
        let script = "echo 'no such directive' >&2; exit 3";
        command.args(["-c", script]);
        let error = Server::start(&place, command).err().expect("it ended").to_string();
        assert_eq!(error, format!("sh -c {script} failed (exit status: 3): no such directive"));
        assert!(start.elapsed() < Duration::from_secs(PATIENCE_S));
    }
}
