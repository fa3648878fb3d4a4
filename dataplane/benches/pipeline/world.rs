use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrayvec::ArrayVec;
use etherparse::PacketBuilder;
use maglane_dataplane::flow::{Fingerprints, FlowConfig, FlowTable};
use maglane_dataplane::pipeline::{BATCH, Ingress, Packet, Pipeline, PipelineConfig, Verdict, Via};
use maglane_dataplane::service::{
    Backend, ForwardingTable, Frontend, NextHop, Service, ServiceTable, Snapshot,
};
use maglane_dataplane::wire::{Endpoint, HashKeys, Protocol};
use maglane_dataplane::xsk::prefer_huge_pages;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// Packets between two looks at the clock: few enough for their frames to stay in the cache, as
/// those that have just come in do.
pub(crate) const PACKETS: usize = 8 * BATCH;
/// Bytes of a packet, without the frame check sequence that AF_XDP never shows.
const PACKET_BYTES: usize = 60;
/// A frame has room for an answer that is longer than the packet.
const FRAME_BYTES: usize = 256;
const PODS: u32 = 250;
const BACKENDS_PER_SERVICE: u32 = 3;
const SYN: u8 = 2;
const ACK: u8 = 16;

/// A node with Pods, Services and established flows.
pub(crate) struct World {
    pub(crate) flows: u32,
    pub(crate) services: u32,
    pipeline: Pipeline,
    snapshot: Snapshot,
    frames: Vec<[u8; FRAME_BYTES]>,
    verdicts: Vec<Verdict>,
    /// Client and Service of each flow, and, once it is known, its backend.
    clients: Vec<(Endpoint, Endpoint)>,
    backends: Vec<Endpoint>,
    order: Vec<u32>,
    next: usize,
    fresh: u32,
    now_ms: u64,
}

impl World {
    pub(crate) fn new(flows: u32, services: u32) -> Self {
        let mut random = StdRng::seed_from_u64(1);
        let capacity_flows = (flows + 4 * PACKETS as u32).next_power_of_two();
        let keys = HashKeys::new(random.random());
        let table =
            FlowTable::new(FlowConfig { capacity_flows, ..FlowConfig::default() }, keys).unwrap();
        prefer_huge_pages(table.memory());
        let buckets = Fingerprints::buckets_for(capacity_flows);
        let words: Vec<AtomicU64> = (0..buckets * 8).map(|_| AtomicU64::new(0)).collect();
        let fingerprints = Fingerprints::new(Arc::new(words), 0, buckets).unwrap();
        let config = PipelineConfig { worker: 0, workers: 1, host_port: true };
        let clients = (0..flows).map(|flow| (client(flow), service(flow % services))).collect();
        let mut order: Vec<u32> = (0..flows).collect();
        order.shuffle(&mut random);
        let mut world = Self {
            flows,
            services,
            pipeline: Pipeline::new(config, table, fingerprints),
            snapshot: snapshot(services),
            frames: vec![[0; FRAME_BYTES]; PACKETS],
            verdicts: Vec::with_capacity(PACKETS),
            clients,
            backends: Vec::new(),
            order,
            next: 0,
            fresh: flows,
            now_ms: 1,
        };
        world.establish();
        world
    }

    /// Opens every flow, has its backend answer and its client acknowledge.
    fn establish(&mut self) {
        self.backends = vec![service(0); self.flows as usize];
        for start in (0..self.flows).step_by(PACKETS) {
            let flows: Vec<u32> = (start..self.flows.min(start + PACKETS as u32)).collect();
            let open = |world: &Self, at: usize| {
                let (client, service) = world.clients[flows[at] as usize];
                (client, service, SYN)
            };
            self.write(flows.len(), open);
            self.process();
            for (frame, flow) in self.frames.iter().zip(&flows) {
                let address = Ipv4Addr::new(frame[30], frame[31], frame[32], frame[33]);
                let port = u16::from_be_bytes([frame[36], frame[37]]);
                self.backends[*flow as usize] = Endpoint { address: address.into(), port };
            }
            let reply = |world: &Self, at: usize| {
                let flow = flows[at] as usize;
                (world.backends[flow], world.clients[flow].0, SYN | ACK)
            };
            self.write(flows.len(), reply);
            self.process();
            let acknowledge = |world: &Self, at: usize| {
                let (client, service) = world.clients[flows[at] as usize];
                (client, service, ACK)
            };
            self.write(flows.len(), acknowledge);
            self.process();
        }
        assert_eq!(self.pipeline.flows().len(), self.flows);
    }

    pub(crate) fn write_established(&mut self) {
        let start = self.advance();
        self.write(PACKETS, |world, at| {
            let (client, service) = world.clients[world.flow(start + at)];
            (client, service, ACK)
        });
    }

    pub(crate) fn write_replies(&mut self) {
        let start = self.advance();
        self.write(PACKETS, |world, at| {
            let flow = world.flow(start + at);
            (world.backends[flow], world.clients[flow].0, ACK)
        });
    }

