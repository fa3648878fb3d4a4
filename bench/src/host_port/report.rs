use serde::Serialize;

use super::HostPortArgs;
use super::frames::FRAME_BYTES;
use crate::figures::Figure;
use crate::output::table;
use crate::result::Origin;
use crate::rig::{BareCounters, CpuCost, Poll};

const MPPS: f64 = 1e6;
const PERCENT: f64 = 0.01;

/// What arrived of what was sent.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Throughput {
    /// Packets a second that arrived at backends.
    pub(super) delivered_pps: f64,
    /// Processor time for each packet that arrived.
    pub(super) cpu: CpuCost,
    /// Packets a second that the sender's kernel took.
    pub(super) offered_pps: f64,
    /// Packets, warm-up included.
    pub(super) sent: u64,
    /// Packets, warm-up and what was still on its way included.
    pub(super) received: u64,
    /// Share of what was sent that did not arrive.
    pub(super) lost_share: f64,
}

/// Everything measured once, in turn.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Round {
    /// Packets a second of the sender alone.
    pub(super) sender_ceiling_pps: f64,
    /// What each of them cost.
    pub(super) sender_ceiling_cpu: CpuCost,
    /// Through the bare forwarder.
    pub(super) bare: Throughput,
    /// Through the agent.
    pub(super) maglane: Throughput,
    /// Maglane's delivered packets a second over the bare forwarder's.
    pub(super) delivered_ratio: f64,
    /// The bare forwarder's processor time a packet over Maglane's, everybody's together: what the
    /// ratio above would be if processors were all there is, and nobody else used them.
    pub(super) cpu_ratio: f64,
    /// What the bare forwarder counted.
    pub(super) bare_counters: BareCounters,
}

impl Round {
    /// One line.
    pub(super) fn text(&self) -> String {
        format!(
            "sender {:.3} Mpps, bare {:.3} ({:.2}% lost), Maglane {:.3} ({:.2}% lost), ratio {:.3}, \
             of processor time {:.3}",
            self.sender_ceiling_pps / MPPS,
            self.bare.delivered_pps / MPPS,
            self.bare.lost_share / PERCENT,
            self.maglane.delivered_pps / MPPS,
            self.maglane.lost_share / PERCENT,
            self.delivered_ratio,
            self.cpu_ratio,
        )
    }
}

/// One side over all rounds.
#[derive(Clone, Debug, Serialize)]
struct Side {
    delivered_pps: Figure,
    sender_cpu_ns: Figure,
    forwarder_cpu_ns: Figure,
    softirq_cpu_ns: Figure,
    lost_share: Figure,
}

impl Side {
    fn of(rounds: &[Round], side: impl Fn(&Round) -> &Throughput) -> Self {
        let figure = |of: fn(&Throughput) -> f64| Figure::of(rounds.iter().map(|r| of(side(r))));
        Self {
            delivered_pps: figure(|one| one.delivered_pps),
            sender_cpu_ns: figure(|one| one.cpu.sender_ns),
            forwarder_cpu_ns: figure(|one| one.cpu.forwarder_ns),
            softirq_cpu_ns: figure(|one| one.cpu.softirq_ns),
            lost_share: figure(|one| one.lost_share),
        }
    }
}

/// All rounds of one number of workers and one way to wait.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Configuration {
    workers: u32,
    poll: Poll,
    sender_ceiling_pps: Figure,
    sender_ceiling_cpu_ns: Figure,
    bare: Side,
    maglane: Side,
    delivered_ratio: Figure,
    cpu_ratio: Figure,
    rounds: Vec<Round>,
}

impl Configuration {
    /// Sums them up.
    pub(super) fn new(workers: u32, poll: Poll, rounds: Vec<Round>) -> Self {
        let figure = |of: fn(&Round) -> f64| Figure::of(rounds.iter().map(of));
        Self {
            workers,
            poll,
            sender_ceiling_pps: figure(|round| round.sender_ceiling_pps),
            sender_ceiling_cpu_ns: figure(|round| round.sender_ceiling_cpu.sender_ns),
            bare: Side::of(&rounds, |round| &round.bare),
            maglane: Side::of(&rounds, |round| &round.maglane),
            delivered_ratio: figure(|round| round.delivered_ratio),
            cpu_ratio: figure(|round| round.cpu_ratio),
            rounds,
        }
    }
}

impl Configuration {
    /// For people.
    fn text(&self) -> String {
        let header = ["", "MPPS", "LOST %", "SENDER NS", "FORWARDER NS", "SOFTIRQ NS"];
        let mut rows = table(header);
        let alone =
            [self.sender_ceiling_pps.show(MPPS, 3), self.sender_ceiling_cpu_ns.show(1.0, 0)];
        let [mpps, ns] = alone;
        rows.add_row(["sender alone", &mpps, "", &ns, "", ""]);
        for (name, side) in [("bare forwarder", &self.bare), ("Maglane", &self.maglane)] {
            rows.add_row([
                name.to_owned(),
                side.delivered_pps.show(MPPS, 3),
                side.lost_share.show(PERCENT, 2),
                side.sender_cpu_ns.show(1.0, 0),
                side.forwarder_cpu_ns.show(1.0, 0),
                side.softirq_cpu_ns.show(1.0, 0),
            ]);
        }
        format!(
            "{} workers, {}: Maglane / bare {} of packets a second, {} by processor time\n{}",
            self.workers,
            self.poll.as_str(),
            self.delivered_ratio.show(1.0, 3),
            self.cpu_ratio.show(1.0, 3),
            rows.trim_fmt(),
        )
    }
}

/// What is printed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// Where it comes from.
    #[serde(flatten)]
    origin: Origin,
    frame_bytes: usize,
    flows: u32,
    backends: u32,
    seconds: u64,
    seed: u64,
    configurations: Vec<Configuration>,
    /// Whether a signal ended it before its time.
    interrupted: bool,
}

impl Report {
    /// Of a whole run.
    pub(super) fn new(
        origin: Origin,
        args: &HostPortArgs,
        configurations: Vec<Configuration>,
        interrupted: bool,
    ) -> Self {
        Self {
            origin,
            frame_bytes: FRAME_BYTES,
            flows: args.flows,
            backends: args.backends,
            seconds: args.seconds,
            seed: args.seed,
            configurations,
            interrupted,
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let rows = self.configurations.iter().map(Configuration::text);
        let tables: Vec<String> = rows.collect();
        let rounds = self.configurations.first().map_or(0, |one| one.rounds.len());
        format!(
            "Host port, UDP frames of {} bytes, {} flows, {} backends, on {}\n\
             Median (least–greatest) of {rounds} rounds of {} s, in turn; the sender sends all it can.\n\n{}",
            self.frame_bytes,
            self.flows,
            self.backends,
            self.origin.machine.show(),
            self.seconds,
            tables.join("\n\n"),
        )
    }
}
