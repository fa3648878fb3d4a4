//! A node with Pods, Services and established flows, and packets of theirs: what the pipeline's
//! measurements run on, this crate's own and `maglane-bench engine`.

mod frame;
mod node;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrayvec::ArrayVec;
use maglane_dataplane::flow::{Fingerprints, FlowConfig, FlowTable, State};
use maglane_dataplane::pipeline::{
    BATCH, Counters, Ingress, Packet, Pipeline, PipelineConfig, Verdict, Via,
};
use maglane_dataplane::service::Snapshot;
use maglane_dataplane::wire::{Endpoint, HashKeys};
use maglane_dataplane::xsk::prefer_huge_pages;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use frame::{ACK, RST, SYN, destination, write_packet};
use node::{client, service, snapshot};

/// Packets between two looks at the clock: few enough for their frames to stay in the cache, as
/// those that have just come in do.
pub(crate) const PACKETS: usize = 8 * BATCH;
/// Beside the packet, a frame has room for an answer that is longer.
const ANSWER_BYTES: usize = 196;
/// Longer than a flow is kept that a reset has ended.
const CLOSED_AND_MORE_MS: u64 = 200_000;
/// How many places [`Pipeline::expire`] looks at.
const PLACES_SWEPT: usize = 1_024;
/// Half of what an established flow may be silent: the other half is more than the clock moves in
/// any round.
const HALF_A_DAY_MS: u64 = 12 * 3_600 * 1_000;
/// Longer than any flow may be silent.
const A_DAY_AND_MORE_MS: u64 = 25 * 3_600 * 1_000;

/// A packet's source, destination and TCP flags.
type PacketOf = (Endpoint, Endpoint, u8);

/// What the packets of a case are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Case {
    /// Data from clients of established flows.
    Established,
    /// Data from backends of established flows.
    Reply,
    /// SYNs of flows that are not there yet, beside the established ones.
    ///
    /// They go to all Services, in random order, and into places all over the flow table, where
    /// others have left: see [`World::churn`]. Three things stay easier than on a node: nothing
    /// else takes the cache between two rounds, Services stand in memory as they were built, one
    /// after the other, and all have as many backends. One is harder: no Service is asked for more
    /// often than any other, as on a node some always are.
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

/// Who talks to whom.
#[derive(Clone, Copy)]
struct Connection {
    client: Endpoint,
    service: Endpoint,
    backend: Endpoint,
}

/// The node.
pub(crate) struct World {
    pub(crate) config: WorldConfig,
    pub(crate) pipeline: Pipeline,
    pub(crate) snapshot: Snapshot,
    pub(crate) frames: Vec<Vec<u8>>,
    pub(crate) now_ms: u64,
    verdicts: Vec<Verdict>,
    /// The established flows, and the order in which they send.
    connections: Vec<Connection>,
    order: Vec<u32>,
    next: usize,
    /// The order in which Services get new flows.
    services: Vec<u32>,
    /// How many flows there ever were.
    clients: u32,
    /// The flows whose SYNs were written last, and those that are open, not yet established.
    opening: Vec<Connection>,
    opened: Vec<Connection>,
    /// When every flow had a packet last.
    alive_ms: u64,
    /// What the pipeline had counted when the packets were written.
    flows_opened: u64,
}

