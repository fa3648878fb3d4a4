//! What was measured so far: every round of everybody's every figure.

use std::fmt::Display;

use hdrhistogram::Histogram;

use super::LabArgs;
use super::measure::{Quiet, WIDTH, least_cost_ns, trial_seconds};
use super::metric::Metric;
use super::result::{LabFigure, LabLatency, LabResult};
use super::subject::Subject;
use crate::error::{BenchError, Result};
use crate::figures::Figure;
use crate::output::grouped;
use crate::pktgen::{Latency, Metered};
use crate::result::Origin;

/// One round of one figure.
#[derive(Clone, Copy)]
pub(super) struct Noted {
    /// Its number.
    pub(super) round: u32,
    /// The figure.
    pub(super) value: f64,
    /// Whether the generator can do no more: it is at least that.
    pub(super) is_limited: bool,
}

/// All rounds of one figure.
pub(super) struct Entry {
    pub(super) subject: Subject,
    pub(super) metric: Metric,
    pub(super) rounds: Vec<Noted>,
    /// Changes of a backend meanwhile, where there were any.
    changes: Vec<f64>,
}

/// All rounds of one latency.
pub(super) struct Lateness {
    pub(super) subject: Subject,
    /// Whether it is that of flows' first packets.
    first: bool,
    /// Of all rounds together.
    all: Histogram<u64>,
    /// The round's number, and its p50, p90, p99 and p99.9.
    rounds: Vec<(u32, [f64; 4])>,
}

impl Lateness {
    /// Which packets.
    pub(super) fn packets(&self) -> &'static str {
        if self.first { "first packets of flows" } else { "known flows" }
    }

    /// One percentile, by its place among them.
    pub(super) fn rounds_of(&self, at: usize) -> Vec<Noted> {
        let noted = |(round, percentiles): &(u32, [f64; 4])| Noted {
            round: *round,
            value: percentiles[at],
            is_limited: false,
        };
        self.rounds.iter().map(noted).collect()
    }
}

const PERCENTILES: [f64; 4] = [50.0, 90.0, 99.0, 99.9];

/// The record of a run.
pub(super) struct Book<'a> {
    pub(super) args: &'a LabArgs,
    pub(super) entries: Vec<Entry>,
    pub(super) latencies: Vec<Lateness>,
    quiet: Vec<Quiet>,
    skipped: Vec<String>,
    pub(super) round: u32,
}

impl<'a> Book<'a> {
    /// An empty one.
    pub(super) fn new(args: &'a LabArgs) -> Self {
        Self {
            args,
            entries: Vec::new(),
            latencies: Vec::new(),
            quiet: Vec::new(),
            skipped: Vec::new(),
            round: 0,
        }
    }

    /// What is noted from now on is of this round.
    pub(super) fn begin(&mut self, round: u32) {
        self.round = round;
    }

    /// One round's figure.
    pub(super) fn note(&mut self, subject: &Subject, metric: Metric, value: f64) {
        let noted = Noted { round: self.round, value, is_limited: false };
        self.entry(subject, metric).rounds.push(noted);
    }

    /// One round's packets a second without loss, which the generator may have limited.
    pub(super) fn note_ndr(&mut self, subject: &Subject, value: f64, is_limited: bool) {
        let noted = Noted { round: self.round, value, is_limited };
        self.entry(subject, Metric::Ndr).rounds.push(noted);
    }

    /// One round's blocked time, and how many changes there were.
    pub(super) fn note_churn(&mut self, subject: &Subject, blocked_ms: f64, changes: usize) {
        self.note(subject, Metric::Churn, blocked_ms);
        self.entry(subject, Metric::Churn).changes.push(changes as f64);
    }

    fn entry(&mut self, subject: &Subject, metric: Metric) -> &mut Entry {
        let known = |entry: &Entry| entry.subject == *subject && entry.metric == metric;
        let at = self.entries.iter().position(known).unwrap_or_else(|| {
            let (rounds, changes) = (Vec::new(), Vec::new());
            self.entries.push(Entry { subject: *subject, metric, rounds, changes });
            self.entries.len() - 1
        });
        &mut self.entries[at]
    }

    /// What is subtracted from everybody's processor time in this round.
    pub(super) fn note_quiet(&mut self, quiet: Quiet) {
        self.quiet.push(quiet);
    }

    /// One round's latencies.
    pub(super) fn note_latency(&mut self, subject: &Subject, metered: &Metered) {
        for (first, histogram) in [(false, &metered.latency), (true, &metered.first_latency)] {
            if histogram.is_empty() {
                continue;
            }
            let of_round = PERCENTILES.map(|one| histogram.value_at_percentile(one) as f64);
            let round = (self.round, of_round);
            let known = |one: &&mut Lateness| one.subject == *subject && one.first == first;
            match self.latencies.iter_mut().find(known) {
                Some(one) => {
                    // They are made alike.
                    let _ = one.all.add(histogram);
                    one.rounds.push(round);
                }
                None => self.latencies.push(Lateness {
                    subject: *subject,
                    first,
                    all: histogram.clone(),
                    rounds: vec![round],
                }),
            }
        }
    }

    /// Something that cannot be measured here.
    pub(super) fn skip(&mut self, why: &impl Display) {
        let why = why.to_string();
        if !self.skipped.contains(&why) {
            self.skipped.push(why);
        }
    }

    /// Something that would have told nothing, and is left out.
    pub(super) fn unfit(&mut self, subject: &Subject, what: &str, why: &str) {
        self.skip(&format!("{what} of {}, in some rounds or all: {why}", subject.with_services()));
    }

