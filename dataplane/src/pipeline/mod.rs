//! Floor 2: a batch of packets, one snapshot and one flow table in; verdicts out. No I/O, no
//! clock.
//!
//! Stages of a packet, the fastest and most frequent first:
//!
//! 1. prefetch packets, parse, hash, prefetch flows, pick backends for packets that have none
//!    (the whole batch, before the first lookup; `look_ahead`)
//! 2. flow lookup → translate → out (`established`)
//! 3. Service lookup → Maglev pick → new flow → translate → out (`open`)
//! 4. answers: TCP reset, ICMP error, echo reply (`answer`)
//! 5. ICMP errors about tracked flows (`icmp`)
//!
//! `route` decides on which device, and how, a packet leaves.

mod answer;
mod counters;
mod established;
mod icmp;
mod look_ahead;
mod open;
mod packet;
mod route;
mod verdict;

use arrayvec::ArrayVec;
use prefetch_index::prefetch_index;

use counters::Event;
pub use counters::{COUNTERS, Counters};
pub use packet::{BATCH, Ingress, Packet};
pub use verdict::{DropReason, Verdict, Via};

use crate::flow::{Fingerprints, FlowTable, Hit, RemovalReason, Removed};
use crate::service::Snapshot;
use crate::wire::{
    Endpoint, Headers, Parsed, WayIn, finish_checksum, parse, parse_transport, read_message,
};
use answer::AnswerLimit;
use open::Pick;

/// Places of the flow table that each batch looks at for expired flows.
const EXPIRY_BUDGET_ENTRIES: usize = 1024;

/// What makes one worker's pipeline different from another's.
#[derive(Clone, Copy, Debug)]
pub struct PipelineConfig {
    /// This worker.
    pub worker: u32,
    /// All workers.
    pub workers: u32,
    /// Whether there is a host port to leave through.
    pub host_port: bool,
}

/// One worker's state: its flows, what the steering programs know of them, its counters.
pub struct Pipeline {
    config: PipelineConfig,
    flows: FlowTable,
    fingerprints: Fingerprints,
    counters: Counters,
    answers: AnswerLimit,
    /// Room for one batch.
    stages: Vec<Staged>,
}

/// How a packet came, as far as the way out depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Origin {
    Host(WayIn),
    Port(u32),
}

/// What the way of one packet depends on, beside its bytes.
struct Context<'a> {
    origin: Origin,
    snapshot: &'a Snapshot,
    now_ms: u64,
}

/// A packet after its first stage. Kept in place: moving it would cost as much as the stage.
#[derive(Clone)]
struct Staged {
    headers: Headers,
    hash: u64,
    likely: Likely,
    origin: Origin,
    next: Next,
}

/// What the flow table's index says of a packet, after the second stage.
#[derive(Clone, Copy)]
enum Likely {
    /// The flow whose place in memory was asked for.
    Flow(Hit),
    /// There is none. This is who is to answer a new one.
    NoFlow(Pick),
}

/// What is to be done with a packet after its first stage.
#[derive(Clone, Copy)]
enum Next {
    /// TCP or UDP: `headers` and `hash` are set.
    Transport,
    /// Anything else. It is parsed again: it is rare, and what there is to know of it is large.
    Other,
    /// Nothing.
    Decided(Verdict),
}

impl Staged {
    const EMPTY: Self = Self {
        headers: Headers::UNREAD,
        hash: 0,
        likely: Likely::NoFlow(Pick::NotAService),
        origin: Origin::Port(0),
        next: Next::Decided(Verdict::Drop(DropReason::NotIp)),
    };
}

impl Pipeline {
    /// A pipeline without flows.
    pub fn new(config: PipelineConfig, flows: FlowTable, fingerprints: Fingerprints) -> Self {
        Self {
            config,
            flows,
            fingerprints,
            counters: Counters::default(),
            answers: AnswerLimit::default(),
            stages: vec![Staged::EMPTY; BATCH],
        }
    }

