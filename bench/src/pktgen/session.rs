//! The generator opened on its interfaces: one trial after the other, without attaching anew.

use std::sync::Arc;
use std::time::Duration;

use super::end::{DeviceCounts, EndPlan};
use super::interface::Interface;
use super::meter::{Meter, Metered};
use super::part::{Answers, Part};
use super::replay::{Capture, Replay};
use super::sender::{Load, Sender, SenderReport, Traffic};
use super::shared::Shared;
use super::source::Source;
use super::stamp::Run;
use super::station::{Station, StationDone, Wait};
use super::take::{Taken, Xdp};
use crate::error::{BenchError, Result};
use crate::interrupt::Interrupt;

/// How often somebody looks how far it is.
const LOOK: Duration = Duration::from_millis(50);

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Flows.
    Flows(Traffic),
    /// A capture, as it was captured or at the load's pace.
    Replay {
        /// The frames.
        capture: Capture,
        /// At the times at which they came.
        as_captured: bool,
    },
}

/// Where packets start and arrive, and who does it.
#[derive(Clone, Debug)]
pub(crate) struct SessionPlan {
    /// Where they start.
    pub(crate) sender: Interface,
    /// Where they arrive, if not there.
    pub(crate) receiver: Option<Interface>,
    /// Whether they are answered.
    pub(crate) responds: bool,
    /// One thread for each: one, or two.
    pub(crate) cores: Vec<usize>,
    /// How these wait.
    pub(crate) waiting: Wait,
    /// Where XDP runs on interfaces that receive.
    pub(crate) xdp: Xdp,
}

/// What came of one direction.
pub(crate) struct DirectionOutcome {
    /// Packets that count.
    pub(crate) sent: u64,
    /// By the step in which they were due.
    pub(crate) sent_steps: Vec<u64>,
    /// What arrived.
    pub(crate) metered: Metered,
}

/// What came of a trial.
pub(crate) struct Outcome {
    /// What the sender did.
    pub(crate) sender: SenderReport,
    /// From the sender.
    pub(crate) forward: DirectionOutcome,
    /// From the responder, if there is one.
    pub(crate) reply: Option<DirectionOutcome>,
    /// Frames that the generator's own devices lost.
    pub(crate) device: DeviceCounts,
    /// Interfaces whose link was down at the end, or when something was to be sent.
    pub(crate) links_down: Vec<String>,
    /// Processor time of the generator's threads.
    pub(crate) cpu_ns: u64,
    /// Whether a signal ended it before its time.
    pub(crate) interrupted: bool,
}

/// A generator on its interfaces.
pub(crate) struct Session {
    plan: SessionPlan,
    content: Content,
    stations: Vec<Station>,
    /// Flows used up so far.
    made: u64,
    trials: u64,
    interrupt: Interrupt,
}

impl Session {
    /// Opens the interfaces.
    ///
    /// # Errors
    /// When the kernel refuses, or somebody else has them.
    pub(crate) fn open(plan: SessionPlan, content: Content, interrupt: &Interrupt) -> Result<Self> {
        let what = match content {
            Content::Flows(_) => Taken::Transports,
            Content::Replay { .. } => Taken::AllIp,
        };
        let apart = plan.receiver.is_some();
        let mut ends = vec![EndPlan {
            interface: plan.sender.clone(),
            takes: (!apart || plan.responds).then_some(what),
            xdp: plan.xdp,
            responds: !apart && plan.responds,
        }];
        ends.extend(plan.receiver.clone().map(|interface| EndPlan {
            interface,
            takes: Some(what),
            xdp: plan.xdp,
            responds: plan.responds,
        }));
        let mut stations = Vec::new();
        let first = plan.cores.first().copied().unwrap_or(0);
        match (plan.cores.get(1), ends.len()) {
            (Some(second), 2) => {
                let receiver = ends.split_off(1);
                stations.push(Station::open(ends, first, plan.waiting)?);
                stations.push(Station::open(receiver, *second, plan.waiting)?);
            }
            _ => stations.push(Station::open(ends, first, plan.waiting)?),
        }
        let interrupt = interrupt.clone();
        Ok(Self { plan, content, stations, made: 0, trials: 0, interrupt })
    }

    /// The sender's interface, then the receiver's, and how frames come and go there.
    pub(crate) fn path(&self) -> Vec<String> {
        let ends = std::iter::once(&self.plan.sender).chain(&self.plan.receiver);
        let modes = self.stations.iter().flat_map(|station| &station.modes);
        ends.zip(modes).map(|(end, mode)| format!("{} ({mode})", end.name)).collect()
    }

