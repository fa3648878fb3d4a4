//! What a run came to, for programs and for people.

mod latency;
mod text;

use serde::{Deserialize, Serialize};

use super::meter::{Metered, STEP_NS};
use super::options::TrafficInfo;
use super::session::{DirectionOutcome, Outcome};
use crate::figures::ratio;
use crate::result::Origin;
pub(crate) use latency::Latency;
pub(crate) use text::NOT_SEEN;

const NS_PER_S: f64 = 1e9;
/// A tenth of a second of one direction.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Step {
    /// Since the first packet that counts.
    pub(crate) at_s: f64,
    /// Packets that were due.
    pub(crate) sent: u64,
    /// Of these, packets that came.
    pub(crate) received: u64,
}

/// One direction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DirectionResult {
    /// Packets that count.
    pub(crate) sent: u64,
    /// Of these, packets that came whole, each once.
    pub(crate) received: u64,
    /// Packets that did not.
    pub(crate) lost: u64,
    /// Of those sent.
    pub(crate) lost_share: f64,
    /// Packets that came after a later one of their flow.
    pub(crate) reordered: u64,
    /// Further copies.
    pub(crate) duplicated: u64,
    /// Packets that came with a wrong sum, or changed. They count as lost.
    pub(crate) corrupted: u64,
    /// Packets that were not of this run.
    pub(crate) foreign: u64,
    /// Replies that did not come from where their flow was sent, or were for somebody else. They
    /// count as lost.
    #[serde(default)]
    pub(crate) mistranslated: u64,
    /// Packets that came to another destination than their flow's first one: a flow whose backend
    /// changed. They count as received.
    #[serde(default)]
    pub(crate) moved: u64,
    /// Packets a second.
    pub(crate) sent_pps: f64,
    /// Packets a second.
    pub(crate) received_pps: f64,
    /// From when packets were to be sent until they were received.
    pub(crate) latency_ns: Option<Latency>,
    /// Of flows' first packets, which are not in the other.
    pub(crate) first_packet_latency_ns: Option<Latency>,
    /// In the order of time.
    pub(crate) timeline: Vec<Step>,
}

impl DirectionResult {
    fn of(outcome: &DirectionOutcome, elapsed_ns: u64) -> Self {
        let DirectionOutcome { sent, metered, sent_steps } = outcome;
        let Metered { counts, latency, first_latency, steps } = metered;
        let seconds = elapsed_ns as f64 / NS_PER_S;
        let lost = sent.saturating_sub(counts.received);
        let step = |at: usize, sent: &u64| Step {
            at_s: at as f64 * STEP_NS as f64 / NS_PER_S,
            sent: *sent,
            received: steps.get(at).copied().unwrap_or(0),
        };
        Self {
            sent: *sent,
            received: counts.received,
            lost,
            lost_share: ratio(lost as f64, *sent as f64),
            reordered: counts.reordered,
            duplicated: counts.duplicated,
            corrupted: counts.corrupted,
            foreign: counts.foreign,
            mistranslated: counts.mistranslated,
            moved: counts.moved,
            sent_pps: ratio(*sent as f64, seconds),
            received_pps: ratio(counts.received as f64, seconds),
            latency_ns: Latency::of(latency),
            first_packet_latency_ns: Latency::of(first_latency),
            timeline: sent_steps.iter().enumerate().map(|(at, sent)| step(at, sent)).collect(),
        }
    }
}

/// What a trial came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TrialResult {
    /// Seconds in which packets counted.
    pub(crate) seconds: f64,
    /// From the sender to the receiver.
    pub(crate) forward: DirectionResult,
    /// Answers.
    pub(crate) reply: Option<DirectionResult>,
    /// Packets that were due and were not sent in time, or never left the generator's own ring.
    pub(crate) missed: u64,
    /// Frames that the generator's own devices dropped before they were sent, in all of the trial:
    /// those that count count as sent, and lost.
    pub(crate) dropped_by_sender: u64,
    /// Packets that came and found the generator's rings full, in all of the trial and whoever's
    /// they were: those that count count as lost.
    pub(crate) overrun: u64,
    /// Flows that were opened while packets counted.
    pub(crate) new_flows: u64,
    /// TCP segments sent again, for want of an answer.
    pub(crate) retries: u64,
    /// TCP flows that never opened.
    pub(crate) never_open: u64,
    /// Time of the generator's threads on their cores.
    pub(crate) generator_cpu_ns: u64,
    /// Interfaces of the generator whose link went down.
    #[serde(default)]
    pub(crate) links_down: Vec<String>,
    /// Whether a signal ended it before its time.
    pub(crate) interrupted: bool,
}

impl TrialResult {
    /// Of an outcome.
    pub(crate) fn of(outcome: &Outcome) -> Self {
        let elapsed_ns = outcome.sender.elapsed_ns;
        Self {
            seconds: elapsed_ns as f64 / NS_PER_S,
            forward: DirectionResult::of(&outcome.forward, elapsed_ns),
            reply: outcome.reply.as_ref().map(|reply| DirectionResult::of(reply, elapsed_ns)),
            missed: outcome.sender.missed,
            dropped_by_sender: outcome.device.not_sent,
            overrun: outcome.device.overrun,
            new_flows: outcome.sender.new_flows,
            retries: outcome.sender.retries,
            never_open: outcome.sender.never_open,
            generator_cpu_ns: outcome.cpu_ns,
            links_down: outcome.links_down.clone(),
            interrupted: outcome.interrupted,
        }
    }
}

impl TrialResult {
    /// Each direction, with its name.
    pub(crate) fn directions(&self) -> impl Iterator<Item = (&'static str, &DirectionResult)> {
        let reply = self.reply.as_ref().map(|reply| ("reply", reply));
        std::iter::once(("forward", &self.forward)).chain(reply)
    }

    /// Share of what was to be sent, in both directions, that did not arrive: lost, or never sent
    /// because the generator was too slow. All of it when TCP flows never opened: what those that did
    /// open carried is another load.
    pub(crate) fn unserved_share(&self) -> f64 {
        if self.never_open > 0 {
            return 1.0;
        }
        let lost: u64 = self.directions().map(|(_, one)| one.lost).sum();
        ratio((self.missed + lost) as f64, self.due() as f64)
    }

    /// Share of the same that the generator could not send, or found its own rings full for.
    pub(crate) fn generator_share(&self) -> f64 {
        ratio((self.missed + self.overrun) as f64, self.due() as f64)
    }

    /// Packets that were to be sent, in both directions.
    fn due(&self) -> u64 {
        self.missed + self.directions().map(|(_, one)| one.sent).sum::<u64>()
    }
}

/// What the generator adds and cannot do, by itself: the same load over a cable of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Bias {
    /// How it was measured.
    pub(crate) over: String,
    /// What came of it.
    pub(crate) trial: TrialResult,
}

/// Result of `pktgen`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PktgenResult {
    /// Where it comes from.
    #[serde(flatten)]
    pub(crate) origin: Origin,
    /// From and to which interfaces, and how frames came and went.
    pub(crate) path: Vec<String>,
    /// What was sent; nothing is known of a capture.
    pub(crate) traffic: Option<TrafficInfo>,
    /// How fast it was to be sent.
    pub(crate) pace: String,
    /// What came of it.
    #[serde(flatten)]
    pub(crate) trial: TrialResult,
    /// The generator's own.
    pub(crate) bias: Option<Bias>,
}
