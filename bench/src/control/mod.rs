//! What a cluster costs the control plane, and how soon its changes are in force.
//!
//! ```text
//!   generated cluster ── API server (TLS, HTTP/2) ── lo ── agent ── workers
//!          │ changes one endpoint                            │
//!          └── written to the connection … in force ── GET /generation ──> here
//! ```
//!
//! The agent is the real one, in a network namespace of its own. Its socket answers `/generation`
//! once all workers have the change, so that nothing asks again and again: what is measured is in
//! force, and the answer's way back is counted in.

mod agent;
mod ask;
mod cluster;
mod report;
mod server;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use hdrhistogram::Histogram;
use rand::Rng;

use crate::interrupt::Interrupt;
use crate::output::{self, Format, progress};
use crate::result::Origin;
use crate::rig::Programs;
use agent::{Agent, Memory};
use ask::Ask;
use cluster::Cluster;
use report::{Latency, Report, Size};
use server::World;

/// How long it may take until a cluster is in force, and one change.
const START_LIMIT: Duration = Duration::from_secs(120);
const CHANGE_LIMIT: Duration = Duration::from_secs(10);
/// Until a started agent is left alone before it is measured.
const CALM: Duration = Duration::from_secs(1);
/// Between two changes: long enough for the agent to be idle, never in step with its timers.
const PAUSE_MS: std::ops::Range<u64> = 10..30;

/// Options of `control`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ControlArgs {
    #[command(flatten)]
    programs: Programs,
    /// Sizes of cluster, one after another.
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "100,1000,10000",
          value_parser = clap::value_parser!(u32).range(1..=50_000))]
    services: Vec<u32>,
    /// Endpoints of each Service.
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    endpoints: u32,
    /// Changes of one endpoint each, of a Service at random.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(300..=100_000))]
    changes: u32,
    /// Changes written at once, to see how fast many are taken in.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    burst: u32,
    /// Workers of the agent.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// A table for people, or JSON for programs.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Measures and prints.
