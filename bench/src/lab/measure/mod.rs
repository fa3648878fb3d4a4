//! Measures one subject after the other: each module what its name says.

mod changes;
mod cost;
mod throughput;

use super::LabArgs;
use super::apps;
use super::book::Book;
use super::metric::Metric;
use super::place::{CLIENT, MACS, Place};
use super::subject::{Kind, Running, Subject};
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::output::progress;
use crate::pktgen::{
    AddressRange, Content, Interface, Link, Load, Outcome, Pace, Rate, Session, SessionPlan, Shape,
    Traffic, TrialResult, Tuples, Wait, Xdp, bias, ns, parse_mac,
};
use crate::rig::BareProgram;
pub(super) use cost::{Quiet, least_cost_ns};
pub(super) use throughput::goal;

/// Flows that are new each second, as a share of all packets.
pub(super) const NEW_FLOWS_SHARE: f64 = 0.05;
/// The generator's: one, so that the others are the dataplane's.
pub(super) const CORE: usize = 0;
const WARM_UP_NS: u64 = 50_000_000;
const OPEN_RATE_PPS: f64 = 100_000.0;
/// The most that may be lost where the cost of packets is measured.
pub(super) const TOLERATED_LOSS: f64 = 0.001;

/// The generator in the lab.
pub(super) struct Bench<'a> {
    args: &'a LabArgs,
    place: &'a Place,
    interrupt: &'a Interrupt,
    ends: [Interface; 2],
    /// None where processor time cannot be measured, in this round.
    quiet: Option<Quiet>,
}

impl<'a> Bench<'a> {
    /// Ready to measure.
    pub(super) fn new(
        args: &'a LabArgs,
        place: &'a Place,
        interrupt: &'a Interrupt,
    ) -> Result<Self> {
        Ok(Self { args, place, interrupt, ends: place.ends()?, quiet: None })
    }

    /// Measures the generator by itself, and what runs besides: before each round, for all of it.
    ///
    /// # Errors
    /// When the generator fails, or a signal came.
    pub(super) fn begin_round(&mut self, book: &mut Book<'_>) -> Result<()> {
        let generator = Subject::GENERATOR;
        self.packets(&generator, book)?;
        self.quiet = None;
        if self.args.measures(Metric::Cpu) {
            self.quiet = self.quiet(&generator, book)?;
        }
        Ok(())
    }

    /// Measures one subject once.
    pub(super) fn round(
        &mut self,
        subject: &Subject,
        bare: &BareProgram,
        book: &mut Book<'_>,
    ) -> Result<()> {
        let mut running = subject.start(self.place, bare)?;
        let done = self.figures(subject, &mut running, book);
        // Who has ended meanwhile was not measured, whatever came of it.
        running.check().inspect_err(|_| book.forget(subject))?;
        done
    }

    fn figures(
        &mut self,
        subject: &Subject,
        running: &mut Running<'_>,
        book: &mut Book<'_>,
    ) -> Result<()> {
        self.packets(subject, book)?;
        if let Some(quiet) = self.quiet {
            match self.cost(self.session(subject, Wait::Adaptive)?, quiet)? {
                Ok(ns) => book.note(subject, Metric::Cpu, ns),
                Err(why) => book.unfit(subject, "processor time", &why),
            }
        }
        if subject.has_backends() {
            self.changes(subject, running, book)?;
        }
        if subject.carries_connections() {
            for metric in [Metric::Bulk, Metric::Requests, Metric::Connections] {
                if self.args.measures(metric) {
                    self.interrupt.check()?;
                    match apps::measure(self.place, subject, metric, self.args.seconds)? {
                        Ok(value) => book.note(subject, metric, value),
                        Err(missing) => {
                            progress(&format!("left out: {missing}"));
                            book.skip(&missing);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn packets(&self, subject: &Subject, book: &mut Book<'_>) -> Result<()> {
        let throughput = [Metric::Max, Metric::Ndr].iter().any(|one| self.args.measures(*one));
        if !throughput && !self.args.measures(Metric::Latency) {
            return Ok(());
        }
        let mut session = self.session(subject, Wait::Busy)?;
        if throughput {
            self.throughput(subject, &mut session, book)?;
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
                book.unfit(subject, "latency", &self.lossy());
            }
        }
        Ok(())
    }

    fn lossy(&self) -> String {
        let percent = TOLERATED_LOSS * 100.0;
        format!("more than {percent}% of the packets at {} did not arrive", self.args.rate)
    }

    fn trial(
        &self,
        session: &mut Session,
        pace: Pace,
        seconds: f64,
        new_flows: Option<Rate>,
    ) -> Result<Outcome> {
        let load = Load { new_flows, ..self.load(pace, seconds) };
        let outcome = session.trial(load, |_| {})?;
        self.interrupt.check()?;
        Ok(outcome)
    }

    fn load(&self, pace: Pace, seconds: f64) -> Load {
        Load {
            pace,
            duration_ns: ns(seconds),
            count: None,
            warm_up_ns: WARM_UP_NS,
            open_rate: Rate::new(OPEN_RATE_PPS),
            new_flows: None,
        }
    }

    fn traffic(&self, subject: &Subject) -> Traffic {
        let shape = shape();
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

    /// The generator with a subject between its ends; or by itself.
    fn session(&self, subject: &Subject, waiting: Wait) -> Result<Session> {
        let [sender, receiver] = self.ends.clone();
        let mut traffic = self.traffic(subject);
        let mut plan = SessionPlan {
            sender,
            receiver: Some(receiver),
            responds: false,
            cores: vec![CORE],
            waiting,
            // What a host port hands over is seen nowhere else, and all are to be received alike.
            xdp: Xdp::Generic,
        };
        if subject.kind == Kind::Generator {
            (plan, traffic) = bias::back_to_back(&plan, traffic)?;
        }
        Session::open(plan, Content::Flows(traffic), self.interrupt)
    }
}

/// What is sent.
pub(super) fn shape() -> Shape {
    Shape { ipv6: false, tcp: false }
}

/// Whether so many of the packets sent arrived that one may speak of what they cost.
fn arrived(outcome: &Outcome) -> bool {
    TrialResult::of(outcome).forward.lost_share <= TOLERATED_LOSS
}
