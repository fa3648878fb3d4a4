use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::measure::Quiet;
use super::metric::Metric;
use super::ratio::{LabRatio, Winner, wins};
use super::subject::Kind;
use crate::figures::Figure;
use crate::output::{INTERRUPTED, grouped, table};
use crate::pktgen::Latency;
use crate::result::Origin;

/// What was measured of whom.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LabFigure {
    /// Who forwarded.
    pub(crate) subject: String,
    /// What that one is.
    pub(crate) kind: Kind,
    /// What was measured, as it is typed.
    pub(crate) key: Metric,
    /// What was measured, for people, with the rate and the seconds.
    pub(crate) metric: String,
    /// Of the values.
    pub(crate) unit: String,
    /// Services that there were.
    pub(crate) services: u32,
    /// One a round.
    pub(crate) rounds: Vec<f64>,
    /// Over all rounds.
    pub(crate) figure: Figure,
    /// Rounds in which the generator was the limit: they are at least that.
    pub(crate) limited_rounds: usize,
    /// Changes of a backend meanwhile, of a figure that is of such.
    pub(crate) changes: Option<Figure>,
    /// What measures it again.
    pub(crate) command: String,
}

impl LabFigure {
    /// Whether the generator was the limit: of the median's rounds, or as many as not.
    pub(crate) fn is_at_least(&self) -> bool {
        2 * self.limited_rounds >= self.rounds.len()
    }

    /// Its figure as text, and what is to be known of it.
    pub(crate) fn show(&self, figure: &str) -> String {
        let least = if self.is_at_least() { "≥ " } else { "" };
        let changes = self.changes.map(|changes| format!(" in {} changes", changes.show(1.0, 0)));
        format!("{least}{figure}{}", changes.unwrap_or_default())
    }
}

/// How late packets were, over all rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LabLatency {
    /// Who forwarded.
    pub(crate) subject: String,
    /// What that one is.
    pub(crate) kind: Kind,
    /// Which packets, and at which load.
    pub(crate) at: String,
    /// Services that there were.
    pub(crate) services: u32,
    /// Of all rounds together.
    pub(crate) latency_ns: Latency,
    /// Half of all packets were no later: one figure a round.
    pub(crate) p50_ns: Figure,
    /// 90% of them.
    pub(crate) p90_ns: Figure,
    /// 99% of them.
    pub(crate) p99_ns: Figure,
    /// 99.9% of them.
    pub(crate) p999_ns: Figure,
    /// What measures it again.
    pub(crate) command: String,
}

impl LabLatency {
    /// Of a table's row, in microseconds: medians of all rounds, with their spread.
    pub(crate) fn cells(&self) -> Vec<String> {
        let figures = [self.p50_ns, self.p90_ns, self.p99_ns, self.p999_ns];
        figures.map(|figure| figure.show(1e3, 1)).to_vec()
    }
}

impl LabResult {
    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for condition in &self.conditions {
            let _ = writeln!(text, "{condition}");
        }
        let _ = writeln!(text, "On {}\n", self.origin.machine.show());
        let mut metric = "";
        let mut rows = table(["", "SERVICES", "MEDIAN (LEAST–GREATEST)"]);
        for figure in &self.figures {
            if figure.metric != metric && !metric.is_empty() {
                let _ = writeln!(text, "{}\n", rows.trim_fmt());
                rows = table(["", "SERVICES", "MEDIAN (LEAST–GREATEST)"]);
            }
            if figure.metric != metric {
                metric = &figure.metric;
                let unit = if figure.unit == "pps" { "Mpps" } else { &figure.unit };
                let _ = writeln!(text, "{metric} ({unit})");
            }
            let scale = if figure.unit == "pps" { 1e6 } else { 1.0 };
            let services = grouped(figure.services.into());
            let text = figure.show(&figure.figure.show_short(scale));
            rows.add_row([figure.subject.clone(), services, text]);
        }
        if !self.figures.is_empty() {
            let _ = writeln!(text, "{}\n", rows.trim_fmt());
        }
        self.latency_text(&mut text);
        self.ratio_text(&mut text);
        for skipped in &self.skipped {
            let _ = writeln!(text, "Not measured: {skipped}");
        }
        if self.interrupted {
            let _ = writeln!(text, "{INTERRUPTED}");
        }
        text
    }

    fn latency_text(&self, text: &mut String) {
        if self.latencies.is_empty() {
            return;
        }
        let mut rows = table(["LATENCY", "SERVICES", "", "P50 µs", "P90", "P99", "P99.9"]);
        for one in &self.latencies {
            let mut row = vec![one.subject.clone(), grouped(one.services.into()), one.at.clone()];
            row.extend(one.cells());
            rows.add_row(row);
        }
        let _ = writeln!(text, "{}\n", rows.trim_fmt());
    }

    fn ratio_text(&self, text: &mut String) {
        if self.ratios.is_empty() {
            return;
        }
        let mut rows = table(["RATIO", "OF", "TO", "SERVICES", "MEDIAN (LEAST–GREATEST)", ""]);
        for ratio in &self.ratios {
            rows.add_row([
                ratio.metric.clone(),
                ratio.subject.clone(),
                ratio.beside.clone(),
                grouped(ratio.services.into()),
                ratio.rounds.figure.map_or("none".to_owned(), |figure| figure.show_short(1.0)),
                ratio.remark().unwrap_or_default(),
            ]);
        }
        let _ = writeln!(text, "{}\n", rows.trim_fmt());
        let ratios: Vec<&LabRatio> = self.ratios.iter().collect();
        let sides = [("The kernel's path", Winner::Beside), ("Maglane", Winner::Subject)];
        for (who, winner) in sides {
            let wins = wins(&ratios, winner);
            if !wins.is_empty() {
                let _ = writeln!(text, "{who} is better, in every round, at:");
                let _ = writeln!(text, "  {}", wins.join("\n  "));
            }
        }
    }
}

/// Result of `lab`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LabResult {
    /// Where it comes from.
    #[serde(flatten)]
    pub(crate) origin: Origin,
    /// How it was measured, one sentence each.
    pub(crate) conditions: Vec<String>,
    /// Who did what.
    pub(crate) figures: Vec<LabFigure>,
    /// How late.
    pub(crate) latencies: Vec<LabLatency>,
    /// Beside whom.
    pub(crate) ratios: Vec<LabRatio>,
    /// What was subtracted from everybody's processor time, a round each.
    pub(crate) quiet: Vec<Quiet>,
    /// What could not be measured here, and why.
    pub(crate) skipped: Vec<String>,
    /// Whether a signal ended it before its time.
    pub(crate) interrupted: bool,
}
