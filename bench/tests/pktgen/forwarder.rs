//! A forwarder that does to packets just what it is told, and counts it.
//!
//! ```text
//!   g0 ═══ d0 ── forwarder ── d1 ═══ g1      in a network namespace of its own
//! ```

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, bind,
    recvfrom, send, setsockopt, socket, sockopt,
};

const BUFFER_BYTES: usize = 64 << 20;
const MAX_FRAME: usize = 4_096;

/// What happens to every so manieth packet.
#[derive(Clone, Copy, Default)]
pub(crate) struct Deeds {
    pub(crate) drop_every: Option<u64>,
    pub(crate) repeat_every: Option<u64>,
    /// Exchanged with the one behind it.
    pub(crate) swap_every: Option<u64>,
    pub(crate) damage_every: Option<u64>,
    pub(crate) delay: Duration,
    /// Packets are for 10.2.0.101 and so on instead, so many backends in turn. Nobody translates
    /// their replies back.
    pub(crate) backends: u8,
}

/// What it did.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Done {
    pub(crate) seen: u64,
    pub(crate) dropped: u64,
    pub(crate) repeated: u64,
    pub(crate) swapped: u64,
    pub(crate) damaged: u64,
}

/// Runs `work` in a network namespace of its own with both veth pairs; skips where nobody may.
pub(crate) fn within_rig(work: impl FnOnce() + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: network namespaces need root");
        return;
    }
    let body = || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a namespace");
        for (one, other) in [("g0", "d0"), ("g1", "d1")] {
            ip(&format!("link add {one} type veth peer name {other}"));
            for end in [one, other] {
                ip(&format!("link set {end} addrgenmode none"));
                ip(&format!("link set {end} arp off up"));
            }
        }
        ip("address add 10.1.0.1/24 dev g0");
        ip("address add 10.2.0.1/24 dev g1");
        work();
    };
    if let Err(panic) = thread::spawn(body).join() {
        std::panic::resume_unwind(panic);
    }
}

pub(crate) fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("ip");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// At work in one direction until it is stopped.
pub(crate) struct Forwarder {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Done>,
}

impl Forwarder {
    /// From one interface of the calling thread's namespace to another.
    pub(crate) fn start(from: &str, to: &str, deeds: Deeds) -> Self {
        let (input, output) = (packet_socket(from), packet_socket(to));
        let stop = Arc::new(AtomicBool::new(false));
        let halt = stop.clone();
        Self { stop, thread: thread::spawn(move || forward(&input, &output, deeds, &halt)) }
    }

    pub(crate) fn stop(self) -> Done {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the forwarder")
    }
}

fn forward(input: &OwnedFd, output: &OwnedFd, deeds: Deeds, stop: &AtomicBool) -> Done {
    let mut done = Done::default();
    let mut held: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut exchanged: Option<Vec<u8>> = None;
    let mut buffer = [0; MAX_FRAME];
    while !stop.load(Ordering::Relaxed) {
        let length = receive(input, &mut buffer);
        if length > 0 {
            let due = Instant::now() + deeds.delay;
            for frame in done.change(buffer[..length].to_vec(), &deeds, &mut exchanged) {
                held.push_back((due, frame));
            }
        }
        let mut idle = length == 0;
        while held.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            let (_, frame) = held.pop_front().expect("a frame");
            send(output.as_raw_fd(), &frame, MsgFlags::empty()).expect("sent");
            idle = false;
        }
        if idle {
            thread::sleep(Duration::from_micros(100));
        }
    }
    done
}

/// The next packet that came in; 0 if there is none. The socket also sees those that go out.
fn receive(input: &OwnedFd, buffer: &mut [u8]) -> usize {
    const OUTGOING: u8 = 4; // PACKET_OUTGOING, packet(7)
    loop {
        match recvfrom::<LinkAddr>(input.as_raw_fd(), buffer) {
            Ok((_, Some(from))) if from.pkttype() == OUTGOING => {}
            Ok((length, _)) => return length,
            Err(Errno::EAGAIN) => return 0,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Done {
    /// What goes on because of one frame, in order.
    fn change(
        &mut self,
        mut frame: Vec<u8>,
        deeds: &Deeds,
        exchanged: &mut Option<Vec<u8>>,
    ) -> Vec<Vec<u8>> {
        self.seen += 1;
        if deeds.backends > 0 {
            translate(&mut frame, 101 + (self.seen % u64::from(deeds.backends)) as u8);
        }
        let is_due =
            |every: Option<u64>| every.is_some_and(|every| self.seen.is_multiple_of(every));
        if let Some(before) = exchanged.take() {
            self.swapped += 1;
            return vec![frame, before];
        }
        if is_due(deeds.drop_every) {
            self.dropped += 1;
            return Vec::new();
        }
        if is_due(deeds.damage_every) {
            self.damaged += 1;
            let last = frame.len() - 1;
            frame[last] ^= 0x40;
        }
        if is_due(deeds.swap_every) {
            *exchanged = Some(frame);
            return Vec::new();
        }
        if is_due(deeds.repeat_every) {
            self.repeated += 1;
            return vec![frame.clone(), frame];
        }
        vec![frame]
    }
}

/// UDP over IPv4: another destination, with the sums that belong to it.
fn translate(frame: &mut [u8], host: u8) {
    frame[30..34].copy_from_slice(&[10, 2, 0, host]);
    let (header, _) = etherparse::Ipv4Header::from_slice(&frame[14..]).expect("IPv4");
    frame[24..26].copy_from_slice(&header.calc_header_checksum().to_be_bytes());
    // None (RFC 768).
    frame[40..42].fill(0);
}

/// Takes what comes in at an interface, or sends out of it.
fn packet_socket(interface: &str) -> OwnedFd {
    let all = SockProtocol::EthAll;
    let socket = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        all,
    )
    .expect("a packet socket");
    setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES).expect("a large buffer");
    let address: SockaddrStorage = getifaddrs()
        .expect("interfaces")
        .filter(|one| one.interface_name == interface)
        .filter_map(|one| one.address)
        .find(|address| address.as_link_addr().is_some())
        .expect("the interface");
    bind(socket.as_raw_fd(), &address).expect("bound");
    socket
}
