//! What a run came to, for programs and for people.

use std::fmt::Write;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::meter::{Metered, STEP_NS};
use super::options::TrafficInfo;
use super::session::{DirectionOutcome, Outcome};
use crate::figures::ratio;
use crate::output::{grouped, table};
use crate::result::Origin;

const NS_PER_S: f64 = 1e9;
/// Percentiles that are kept, for charts with a logarithmic axis.
const PERCENTILES: [f64; 17] = [
    0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.9, 99.95, 99.99, 99.995, 99.999,
    99.9999, 100.0,
];

/// How late packets were, in nanoseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// Packets.
    pub(crate) packets: u64,
    /// The least.
    pub(crate) min: u64,
    /// The mean.
    pub(crate) mean: f64,
    /// Half of all packets were no later.
    pub(crate) p50: u64,
    /// 90% of them.
    pub(crate) p90: u64,
    /// 99% of them.
    pub(crate) p99: u64,
    /// 99.9% of them.
    pub(crate) p999: u64,
    /// The greatest.
    pub(crate) max: u64,
    /// `[percentile, nanoseconds]`, as far as there are packets enough.
    pub(crate) percentiles: Vec<(f64, u64)>,
}

impl Latency {
    /// `None` of no packets.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Option<Self> {
        if histogram.is_empty() {
            return None;
        }
        let at = |percentile| histogram.value_at_percentile(percentile);
        let packets = histogram.len();
        // 99.99% of a thousand packets would be one that is not there.
        let known = |percentile: f64| {
            percentile == 100.0 || (100.0 - percentile) / 100.0 * packets as f64 >= 1.0
        };
        Some(Self {
            packets,
            min: histogram.min(),
            mean: histogram.mean(),
            p50: at(50.0),
            p90: at(90.0),
            p99: at(99.0),
            p999: at(99.9),
            max: histogram.max(),
            percentiles: PERCENTILES
                .into_iter()
                .filter(|percentile| known(*percentile))
                .map(|percentile| (percentile, at(percentile)))
                .collect(),
        })
    }
}

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
    /// Packets that were due and could not be sent in time: what the generator cannot do.
    pub(crate) missed: u64,
    /// Frames that the generator's own devices dropped before they were sent. They count as sent,
    /// and lost.
    pub(crate) dropped_by_sender: u64,
    /// Packets that came and found the generator's rings full. They count as lost.
    pub(crate) overrun: u64,
    /// Flows that were opened while packets counted.
    pub(crate) new_flows: u64,
    /// TCP segments sent again, for want of an answer.
    pub(crate) retries: u64,
    /// TCP flows that never opened.
    pub(crate) never_open: u64,
    /// Time of the generator's threads on their cores.
    pub(crate) generator_cpu_ns: u64,
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
            interrupted: outcome.interrupted,
        }
    }
}

impl TrialResult {
    /// Share of what was to be sent, in both directions, that did not arrive: lost, or never sent
    /// because the generator was too slow.
    pub(crate) fn unserved_share(&self) -> f64 {
        let directions = std::iter::once(&self.forward).chain(&self.reply);
        let (due, lost) = directions
            .fold((self.missed, self.missed), |(due, lost), one| (due + one.sent, lost + one.lost));
        ratio(lost as f64, due as f64)
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

impl PktgenResult {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{}", self.path.join("  →  "));
        if let Some(traffic) = &self.traffic {
            let _ = writeln!(text, "{}, {}", traffic.text(), self.pace);
        } else {
            let _ = writeln!(text, "a capture, {}", self.pace);
        }
        let _ = writeln!(text, "on {}\n", self.origin.machine.show());
        let _ = writeln!(text, "{}", self.directions());
        self.remarks(&mut text);
        text
    }

    fn directions(&self) -> String {
        let mut rows = table([
            "",
            "SENT",
            "RECEIVED",
            "LOST",
            "LOST %",
            "REORDERED",
            "DUPLICATED",
            "CORRUPTED",
            "MPPS",
            "P50 µs",
            "P90",
            "P99",
            "P99.9",
            "MAX",
        ]);
        let bias = self.bias.as_ref().map(|bias| &bias.trial);
        for (name, trial) in [("", Some(&self.trial)), ("back to back, ", bias)] {
            let Some(trial) = trial else { continue };
            let directions = [("forward", Some(&trial.forward)), ("reply", trial.reply.as_ref())];
            for (direction, result) in directions {
                let Some(result) = result else { continue };
                rows.add_row(result.row(&format!("{name}{direction}"), result.latency_ns.as_ref()));
                if let Some(latency) = &result.first_packet_latency_ns {
                    let mut row: Vec<String> = vec![String::new(); 14];
                    row[0] = format!("{name}{direction}, first packets");
                    row[2] = grouped(latency.packets);
                    row.splice(9.., latency.cells());
                    rows.add_row(row);
                }
            }
        }
        rows.trim_fmt()
    }

    fn remarks(&self, text: &mut String) {
        let trial = &self.trial;
        let counted = [
            (trial.missed, "packets were due and not sent: this is more than the generator can do"),
            (trial.dropped_by_sender, "packets were dropped by the sending device (of those lost)"),
            (trial.overrun, "packets found the generator's rings full (of those lost)"),
            (trial.forward.foreign, "packets were not of this run"),
            (trial.retries, "TCP segments got no answer in time and were sent again"),
            (trial.never_open, "TCP flows never opened"),
            (trial.new_flows, "flows took the place of others"),
        ];
        for (count, what) in counted {
            if count > 0 {
                let _ = writeln!(text, "{} {what}", grouped(count));
            }
        }
        if trial.interrupted {
            let _ = writeln!(text, "interrupted: this is what was measured until then");
        }
        match &self.bias {
            Some(bias) => {
                let _ = writeln!(text, "Back to back: {}.", bias.over);
            }
            None => {
                let _ = writeln!(text, "The generator's own bias was not measured.");
            }
        }
    }
}

impl DirectionResult {
    fn row(&self, name: &str, latency: Option<&Latency>) -> Vec<String> {
        let mut row = vec![
            name.to_owned(),
            grouped(self.sent),
            grouped(self.received),
            grouped(self.lost),
            format!("{:.4}", self.lost_share * 100.0),
            grouped(self.reordered),
            grouped(self.duplicated),
            grouped(self.corrupted),
            format!("{:.4}", self.received_pps / 1e6),
        ];
        row.extend(latency.map_or_else(|| vec![String::new(); 5], Latency::cells));
        row
    }
}

impl Latency {
    /// Of a table's row, in microseconds.
    pub(crate) fn cells(&self) -> Vec<String> {
        let values = [self.p50, self.p90, self.p99, self.p999, self.max];
        values.map(|ns| format!("{:.1}", ns as f64 / 1e3)).to_vec()
    }
}

impl TrafficInfo {
    /// One line.
    pub(crate) fn text(&self) -> String {
        let protocol = match self.protocol {
            super::options::Protocol::Udp => "UDP",
            super::options::Protocol::Tcp => "TCP",
        };
        let answered = if self.responds { ", answered" } else { "" };
        format!(
            "{protocol} over IPv{}, {} flows, frames of {} bytes, seed {}{answered}",
            self.family,
            grouped(self.flows.into()),
            self.frame_bytes,
            self.seed
        )
    }
}
