//! A node in memory: one worker's pipeline, with what the steering programs would see of it.
//!
//! ```text
//!  pod 11   10.244.1.2  fd00:244::2             port 4   10.71.0.2  fd00:71::2  MTU 1500
//!  pod 12   10.244.1.7  fd00:244::7             port 5   10.72.0.2  fd00:72::2  MTU 1400
//!  pod 13   10.244.1.8  fd00:244::8  MTU 1400   elsewhere 10.244.2.0/24
//!  the node 192.168.0.1 fd00:192::1
//! ```
//!
//! A packet is written `WAY IN: PACKET`, where the way in is `pod N` (received from the Pod behind
//! interface N), `egress N` (on its way out to it), `node`, `silent` (no message at all) or
//! `port N`. What became of it is `VERDICT` or `VERDICT to WAY OUT: PACKET`, where the way out is
//! `pod N`, `received N` (to the kernel, as received on N), `host` (to the kernel, on the host
//! port), `routed` or `port N`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrayvec::ArrayVec;
use maglane_dataplane::flow::{
    Fingerprints, FingerprintsMemory, FlowConfig, FlowRecord, FlowTable, NewFlow,
};
use maglane_dataplane::pipeline::{
    Counters, Ingress, Packet, Pipeline, PipelineConfig, Verdict, Via,
};
use maglane_dataplane::service::{
    Backend, Deliver, ForwardingTable, Frontend, NextHop, Service, ServiceTable, Snapshot,
};
use maglane_dataplane::wire::{Endpoint, HashKeys, MacAddress, Protocol};

use crate::text;

/// Room for a packet, as in a frame.
pub(crate) const BUFFER_BYTES: usize = 3_840;
/// The workers' secret: another than that which chooses backends.
pub(crate) const KEYS: HashKeys = HashKeys::new([
    0x9e37_79b9_7f4a_7c15,
    0xbf58_476d_1ce4_e5b9,
    0x94d0_49bb_1331_11eb,
    0x2545_f491_4f6c_dd1d,
    0xd6e8_feb8_6659_fd93,
    0xa076_1d64_78bd_642f,
    0xe703_7ed1_a0b4_28db,
    0x8ebc_6af0_9c88_c6e3,
]);

