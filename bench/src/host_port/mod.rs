//! Packets a second through the host port: Maglane beside a bare forwarder, which does the same
//! with every packet but to know whose it is.

mod flood;
mod frames;
mod report;
mod sink;

use std::time::{Duration, Instant};

use clap::Args;

use crate::error::{BenchError, Result};
use crate::figures::ratio;
use crate::interrupt::Interrupt;
use crate::output::{self, Format, progress};
use crate::result::Origin;
use crate::rig::{
    BareForwarder, CpuClocks, CpuCost, Lab, LabOptions, Poll, Programs, SERVICE_PORT,
};
use flood::{BATCH_FRAMES, Flood};
use frames::{Frame, MAX_FLOWS, Traffic};
use report::{Configuration, Report, Round, Throughput};
use sink::Sink;

/// Sent before it counts: flows are opened, caches warm.
const WARM_UP: Duration = Duration::from_millis(300);
/// What is on its way when the sender stops gets so long to arrive.
const DRAIN: Duration = Duration::from_millis(200);
/// At least so many frames are prepared, so that their order does not repeat too soon.
const PREPARED_FRAMES: usize = 4 * BATCH_FRAMES;
/// Nobody's: the node drops such frames before it looks into them.
const NOBODYS_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];

/// Options of `host-port`.
#[derive(Args, Clone, Debug)]
pub(crate) struct HostPortArgs {
    #[command(flatten)]
    programs: Programs,
    #[command(flatten)]
    bare: BareForwarder,
    /// Rounds, each of which measures everything once.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Length of one measurement.
    #[arg(long, value_name = "S", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Flows that the sender alternates between, each of another source port.
    #[arg(long, value_name = "N", default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_FLOWS)))]
    flows: u32,
    /// Workers, one measurement for each number.
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "1,2", value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: Vec<u32>,
    /// How workers wait, one measurement for each.
    #[arg(
        long,
        value_enum,
        value_name = "POLL,POLL",
        value_delimiter = ',',
        default_value = "adaptive"
    )]
    poll: Vec<Poll>,
    /// Pods behind the Service; the bare forwarder sends to the first.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    backends: u32,
    /// Of the random choice of flows.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// A table for people, or JSON for programs.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Measures and prints.
///
/// # Errors
/// What stopped it.
pub(crate) fn run(args: &HostPortArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    args.bare.path()?;
    let origin = Origin::now("host-port");
    progress(&format!("on {}", origin.machine.show()));
    let mut configurations = Vec::new();
    for poll in &args.poll {
        for workers in &args.workers {
            let options = LabOptions { workers: *workers, poll: *poll, backends: args.backends };
            match measure(args, options, interrupt) {
                // What was measured is kept.
                Err(BenchError::Interrupted) if !configurations.is_empty() => break,
                measured => configurations.push(measured?),
            }
        }
    }
    let interrupted = interrupt.check().is_err();
    let report = Report::new(origin, args, configurations, interrupted);
    output::print(args.output, &report, Report::text)
}

/// All rounds of one configuration, in a lab of its own.
fn measure(
    args: &HostPortArgs,
    options: LabOptions,
    interrupt: &Interrupt,
) -> Result<Configuration> {
    let (workers, poll) = (options.workers, options.poll);
    progress(&format!("{workers} workers, {}: bringing up a lab", poll.as_str()));
    let lab = Lab::up(&args.programs, options, interrupt)?;
    let mut bench = Bench::new(args, lab)?;
    let mut rounds = Vec::new();
    for number in 1..=args.rounds {
        // Who comes first changes, in case that matters.
        let round = match bench.round(number % 2 == 0) {
            Err(BenchError::Interrupted) if !rounds.is_empty() => break,
            round => round?,
        };
        progress(&format!("round {number} of {}: {}", args.rounds, round.text()));
        rounds.push(round);
    }
    Ok(Configuration::new(workers, poll, rounds))
}

struct Bench<'a> {
    args: &'a HostPortArgs,
    lab: Lab,
    sinks: Vec<Sink>,
    to_service: Vec<Frame>,
    to_nobody: Vec<Frame>,
}

