//! What was measured so far: every round of everybody's every figure.

use std::fmt::Display;

use hdrhistogram::Histogram;

use super::LabArgs;
use super::measure::Quiet;
use super::metric::Metric;
use super::result::{LabFigure, LabLatency, LabResult};
use super::subject::{Kind, Subject};
use crate::error::{BenchError, Result};
use crate::figures::Figure;
use crate::output::short;
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
    /// Changes of a backend meanwhile, where there were any.
    pub(super) changes: Option<usize>,
}

impl Noted {
    /// Of a round.
    pub(super) fn new(round: u32, value: f64) -> Self {
        Self { round, value, is_limited: false, changes: None }
    }
}

/// All rounds of one figure.
pub(super) struct Entry {
    pub(super) subject: Subject,
    pub(super) metric: Metric,
    pub(super) rounds: Vec<Noted>,
}

/// All rounds of one latency.
pub(super) struct Lateness {
    pub(super) subject: Subject,
    /// Whether it is that of flows' first packets.
    first: bool,
    /// Of all rounds together.
    all: Histogram<u64>,
    /// The round's number, and its p50, p90, p99 and p99.9.
    pub(super) rounds: Vec<(u32, [f64; 4])>,
}

impl Lateness {
    /// Which packets.
    pub(super) fn packets(&self) -> &'static str {
        if self.first { "first packets of flows" } else { "known flows" }
    }

    /// One percentile, by its place among them.
    pub(super) fn rounds_of(&self, at: usize) -> Vec<Noted> {
        self.rounds.iter().map(|(round, of_round)| Noted::new(*round, of_round[at])).collect()
    }
}

const PERCENTILES: [f64; 4] = [50.0, 90.0, 99.0, 99.9];

/// The record of a run.
pub(super) struct Book<'a> {
    pub(super) args: &'a LabArgs,
    pub(super) entries: Vec<Entry>,
    pub(super) latencies: Vec<Lateness>,
    pub(super) quiet: Vec<Quiet>,
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
        self.enter(subject, metric, Noted::new(self.round, value));
    }

    /// One round's packets a second without loss, which the generator may have limited.
    pub(super) fn note_ndr(&mut self, subject: &Subject, value: f64, is_limited: bool) {
        self.enter(subject, Metric::Ndr, Noted { is_limited, ..Noted::new(self.round, value) });
    }

    /// One round's blocked time, and how many changes there were.
    pub(super) fn note_churn(&mut self, subject: &Subject, blocked_ms: f64, changes: usize) {
        let noted = Noted { changes: Some(changes), ..Noted::new(self.round, blocked_ms) };
        self.enter(subject, Metric::Churn, noted);
    }

    fn enter(&mut self, subject: &Subject, metric: Metric, noted: Noted) {
        let known = |entry: &&mut Entry| entry.subject == *subject && entry.metric == metric;
        match self.entries.iter_mut().find(known) {
            Some(entry) => entry.rounds.push(noted),
            None => self.entries.push(Entry { subject: *subject, metric, rounds: vec![noted] }),
        }
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

    /// Nothing of this round is of somebody.
    pub(super) fn forget(&mut self, subject: &Subject) {
        let round = self.round;
        for entry in self.entries.iter_mut().filter(|entry| entry.subject == *subject) {
            entry.rounds.retain(|noted| noted.round != round);
        }
        self.entries.retain(|entry| !entry.rounds.is_empty());
        // Their packets are among those of all rounds; their percentiles are not.
        for one in self.latencies.iter_mut().filter(|one| one.subject == *subject) {
            one.rounds.retain(|(number, _)| *number != round);
        }
        self.latencies.retain(|one| !one.rounds.is_empty());
    }

    /// The newest figures of somebody, in short.
    pub(super) fn line(&self, subject: &Subject) -> String {
        let of = self.entries.iter().filter(|entry| entry.subject == *subject);
        let newest = of.filter_map(|entry| {
            let Noted { value, .. } = entry.rounds.last()?;
            let text = match entry.metric.describe(self.args).1 {
                "pps" => format!("{:.3} Mpps", value / 1e6),
                unit => format!("{} {unit}", short(value)),
            };
            Some(format!("{} {text}", entry.metric.name()))
        });
        let late = self.latencies.iter().find(|one| one.subject == *subject && !one.first);
        let late = late.and_then(|one| {
            let [p50, _, p99, _] = one.rounds.last()?.1.map(|ns| short(&(ns / 1e3)));
            Some(format!("latency p50 {p50} µs, p99 {p99} µs"))
        });
        newest.chain(late).collect::<Vec<_>>().join(", ")
    }

    /// Whether nobody but the generator was measured.
    pub(super) fn knows_the_generator_only(&self) -> bool {
        let of_latencies = self.latencies.iter().map(|one| one.subject);
        let mut of = self.entries.iter().map(|entry| entry.subject).chain(of_latencies);
        of.all(|subject| subject.kind == Kind::Generator)
    }

    /// Why there is no result.
    pub(super) fn nothing(&self, interrupted: bool) -> BenchError {
        match interrupted {
            true => BenchError::Interrupted,
            false => BenchError::NothingMeasured { why: self.skipped.join("; ") },
        }
    }

    /// All of it.
    pub(super) fn finish(mut self, origin: Origin, interrupted: bool) -> Result<LabResult> {
        if self.entries.is_empty() && self.latencies.is_empty() {
            return Err(self.nothing(interrupted));
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

    fn figure(&self, entry: &Entry) -> LabFigure {
        let Entry { subject, metric, rounds } = entry;
        let (what, unit) = metric.describe(self.args);
        let values = || rounds.iter().map(|noted| noted.value);
        let changes = || rounds.iter().filter_map(|noted| Some(noted.changes? as f64));
        LabFigure {
            subject: subject.name(),
            kind: subject.kind,
            key: *metric,
            metric: what,
            unit: unit.to_owned(),
            services: subject.services,
            rounds: values().collect(),
            figure: Figure::of(values()),
            limited_rounds: rounds.iter().filter(|noted| noted.is_limited).count(),
            changes: changes().next().map(|_| Figure::of(changes())),
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
