//! Who forwards in a process of its own: Maglane's engine, without agent and control plane; or, on
//! XDP ports, a forwarder that looks at nothing. Started in the node's namespace, told by one line
//! of JSON what to be. Says `ready`; each further line is a number of backends that the first
//! Service has from then on, and is answered with the nanoseconds until that was in force. Ends
//! when its standard input does.

use std::io::{self, BufRead, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, anyhow};
use arrayvec::ArrayVec;
use maglane_dataplane::engine::{Engine, EngineConfig, HostPort, PollMode, XdpMode};
use maglane_dataplane::service::{
    Backend, ForwardingTable, Frontend, NextHop, Service, ServiceTable, Snapshot,
};
use maglane_dataplane::wire::{Endpoint, Protocol, set_ethernet_addresses};
use maglane_dataplane::xsk::{
    BATCH, Frame, FramePool, FramePoolConfig, PortQueue, PortQueueConfig, Waker, wait,
};
use nix::net::if_::if_nametoindex;
use serde::{Deserialize, Serialize};

use super::place::{BACKENDS, CLIENT, MACS, NODE_ENDS, SERVICE_PORT, TCP_PORT, UDP_PORT, service};
use crate::pktgen::{Taken, Taking, Xdp, parse_mac};
use crate::rig::host_port::{INNER, OUTER};
use crate::rig::{Poll, pin};

const MTU: u16 = 1_500;
/// As the engine has them.
const RING_FRAMES: u32 = 4_096;
const POOL_FRAMES: u32 = 16_384;
const IDLE_ROUNDS: u32 = 64;
const SLEEP_MS: u32 = 100;

/// What to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Maglane, on a host port that is there.
    HostPort,
    /// Maglane, on XDP ports.
    XdpPorts,
    /// A bare forwarder between XDP ports.
    BarePorts,
}

/// The line that says so.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// What to be.
    pub(crate) role: Role,
    /// Worker threads.
    pub(crate) workers: u32,
    /// How they wait.
    pub(crate) poll: Poll,
    /// Services that there are.
    pub(crate) services: u32,
}

/// Runs until standard input ends.
///
/// # Errors
/// What the kernel refused.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut lines = io::stdin().lock().lines();
    let line = lines.next().ok_or_else(|| anyhow!("nobody says what to be"))??;
    let spec: Spec = serde_json::from_str(&line).context("what to be")?;
    match spec.role {
        Role::BarePorts => bare(spec, lines),
        Role::HostPort | Role::XdpPorts => engine(spec, lines),
    }
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn engine(spec: Spec, lines: impl Iterator<Item = io::Result<String>>) -> anyhow::Result<()> {
    let host_port = (spec.role == Role::HostPort)
        .then(|| HostPort { outer: OUTER.into(), inner: INNER.into() });
    let mut engine = Engine::start(&EngineConfig {
        host_port,
        workers: spec.workers,
        poll: match spec.poll {
            Poll::Busy => PollMode::Busy,
            Poll::Adaptive => PollMode::Adaptive,
        },
        ..EngineConfig::default()
    })?;
    for end in NODE_ENDS {
        if spec.role == Role::HostPort {
            engine.attach_pod(if_nametoindex(end)?)?;
        } else {
            engine.attach_port(end, XdpMode::Native)?;
        }
    }
    let forwarding = forwarding(spec.role)?;
    let mut services = ServiceTable::new((0..spec.services).flat_map(frontends));
    let snapshot = |services: &ServiceTable| Snapshot {
        services: services.clone(),
        forwarding: forwarding.clone(),
        ..Snapshot::default()
    };
    engine.publish(snapshot(&services))?;
    say("ready")?;
    for line in lines {
        let backends: usize = line?.trim().parse().context("a number of backends")?;
        if let Some((frontend, service)) = frontend(0, Protocol::Udp, UDP_PORT, backends) {
            services.insert(frontend, service);
        }
        engine.publish(snapshot(&services))?;
        say("in force")?;
    }
    Ok(engine.stop()?)
}

fn frontends(number: u32) -> impl Iterator<Item = (Frontend, Service)> {
    let all = BACKENDS.len();
    let tcp = (number == 0).then(|| frontend(number, Protocol::Tcp, TCP_PORT, all)).flatten();
    frontend(number, Protocol::Udp, UDP_PORT, all).into_iter().chain(tcp)
}