///
/// # Errors
/// What stopped it.
pub(crate) fn run(args: &ControlArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    anyhow::ensure!(nix::unistd::geteuid().is_root(), crate::error::BenchError::NeedsRoot);
    let origin = Origin::now("control");
    progress(&format!("on {}", origin.machine.show()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // What an agent takes that has nothing to serve: workers, rings, flow tables, the program.
    let empty = runtime.block_on(measure(args, 0, interrupt)).context("without Services")?;
    let mut sizes = Vec::new();
    for services in &args.services {
        let size = runtime.block_on(measure(args, *services as usize, interrupt));
        // What was measured is kept, and what was interrupted is no measurement.
        if interrupt.check().is_err() && !sizes.is_empty() {
            break;
        }
        sizes.push(size.with_context(|| format!("{services} Services"))?);
    }
    let interrupted = interrupt.check().is_err();
    let agent = (args.endpoints, args.workers);
    let report = Report::new(origin, agent, empty.memory, sizes, interrupted);
    output::print(args.output, &report, Report::text)
}

async fn measure(
    args: &ControlArgs,
    services: usize,
    interrupt: &Interrupt,
) -> anyhow::Result<Size> {
    progress(&format!("{services} Services of {} endpoints", args.endpoints));
    let world = World::new(Cluster::new(services, args.endpoints as usize));
    let mut agent = Agent::start(&args.programs.maglane()?, args.workers, world.clone())?;
    agent.wait_for_socket(interrupt)?;
    let measured = figures(args, services, &world, &agent, interrupt).await;
    let size = measured.with_context(|| format!("the agent's log ends: {}", agent.log_tail()))?;
    agent.stop(interrupt)?;
    Ok(size)
}

async fn figures(
    args: &ControlArgs,
    services: usize,
    world: &Arc<World>,
    agent: &Agent,
    interrupt: &Interrupt,
) -> anyhow::Result<Size> {
    let mut ask = Ask::connect(&agent.socket()).await?;
    let in_force = tokio::time::timeout(START_LIMIT, ask.generation_after(0)).await;
    let mut generation = in_force.context("waited for the cluster to be in force")??;
    let start = agent.started.elapsed();
    interrupt.sleep(CALM)?;
    let memory = agent.memory()?;
    let status = ask.status().await?;
    anyhow::ensure!(status.services == services, "{} Services are in force", status.services);
    anyhow::ensure!(status.problems.is_empty(), "the agent has problems: {:?}", status.problems);
    let mut size = Size::new(services, memory, status.table_bytes, start);
    if services > 0 {
        // The lists are over, the watches may not have begun.
        interrupt.wait_until("a watch", 10, || Ok(world.watching() > 0))?;
        let before = agent.control_time()?;
        size.latency = one_by_one(args, world, &mut ask, &mut generation, interrupt).await?;
        size.control_time_per_change_us =
            (agent.control_time()? - before).as_secs_f64() * 1e6 / f64::from(args.changes);
        size.burst_ms =
            burst(args, world, Ask::connect(&agent.socket()).await?, generation).await?;
        check(world, &mut ask).await?;
        size.memory_after = agent.memory()?;
    }
    Ok(size)
}

/// From the event's writing to its being in force, one change after another.
async fn one_by_one(
    args: &ControlArgs,
    world: &Arc<World>,
    ask: &mut Ask,
    generation: &mut u32,
    interrupt: &Interrupt,
) -> anyhow::Result<Latency> {
    let mut histogram = Histogram::<u64>::new(3)?;
    for _ in 0..args.changes {
        interrupt.sleep(Duration::from_millis(rand::rng().random_range(PAUSE_MS)))?;
        let slice = change(world, args.endpoints);
        let teller = world.clone();
        // Told a moment after the question was put, from another thread.
        let told = thread::spawn(move || {
            thread::sleep(Duration::from_millis(1));
            teller.tell(&slice);
        });
        let answer = tokio::time::timeout(CHANGE_LIMIT, ask.generation_after(*generation)).await;
        let in_force = Instant::now();
        *generation = answer.context("waited for a change to be in force")??;
        let _ = told.join();
        let latency = in_force.saturating_duration_since(world.written());
        histogram.record(latency.as_nanos() as u64)?;
    }
    Ok(Latency::of(&histogram))
}

/// Many changes at once: until the last is in force, in milliseconds.
async fn burst(
    args: &ControlArgs,
    world: &Arc<World>,
    // Its own: a question that is given up takes its connection with it.
    mut ask: Ask,
    mut generation: u32,
) -> anyhow::Result<f64> {
    let slices: Vec<_> = (0..args.burst).map(|_| change(world, args.endpoints)).collect();
    let begun = Instant::now();
    slices.iter().for_each(|slice| world.tell(slice));
    // The last generation is the one after which none comes.
    let mut last = begun;
    loop {
        let answer = tokio::time::timeout(CALM, ask.generation_after(generation)).await;
        match answer {
            Ok(newer) => (generation, last) = (newer?, Instant::now()),
            Err(_) => return Ok(last.duration_since(begun).as_secs_f64() * 1e3),
        }
    }
}

fn change(world: &World, endpoints: u32) -> String {
    let mut cluster = world.cluster();
    let service = rand::rng().random_range(0..cluster.services());
    cluster.move_endpoint(service, rand::rng().random_range(0..endpoints as usize))
}

/// Figures of an agent that has not done what it was told are none.
async fn check(world: &World, ask: &mut Ask) -> anyhow::Result<()> {
    let in_force = ask.in_force().await?;
    for (name, expected) in world.cluster().in_force() {
        let found = in_force.get(&name).with_context(|| format!("{name} is not in force"))?;
        anyhow::ensure!(*found == expected, "{name}: {found:?} are in force, not {expected:?}");
    }
    Ok(())
}

impl Size {
    fn new(services: usize, memory: Memory, table_bytes: u64, start: Duration) -> Self {
        Self {
            services,
            memory,
            memory_after: memory,
            table_bytes,
            start_s: start.as_secs_f64(),
            latency: Latency::default(),
            control_time_per_change_us: 0.0,
            burst_ms: 0.0,
        }
    }
}
