use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use super::LabArgs;
use super::apps;
use super::book::Book;
use super::cpu::Busy;
use super::place::{CLIENT, MACS, Place};
use super::subject::{BareProgram, Running, Subject};
use crate::error::{BenchError, Result};
use crate::interrupt::Interrupt;
use crate::output::progress;
use crate::pktgen::{
    AddressRange, Content, Interface, Link, Load, Outcome, Pace, Rate, Session, SessionPlan, Shape,
    Traffic, TrialResult, Tuples, Wait, Xdp, bias, ns, parse_mac,
};
use crate::search::{Goal, Next, Range, Trial};

/// Flows that are new each second, as a share of all packets.
const NEW_FLOWS_SHARE: f64 = 0.05;
/// Cores of the generator: one, so that the others are the dataplane's.
const CORES: [usize; 1] = [0];
const WARM_UP_NS: u64 = 100_000_000;
const OPEN_RATE_PPS: f64 = 100_000.0;
/// How close the bounds of the throughput are.
pub(super) const WIDTH: f64 = 0.02;
const MIN_LOAD_PPS: f64 = 1_000.0;
const MAX_TRIALS: usize = 60;
/// Trials in which the generator may send nothing at all before that is an error.
const START_TRIES: usize = 3;
/// With more of them busy with other things, the rest is theirs rather than a subject's.
const MAX_BUSY_CORES: f64 = 0.25;
/// The most that may be lost where the cost of packets is measured.
pub(super) const TOLERATED_LOSS: f64 = 0.001;
/// Processor time is measured for so long at least.
const MIN_CPU_S: f64 = 2.0;
/// Changes of a backend for one figure, and how long between them under load.
const CHANGES: usize = 6;
const CHURN_EVERY: Duration = Duration::from_millis(50);

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Metric {
    /// Packets a second without loss.
    Ndr,
    /// Packets a second that arrive when the generator sends all it can.
    Max,
    /// Processor time of the whole machine for each packet, at a fixed rate.
    Cpu,
    /// Latency of known and of new flows, at a fixed rate.
    Latency,
    /// Time until one changed backend is in force.
    Change,
    /// Packets lost while backends change, as time in which nothing was forwarded.
    Churn,
    /// Bytes of one TCP connection.
    Bulk,
    /// Requests on kept connections.
    Requests,
    /// Connections of one request each.
    Connections,
}

impl Metric {
    /// Whether a greater figure is the better one.
    pub(super) fn more_is_better(self) -> bool {
        match self {
            Self::Ndr | Self::Max | Self::Bulk | Self::Requests | Self::Connections => true,
            Self::Cpu | Self::Latency | Self::Change | Self::Churn => false,
        }
    }
}

/// The generator in the lab.
pub(super) struct Bench<'a> {
    args: &'a LabArgs,
    place: &'a Place,
    interrupt: &'a Interrupt,
    ends: [Interface; 2],
    /// None where processor time cannot be measured.
    others: Option<Others>,
}

/// Who else takes processor time.
#[derive(Clone, Copy)]
struct Others {
    /// Cores' worth of everything that runs besides.
    busy_cores: f64,
    /// For each packet, of the generator by itself.
    generator_ns: f64,
}

/// How long processor time is measured: what the kernel tells apart is to be little beside it.
pub(super) fn cpu_seconds(args: &LabArgs) -> f64 {
    args.seconds.max(MIN_CPU_S)
}

impl<'a> Bench<'a> {
    /// Ready to measure.
    pub(super) fn new(
        args: &'a LabArgs,
        place: &'a Place,
        interrupt: &'a Interrupt,
    ) -> Result<Self> {
        Ok(Self { args, place, interrupt, ends: place.ends()?, others: None })
    }

    /// Measures one subject once.
    pub(super) fn round(
        &mut self,
        subject: &Subject,
        bare: &BareProgram,
        book: &mut Book<'_>,
    ) -> Result<()> {
        let mut running = subject.start(self.place, bare)?;
        self.packets(subject, book)?;
        if let Some(others) = self.others {
            match self.cpu(self.session(subject, Wait::Adaptive)?, others)? {
                Some(ns) => book.note(subject, Metric::Cpu, ns),
                None => book.lossy(subject, "processor time"),
            }
        }
        if subject.has_backends() {
            self.changes(subject, &mut running, book)?;
        }
        if subject.carries_connections() {
            for metric in [Metric::Bulk, Metric::Requests, Metric::Connections] {
                if self.args.measures(metric) {
                    self.interrupt.check()?;
                    match apps::measure(self.place, subject, metric, self.args.seconds)? {
                        Ok(value) => book.note(subject, metric, value),
                        Err(missing) => book.skip(&missing),
                    }
                }
            }
        }
        Ok(())
    }

