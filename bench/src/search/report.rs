use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::mlr::{Goal, Range, Trial};
use crate::output::table;
use crate::pktgen::{Bias, DirectionResult, Latency, Rate, TrafficInfo, TrialResult};
use crate::result::Origin;

const MPPS: f64 = 1e6;
/// Of packets: from here on, those that arrived do not stand for all.
const TELLING_LOSS: f64 = 0.001;

/// What was found for one loss ratio.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GoalResult {
    /// NDR, PDR or the loss.
    pub(crate) name: String,
    /// What was asked for.
    pub(crate) goal: Goal,
    /// The greatest load that meets it.
    pub(crate) lower_pps: Option<f64>,
    /// The least that does not. None when the highest load there was does.
    pub(crate) upper_pps: Option<f64>,
    /// Whether that one fails only for what the generator itself could not do.
    #[serde(default)]
    pub(crate) generator_is_limit: bool,
    /// What arrived at that load: of what was sent, less what was lost.
    pub(crate) throughput_pps: Option<f64>,
    /// The lowest load to be tried.
    pub(crate) min_pps: f64,
    /// And the highest.
    pub(crate) max_pps: f64,
}

impl GoalResult {
    /// What all trials together say.
    pub(super) fn new(goal: Goal, trials: &[Trial], range: Range) -> Self {
        let name = match goal.loss_ratio {
            0.0 => "NDR".to_owned(),
            0.005 => "PDR".to_owned(),
            other => format!("{}% loss", other * 100.0),
        };
        let bounds = goal.result(trials);
        let throughput_pps =
            bounds.lower_pps.map(|lower| lower * (1.0 - quantile(trials, lower, &goal)));
        Self {
            name,
            goal,
            lower_pps: bounds.lower_pps,
            upper_pps: bounds.upper_pps,
            generator_is_limit: goal.is_limited_by_generator(trials),
            throughput_pps,
            min_pps: range.min_pps,
            max_pps: range.max_pps,
        }
    }

    /// How long, and how often, a load was tried.
    pub(crate) fn rule(&self) -> String {
        format!("A load is decided on {}.", self.goal.rule())
    }

    /// Whether what is measured was never seen to fail.
    pub(crate) fn is_at_least(&self) -> bool {
        self.lower_pps.is_some() && (self.upper_pps.is_none() || self.generator_is_limit)
    }

    /// Whether there is a bound.
    pub(super) fn is_known(&self) -> bool {
        self.lower_pps.is_some() || self.upper_pps.is_some()
    }

    /// One line.
    pub(crate) fn text(&self) -> String {
        let mpps = |pps: f64| format!("{:.4}", pps / MPPS);
        match (self.lower_pps, self.upper_pps) {
            (Some(lower), Some(upper)) if self.generator_is_limit => format!(
                "{}: at least {} Mpps; at {} the generator was the limit",
                self.name,
                mpps(lower),
                mpps(upper)
            ),
            (Some(lower), Some(upper)) => {
                format!("{}: {} Mpps (fails at {})", self.name, mpps(lower), mpps(upper))
            }
            (Some(lower), None) => {
                format!("{}: at least {} Mpps, the highest load there was", self.name, mpps(lower))
            }
            (None, Some(upper)) if upper > self.min_pps => {
                format!("{}: not known; less than {} Mpps", self.name, mpps(upper))
            }
            (None, Some(_)) if self.generator_is_limit => {
                format!("{}: not known; the generator itself fails at any load", self.name)
            }
            (None, Some(_)) => format!("{}: none; packets are lost at any load", self.name),
            (None, None) => format!("{}: not known", self.name),
        }
    }
}

