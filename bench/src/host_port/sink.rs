//! Where packets arrive: counted by the Pod's interface, then dropped by a socket that nobody
//! reads, which costs the kernel the least and lets it answer nothing.

use std::fs::File;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::FileExt;

use nix::sys::socket::{setsockopt, sockopt};

use crate::error::{BenchError, Result};
use crate::rig::{Pod, inside};

const INTERFACE: &str = "eth0:";
/// More than `/proc/net/dev` has of a Pod's two interfaces.
const TABLE_BYTES: usize = 4096;

/// A Pod's receiving side.
pub(super) struct Sink {
    place: String,
    /// `/proc/net/dev` as it is inside the Pod: it stays the Pod's, whoever reads it.
    interfaces: File,
    _socket: UdpSocket,
}

impl Sink {
    /// Opens a port in a Pod.
    pub(super) fn open(pod: &Pod, port: u16) -> Result<Self> {
        let place = pod.network_namespace.clone();
        inside(&pod.network_namespace, move || {
            let interfaces = File::open("/proc/thread-self/net/dev")
                .map_err(BenchError::kernel("open /proc/net/dev", &place))?;
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))
                .map_err(BenchError::kernel("listen", &place))?;
            setsockopt(&socket, sockopt::RcvBuf, &1)
                .map_err(BenchError::kernel("shrink the receive buffer", &place))?;
            Ok(Self { place, interfaces, _socket: socket })
        })
    }

    /// Packets that the Pod's interface received since it is there.
    pub(super) fn received(&self) -> Result<u64> {
        let mut table = [0; TABLE_BYTES];
        let fail = BenchError::kernel("read /proc/net/dev", &self.place);
        let length = self.interfaces.read_at(&mut table, 0).map_err(fail)?;
        let text = String::from_utf8_lossy(table.get(..length).unwrap_or_default());
        let packets = text.lines().find_map(received_packets);
        packets.ok_or_else(|| BenchError::missing("find eth0 in /proc/net/dev", &self.place))
    }
}

/// `name: bytes packets …`, proc_pid_net(5).
fn received_packets(line: &str) -> Option<u64> {
    let mut fields = line.trim_start().strip_prefix(INTERFACE)?.split_ascii_whitespace();
    fields.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn received_packets_are_the_second_field() {
        let line =
            "  eth0:  1296      17    0    0    0     0          0         0  1296  16 0 0 0";
        assert_eq!(received_packets(line), Some(17));
        assert_eq!(received_packets("    lo:  5 6 0 0 0 0 0 0 5 6 0 0"), None);
        assert_eq!(received_packets(" face |bytes    packets errs"), None);
    }
}