    fn packets(&self, subject: &Subject, book: &mut Book<'_>) -> Result<()> {
        let wanted = [Metric::Max, Metric::Ndr, Metric::Latency];
        if !wanted.iter().any(|metric| self.args.measures(*metric)) {
            return Ok(());
        }
        let mut session = self.session(subject, Wait::Busy)?;
        let half_s = self.args.seconds / 2.0;
        let fastest = self.fastest(&mut session, half_s)?;
        if self.args.measures(Metric::Max) {
            book.note(subject, Metric::Max, fastest.forward.received_pps);
        }
        if self.args.measures(Metric::Ndr) {
            let ndr = self.throughput(&mut session, fastest.forward.sent_pps)?;
            book.note(subject, Metric::Ndr, ndr.unwrap_or(0.0));
        }
        if self.args.measures(Metric::Latency) {
            let rate = self.args.rate;
            let new_flows = Rate::new(rate.pps() * NEW_FLOWS_SHARE);
            let pace = Pace::Even { pps: rate };
            let outcome = self.trial(&mut session, pace, self.args.seconds, Some(new_flows))?;
            if arrived(&outcome) {
                book.note_latency(subject, &outcome.forward.metered);
            } else {
                // Those that did not come are the latest of all.
                book.lossy(subject, "latency");
            }
        }
        Ok(())
    }

    /// As fast as it goes.
    fn fastest(&self, session: &mut Session, seconds: f64) -> Result<TrialResult> {
        for _ in 0..START_TRIES {
            let result = TrialResult::of(&self.trial(session, Pace::Max, seconds, None)?);
            if result.forward.received > 0 {
                return Ok(result);
            }
            if result.forward.sent > 0 {
                let sent = result.forward.sent;
                return Err(BenchError::NothingArrived { subject: "this way", sent });
            }
            // The generator did not get its turn: others had the core for all of a short trial.
        }
        Err(BenchError::NothingSent { never_open: 0 })
    }

    fn throughput(&self, session: &mut Session, max_pps: f64) -> Result<Option<f64>> {
        let goal = Goal {
            loss_ratio: 0.0,
            exceed_ratio: 0.5,
            final_trial_s: self.args.seconds / 2.0,
            duration_sum_s: self.args.seconds / 2.0,
            width: WIDTH,
        };
        let range = Range { min_pps: MIN_LOAD_PPS, max_pps };
        let mut trials = Vec::new();
        while let Some(Next { load_pps, seconds }) = goal.next(&trials, range) {
            if trials.len() >= MAX_TRIALS {
                break;
            }
            let pace = Pace::Even { pps: Rate::new(load_pps) };
            let outcome = self.trial(session, pace, seconds, None)?;
            let loss_ratio = TrialResult::of(&outcome).unserved_share();
            trials.push(Trial { load_pps, seconds, loss_ratio });
        }
        Ok(goal.result(&trials).lower_pps)
    }

    fn trial(
        &self,
        session: &mut Session,
        pace: Pace,
        seconds: f64,
        new_flows: Option<Rate>,
    ) -> Result<Outcome> {
        let open_rate = Rate::new(OPEN_RATE_PPS);
        let load = Load {
            pace,
            duration_ns: ns(seconds),
            count: None,
            warm_up_ns: WARM_UP_NS,
            open_rate,
            new_flows,
        };
        let outcome = session.trial(load, |_| {})?;
        self.interrupt.check()?;
        Ok(outcome)
    }

    fn traffic(&self, subject: &Subject) -> Traffic {
        let shape = Shape { ipv6: false, tcp: false };
        let seed = self.args.seed;
        let mac = |at: usize| parse_mac(MACS[at]).unwrap_or_default();
        let sources = vec![AddressRange::one(CLIENT.into())];
        Traffic {
            shape,
            sizes: vec![shape.smallest_frame()],
            link: Link { source: mac(0), destination: mac(1) },
            tuples: Tuples::new(sources, subject.destinations(), seed),
            flows: self.args.flows,
            seed,
        }
    }

    fn plan(&self, waiting: Wait) -> SessionPlan {
        let [sender, receiver] = self.ends.clone();
        SessionPlan {
            sender,
            receiver: Some(receiver),
            responds: false,
            cores: CORES.to_vec(),
            waiting,
            // What a host port hands over is seen nowhere else, and all are to be received alike.
            xdp: Xdp::Generic,
        }
    }