impl World {
    pub(crate) fn new(config: WorldConfig) -> Self {
        let WorldConfig { flows, services, ipv6, .. } = config;
        let mut random = StdRng::seed_from_u64(1);
        let capacity_flows =
            (flows + reserve_flows(flows) + 4 * PACKETS as u32).next_power_of_two();
        let keys = HashKeys::new(random.random());
        let table =
            FlowTable::new(FlowConfig { capacity_flows, ..FlowConfig::default() }, keys).unwrap();
        prefer_huge_pages(table.memory());
        let buckets = Fingerprints::buckets_for(capacity_flows);
        let words: Vec<AtomicU64> = (0..buckets * 8).map(|_| AtomicU64::new(0)).collect();
        let fingerprints = Fingerprints::new(Arc::new(words), 0, buckets).unwrap();
        let pipeline_config = PipelineConfig { worker: 0, workers: 1, host_port: true };
        let connections = (0..flows).map(|flow| connection(flow, flow % services, ipv6)).collect();
        let mut shuffled = |count: u32| {
            let mut numbers: Vec<u32> = (0..count).collect();
            numbers.shuffle(&mut random);
            numbers
        };
        let mut world = Self {
            config,
            pipeline: Pipeline::new(pipeline_config, table, fingerprints),
            snapshot: snapshot(&config),
            frames: vec![vec![0; config.packet_bytes + ANSWER_BYTES]; PACKETS],
            now_ms: 1,
            verdicts: Vec::with_capacity(PACKETS),
            connections,
            order: shuffled(flows),
            next: 0,
            services: shuffled(services),
            clients: flows,
            opening: Vec::new(),
            opened: Vec::new(),
            alive_ms: 1,
            flows_opened: 0,
        };
        world.establish();
        // Until flows have left, all vacant places stand in order.
        loop {
            world.write(Case::New);
            world.process();
            world.settle(Case::New);
            if world.opened.is_empty() {
                return world;
            }
        }
    }

    /// Opens every flow, has its backend answer and its client acknowledge.
    fn establish(&mut self) {
        let mut connections = std::mem::take(&mut self.connections);
        for connections in connections.chunks_mut(PACKETS) {
            self.send(connections, |of| (of.client, of.service, SYN));
            self.find_backends(connections);
            self.complete(connections);
        }
        self.connections = connections;
        let flows = self.pipeline.flows();
        let (records, _) = flows.records(0, flows.capacity());
        let established = records.filter(|flow| flow.state == State::Established).count();
        assert_eq!(established, self.config.flows as usize, "established flows");
        assert_eq!(flows.len(), self.config.flows, "flows");
    }

    /// Reads from the translated packets who answers.
    fn find_backends(&self, connections: &mut [Connection]) {
        for (frame, connection) in self.frames.iter().zip(connections) {
            connection.backend = destination(frame, self.config.ipv6);
        }
    }

    /// Has the backends of open flows answer, and the clients acknowledge.
    fn complete(&mut self, connections: &[Connection]) {
        self.send(connections, |of| (of.backend, of.client, SYN | ACK));
        self.send(connections, |of| (of.client, of.service, ACK));
    }

    /// Has each connection's packet go through the pipeline, of at most [`PACKETS`].
    fn send(&mut self, connections: &[Connection], packet: fn(&Connection) -> PacketOf) {
        self.write_all(|_, at| packet(&connections[at % connections.len()]));
        self.process();
    }

    /// Whether the case can be measured here.
    pub(crate) fn has(&self, case: Case) -> bool {
        // A flow expires once a round: the others of a round would be hits.
        case != Case::Expired || self.config.flows as usize >= PACKETS
    }

    /// Writes the packets of a case.
    pub(crate) fn write(&mut self, case: Case) {
        let config = self.config;
        if case != Case::New {
            self.churn();
        }
        let start = self.next;
        let data = |world: &Self, at: usize| {
            let of = world.connection(start + at);
            (of.client, of.service, ACK)
        };
        match case {
            Case::Established => self.write_all(data),
            Case::Expired => {
                self.now_ms += A_DAY_AND_MORE_MS;
                self.write_all(data);
            }
            Case::Reply => self.write_all(|world, at| {
                let of = world.connection(start + at);
                (of.backend, of.client, ACK)
            }),
            Case::New => {
                self.opening = (0..PACKETS as u32).map(|at| self.newcomer(at)).collect();
                self.clients += PACKETS as u32;
                self.write_all(|world, at| {
                    let of = &world.opening[at];
                    (of.client, of.service, SYN)
                });
            }
            Case::Reject => {
                self.now_ms += 1_000; // the limit of answers fills again
                self.write_all(|_, at| {
                    let of = connection(at as u32, at as u32 % config.services, config.ipv6);
                    (of.client, Endpoint { port: 81, ..of.service }, SYN)
                });
            }
        }
        self.next += PACKETS;
        self.flows_opened = self.count_flows_opened();
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
        let opened = match case {
            Case::New | Case::Expired => PACKETS as u64,
            Case::Established | Case::Reply | Case::Reject => 0,
        };
        assert_eq!(self.count_flows_opened() - self.flows_opened, opened, "{case:?}: opened");
        if case == Case::New {
            let mut opening = std::mem::take(&mut self.opening);
            self.find_backends(&mut opening);
            self.opened.append(&mut opening);
            if self.opened.len() >= reserve_flows(self.config.flows) as usize {
                self.churn();
            }
        }
        // A case in which flows expire is the last.
        if case != Case::Expired && self.now_ms > self.alive_ms + HALF_A_DAY_MS {
            self.keep_alive();
        }
    }

