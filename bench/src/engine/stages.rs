//! Where the time of a packet goes: what the pipeline does, done as far as each stage through the
//! dataplane's own functions, in the pipeline's order and batches. A stage's time is what it adds
//! to those before; the rest is what only the pipeline itself does.

use std::hint::black_box;
use std::time::Instant;

use arrayvec::ArrayVec;
use maglane_dataplane::flow::Hit;
use maglane_dataplane::pipeline::BATCH;
use maglane_dataplane::service::{Frontend, Lookup, Service};
use maglane_dataplane::wire::{
    HashKeys, Headers, WayOut, parse_transport, read_message, translate, write_message,
};
use serde::{Deserialize, Serialize};

use super::world::{Case, PACKETS, World};
use crate::error::Result;
use crate::figures::Figure;
use crate::interrupt::Interrupt;

/// One stage.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Stage {
    /// What it does.
    pub(crate) name: String,
    /// Nanoseconds a packet.
    pub(crate) ns: f64,
}

/// How far a packet is taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Depth {
    Parse,
    Hash,
    Flow,
    Pick,
    Route,
    Rewrite,
}

/// Measures the stages of a case whose whole takes so long.
///
/// # Errors
/// [`BenchError::Interrupted`](crate::error::BenchError::Interrupted).
pub(crate) fn measure(
    world: &mut World,
    case: Case,
    rounds: u32,
    whole_ns: f64,
    interrupt: &Interrupt,
) -> Result<Vec<Stage>> {
    let named: &[(Depth, &str)] = match case {
        Case::Established | Case::Reply => &[
            (Depth::Parse, "parse"),
            (Depth::Hash, "hash"),
            (Depth::Flow, "flow lookup"),
            (Depth::Route, "forwarding lookup"),
            (Depth::Rewrite, "rewrite"),
        ],
        Case::New => &[
            (Depth::Parse, "parse"),
            (Depth::Hash, "hash"),
            (Depth::Flow, "flow lookup"),
            (Depth::Pick, "Service and backend"),
        ],
        // The answer, or the end of the old flow, is nearly all of it.
        Case::Reject | Case::Expired => &[],
    };
    let rest = match case {
        Case::New => "new flow, forwarding, rewrite",
        _ => "state, counters, verdict",
    };
    let mut stages = Vec::new();
    let mut before = 0.0;
    for (depth, name) in named {
        let until = time(world, case, *depth, rounds, interrupt)?;
        // Noise may have a longer way take less time.
        let ns = (until - before).max(0.0);
        stages.push(Stage { name: (*name).to_owned(), ns });
        before = until.max(before);
    }
    if !stages.is_empty() {
        stages.push(Stage { name: rest.to_owned(), ns: (whole_ns - before).max(0.0) });
    }
    Ok(stages)
}

fn time(
    world: &mut World,
    case: Case,
    depth: Depth,
    rounds: u32,
    interrupt: &Interrupt,
) -> Result<f64> {
    let mut walk = Walk::new();
    let mut rounds_ns = Vec::with_capacity(rounds as usize);
    // The first round warms up.
    for round in 0..=rounds {
        interrupt.check()?;
        world.write(case);
        let start = Instant::now();
        walk.take(world, depth);
        let passed = start.elapsed();
        if round > 0 {
            rounds_ns.push(passed.as_nanos() as f64 / PACKETS as f64);
        }
    }
    Ok(Figure::of(rounds_ns.into_iter()).median)
}

/// Room for one batch.
struct Walk {
    headers: Vec<Headers>,
    hashes: Vec<u64>,
    hits: Vec<Option<Hit>>,
}

impl Walk {
    fn new() -> Self {
        Self {
            headers: vec![Headers::UNREAD; BATCH],
            hashes: vec![0; BATCH],
            hits: vec![None; BATCH],
        }
    }

    /// Takes all packets so far.
    fn take(&mut self, world: &mut World, depth: Depth) {
        let length = world.config.packet_bytes;
        let mut frames = std::mem::take(&mut world.frames);
        for batch in frames.chunks_mut(BATCH) {
            self.parse(world, batch, length, depth);
            if depth >= Depth::Flow {
                for (hash, hit) in self.hashes.iter().zip(&mut self.hits) {
                    *hit = world.pipeline.flows().prefetch_entry(*hash);
                }
                if depth == Depth::Pick {
                    self.pick(world);
                }
                for (at, frame) in batch.iter_mut().enumerate() {
                    self.finish(world, &mut frame[..length], at, depth);
                }
            }
        }
        world.frames = frames;
    }

    fn parse(&mut self, world: &World, batch: &[Vec<u8>], length: usize, depth: Depth) {
        let flows = world.pipeline.flows();
        let staged = self.headers.iter_mut().zip(&mut self.hashes);
        for (frame, (headers, hash)) in batch.iter().zip(staged) {
            let frame = &frame[..length];
            let _ = black_box(parse_transport(frame, headers));
            black_box(read_message(frame));
            if depth >= Depth::Hash {
                *hash = black_box(flows.keys().tuple(&headers.tuple));
                if depth >= Depth::Flow {
                    flows.prefetch_bucket(*hash);
                }
            }
        }
    }

    /// Picks backends in the steps that the pipeline takes for all new flows of a batch together.
    fn pick(&self, world: &World) {
        let services = &world.snapshot.services;
        let staged = || self.headers.iter().zip(&self.hits);
        let missed = || staged().filter(|(_, hit)| hit.is_none()).map(|(headers, _)| headers.tuple);
        for tuple in missed() {
            services.prefetch(&Frontend::of(&tuple));
        }
        let mut found = ArrayVec::<(&Service, u64), BATCH>::new();
        for tuple in missed() {
            if let Lookup::Service(service) = services.lookup(&Frontend::of(&tuple)) {
                let hash = HashKeys::PUBLIC.tuple(&tuple);
                service.prefetch_slot(hash);
                found.push((service, hash));
            }
        }
        for (service, hash) in &found {
            service.prefetch_backend(*hash);
        }
        for (service, hash) in &found {
            black_box(service.pick(*hash));
        }
    }

    fn finish(&self, world: &World, frame: &mut [u8], at: usize, depth: Depth) {
        let (headers, flows) = (&self.headers[at], world.pipeline.flows());
        let hit = self.hits[at].and_then(|hit| flows.confirm(hit, &headers.tuple, world.now_ms));
        let Some(hit) = black_box(hit) else { return };
        if depth < Depth::Route {
            return;
        }
        let to = flows.translation(hit.id, hit.direction);
        black_box(world.snapshot.forwarding.lookup(&to.destination.address));
        if depth >= Depth::Rewrite {
            translate(frame, headers, &to, 1);
            write_message(frame, WayOut::Pod { interface: 7, mac: [2; 6] });
        }
    }
}
