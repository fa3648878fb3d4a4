use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use super::AgentError;

/// Bit of CAP_NET_ADMIN in a capability mask (`capability.h`).
const NET_ADMIN: u32 = 12;
/// An abstract socket belongs to a network namespace and goes with its process, however that ends:
/// just what a lock for "one agent a namespace" has to do.
const LOCK_NAME: &str = "maglane-agent";

/// Checks that this process may shape the network.
pub(super) fn check_privileges() -> Result<(), AgentError> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Where /proc does not say, the kernel will.
    if mask.is_none_or(|mask| mask & (1 << NET_ADMIN) != 0) {
        Ok(())
    } else {
        Err(AgentError::Unprivileged)
    }
}

/// Holds the namespace for one agent as long as it lives.
pub(super) fn only_agent_here() -> Result<UnixListener, AgentError> {
    let address = SocketAddr::from_abstract_name(LOCK_NAME).map_err(AgentError::Lock)?;
    UnixListener::bind_addr(&address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => AgentError::NotAlone,
        _ => AgentError::Lock(error),
    })
}
