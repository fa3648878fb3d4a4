//! The yardstick: what AF_XDP on the host port costs when nobody looks at the packets.
//!
//! Same steering programs, rings and poll modes as the engine, and no Service: every frame goes
//! straight to one Pod, whatever it holds. Only the message in the Ethernet header is read and
//! written; addresses stay, so the sink has to take packets for the Service's address.
//!
//! ```text
//!   client Pod ── pod_ingress ─> mlg1 ═══ mlg0 ── this ── mlg0 ═══ mlg1 ─> sink Pod
//! ```
//!
//! Runs in the network namespace of a node that has a host port and no agent. Says `ready` when
//! packets may come; ends when its standard input does, and then prints what it counted, a name
//! and a number a line. What it attached vanishes with it, however it ends.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::iter;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use arrayvec::ArrayVec;
use clap::{Parser, ValueEnum};
use maglane_dataplane::engine::EngineConfig;
use maglane_dataplane::steer::{Steering, SteeringConfig, disable_transmit_offloads};
use maglane_dataplane::wire::HashKeys;
use maglane_dataplane::wire::{WayOut, read_message, write_message};
use maglane_dataplane::xsk::{
    BATCH, CopyMode, Frame, FramePool, FramePoolConfig, MAX_MTU, PortQueue, PortQueueConfig, Waker,
    wait,
};
use nix::net::if_::if_nametoindex;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const OUTER: &str = "mlg0";
const INNER: &str = "mlg1";
/// The host port's slot, rounds before a sleep and its length, and Ethernet with a VLAN tag: as
/// the engine has them.
const HOST_PORT_SLOT: u32 = 0;
const IDLE_ROUNDS: u32 = 64;
const SLEEP_MS: u32 = 100;
const LINK_HEADER_BYTES: u32 = 18;
/// Nobody writes any: as few as the steering programs can have.
const FINGERPRINT_BUCKETS: u32 = 64;

/// Forwards every packet for one Service address to one Pod.
#[derive(Parser)]
struct Options {
    /// The node's end of the client Pod's veth.
    #[arg(long, value_name = "IFACE")]
    client: String,
    /// The node's end of the sink Pod's veth.
    #[arg(long, value_name = "IFACE")]
    sink: String,
    /// The Service address.
    #[arg(long, value_name = "IP")]
    vip: IpAddr,
    /// Worker threads, one queue of the host port each.
    #[arg(long, value_name = "N", default_value_t = 1)]
    workers: u32,
    /// How workers wait for packets.
    #[arg(long, value_enum, default_value_t = Poll::Adaptive)]
    poll: Poll,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Poll {
    Busy,
    Adaptive,
}

/// What a worker says when it is done.
#[derive(Default)]
struct Counted {
    forwarded: u64,
    no_message: u64,
    not_sent: u64,
    ring_full: u64,
}

struct Worker {
    queue: PortQueue,
    pool: FramePool,
    sink: WayOut,
    busy_poll: bool,
    waker: Waker,
    stop: Arc<AtomicBool>,
    counted: Counted,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let limits = EngineConfig { workers: options.workers, ..EngineConfig::default() };
    limits.check()?;
    let inner_interface = if_nametoindex(INNER)?;
    let sink = WayOut::Pod { interface: if_nametoindex(options.sink.as_str())?, mac: [0; 6] };
    disable_transmit_offloads(INNER)?;
    let mut steering = Steering::load(&SteeringConfig {
        workers: options.workers,
        keys: HashKeys::new(rand::random()),
        buckets_per_worker: FINGERPRINT_BUCKETS,
        inner_interface,
        max_frame_bytes: MAX_MTU as u32 + LINK_HEADER_BYTES,
    })?;
    steering.change_service_addresses(iter::empty(), iter::once(options.vip.into()))?;