impl<'a> Bench<'a> {
    fn new(args: &'a HostPortArgs, lab: Lab) -> Result<Self> {
        let [source_mac, destination_mac] =
            flood::ethernet_addresses(&lab.client.network_namespace, lab.service)?;
        let traffic = Traffic {
            source_mac,
            destination_mac,
            source: lab.client.address,
            destination: (lab.service, SERVICE_PORT),
            flows: args.flows,
            seed: args.seed,
        };
        let mut sinks = Vec::new();
        for (number, pod) in lab.backends.iter().enumerate() {
            if number == 0 {
                // The bare forwarder leaves the Service's address in the packet.
                let address = format!("{}/32", lab.service);
                lab.run_in(pod, &["ip", "address", "add", &address, "dev", "lo"])?;
            }
            sinks.push(Sink::open(pod, SERVICE_PORT)?);
        }
        let to_service = traffic.frames(PREPARED_FRAMES);
        let unseen = Traffic { destination_mac: NOBODYS_MAC, ..traffic };
        let to_nobody = unseen.frames(PREPARED_FRAMES);
        Ok(Self { args, lab, sinks, to_service, to_nobody })
    }

    fn round(&mut self, maglane_first: bool) -> Result<Round> {
        let before = if maglane_first { Some(self.maglane()?) } else { None };
        self.lab.stop_agent()?;
        let (sender_ceiling_pps, sender_ceiling_cpu) = self.ceiling()?;
        let forwarder = &self.args.bare;
        let (bare, bare_counters) =
            forwarder.run(&self.lab, |pid| self.throughput("the bare forwarder", Some(pid)))?;
        let maglane = match before {
            Some(measured) => measured,
            None => self.maglane()?,
        };
        let delivered_ratio = ratio(maglane.delivered_pps, bare.delivered_pps);
        let cpu_ratio = ratio(bare.cpu.total_ns(), maglane.cpu.total_ns());
        Ok(Round {
            sender_ceiling_pps,
            sender_ceiling_cpu,
            bare,
            maglane,
            delivered_ratio,
            cpu_ratio,
            bare_counters,
        })
    }

    fn maglane(&mut self) -> Result<Throughput> {
        self.lab.start_agent()?;
        self.throughput("Maglane", self.lab.agent_pid())
    }

    /// What the sender can send when nobody takes it: frames that the node drops at the client's
    /// veth, with no program there.
    fn ceiling(&self) -> Result<(f64, CpuCost)> {
        let clocks = CpuClocks::new(None);
        let flood = Flood::start(&self.lab.client.network_namespace, self.to_nobody.clone());
        self.lab.interrupt().sleep(WARM_UP)?;
        let (start, before, cpu_before) = (Instant::now(), flood.sent(), clocks.read());
        self.lab.interrupt().sleep(Duration::from_secs(self.args.seconds))?;
        let sent = flood.sent() - before;
        let (elapsed, cpu) = (start.elapsed(), clocks.read());
        flood.stop()?;
        Ok((sent as f64 / elapsed.as_secs_f64(), cpu.cost_since(cpu_before, sent)))
    }

    /// What arrives at the backends while the sender sends all it can.
    fn throughput(&self, subject: &'static str, forwarder: Option<u32>) -> Result<Throughput> {
        let clocks = CpuClocks::new(forwarder);
        let first = self.received()?;
        let flood = Flood::start(&self.lab.client.network_namespace, self.to_service.clone());
        self.lab.interrupt().sleep(WARM_UP)?;
        let (start, cpu_before) = (Instant::now(), clocks.read());
        let (sent_before, received_before) = (flood.sent(), self.received()?);
        self.lab.interrupt().sleep(Duration::from_secs(self.args.seconds))?;
        let (sent_after, received_after) = (flood.sent(), self.received()?);
        let cpu = clocks.read();
        let seconds = start.elapsed().as_secs_f64();
        let sent = flood.stop()?;
        self.lab.interrupt().sleep(DRAIN)?;
        let received = self.received()? - first;
        if received == 0 {
            return Err(BenchError::NothingArrived { subject, sent, hint: "" });
        }
        Ok(Throughput {
            delivered_pps: (received_after - received_before) as f64 / seconds,
            cpu: cpu.cost_since(cpu_before, received_after - received_before),
            offered_pps: (sent_after - sent_before) as f64 / seconds,
            sent,
            received,
            // Neighbours talk a little, too: more may arrive than was sent.
            lost_share: ratio(sent.saturating_sub(received) as f64, sent as f64),
        })
    }

    fn received(&self) -> Result<u64> {
        self.sinks.iter().map(Sink::received).sum()
    }
}