/// Frontends (`tcp 10.96.0.10:80`), each with its backends; one that drains begins with `-`.
pub(crate) type Services<'a> = &'a [(&'a str, &'a [&'a str])];

#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) worker: u32,
    pub(crate) workers: u32,
    pub(crate) host_port: bool,
    pub(crate) capacity_flows: u32,
    pub(crate) deliver: Deliver,
}

impl Default for Setup {
    fn default() -> Self {
        Self { worker: 0, workers: 1, host_port: true, capacity_flows: 64, deliver: Deliver::Peer }
    }
}

pub(crate) struct Node {
    pub(crate) pipeline: Pipeline,
    pub(crate) snapshot: Snapshot,
    pub(crate) now_ms: u64,
    setup: Setup,
    memory: Arc<Vec<AtomicU64>>,
}

impl Node {
    pub(crate) fn new(services: Services<'_>) -> Self {
        Self::with(Setup::default(), services)
    }

    pub(crate) fn with(setup: Setup, services: Services<'_>) -> Self {
        let buckets = Fingerprints::buckets_for(setup.capacity_flows);
        let words = setup.workers * buckets * 8;
        let memory: Arc<Vec<AtomicU64>> = Arc::new((0..words).map(|_| AtomicU64::new(0)).collect());
        let shared: FingerprintsMemory = Arc::new(Shared(memory.clone()));
        let fingerprints =
            Fingerprints::new(shared, setup.worker, buckets).expect("memory is large enough");
        let config = FlowConfig { capacity_flows: setup.capacity_flows, ..FlowConfig::default() };
        let flows = FlowTable::new(config, KEYS).expect("in range");
        let Setup { worker, workers, host_port, .. } = setup;
        let config = PipelineConfig { worker, workers, host_port };
        let pipeline = Pipeline::new(config, flows, fingerprints);
        let snapshot = Snapshot::default();
        let mut node = Self { pipeline, snapshot, now_ms: 1_000_000, setup, memory };
        node.publish(services);
        node
    }

    /// Puts other Services in force.
    pub(crate) fn publish(&mut self, services: Services<'_>) {
        self.snapshot = Snapshot {
            generation: self.snapshot.generation + 1,
            services: ServiceTable::new(services.iter().map(|(frontend, backends)| {
                let draining = backends.iter().filter_map(|backend| backend.strip_prefix('-'));
                let draining = draining.map(endpoint).collect();
                let backends = backends.iter().filter(|backend| !backend.starts_with('-'));
                let backends = backends
                    .map(|backend| Backend { endpoint: endpoint(backend), weight: 1 })
                    .collect();
                (frontend_of(frontend), Service::new(backends, draining))
            })),
            forwarding: forwarding(),
            deliver: self.setup.deliver,
            ..Snapshot::default()
        };
    }

    /// Asserts what becomes of a packet.
    #[track_caller]
    pub(crate) fn check(&mut self, description: &str, packet: &str, expected: &str) {
        assert_eq!(self.give(packet), expected, "{description}: {packet}");
    }

    /// What becomes of a packet. Asserts that it was counted once, and that the steering programs
    /// know the replies of all flows and of nothing else.
    #[track_caller]
    pub(crate) fn give(&mut self, packet: &str) -> String {
        let outcome = self.give_frame(packet, false);
        self.assert_fingerprints();
        outcome
    }

    /// The same for a packet that another worker handed over.
    #[track_caller]
    pub(crate) fn give_handed_over(&mut self, packet: &str) -> String {
        let outcome = self.give_frame(packet, true);
        self.assert_fingerprints();
        outcome
    }

    #[track_caller]
    fn give_frame(&mut self, packet: &str, handed_over: bool) -> String {
        let (way_in, packet) = packet.split_once(": ").expect("WAY IN: PACKET");
        let (ingress, frame) = arrive(way_in, text::build(packet));
        self.process(ingress, &frame, handed_over)
    }

    /// What becomes of a frame, and no look at the fingerprints.
    #[track_caller]
    pub(crate) fn process(&mut self, ingress: Ingress, frame: &[u8], handed_over: bool) -> String {
        let mut buffer = frame.to_vec();
        buffer.resize(BUFFER_BYTES, 0xee);
        let before = self.counted();
        let mut packets =
            [Packet { buffer: &mut buffer, length: frame.len(), ingress, handed_over }];
        let mut verdicts = ArrayVec::new();
        self.pipeline.process(&mut packets, &self.snapshot, self.now_ms, &mut verdicts);
        let [packet] = packets;
        let [verdict] = verdicts.as_slice() else { panic!("{verdicts:?}") };
        assert_eq!(self.counted(), before + 1, "{verdict:?} was not counted once");
        self.describe(*verdict, packet.bytes())
    }

    /// What becomes of packets that come together.
    pub(crate) fn give_batch(&mut self, packets: &[&str]) -> Vec<String> {
        let mut frames: Vec<_> = packets
            .iter()
            .map(|packet| {
                let (way_in, packet) = packet.split_once(": ").expect("WAY IN: PACKET");
                let (ingress, mut frame) = arrive(way_in, text::build(packet));
                let length = frame.len();
                frame.resize(BUFFER_BYTES, 0xee);
                (ingress, frame, length)
            })
            .collect();
        let mut packets: Vec<_> = frames
            .iter_mut()
            .map(|(ingress, buffer, length)| Packet {
                buffer,
                length: *length,
                ingress: *ingress,
                handed_over: false,
            })
            .collect();
        let mut verdicts = ArrayVec::new();
        self.pipeline.process(&mut packets, &self.snapshot, self.now_ms, &mut verdicts);
        self.assert_fingerprints();
        let outcomes = verdicts.iter().zip(&packets);
        outcomes.map(|(verdict, packet)| self.describe(*verdict, packet.bytes())).collect()
    }

    fn describe(&self, verdict: Verdict, frame: &[u8]) -> String {
        let (what, via) = match verdict {
            Verdict::Forward(via) => ("forward", via),
            Verdict::Answer(via) => ("answer", via),
            Verdict::Kernel(via) => ("kernel", via),
            Verdict::HandOver(owner) => return format!("hand over to {owner}"),
            Verdict::Drop(reason) => return format!("drop {reason:?}"),
            Verdict::Malformed(reason) => return format!("drop Malformed({reason:?})"),
        };
        format!("{what} to {}: {}", way_out(via, frame), text::read(frame))
    }

    /// All verdicts that were counted.
    pub(crate) fn counted(&self) -> u64 {
        let counters = Counters::names().zip(self.pipeline.counters().values());
        counters.filter(|(name, _)| !name.starts_with("flows_")).map(|(_, value)| value).sum()
    }

    pub(crate) fn counter(&self, name: &str) -> u64 {
        let mut counters = Counters::names().zip(self.pipeline.counters().values());
        let (_, value) = counters.find(|(known, _)| known == name).expect("a counter");
        *value
    }

    pub(crate) fn flows(&self) -> Vec<FlowRecord> {
        let flows = self.pipeline.flows();
        flows.records(0, flows.capacity()).0.collect()
    }

    /// Lets time pass, and the sweep find who was silent for too long.
    #[track_caller]
    pub(crate) fn wait_ms(&mut self, passed_ms: u64) {
        self.now_ms += passed_ms;
        for _ in 0..=self.pipeline.flows().capacity() / 1_024 {
            self.pipeline.expire(self.now_ms);
        }
        self.assert_fingerprints();
    }

    /// The words that the steering programs read are the hashes of the replies, each once.
    #[track_caller]
    pub(crate) fn assert_fingerprints(&self) {
        let words = self.memory.iter().map(|word| word.load(Ordering::Acquire));
        let mut published: Vec<u64> = words.filter(|word| *word != 0).collect();
        let mut expected: Vec<u64> = self.flows().iter().map(reply_hash).collect();
        published.sort_unstable();
        expected.sort_unstable();
        assert_eq!(published, expected, "fingerprints");
    }
}

/// Lets the pipeline's trait object share the words with the test.
struct Shared(Arc<Vec<AtomicU64>>);

impl AsRef<[AtomicU64]> for Shared {
    fn as_ref(&self) -> &[AtomicU64] {
        &self.0
    }
}

fn reply_hash(flow: &FlowRecord) -> u64 {
    let FlowRecord { client, service, backend, translated, protocol, generation, .. } = *flow;
    let flow = NewFlow { client, service, backend, translated, protocol, generation };
    KEYS.tuple(&flow.reply_tuple())
}

/// A frame as it comes in.
pub(crate) fn arrive(way_in: &str, mut frame: Vec<u8>) -> (Ingress, Vec<u8>) {
    let (way, number) = way_in.split_once(' ').unwrap_or((way_in, "0"));
    let number: u32 = number.parse().expect("an interface");
    let message = |way: u8| {
        let [a, b, c, d] = number.to_be_bytes();
        [0x0a, way, a, b, c, d, 0, 0, 0, 0, 0, 0]
    };
    let (ingress, addresses) = match way {
        "pod" => (Ingress::HostPort, message(1)),
        "egress" => (Ingress::HostPort, message(2)),
        "node" => (Ingress::HostPort, message(3)),
        "silent" => (Ingress::HostPort, [0; 12]),
        "port" => {
            let addresses = [port_mac(number), neighbour_mac(number)].concat();
            let addresses = addresses.try_into().expect("two addresses");
            (Ingress::Port { interface: number }, addresses)
        }
        other => panic!("{other}"),
    };
    frame[..12].copy_from_slice(&addresses);
    (ingress, frame)
}

/// Reads the Ethernet header as `bpf/message.h` draws it.
fn way_out(via: Via, frame: &[u8]) -> String {
    let (to, from) = (&frame[..6], &frame[6..12]);
    if let Via::Port(port) = via {
        let port = port.get();
        assert_eq!((to, from), (&neighbour_mac(port)[..], &port_mac(port)[..]), "port {port}");
        return format!("port {port}");
    }
    assert_eq!(frame[0], 0x0e, "a message to the steering programs");
    let interface = u32::from_be_bytes([frame[2], frame[3], frame[4], frame[5]]);
    match frame[1] {
        1 if from == pod_mac(interface) => format!("pod {interface}"),
        1 if from == [0; 6] => format!("pod {interface} (address unknown)"),
        2 => format!("received {interface}"),
        3 => "host".to_owned(),
        4 => "routed".to_owned(),
        _ => panic!("no message: {:02x?}", &frame[..12]),
    }
}

fn forwarding() -> ForwardingTable {
    let pod = |interface: u32, mtu| NextHop::Pod { interface, mac: pod_mac(interface), mtu };
    let port = |interface: u32, mtu| {
        let (mac, source_mac) = (neighbour_mac(interface), port_mac(interface));
        NextHop::Port { interface, mac, source_mac, mtu }
    };
    ForwardingTable::new(
        [
            ("10.244.1.2", pod(11, 1_500)),
            ("fd00:244::2", pod(11, 1_500)),
            ("10.244.1.7", pod(12, 1_500)),
            ("fd00:244::7", pod(12, 1_500)),
            ("10.244.1.8", pod(13, 1_400)),
            ("fd00:244::8", pod(13, 1_400)),
            ("10.71.0.2", port(4, 1_500)),
            ("fd00:71::2", port(4, 1_500)),
            ("10.72.0.2", port(5, 1_400)),
            ("fd00:72::2", port(5, 1_400)),
            ("192.168.0.1", NextHop::Node),
            ("fd00:192::1", NextHop::Node),
        ]
        .map(|(address, hop)| (text::ip(address).into(), hop)),
    )
}

pub(crate) fn endpoint(text: &str) -> Endpoint {
    let socket: std::net::SocketAddr = text.parse().expect("an address and a port");
    Endpoint { address: socket.ip().into(), port: socket.port() }
}

pub(crate) fn frontend_of(text: &str) -> Frontend {
    let (protocol, end) = text.split_once(' ').expect("PROTOCOL ENDPOINT");
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        other => panic!("{other}"),
    };
    Frontend { endpoint: endpoint(end), protocol }
}

fn pod_mac(interface: u32) -> MacAddress {
    [2, 0, 0, 0, 1, interface as u8]
}

fn port_mac(interface: u32) -> MacAddress {
    [2, 0, 0, 0, 2, interface as u8]
}

fn neighbour_mac(interface: u32) -> MacAddress {
    [2, 0, 0, 0, 3, interface as u8]
}