    /// Runs one trial, and tells `watch` now and then how many packets were sent and received.
    ///
    /// # Errors
    /// When the generator fails; loss is no error.
    pub(crate) fn trial(&mut self, load: Load, mut watch: impl FnMut([u64; 2])) -> Result<Outcome> {
        let shared = Arc::new(Shared::new());
        self.trials += 1;
        let mut parts = self.parts(load);
        for station in &self.stations {
            let count = station.modes.len();
            let own = parts.drain(..count).collect();
            station.begin(own, shared.clone())?;
        }
        let mut done: Vec<StationDone> = Vec::new();
        let mut interrupted = false;
        let mut failure = None;
        for station in &self.stations {
            let result = loop {
                if self.interrupt.check().is_err() {
                    interrupted = true;
                    shared.stop();
                }
                watch(shared.so_far());
                if let Some(result) = station.finished(LOOK) {
                    break result;
                }
            };
            match result {
                Ok(one) => done.push(one),
                Err(error) => {
                    shared.abandon();
                    failure = failure.or(Some(error));
                }
            }
        }
        match failure {
            Some(error) => Err(error),
            None => self.outcome(done, interrupted),
        }
    }

    fn parts(&self, load: Load) -> Vec<Part> {
        let apart = self.plan.receiver.is_some();
        let part = |source, forward, reply, run| Part {
            source,
            forward,
            reply,
            answers: Answers::default(),
            unstamped: 0,
            arrived: 0,
            run,
        };
        match &self.content {
            Content::Flows(traffic) => {
                let run = Run::new(traffic.seed.wrapping_mul(31).wrapping_add(self.trials));
                // Flows of TCP end with a trial; those of UDP are known in the next, but new ones
                // are to be new.
                let goes_on = traffic.shape.tcp || load.new_flows.is_some();
                let made = if goes_on { self.made } else { 0 };
                let source = Source::Flows(Sender::new(traffic.clone(), load, run, made, 0));
                let forward = Some(Meter::new(traffic.flows));
                let reply = self.plan.responds.then(|| Meter::new(traffic.flows));
                if apart {
                    let receiver = part(None, forward, None, Some(run));
                    vec![part(Some(source), None, reply, Some(run)), receiver]
                } else {
                    vec![part(Some(source), forward, reply, Some(run))]
                }
            }
            Content::Replay { capture, as_captured } => {
                let replay = Replay::new(capture.clone(), load, *as_captured, 0);
                let mut parts = vec![part(Some(Source::Replay(replay)), None, None, None)];
                parts.extend(apart.then(|| part(None, None, None, None)));
                parts
            }
        }
    }

    fn outcome(&mut self, done: Vec<StationDone>, interrupted: bool) -> Result<Outcome> {
        let cpu_ns = done.iter().map(|station| station.cpu_ns).sum();
        let mut device = DeviceCounts::default();
        let (mut sender, mut forward, mut reply) = (None, None, None);
        let (mut answers, mut unstamped) = (Answers::default(), 0);
        let mut links_down = Vec::new();
        let interfaces = std::iter::once(&self.plan.sender).chain(&self.plan.receiver);
        for (end, interface) in done.into_iter().flat_map(|station| station.ends).zip(interfaces) {
            device = device.and(end.device);
            if end.device.link_down > 0 || !interface.has_link()? {
                links_down.push(interface.name.clone());
            }
            let part = end.part;
            if part.forward.is_some() {
                answers = part.answers;
            }
            forward = forward.or(part.forward);
            reply = reply.or(part.reply);
            unstamped += part.unstamped;
            if let Some(source) = part.source {
                self.made = self.made.max(source.made());
                sender = Some((source.finish(), end.not_left));
            }
        }
        let (mut sender, not_left) = sender.ok_or(BenchError::Panicked)?;
        let metered = match forward {
            Some(meter) => meter.finish(),
            None => Metered::of_unstamped(unstamped),
        };
        // What came has left, whatever the device has not said yet.
        sender.take_back(not_left.min(sender.sent.saturating_sub(metered.counts.received)));
        let answers_sent = answers.sent;
        Ok(Outcome {
            forward: DirectionOutcome {
                sent: sender.sent,
                sent_steps: sender.steps.clone(),
                metered,
            },
            reply: reply.map(|meter| DirectionOutcome {
                sent: answers_sent,
                sent_steps: answers.steps,
                metered: meter.finish(),
            }),
            sender,
            device,
            links_down,
            cpu_ns,
            interrupted,
        })
    }
}
