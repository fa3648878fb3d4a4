use comfy_table::Table;
use serde::Serialize;

use super::HostPortArgs;
use super::frames::FRAME_BYTES;
use crate::figures::Figure;
use crate::output::table;
use crate::rig::{BareCounters, Machine, Poll};

const MPPS: f64 = 1e6;
const PERCENT: f64 = 0.01;

/// What arrived of what was sent.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Throughput {
    /// Packets a second that arrived at backends.
    pub(super) delivered_pps: f64,
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
    /// Through the bare forwarder.
    pub(super) bare: Throughput,
    /// Through the agent.
    pub(super) maglane: Throughput,
    /// Maglane's delivered packets a second over the bare forwarder's.
    pub(super) ratio: f64,
    /// What the bare forwarder counted.
    pub(super) bare_counters: BareCounters,
}

impl Round {
    /// One line.
    pub(super) fn text(&self) -> String {
        format!(
            "sender {:.3} Mpps, bare {:.3} ({:.2}% lost), Maglane {:.3} ({:.2}% lost), ratio {:.3}",
            self.sender_ceiling_pps / MPPS,
            self.bare.delivered_pps / MPPS,
            self.bare.lost_share / PERCENT,
            self.maglane.delivered_pps / MPPS,
            self.maglane.lost_share / PERCENT,
            self.ratio,
        )
    }
}

/// One side over all rounds.
#[derive(Clone, Debug, Serialize)]
struct Side {
    delivered_pps: Figure,
    lost_share: Figure,
}

impl Side {
    fn of(rounds: &[Round], side: impl Fn(&Round) -> &Throughput) -> Self {
        Self {
            delivered_pps: Figure::of(rounds.iter().map(|round| side(round).delivered_pps)),
            lost_share: Figure::of(rounds.iter().map(|round| side(round).lost_share)),
        }
    }
}

/// All rounds of one number of workers and one way to wait.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Configuration {
    workers: u32,
    poll: Poll,
    sender_ceiling_pps: Figure,
    bare: Side,
    maglane: Side,
    ratio: Figure,
    rounds: Vec<Round>,
}

impl Configuration {
    /// Sums them up.
    pub(super) fn new(workers: u32, poll: Poll, rounds: Vec<Round>) -> Self {
        Self {
            workers,
            poll,
            sender_ceiling_pps: Figure::of(rounds.iter().map(|round| round.sender_ceiling_pps)),
            bare: Side::of(&rounds, |round| &round.bare),
            maglane: Side::of(&rounds, |round| &round.maglane),
            ratio: Figure::of(rounds.iter().map(|round| round.ratio)),
            rounds,
        }
    }
}

/// What is printed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    benchmark: &'static str,
    machine: Machine,
    frame_bytes: usize,
    flows: u32,
    backends: u32,
    seconds: u64,
    seed: u64,
    configurations: Vec<Configuration>,
}

impl Report {
    /// Of a whole run.
    pub(super) fn new(
        machine: Machine,
        args: &HostPortArgs,
        configurations: Vec<Configuration>,
    ) -> Self {
        Self {
            benchmark: "host-port",
            machine,
            frame_bytes: FRAME_BYTES,
            flows: args.flows,
            backends: args.backends,
            seconds: args.seconds,
            seed: args.seed,
            configurations,
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut rows: Table = table([
            "WORKERS",
            "POLL",
            "SENDER MPPS",
            "BARE MPPS",
            "LOST %",
            "MAGLANE MPPS",
            "LOST %",
            "MAGLANE/BARE",
        ]);
        for one in &self.configurations {
            rows.add_row([
                one.workers.to_string(),
                one.poll.as_str().to_owned(),
                one.sender_ceiling_pps.show(MPPS, 3),
                one.bare.delivered_pps.show(MPPS, 3),
                one.bare.lost_share.show(PERCENT, 2),
                one.maglane.delivered_pps.show(MPPS, 3),
                one.maglane.lost_share.show(PERCENT, 2),
                one.ratio.show(1.0, 3),
            ]);
        }
        let rounds = self.configurations.first().map_or(0, |one| one.rounds.len());
        format!(
            "Host port, UDP frames of {} bytes, {} flows, {} backends, on {}\n\
             Median (least–greatest) of {rounds} rounds of {} s, in turn; delivered at the sender's full rate.\n\n{}",
            self.frame_bytes,
            self.flows,
            self.backends,
            self.machine.show(),
            self.seconds,
            rows.trim_fmt(),
        )
    }
}
