//! Namespaces and veth pairs of a test's own; removed with it.

use std::fs::File;
use std::net::IpAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use maglane_dataplane::engine::{Engine, EngineConfig, XdpMode};
use maglane_dataplane::service::{
    Backend, ForwardingTable, Frontend, NextHop, Service, ServiceTable, Snapshot,
};
use maglane_dataplane::wire::{Endpoint, MacAddress, Protocol};
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, setns};
use nix::unistd::geteuid;

pub(crate) const CLIENT_PORT: &str = "mlgdp-p0";
pub(crate) const BACKEND_PORT: &str = "mlgdp-p1";
pub(crate) const CLIENT_END: &str = "mlgdp-c0";
const BACKEND_END: &str = "mlgdp-b0";
pub(crate) const CLIENT_MAC: MacAddress = [2, 0, 0, 0, 0, 0xc0];
pub(crate) const CLIENT_PORT_MAC: MacAddress = [2, 0, 0, 0, 0, 0xa0];
const BACKEND_MAC: MacAddress = [2, 0, 0, 0, 0, 0xb0];
const BACKEND_PORT_MAC: MacAddress = [2, 0, 0, 0, 0, 0xa1];
const MTU: u16 = 1_500;

/// How long anything may take that is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Rig {
    client: String,
    engine: String,
    backend: String,
}

/// Runs a test in a fresh rig, on a thread in the engine's namespace. Says so when it cannot.
pub(crate) fn with_rig(queues: u32, test: impl FnOnce(&Rig) + Send) {
    if !geteuid().is_root() {
        eprintln!("SKIPPED {}: needs root", thread::current().name().unwrap_or("test"));
        return;
    }
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("mlgdp-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let [client, engine, backend] = ["c", "e", "b"].map(|name| format!("{prefix}-{name}"));
    let rig = Rig { client, engine, backend };
    rig.build(queues);
    within(&rig.engine, || test(&rig));
}

impl Rig {
    fn build(&self, queues: u32) {
        let Self { client, engine, backend } = self;
        for namespace in [client, engine, backend] {
            ip(&format!("netns add {namespace}")).expect("namespace");
        }
        // A port has no address of its own, and nothing to say.
        let quiet = ["netns", "exec", engine, "sysctl", "-qw"];
        run(Command::new("ip").args(quiet).arg("net.ipv6.conf.default.disable_ipv6=1"))
            .expect("sysctl");
        let queues = format!("numrxqueues {queues} numtxqueues {queues}");
        for (port, port_mac, end, end_mac, namespace, subnet) in [
            (CLIENT_PORT, CLIENT_PORT_MAC, CLIENT_END, CLIENT_MAC, client, 71),
            (BACKEND_PORT, BACKEND_PORT_MAC, BACKEND_END, BACKEND_MAC, backend, 72),
        ] {
            let (port_mac, end_mac) = (text(port_mac), text(end_mac));
            for command in [
                format!(
                    "-n {engine} link add {port} address {port_mac} {queues} type veth \
                     peer {end} address {end_mac} netns {namespace} {queues}"
                ),
                format!("-n {engine} link set {port} up"),
                format!("-n {namespace} link set {end} up"),
                format!("-n {namespace} link set lo up"),
                format!("-n {namespace} address add 10.{subnet}.0.2/24 dev {end}"),
                format!("-n {namespace} address add 10.{subnet}.0.3/24 dev {end}"),
                format!("-n {namespace} address add fd00:{subnet}::2/64 dev {end} nodad"),
                format!("-n {namespace} neighbour add 10.{subnet}.0.1 lladdr {port_mac} dev {end}"),
                format!(
                    "-n {namespace} neighbour add fd00:{subnet}::1 lladdr {port_mac} dev {end}"
                ),
                format!("-n {namespace} route add default via 10.{subnet}.0.1"),
                format!("-n {namespace} route add default via fd00:{subnet}::1"),
            ] {
                ip(&command).expect("link");
            }
            // A frame that is longer than a packet fits no port. Checksums stay as they are by
            // default: left to hardware that is not there.
            let offloads = ["netns", "exec", namespace, "ethtool", "-K", end];
            run(Command::new("ip").args(offloads).args(["tso", "off", "gso", "off"]))
                .expect("ethtool");
        }
    }

    pub(crate) fn as_client<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        within(&self.client, work)
    }

    pub(crate) fn as_backend<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        within(&self.backend, work)
    }

    /// The XDP programs on an interface of the engine's namespace.
    pub(crate) fn attached(&self, interface: &str) -> Vec<String> {
        let shown = self.in_engine_namespace(&format!("link show dev {interface}")).expect("shown");
        shown.lines().filter(|line| line.contains("prog/xdp")).map(str::to_owned).collect()
    }

    /// Both ports receive on one queue. XDP wants no fewer than the other end sends on.
    pub(crate) fn lower_queues(&self) {
        for (namespace, interface, direction) in [
            (&self.client, CLIENT_END, "tx"),
            (&self.engine, CLIENT_PORT, "rx"),
            (&self.backend, BACKEND_END, "tx"),
            (&self.engine, BACKEND_PORT, "rx"),
        ] {
            let ethtool = ["netns", "exec", namespace, "ethtool", "-L", interface, direction, "1"];
            run(Command::new("ip").args(ethtool)).expect("ethtool");
        }
    }

    pub(crate) fn in_engine_namespace(&self, command: &str) -> Result<String, String> {
        ip(&format!("-n {} {command}", self.engine))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for namespace in [&self.client, &self.engine, &self.backend] {
            if let Err(error) = ip(&format!("netns del {namespace}")) {
                eprintln!("{error}");
            }
        }
    }
}