    /// Processes a batch: each packet is changed in place, and gets one verdict, in order.
    /// `now_ms` is the time since the engine's start. A batch has at most [`BATCH`] packets.
    pub fn process(
        &mut self,
        packets: &mut [Packet<'_>],
        snapshot: &Snapshot,
        now_ms: u64,
        verdicts: &mut ArrayVec<Verdict, BATCH>,
    ) {
        let mut stages = std::mem::take(&mut self.stages);
        // The kernel wrote them on another core: a cache miss each, which parsing would wait for.
        for packet in packets.iter() {
            prefetch_index(&*packet.buffer, 0);
        }
        for (packet, staged) in packets.iter_mut().zip(&mut stages) {
            self.stage(packet, staged);
        }
        self.look_ahead(stages.get_mut(..packets.len()).unwrap_or_default(), snapshot);
        for (packet, staged) in packets.iter_mut().zip(&stages) {
            let context = Context { origin: staged.origin, snapshot, now_ms };
            let verdict = match staged.next {
                Next::Transport => self.transport(packet, staged, &context),
                Next::Other => self.other(packet, &context),
                Next::Decided(verdict) => verdict,
            };
            self.counters.count(verdict);
            verdicts.push(verdict);
        }
        self.stages = stages;
    }

    /// Forgets flows that have been silent for too long, a bounded part of the table a call.
    pub fn expire(&mut self, now_ms: u64) {
        let Self { flows, fingerprints, counters, .. } = self;
        flows.expire(now_ms, EXPIRY_BUDGET_ENTRIES, |removed| {
            forget(fingerprints, counters, removed);
        });
    }

    /// The flow table, to be read.
    pub fn flows(&self) -> &FlowTable {
        &self.flows
    }

    /// What was counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Counts the end of a packet that could not be sent, or handed over, after its verdict.
    pub fn count_drop(&mut self, reason: DropReason) {
        self.counters.count(Verdict::Drop(reason));
    }

    /// Parses, and asks the processor for the first thing that the flow lookup will read.
    #[inline(always)]
    fn stage(&self, packet: &mut Packet<'_>, staged: &mut Staged) {
        staged.next = match parse_transport(packet.bytes(), &mut staged.headers) {
            Ok(true) => Next::Transport,
            Ok(false) => Next::Other,
            Err(malformed) => Next::Decided(Verdict::Malformed(malformed)),
        };
        match packet.ingress {
            Ingress::HostPort => match read_message(packet.bytes()) {
                Some(way_in) => staged.origin = Origin::Host(way_in),
                None if matches!(staged.next, Next::Decided(_)) => {}
                None => staged.next = Next::Decided(Verdict::Drop(DropReason::NoMessage)),
            },
            Ingress::Port { interface } => {
                staged.origin = Origin::Port(interface);
                if let Next::Transport = staged.next {
                    // A veth that plays a NIC hands frames over with unfinished sums.
                    finish_checksum(packet.bytes_mut(), &staged.headers);
                }
            }
        }
        if let Next::Transport = staged.next {
            staged.hash = self.flows.keys().tuple(&staged.headers.tuple);
            self.flows.prefetch_bucket(staged.hash);
        }
    }

    /// A TCP or UDP packet.
    #[inline]
    fn transport(
        &mut self,
        packet: &mut Packet<'_>,
        Staged { headers, hash, likely, .. }: &Staged,
        context: &Context<'_>,
    ) -> Verdict {
        let Self { flows, fingerprints, counters, .. } = self;
        let confirmed = match likely {
            Likely::Flow(hit) => flows.confirm(*hit, &headers.tuple, context.now_ms),
            Likely::NoFlow(_) => None,
        };
        let hit = confirmed.or_else(|| {
            flows.lookup(&headers.tuple, *hash, context.now_ms, |removed| {
                forget(fingerprints, counters, removed);
            })
        });
        if let Some(hit) = hit
            && self.is_current(hit, headers, context)
        {
            return self.established(packet, headers, hit, context);
        }
        match likely {
            Likely::NoFlow(pick) => self.open(packet, headers, pick, context),
            Likely::Flow(_) => {
                let pick = Pick::of(&headers.tuple, context.snapshot);
                self.open(packet, headers, &pick, context)
            }
        }
    }

    /// What is neither TCP nor UDP, or has no ports.
    #[cold]
    fn other(&mut self, packet: &mut Packet<'_>, context: &Context<'_>) -> Verdict {
        let parsed = match parse(packet.bytes()) {
            Ok(parsed) => parsed,
            Err(malformed) => return Verdict::Malformed(malformed),
        };
        let (destination, reason) = match &parsed {
            Parsed::IcmpError(error) => {
                return self.icmp_error(packet, error, context);
            }
            Parsed::EchoRequest(echo) if context.snapshot.is_ours(&echo.source) => {
                return Verdict::Drop(DropReason::SpoofedSource);
            }
            Parsed::EchoRequest(echo)
                if context.snapshot.services.contains_address(&echo.destination) =>
            {
                return self.answer_echo(packet, echo, context);
            }
            Parsed::EchoRequest(echo) => (echo.destination, DropReason::UnknownFlow),
            Parsed::LaterFragment { destination, .. } => (*destination, DropReason::LaterFragment),
            Parsed::OtherIp { destination, .. } => (*destination, DropReason::UnsupportedProtocol),
            Parsed::NotIp | Parsed::Transport(_) => return Verdict::Drop(DropReason::NotIp),
        };
        if context.snapshot.services.contains_address(&destination) {
            return Verdict::Drop(reason);
        }
        self.give_back(packet, context)
    }

    /// The worker that owns this client's flows, if it is not this one and the packet may still
    /// be handed over.
    fn other_owner(&self, packet: &Packet<'_>, client: &Endpoint) -> Option<u32> {
        if self.config.workers == 1 || packet.handed_over {
            return None;
        }
        let owner = self.flows.keys().worker_of(client, self.config.workers);
        (owner != self.config.worker).then_some(owner)
    }
}

/// Takes note of a flow that left the table: its fingerprint is cleared before its place is used
/// again.
fn forget(fingerprints: &mut Fingerprints, counters: &mut Counters, removed: &Removed) {
    fingerprints.remove(removed.reply_hash);
    match removed.reason {
        RemovalReason::Expired => counters.count_flow(Event::FlowExpired),
        RemovalReason::Evicted => counters.count_flow(Event::FlowEvicted),
        RemovalReason::Requested => {}
    }
}
