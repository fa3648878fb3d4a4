//! A node with Pods, Services and established flows, and packets of theirs: what the pipeline's
//! measurements run on, this crate's own and `maglane-bench engine`.

mod frame;
mod node;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrayvec::ArrayVec;
use maglane_dataplane::flow::{Fingerprints, FlowConfig, FlowTable};
use maglane_dataplane::pipeline::{BATCH, Ingress, Packet, Pipeline, PipelineConfig, Verdict, Via};
use maglane_dataplane::service::Snapshot;
use maglane_dataplane::wire::{Endpoint, HashKeys};
use maglane_dataplane::xsk::prefer_huge_pages;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use frame::{ACK, SYN, destination, write_packet};
use node::{client, service, snapshot};

/// Packets between two looks at the clock: few enough for their frames to stay in the cache, as
/// those that have just come in do.
pub(crate) const PACKETS: usize = 8 * BATCH;
/// Beside the packet, a frame has room for an answer that is longer.
const ANSWER_BYTES: usize = 196;
/// Longer than any flow may be silent.
const A_DAY_AND_MORE_MS: u64 = 25 * 3_600 * 1_000;

/// What the packets of a case are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Case {
    /// Data from clients of established flows.
    Established,
    /// Data from backends of established flows.
    Reply,
    /// SYNs of flows that are not there yet, beside the established ones.
    New,
    /// SYNs to a port that no Service has.
    Reject,
    /// Data of flows that have been silent for too long: found, forgotten, opened anew. Changes
    /// the world: the last case that is measured in it, and one for many flows.
    Expired,
}

impl Case {
    /// All of them, with their names.
    pub(crate) const ALL: [(Self, &str); 5] = [
        (Self::Established, "established"),
        (Self::Reply, "reply"),
        (Self::New, "new"),
        (Self::Reject, "reject"),
        (Self::Expired, "expired"),
    ];
}

/// What a world is made of.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct WorldConfig {
    /// Established flows.
    pub(crate) flows: u32,
    /// Services.
    pub(crate) services: u32,
    /// Of each Service.
    pub(crate) backends: u32,
    /// Of every frame, without the frame check sequence that AF_XDP never shows.
    pub(crate) packet_bytes: usize,
    /// IPv6 instead of IPv4.
    pub(crate) ipv6: bool,
}

impl WorldConfig {
    /// The smallest IPv4 frames, three backends a Service.
    pub(crate) const fn new(flows: u32, services: u32) -> Self {
        Self { flows, services, backends: 3, packet_bytes: 60, ipv6: false }
    }
}

/// The node.
pub(crate) struct World {
    pub(crate) config: WorldConfig,
    pub(crate) pipeline: Pipeline,
    pub(crate) snapshot: Snapshot,
    pub(crate) frames: Vec<Vec<u8>>,
    pub(crate) now_ms: u64,
    verdicts: Vec<Verdict>,
    /// Client and Service of each flow, and, once it is known, its backend.
    clients: Vec<(Endpoint, Endpoint)>,
    backends: Vec<Endpoint>,
    order: Vec<u32>,
    next: usize,
    fresh: u32,
}

impl World {
    pub(crate) fn new(config: WorldConfig) -> Self {
        let WorldConfig { flows, services, ipv6, .. } = config;
        let mut random = StdRng::seed_from_u64(1);
        let capacity_flows = (flows + 4 * PACKETS as u32).next_power_of_two();
        let keys = HashKeys::new(random.random());
        let table =
            FlowTable::new(FlowConfig { capacity_flows, ..FlowConfig::default() }, keys).unwrap();
        prefer_huge_pages(table.memory());
        let buckets = Fingerprints::buckets_for(capacity_flows);
        let words: Vec<AtomicU64> = (0..buckets * 8).map(|_| AtomicU64::new(0)).collect();
        let fingerprints = Fingerprints::new(Arc::new(words), 0, buckets).unwrap();
        let pipeline_config = PipelineConfig { worker: 0, workers: 1, host_port: true };
        let clients =
            (0..flows).map(|flow| (client(flow, ipv6), service(flow % services, ipv6))).collect();
        let mut order: Vec<u32> = (0..flows).collect();
        order.shuffle(&mut random);
        let mut world = Self {
            config,
            pipeline: Pipeline::new(pipeline_config, table, fingerprints),
            snapshot: snapshot(&config),
            frames: vec![vec![0; config.packet_bytes + ANSWER_BYTES]; PACKETS],
            now_ms: 1,
            verdicts: Vec::with_capacity(PACKETS),
            clients,
            backends: Vec::new(),
            order,
            next: 0,
            fresh: flows,
        };
        world.establish();
        world
    }