/// An engine without a host port.
pub(crate) fn start(workers: u32) -> Engine {
    Engine::start(&EngineConfig {
        host_port: None,
        workers,
        ring_size_frames: 2_048,
        frames_per_worker: 16_384,
        flow_capacity: 4_096,
        ..EngineConfig::default()
    })
    .expect("an engine")
}

/// Both ports, and Services behind the second.
pub(crate) fn attach_and_publish(engine: &mut Engine, mode: XdpMode) {
    for port in [CLIENT_PORT, BACKEND_PORT] {
        let queues = engine.attach_port(port, mode).expect("a port");
        assert!(queues.iter().all(|queue| queue.copy == "copy"), "{queues:?}");
    }
    engine.publish(snapshot()).expect("published");
}

pub(crate) fn snapshot() -> Snapshot {
    let service = |frontend: &str, protocol, backends: &[&str]| {
        let backends =
            backends.iter().map(|end| Backend { endpoint: endpoint(end), weight: 1 }).collect();
        let frontend = Frontend { endpoint: endpoint(frontend), protocol };
        (frontend, Service::new(backends, Vec::new()))
    };
    let hop = |address: &str| {
        let ip: IpAddr = address.parse().expect("an address");
        let is_client = address.contains("71");
        let (port, mac, source_mac) = match is_client {
            true => (CLIENT_PORT, CLIENT_MAC, CLIENT_PORT_MAC),
            false => (BACKEND_PORT, BACKEND_MAC, BACKEND_PORT_MAC),
        };
        let interface = if_nametoindex(port).expect("a port");
        (ip.into(), NextHop::Port { interface, mac, source_mac, mtu: MTU })
    };
    Snapshot {
        services: ServiceTable::new([
            service("10.96.0.10:80", Protocol::Tcp, &["10.72.0.2:8080", "10.72.0.3:8080"]),
            service("[fd00:96::a]:80", Protocol::Tcp, &["[fd00:72::2]:8080"]),
            service("10.96.0.10:53", Protocol::Udp, &["10.72.0.2:5353"]),
        ]),
        forwarding: ForwardingTable::new(
            ["10.71.0.2", "10.72.0.2", "10.72.0.3", "fd00:71::2", "fd00:72::2"].map(hop),
        ),
        ..Snapshot::default()
    }
}

fn endpoint(text: &str) -> Endpoint {
    let socket: std::net::SocketAddr = text.parse().expect("an address and a port");
    Endpoint { address: socket.ip().into(), port: socket.port() }
}

/// One of the workers' counters, of all workers.
pub(crate) fn counter(engine: &Engine, name: &str) -> u64 {
    let status = engine.status();
    let counters = status.workers.iter().flat_map(|worker| &worker.counters);
    counters.filter(|(known, _)| known == name).map(|(_, value)| value).sum()
}

/// Waits until a counter has a value, which it is not to pass.
#[track_caller]
pub(crate) fn await_counter(engine: &Engine, name: &str, expected: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let value = counter(engine, name);
        if value == expected {
            return;
        }
        assert!(value < expected, "{name} is {value}, expected {expected}");
        assert!(Instant::now() < deadline, "{name} is still {value}, expected {expected}");
        thread::yield_now();
    }
}

/// Runs `work` on a thread of its own in a namespace.
fn within<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    let enter = || {
        let file = File::open(format!("/run/netns/{namespace}")).expect("namespace");
        setns(file, CloneFlags::CLONE_NEWNET).expect("setns");
        work()
    };
    thread::scope(|scope| match scope.spawn(enter).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn text(mac: MacAddress) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

fn ip(arguments: &str) -> Result<String, String> {
    run(Command::new("ip").args(arguments.split_whitespace()))
}

pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}