    pub(crate) fn write_new(&mut self) {
        let first = self.fresh;
        self.fresh += PACKETS as u32;
        self.write(PACKETS, |world, at| {
            let flow = first + at as u32;
            (client(flow), service(flow % world.services), SYN)
        });
    }

    pub(crate) fn write_rejected(&mut self) {
        self.now_ms += 1_000; // the limit of answers fills again
        self.write(PACKETS, |world, at| {
            let flow = at as u32;
            (client(flow), Endpoint { port: 81, ..service(flow % world.services) }, SYN)
        });
    }

    /// Runs the packets through the pipeline. This is what is measured.
    pub(crate) fn process(&mut self) {
        self.verdicts.clear();
        for frames in self.frames.chunks_mut(BATCH) {
            let mut packets: ArrayVec<Packet<'_>, BATCH> = frames
                .iter_mut()
                .map(|buffer| Packet {
                    buffer,
                    length: PACKET_BYTES,
                    ingress: Ingress::HostPort,
                    handed_over: false,
                })
                .collect();
            let mut verdicts = ArrayVec::new();
            self.pipeline.process(&mut packets, &self.snapshot, self.now_ms, &mut verdicts);
            self.verdicts.extend(black_box(verdicts));
        }
    }

    /// Makes sure that what was measured is what was meant.
    pub(crate) fn check(&self, rejected: bool) {
        for verdict in &self.verdicts {
            match verdict {
                Verdict::Forward(Via::HostPort) if !rejected => {}
                Verdict::Answer(Via::HostPort) | Verdict::Drop(_) if rejected => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Forgets the flows that never got an answer.
    pub(crate) fn expire_new(&mut self) {
        self.now_ms += 200_000;
        while self.pipeline.flows().len() > self.flows {
            self.pipeline.expire(self.now_ms);
        }
    }

    fn advance(&mut self) -> usize {
        let start = self.next;
        self.next += PACKETS;
        start
    }

    fn flow(&self, at: usize) -> usize {
        self.order[at % self.order.len()] as usize
    }

    /// Writes `count` packets, and fills the rest of the frames with copies of them.
    fn write(&mut self, count: usize, packet: impl Fn(&Self, usize) -> (Endpoint, Endpoint, u8)) {
        let mut frames = std::mem::take(&mut self.frames);
        for (at, frame) in frames.iter_mut().enumerate() {
            let (source, destination, flags) = packet(self, at % count);
            write_packet(frame, source, destination, flags);
        }
        self.frames = frames;
    }
}

fn client(flow: u32) -> Endpoint {
    // Linux picks even ports; some 14,000 a client, on Pods.
    let (host, port) = (flow / 14_000, flow % 14_000);
    Endpoint {
        address: Ipv4Addr::from_bits(0x0a80_0001 + host).into(),
        port: 32_768 + 2 * port as u16,
    }
}

fn service(number: u32) -> Endpoint {
    Endpoint { address: Ipv4Addr::from_bits(0x0a60_0001 + number).into(), port: 80 }
}

fn pod(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0af4_0001 + number % PODS)
}

fn snapshot(services: u32) -> Snapshot {
    let frontends = (0..services).map(|number| {
        let backends = (0..BACKENDS_PER_SERVICE).map(|backend| Backend {
            endpoint: Endpoint {
                address: pod(number * BACKENDS_PER_SERVICE + backend).into(),
                port: 8080,
            },
            weight: 1,
        });
        let frontend = Frontend { endpoint: service(number), protocol: Protocol::Tcp };
        (frontend, Arc::new(Service::new(backends.collect(), Vec::new())))
    });
    let pods = (0..PODS).map(|number| {
        let hop = NextHop::Pod { interface: number + 10, mac: [2; 6], mtu: 1500 };
        (pod(number).into(), hop)
    });
    let clients = (0..PODS).map(|number| {
        let hop = NextHop::Pod { interface: number + 300, mac: [2; 6], mtu: 1500 };
        (Ipv4Addr::from_bits(0x0a80_0001 + number).into(), hop)
    });
    Snapshot {
        generation: 1,
        services: ServiceTable::new(frontends),
        forwarding: ForwardingTable::new(pods.chain(clients)),
        ..Snapshot::default()
    }
}

fn write_packet(frame: &mut [u8], source: Endpoint, destination: Endpoint, flags: u8) {
    let address = |endpoint: Endpoint| endpoint.address.v4_bits().to_be_bytes();
    let mut tcp = PacketBuilder::ethernet2([0; 6], [0x0a, 1, 0, 0, 0, 7])
        .ipv4(address(source), address(destination), 64)
        .tcp(source.port, destination.port, 1, 65_535);
    if flags & SYN != 0 {
        tcp = tcp.syn();
    }
    if flags & ACK != 0 {
        tcp = tcp.ack(1);
    }
    tcp.write(&mut &mut frame[..PACKET_BYTES], &[0; 6]).unwrap();
}
