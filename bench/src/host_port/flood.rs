//! The sender: one thread in the client Pod that sends prepared frames with `sendmmsg` through a
//! packet socket, as fast as the kernel takes them. What the kernel does for a packet, down to the
//! workers' ring, it does on this thread's core.

use std::io::IoSlice;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, MsgFlags, MultiHeaders, SockFlag, SockType, SockaddrStorage, bind, sendmmsg,
    socket,
};

use super::frames::Frame;
use crate::error::{BenchError, Result};
use crate::rig::{Placed, inside};

/// Frames of one `sendmmsg`.
pub(super) const BATCH_FRAMES: usize = 64;
/// The sender's core; the engine gives its workers the last ones first.
const CORE: usize = 0;
const INTERFACE: &str = "eth0";
/// How long the client Pod may take to find its gateway's Ethernet address.
const RESOLVE: Duration = Duration::from_secs(2);

/// A sender at work. Dropped, it stops.
pub(super) struct Flood {
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<Placed<()>>,
}

impl Flood {
    /// Starts to send these frames, over and over, from inside a namespace.
    pub(super) fn start(namespace: &str, frames: Vec<Frame>) -> Self {
        let (sent, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (place, count, halt) = (namespace.to_owned(), sent.clone(), stop.clone());
        let work = move || send_all(&place, &frames, &count, &halt);
        Self { sent, stop, thread: Some(Placed::spawn(namespace, Some(CORE), work)) }
    }

    /// Frames that the kernel took so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Stops it. Returns how many frames the kernel took.
    pub(super) fn stop(mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join()?;
        }
        Ok(self.sent())
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn send_all(place: &str, frames: &[Frame], sent: &AtomicU64, stop: &AtomicBool) -> Result<()> {
    let socket = packet_socket(place)?;
    let messages: Vec<[IoSlice<'_>; 1]> =
        frames.iter().map(|frame| [IoSlice::new(frame)]).collect();
    let nowhere = [None::<()>; BATCH_FRAMES];
    let mut headers = MultiHeaders::<()>::preallocate(BATCH_FRAMES, None);
    let mut total = 0;
    while !stop.load(Ordering::Relaxed) {
        for batch in messages.chunks(BATCH_FRAMES) {
            let fd = socket.as_raw_fd();
            let flags = MsgFlags::empty();
            total += match sendmmsg(fd, &mut headers, batch, nowhere, [], flags) {
                Ok(taken) => taken.count() as u64,
                // The device's queue is full, or the socket's buffer: no frame was taken.
                Err(Errno::ENOBUFS | Errno::EAGAIN | Errno::EINTR) => 0,
                Err(errno) => return Err(BenchError::kernel("send", place)(errno)),
            };
            sent.store(total, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// A socket that sends frames through the Pod's interface, and receives none.
fn packet_socket(place: &str) -> Result<OwnedFd> {
    let fail = |operation| BenchError::kernel::<Errno>(operation, place);
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
        .map_err(fail("open a packet socket"))?;
    bind(socket.as_raw_fd(), &link_address(place)?).map_err(fail("bind a packet socket"))?;
    Ok(socket)
}

/// The Pod's interface as an address: its index, and its Ethernet address.
fn link_address(place: &str) -> Result<SockaddrStorage> {
    let addresses = getifaddrs().map_err(BenchError::kernel("list interfaces", place))?;
    addresses
        .filter(|one| one.interface_name == INTERFACE)
        .filter_map(|one| one.address)
        .find(|address| address.as_link_addr().is_some())
        .ok_or_else(|| BenchError::missing("find eth0", place))
}

/// The Ethernet addresses of a Pod's interface and of its gateway.
pub(super) fn ethernet_addresses(namespace: &str, towards: Ipv4Addr) -> Result<[[u8; 6]; 2]> {
    let place = namespace.to_owned();
    inside(namespace, move || {
        let own = link_address(&place)?;
        let own = own.as_link_addr().and_then(|link| link.addr());
        let own = own.ok_or_else(|| BenchError::missing("read the address of eth0", &place))?;
        Ok([own, gateway(&place, towards)?])
    })
}

/// Sends something, so that the kernel asks who the gateway is, and reads what it learned.
fn gateway(place: &str, towards: Ipv4Addr) -> Result<[u8; 6]> {
    const DISCARD_PORT: u16 = 9;
    let asked = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
        .and_then(|socket| socket.send_to(&[], (towards, DISCARD_PORT)));
    asked.map_err(BenchError::kernel("find the gateway", place))?;
    let deadline = Instant::now() + RESOLVE;
    loop {
        let table = std::fs::read_to_string("/proc/thread-self/net/arp").unwrap_or_default();
        if let Some(mac) = table.lines().find_map(resolved) {
            return Ok(mac);
        }
        if Instant::now() >= deadline {
            return Err(BenchError::missing("find the gateway's Ethernet address", place));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `IP address, HW type, Flags, HW address, Mask, Device`, proc_net(5); incomplete ones are zero.
fn resolved(line: &str) -> Option<[u8; 6]> {
    let mut fields = line.split_ascii_whitespace().skip(3);
    let (text, device) = (fields.next()?, fields.nth(1)?);
    let mut mac = [0; 6];
    let mut bytes = text.split(':');
    for byte in &mut mac {
        *byte = u8::from_str_radix(bytes.next()?, 16).ok()?;
    }
    (device == INTERFACE && mac != [0; 6]).then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_neighbours_that_answered_count() {
        let line = "169.254.1.1      0x1         0x2         ee:ee:ee:ee:ee:0e     *        eth0";
        assert_eq!(resolved(line), Some([0xee, 0xee, 0xee, 0xee, 0xee, 0x0e]));
        let line = "169.254.1.1      0x1         0x0         00:00:00:00:00:00     *        eth0";
        assert_eq!(resolved(line), None);
        assert_eq!(
            resolved("IP address       HW type     Flags       HW address  Mask Device"),
            None
        );
    }
}