    let stop = Arc::new(AtomicBool::new(false));
    let mut wakers = Vec::new();
    let mut threads = Vec::new();
    for number in 0..options.workers {
        let waker = Waker::new()?;
        wakers.push(waker.clone());
        let (bound, socket) = channel();
        let (limits, stop) = (limits.clone(), stop.clone());
        let busy_poll = options.poll == Poll::Busy;
        let body = move || {
            pin(number);
            let (queue, pool) = open(&limits, number, &bound)?;
            let counted = Counted::default();
            Worker { queue, pool, sink, busy_poll, waker, stop, counted }.run()
        };
        threads.push(thread::spawn(body));
        // A worker that cannot open its queue says why when it is joined.
        let Ok(socket) = socket.recv() else { break };
        steering.set_socket(HOST_PORT_SLOT, number, socket)?;
    }
    if threads.iter().all(|thread| !thread.is_finished()) {
        let _host_port = steering.attach_host_port(OUTER, INNER)?;
        let _client = steering.attach_pod(&options.client)?;
        let _sink = steering.attach_pod(&options.sink)?;
        say(&["ready".to_owned()])?;
        io::stdin().lock().lines().for_each(drop);
    }
    stop.store(true, Ordering::Relaxed);
    wakers.iter().for_each(Waker::wake);
    let mut total = Counted::default();
    for thread in threads {
        let counted = thread.join().map_err(|_| "a worker panicked")??;
        total.forwarded += counted.forwarded;
        total.no_message += counted.no_message;
        total.not_sent += counted.not_sent;
        total.ring_full += counted.ring_full;
    }
    say(&[
        format!("forwarded {}", total.forwarded),
        format!("drop_no_message {}", total.no_message),
        format!("drop_transmit_ring_full {}", total.not_sent),
        format!("rx_ring_full {}", total.ring_full),
    ])
}

fn say(lines: &[String]) -> Result<()> {
    let mut out = io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}

/// To the core that the engine would give this worker: the last ones first.
fn pin(number: u32) {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    if let Some(core) = cores.iter().rev().cycle().nth(number as usize) {
        core_affinity::set_for_current(*core);
    }
}

/// The worker's queue of the host port, primed; its socket goes to whoever waits for it.
fn open(
    limits: &EngineConfig,
    number: u32,
    bound: &Sender<RawFd>,
) -> Result<(PortQueue, FramePool)> {
    let mut pool = FramePool::new(FramePoolConfig {
        frames: limits.frames_per_worker,
        ring_size_frames: limits.ring_size_frames,
        huge_pages: false,
    })?;
    let config = PortQueueConfig {
        interface: OUTER.to_owned(),
        queue: number,
        copy: Some(CopyMode::Copy),
        ring_size_frames: limits.ring_size_frames,
    };
    let mut queue = PortQueue::bind(&mut pool, &config)?;
    queue.refill(&mut pool);
    bound.send(queue.fd().as_raw_fd())?;
    Ok((queue, pool))
}

impl Worker {
    fn run(mut self) -> Result<Counted> {
        let mut idle_rounds = 0;
        while !self.stop.load(Ordering::Relaxed) {
            idle_rounds = if self.breathe() { 0 } else { idle_rounds + 1 };
            if idle_rounds >= IDLE_ROUNDS && !self.busy_poll {
                wait([&self.queue], &self.waker, SLEEP_MS)?;
                idle_rounds = 0;
            }
        }
        self.counted.ring_full = self.queue.statistics()?.rx_ring_full;
        self.queue.unbind(&mut self.pool)?;
        Ok(self.counted)
    }

    /// Take back what was sent, receive, address, send. Returns whether there was anything to do.
    fn breathe(&mut self) -> bool {
        self.queue.reclaim(&mut self.pool);
        self.queue.refill(&mut self.pool);
        let mut frames = ArrayVec::<Frame, BATCH>::new();
        if self.queue.receive(&mut frames) == 0 {
            self.queue.kick();
            return false;
        }
        let mut outgoing = ArrayVec::<Frame, BATCH>::new();
        for mut frame in frames {
            let bytes = self.pool.buffer(&mut frame);
            if read_message(bytes).is_some() {
                write_message(bytes, self.sink);
                outgoing.push(frame);
            } else {
                self.counted.no_message += 1;
                self.pool.free(frame);
            }
        }
        self.counted.forwarded += self.queue.transmit(&mut outgoing) as u64;
        self.queue.kick();
        for frame in outgoing {
            self.counted.not_sent += 1;
            self.pool.free(frame);
        }
        true
    }
}