    /// Somebody who cannot be measured any more.
    pub(super) fn fail(&mut self, subject: &Subject, error: &BenchError) {
        self.skip(&format!("{}: {error}", subject.with_services()));
    }

    /// The newest figures of somebody, in short.
    pub(super) fn line(&self, subject: &Subject) -> String {
        let of = self.entries.iter().filter(|entry| entry.subject == *subject);
        let newest = of.filter_map(|entry| {
            let Noted { value, .. } = entry.rounds.last()?;
            let text = match entry.metric.describe(self.args).1 {
                "pps" => format!("{:.3} Mpps", value / 1e6),
                unit => format!("{value:.3} {unit}"),
            };
            Some(format!("{} {text}", entry.metric.name()))
        });
        newest.collect::<Vec<_>>().join(", ")
    }

    /// All of it.
    pub(super) fn finish(mut self, origin: Origin, interrupted: bool) -> Result<LabResult> {
        if self.entries.is_empty() && self.latencies.is_empty() {
            return Err(if interrupted {
                BenchError::Interrupted
            } else {
                BenchError::NothingMeasured { why: self.skipped.join("; ") }
            });
        }
        self.entries.sort_by_key(|entry| entry.metric);
        let figures = self.entries.iter().map(|entry| self.figure(entry)).collect();
        let latencies = self.latencies.iter().filter_map(|one| self.lateness(one)).collect();
        Ok(LabResult {
            origin,
            conditions: self.conditions(),
            figures,
            latencies,
            ratios: self.ratios(),
            quiet: self.quiet,
            skipped: self.skipped,
            interrupted,
        })
    }

    /// How many there were; a run that was cut short has fewer of some.
    fn rounds(&self) -> String {
        let latencies = self.latencies.iter().map(|one| one.rounds.len());
        let counts =
            || self.entries.iter().map(|entry| entry.rounds.len()).chain(latencies.clone());
        match (counts().min(), counts().max()) {
            (Some(least), Some(most)) if least != most => format!("{least} to {most}"),
            (_, most) => most.unwrap_or(0).to_string(),
        }
    }

    fn conditions(&self) -> Vec<String> {
        let args = self.args;
        let mut conditions = vec![
            format!(
                "Rounds: {}, everybody in turn in each; medians, with the least and the greatest. UDP over \
             IPv4 in frames of 60 bytes, {} flows, between two veth pairs through a node of its own; \
             the generator sends and receives over AF_XDP on core 0. What it does by itself, over a \
             veth pair of its own, stands beside.",
                self.rounds(),
                grouped(args.flows.into())
            ),
            format!(
                "The kernel's paths run where packets are sent, on core 0; workers take the last cores, \
             so that on two cores a second worker shares the generator's. Throughput without loss is \
             searched to {:.0}%, the last trials of {} s, two of which decide; ≥ stands where it is \
             all that the generator can send.",
                WIDTH * 100.0,
                trial_seconds(args)
            ),
        ];
        conditions.extend(self.cost_condition());
        conditions.extend([
            "Maglane is its engine, as the agent starts it, in a process that is told of changes; \
             kube-proxy is the rules that its proxiers write, and a change what their partial sync \
             writes, through nft and iptables-restore."
                .to_owned(),
            "On a veth there is no zero-copy: AF_XDP copies every packet twice there and pays a \
             system call, where the kernel's path copies nothing. On a NIC with zero-copy it does \
             neither."
                .to_owned(),
        ]);
        conditions
    }

    fn cost_condition(&self) -> Option<String> {
        if self.quiet.is_empty() {
            return None;
        }
        let figure = |of: fn(&Quiet) -> f64| Figure::of(self.quiet.iter().map(of));
        Some(format!(
            "Processor time is that of all cores, without other programs' ({} cores before the \
             rounds), without what the machine does when nobody does anything ({} cores), and \
             without the generator's, {} ns a packet by itself, measured in each round. Less than \
             {:.0} ns cannot be told from nothing.",
            figure(|quiet| quiet.others_cores).show(1.0, 3),
            figure(|quiet| quiet.idle_cores).show(1.0, 3),
            figure(|quiet| quiet.generator_ns).show(1.0, 0),
            least_cost_ns(self.args),
        ))
    }

    fn figure(&self, entry: &Entry) -> LabFigure {
        let Entry { subject, metric, rounds, changes } = entry;
        let (what, unit) = metric.describe(self.args);
        let values = || rounds.iter().map(|noted| noted.value);
        LabFigure {
            subject: subject.name(),
            kind: subject.kind,
            metric: what,
            unit: unit.to_owned(),
            services: subject.services,
            rounds: values().collect(),
            figure: Figure::of(values()),
            limited_rounds: rounds.iter().filter(|noted| noted.is_limited).count(),
            changes: (!changes.is_empty()).then(|| Figure::of(changes.iter().copied())),
            command: self.args.repeat(*metric, &[subject]),
        }
    }

    fn lateness(&self, one: &Lateness) -> Option<LabLatency> {
        let of_round = |at| Figure::of(one.rounds_of(at).into_iter().map(|noted| noted.value));
        Some(LabLatency {
            subject: one.subject.name(),
            kind: one.subject.kind,
            at: format!("{} at {}", one.packets(), self.args.rate),
            services: one.subject.services,
            latency_ns: Latency::of(&one.all)?,
            p50_ns: of_round(0),
            p90_ns: of_round(1),
            p99_ns: of_round(2),
            p999_ns: of_round(3),
            command: self.args.repeat(Metric::Latency, &[&one.subject]),
        })
    }
}