    /// Opens every flow, has its backend answer and its client acknowledge.
    fn establish(&mut self) {
        let flows = self.config.flows;
        self.backends = vec![service(0, self.config.ipv6); flows as usize];
        for start in (0..flows).step_by(PACKETS) {
            let flows: Vec<u32> = (start..flows.min(start + PACKETS as u32)).collect();
            let open = |world: &Self, at: usize| {
                let (client, service) = world.clients[flows[at] as usize];
                (client, service, SYN)
            };
            self.write_all(flows.len(), open);
            self.process();
            for (frame, flow) in self.frames.iter().zip(&flows) {
                self.backends[*flow as usize] = destination(frame, self.config.ipv6);
            }
            let reply = |world: &Self, at: usize| {
                let flow = flows[at] as usize;
                (world.backends[flow], world.clients[flow].0, SYN | ACK)
            };
            self.write_all(flows.len(), reply);
            self.process();
            let acknowledge = |world: &Self, at: usize| {
                let (client, service) = world.clients[flows[at] as usize];
                (client, service, ACK)
            };
            self.write_all(flows.len(), acknowledge);
            self.process();
        }
        assert_eq!(self.pipeline.flows().len(), flows);
    }

    /// Whether the case can be measured here.
    pub(crate) fn has(&self, case: Case) -> bool {
        // A flow expires once a round: the others of a round would be hits.
        case != Case::Expired || self.config.flows as usize >= PACKETS
    }

    /// Writes the packets of a case.
    pub(crate) fn write(&mut self, case: Case) {
        let start = self.next;
        let data = |world: &Self, at: usize| {
            let (client, service) = world.clients[world.flow(start + at)];
            (client, service, ACK)
        };
        match case {
            Case::Established => self.write_all(PACKETS, data),
            Case::Expired => {
                self.now_ms += A_DAY_AND_MORE_MS;
                self.write_all(PACKETS, data);
            }
            Case::Reply => self.write_all(PACKETS, |world, at| {
                let flow = world.flow(start + at);
                (world.backends[flow], world.clients[flow].0, ACK)
            }),
            Case::New => {
                let first = self.fresh;
                self.fresh += PACKETS as u32;
                self.write_all(PACKETS, |world, at| {
                    let flow = first + at as u32;
                    (world.client(flow), world.service(flow), SYN)
                });
            }
            Case::Reject => {
                self.now_ms += 1_000; // the limit of answers fills again
                self.write_all(PACKETS, |world, at| {
                    let flow = at as u32;
                    (world.client(flow), Endpoint { port: 81, ..world.service(flow) }, SYN)
                });
            }
        }
        self.next += PACKETS;
    }

    /// Runs the packets through the pipeline. This is what is measured.
    pub(crate) fn process(&mut self) {
        self.verdicts.clear();
        let length = self.config.packet_bytes;
        for frames in self.frames.chunks_mut(BATCH) {
            let mut packets: ArrayVec<Packet<'_>, BATCH> = frames
                .iter_mut()
                .map(|buffer| Packet {
                    buffer,
                    length,
                    ingress: Ingress::HostPort,
                    handed_over: false,
                })
                .collect();
            let mut verdicts = ArrayVec::new();
            self.pipeline.process(&mut packets, &self.snapshot, self.now_ms, &mut verdicts);
            self.verdicts.extend_from_slice(black_box(&verdicts));
        }
    }

    /// Makes sure that what was measured is what was meant, and the world as it was.
    pub(crate) fn settle(&mut self, case: Case) {
        for verdict in &self.verdicts {
            match verdict {
                Verdict::Forward(Via::HostPort) if case != Case::Reject => {}
                Verdict::Answer(Via::HostPort) | Verdict::Drop(_) if case == Case::Reject => {}
                other => panic!("{case:?}: {other:?}"),
            }
        }
        if case == Case::New {
            // Those that never got an answer are forgotten.
            self.now_ms += 200_000;
            while self.pipeline.flows().len() > self.config.flows {
                self.pipeline.expire(self.now_ms);
            }
        }
    }

    fn flow(&self, at: usize) -> usize {
        self.order[at % self.order.len()] as usize
    }

    fn client(&self, flow: u32) -> Endpoint {
        client(flow, self.config.ipv6)
    }

    fn service(&self, flow: u32) -> Endpoint {
        service(flow % self.config.services, self.config.ipv6)
    }

    /// Writes `count` packets, and fills the rest of the frames with copies of them.
    fn write_all(
        &mut self,
        count: usize,
        packet: impl Fn(&Self, usize) -> (Endpoint, Endpoint, u8),
    ) {
        let mut frames = std::mem::take(&mut self.frames);
        for (at, frame) in frames.iter_mut().enumerate() {
            let (source, destination, flags) = packet(self, at % count);
            write_packet(&mut frame[..self.config.packet_bytes], source, destination, flags);
        }
        self.frames = frames;
    }
}