    /// Has each client send, so that no flow expires, however many rounds there are.
    fn keep_alive(&mut self) {
        let connections = std::mem::take(&mut self.connections);
        for connections in connections.chunks(PACKETS) {
            self.send(connections, |of| (of.client, of.service, ACK));
        }
        self.connections = connections;
        self.alive_ms = self.now_ms;
    }

    /// Has the new flows take over from as many others, which their clients end: the places that
    /// they leave, to be taken by the next new ones, are all over the table, as on a node on which
    /// connections come and go, and most have left the cache by then. With fewer flows than the
    /// packets of a round the new ones go themselves: such a table is in the cache, whatever its
    /// places are.
    fn churn(&mut self) {
        let mut leaving = std::mem::take(&mut self.opened);
        if self.config.flows as usize >= PACKETS {
            leaving.chunks(PACKETS).for_each(|newcomers| self.complete(newcomers));
            for connection in &mut leaving {
                let number = self.order[self.next % self.order.len()] as usize;
                std::mem::swap(&mut self.connections[number], connection);
                self.next += 1;
            }
        }
        // Those that leave together leave their places in order.
        for leaving in leaving.chunks(PACKETS) {
            self.send(leaving, |of| (of.client, of.service, RST));
            self.now_ms += CLOSED_AND_MORE_MS;
            let capacity = self.pipeline.flows().capacity();
            for _ in (0..capacity).step_by(PLACES_SWEPT) {
                self.pipeline.expire(self.now_ms);
            }
        }
        assert_eq!(self.pipeline.flows().len(), self.config.flows, "flows that stay");
    }

    fn count_flows_opened(&self) -> u64 {
        let counted = Counters::names().zip(self.pipeline.counters().values());
        counted.filter(|(name, _)| name == "flows_opened").map(|(_, count)| *count).sum()
    }

    fn connection(&self, at: usize) -> &Connection {
        &self.connections[self.order[at % self.order.len()] as usize]
    }

    /// A flow that was never there: every Service gets one before any gets another.
    fn newcomer(&self, at: u32) -> Connection {
        let number = self.clients + at;
        let service = self.services[number as usize % self.services.len()];
        connection(number, service, self.config.ipv6)
    }

    /// Writes a packet into each frame.
    fn write_all(&mut self, packet: impl Fn(&Self, usize) -> PacketOf) {
        let mut frames = std::mem::take(&mut self.frames);
        for (at, frame) in frames.iter_mut().enumerate() {
            let (source, destination, flags) = packet(self, at);
            write_packet(&mut frame[..self.config.packet_bytes], source, destination, flags);
        }
        self.frames = frames;
    }
}

/// How many flows are opened before as many others leave: so many that the places of those have
/// left the cache when they are taken, but few beside the established ones.
fn reserve_flows(established: u32) -> u32 {
    (established / 8).clamp(PACKETS as u32, 64 * PACKETS as u32)
}

/// A connection whose backend is not known yet.
fn connection(number: u32, of_service: u32, ipv6: bool) -> Connection {
    let service = service(of_service, ipv6);
    Connection { client: client(number, ipv6), service, backend: service }
}