/// The loss of the trial at a load that exceeds those of as many as may be bad ("conditional
/// throughput" of the draft).
fn quantile(trials: &[Trial], load_pps: f64, goal: &Goal) -> f64 {
    let is_long =
        |trial: &&Trial| trial.load_pps == load_pps && trial.seconds >= goal.final_trial_s * 0.999;
    let mut losses: Vec<f64> =
        trials.iter().filter(is_long).map(|trial| trial.loss_ratio).collect();
    losses.sort_by(f64::total_cmp);
    let at = (losses.len() as f64 * (1.0 - goal.exceed_ratio)).ceil() as usize;
    losses.get(at.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Latency at one load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LatencyResult {
    /// Which load.
    pub(crate) at: String,
    /// Packets a second.
    pub(crate) load_pps: f64,
    /// What came of it.
    #[serde(flatten)]
    pub(crate) trial: TrialResult,
    /// The generator's own, at the same load.
    pub(crate) bias: Option<Bias>,
}

impl LatencyResult {
    /// A table's rows: what was measured, and beside it the generator's own. Each has a name, and
    /// what went that way.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (String, &DirectionResult)> {
        let bias = self.bias.as_ref().map(|bias| ("back to back", &bias.trial));
        let trials = std::iter::once((self.at.as_str(), &self.trial)).chain(bias);
        trials.flat_map(|(name, trial)| {
            let named = move |(direction, one)| (format!("{name}, {direction}"), one);
            trial.directions().map(named)
        })
    }

    /// What makes its figures unfit, or is to be known of them.
    pub(crate) fn remarks(&self) -> impl Iterator<Item = String> {
        self.trial.remarks().into_iter().map(|remark| format!("{}: {remark}", self.at))
    }

    /// One line.
    pub(super) fn text(&self) -> String {
        let DirectionResult { latency_ns, first_packet_latency_ns, .. } = &self.trial.forward;
        let (latency, of) = match (latency_ns, first_packet_latency_ns) {
            (Some(latency), _) => (latency, ""),
            (None, Some(latency)) => (latency, " of flows' first packets, others there were none"),
            (None, None) => return format!("latency at {}: nothing arrived", self.at),
        };
        let [p50, p99] = [latency.p50, latency.p99].map(|ns| ns as f64 / 1e3);
        let lost = self.trial.unserved_share();
        let loss = if lost > TELLING_LOSS {
            format!("; {:.1}% was lost", lost * 100.0)
        } else {
            String::new()
        };
        format!("latency at {}: p50 {p50:.1} µs, p99 {p99:.1} µs{of}{loss}", self.at)
    }
}

/// Result of `search`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SearchResult {
    /// Where it comes from.
    #[serde(flatten)]
    pub(crate) origin: Origin,
    /// From and to which interfaces, and how frames came and went.
    pub(crate) path: Vec<String>,
    /// What was sent.
    pub(crate) traffic: TrafficInfo,
    /// What was found for each loss ratio.
    pub(crate) goals: Vec<GoalResult>,
    /// Latency at no load and at shares of the last goal's.
    pub(crate) latencies: Vec<LatencyResult>,
    /// Every trial, in order.
    pub(crate) trials: Vec<Trial>,
    /// The generator's own: as fast as it goes, back to back.
    pub(crate) bias: Option<Bias>,
    /// Whether a signal ended it before its time.
    pub(crate) interrupted: bool,
    /// What went wrong and ended it before its time.
    pub(crate) failure: Option<String>,
}

impl SearchResult {
    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{}", self.path.join("  →  "));
        let _ = writeln!(text, "{}", self.traffic.text());
        let _ = writeln!(text, "on {}\n", self.origin.machine.show());
        for goal in &self.goals {
            let _ = writeln!(text, "{}", goal.text());
        }
        if let Some(goal) = self.goals.first() {
            let _ = writeln!(text, "{}", goal.rule());
        }
        let least_pps = self.traffic.least_load_pps();
        let of_latencies = self.latencies.iter().map(|one| one.load_pps);
        let mut loads = self.trials.iter().map(|trial| trial.load_pps).chain(of_latencies);
        if loads.any(|load_pps| load_pps < least_pps) {
            let least = Rate::new(least_pps);
            let _ = writeln!(
                text,
                "Loads below {least} had fewer new flows than asked for: as many as they have place \
                 for."
            );
        }
        if !self.latencies.is_empty() {
            let _ = writeln!(text, "\n{}", self.latency_table());
            for remark in self.latencies.iter().flat_map(LatencyResult::remarks) {
                let _ = writeln!(text, "{remark}");
            }
        }
        match &self.bias {
            Some(bias) => {
                let forward = &bias.trial.forward;
                let _ = writeln!(
                    text,
                    "\nThe generator by itself, as fast as it goes: {:.4} Mpps, {:.4}% lost; {}.",
                    forward.received_pps / MPPS,
                    forward.lost_share * 100.0,
                    bias.over
                );
            }
            None => {
                let _ = writeln!(text, "\nThe generator's own bias was not measured.");
            }
        }
        if self.interrupted {
            let _ = writeln!(text, "Interrupted: this is what was found until then.");
        }
        if let Some(failure) = &self.failure {
            let _ = writeln!(
                text,
                "Ended before its time: {failure}. This is what was found until then."
            );
        }
        text
    }

    fn latency_table(&self) -> String {
        let header = ["", "MPPS", "LOST", "P50 µs", "P90", "P99", "P99.9", "MAX"];
        let mut rows = table(header);
        for one in &self.latencies {
            for (name, direction) in one.rows() {
                let mpps = format!("{:.4}", one.load_pps / MPPS);
                let mut row = vec![name, mpps, direction.lost.to_string()];
                row.extend(direction.latency_ns.iter().flat_map(Latency::cells));
                rows.add_row(row);
            }
        }
        rows.trim_fmt()
    }
}