fn frontend(
    number: u32,
    protocol: Protocol,
    port: u16,
    backends: usize,
) -> Option<(Frontend, Service)> {
    let backends = BACKENDS.get(..backends)?.iter().map(|address| Backend {
        endpoint: Endpoint { address: (*address).into(), port },
        weight: 1,
    });
    let endpoint = Endpoint { address: service(number).into(), port: SERVICE_PORT };
    Some((Frontend { endpoint, protocol }, Service::new(backends.collect(), Vec::new())))
}

fn forwarding(role: Role) -> anyhow::Result<ForwardingTable> {
    let mac = |at: usize| parse_mac(MACS[at]).unwrap_or_default();
    let hop = |end: usize| -> anyhow::Result<NextHop> {
        let interface = if_nametoindex(NODE_ENDS[end])?;
        let (pod, own) = if end == 0 { (mac(0), mac(1)) } else { (mac(3), mac(2)) };
        Ok(match role {
            Role::HostPort => NextHop::Pod { interface, mac: pod, mtu: MTU },
            _ => NextHop::Port { interface, mac: pod, source_mac: own, mtu: MTU },
        })
    };
    let (to_client, to_server) = (hop(0)?, hop(1)?);
    let servers = BACKENDS.iter().map(|address: &Ipv4Addr| ((*address).into(), to_server));
    Ok(ForwardingTable::new(servers.chain([(CLIENT.into(), to_client)])))
}

/// Every frame that comes from the client goes to the server, whatever it holds.
fn bare(spec: Spec, lines: impl Iterator<Item = io::Result<String>>) -> anyhow::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let waker = Waker::new()?;
    let (halt, wake) = (stop.clone(), waker.clone());
    let (ready, opened) = std::sync::mpsc::channel();
    let worker = thread::spawn(move || -> anyhow::Result<()> {
        // The engine's first worker has the last core.
        pin(thread::available_parallelism()?.get() - 1);
        let mut pool = FramePool::new(FramePoolConfig {
            frames: POOL_FRAMES,
            ring_size_frames: RING_FRAMES,
            huge_pages: false,
        })?;
        let mut open = |end: &str| {
            let config = PortQueueConfig {
                interface: end.to_owned(),
                queue: 0,
                copy: None,
                ring_size_frames: RING_FRAMES,
            };
            PortQueue::bind(&mut pool, &config)
        };
        let [mut from, mut to] = [open(NODE_ENDS[0])?, open(NODE_ENDS[1])?];
        from.refill(&mut pool);
        let taking =
            Taking::attach(NODE_ENDS[0], &[from.fd().as_raw_fd()], Taken::Transports, Xdp::Native)?;
        let _ = ready.send(());
        let macs = [MACS[3], MACS[2]].map(|mac| parse_mac(mac).unwrap_or_default());
        let mut idle_rounds = 0;
        while !halt.load(Ordering::Relaxed) {
            let busy = breathe(&mut pool, &mut from, &mut to, macs);
            idle_rounds = if busy { 0 } else { idle_rounds + 1 };
            if idle_rounds >= IDLE_ROUNDS && spec.poll == Poll::Adaptive {
                wait([&from, &to], &waker, SLEEP_MS)?;
                idle_rounds = 0;
            }
        }
        drop(taking);
        from.unbind(&mut pool)?;
        to.unbind(&mut pool)?;
        Ok(())
    });
    // When it could not open its ports, it says why when it is joined.
    if opened.recv().is_ok() {
        say("ready")?;
        lines.for_each(drop);
    }
    stop.store(true, Ordering::Relaxed);
    wake.wake();
    worker.join().map_err(|_| anyhow!("the forwarder panicked"))?
}

fn breathe(
    pool: &mut FramePool,
    from: &mut PortQueue,
    to: &mut PortQueue,
    [destination, source]: [[u8; 6]; 2],
) -> bool {
    to.reclaim(pool);
    from.refill(pool);
    let mut frames = ArrayVec::<Frame, BATCH>::new();
    if from.receive(&mut frames) == 0 {
        to.kick();
        return false;
    }
    for frame in &mut frames {
        set_ethernet_addresses(pool.buffer(frame), destination, source);
    }
    to.transmit(&mut frames);
    to.kick();
    frames.into_iter().for_each(|frame| pool.free(frame));
    true
}