    fn session(&self, subject: &Subject, waiting: Wait) -> Result<Session> {
        let content = Content::Flows(self.traffic(subject));
        Session::open(self.plan(waiting), content, self.interrupt)
    }

    /// The generator by itself.
    fn back_to_back(&self, subject: &Subject) -> Result<Session> {
        let plan = self.plan(Wait::Adaptive);
        let (plan, traffic) = bias::back_to_back(&plan, self.traffic(subject))?;
        Session::open(plan, Content::Flows(traffic), self.interrupt)
    }

    /// What runs besides, and what the generator itself takes: before each round, for all of it.
    ///
    /// # Errors
    /// When the generator fails, or a signal came.
    pub(super) fn begin_round(&mut self, subject: &Subject, book: &mut Book<'_>) -> Result<()> {
        self.others = None;
        if !self.args.measures(Metric::Cpu) {
            return Ok(());
        }
        let busy = Busy::begin();
        self.interrupt.sleep(Duration::from_secs_f64(cpu_seconds(self.args)))?;
        let (passed_ns, busy_ns) = busy.end();
        let busy_cores = busy_ns / passed_ns;
        if busy_cores > MAX_BUSY_CORES {
            let why = "other programs take too much of the cores; let nothing else run";
            progress(&format!("processor time is not measured: {busy_cores:.2} cores are busy"));
            book.skip(&format!("processor time, in some rounds or all: {why}"));
            return Ok(());
        }
        let others = Others { busy_cores, generator_ns: 0.0 };
        match self.cpu(self.back_to_back(subject)?, others)? {
            Some(generator_ns) => self.others = Some(Others { busy_cores, generator_ns }),
            None => book.skip(&format!(
                "processor time, in some rounds or all: by itself the generator loses packets at {}",
                self.args.rate
            )),
        }
        Ok(())
    }

    /// Processor time of all cores for each packet, at the fixed rate, without the others'; none when
    /// too many packets did not arrive.
    fn cpu(&self, mut session: Session, others: Others) -> Result<Option<f64>> {
        let load = Load {
            pace: Pace::Even { pps: self.args.rate },
            duration_ns: ns(cpu_seconds(self.args)),
            count: None,
            warm_up_ns: 0,
            open_rate: Rate::new(OPEN_RATE_PPS),
            new_flows: None,
        };
        let busy = Busy::begin();
        let outcome = session.trial(load, |_| {})?;
        let (passed_ns, busy_ns) = busy.end();
        self.interrupt.check()?;
        let packets = outcome.sender.sent + u64::from(self.args.flows);
        // Whoever drops packets has less to do with them.
        let ns = (busy_ns - others.busy_cores * passed_ns) / packets as f64 - others.generator_ns;
        Ok(arrived(&outcome).then_some(ns))
    }

    fn changes(
        &self,
        subject: &Subject,
        running: &mut Running<'_>,
        book: &mut Book<'_>,
    ) -> Result<()> {
        let backends = |number: usize| 2 + (number + 1) % 2;
        if self.args.measures(Metric::Change) {
            let mut times = Vec::new();
            for number in 0..CHANGES {
                times.push(running.change(backends(number + 1))?);
            }
            times.sort();
            let median = times.get(CHANGES / 2).copied().unwrap_or_default();
            book.note(subject, Metric::Change, median.as_secs_f64() * 1e3);
        }
        if !self.args.measures(Metric::Churn) {
            return Ok(());
        }
        let mut session = self.session(subject, Wait::Busy)?;
        let pace = Pace::Even { pps: self.args.rate };
        let over = std::sync::atomic::AtomicBool::new(false);
        let outcome = thread::scope(|scope| {
            let churn = scope.spawn(|| -> Result<()> {
                let mut number = 0;
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    running.change(backends(number))?;
                    number += 1;
                    thread::sleep(CHURN_EVERY);
                }
                Ok(())
            });
            let outcome = self.trial(&mut session, pace, self.args.seconds, None);
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            churn.join().map_err(|_| BenchError::Panicked)??;
            outcome
        })?;
        let forward = TrialResult::of(&outcome).forward;
        // Lost packets over the offered rate: so long was nothing forwarded.
        book.note(subject, Metric::Churn, forward.lost_share * self.args.seconds * 1e3);
        Ok(())
    }
}

/// Whether so many packets arrived that one may speak of what they cost.
fn arrived(outcome: &Outcome) -> bool {
    TrialResult::of(outcome).unserved_share() <= TOLERATED_LOSS
}
