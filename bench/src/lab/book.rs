//! What was measured so far: every round of everybody's every figure.

use std::fmt::Display;

use hdrhistogram::Histogram;

use super::LabArgs;
use super::measure::Metric;
use super::result::{LabFigure, LabLatency, LabRatio, LabResult};
use super::subject::{Kind, Subject};
use crate::error::{BenchError, Result};
use crate::figures::{Figure, ratio};
use crate::pktgen::{Latency, Metered};
use crate::result::Origin;

/// All rounds of one figure.
struct Entry {
    subject: Subject,
    metric: Metric,
    rounds: Vec<f64>,
}

/// All rounds of one latency.
struct Lateness {
    subject: Subject,
    known: Histogram<u64>,
    first: Histogram<u64>,
}

/// The record of a run.
pub(super) struct Book<'a> {
    args: &'a LabArgs,
    entries: Vec<Entry>,
    latencies: Vec<Lateness>,
    skipped: Vec<String>,
}

impl Metric {
    /// For people: what it is, and in which unit.
    fn describe(self, args: &LabArgs) -> (String, &'static str) {
        let rate = args.rate;
        match self {
            Self::Ndr => ("Throughput without loss (NDR)".into(), "pps"),
            Self::Max => ("Throughput when the generator sends all it can".into(), "pps"),
            Self::Cpu => (
                format!("Processor time of the whole machine at {rate}, less the generator's"),
                "ns a packet",
            ),
            Self::Latency => (format!("Latency at {rate}"), "µs"),
            Self::Change => ("One changed backend, until it is in force".into(), "ms"),
            Self::Churn => (
                format!(
                    "Effective blocked time in {} s of changing backends at {rate}",
                    args.seconds
                ),
                "ms",
            ),
            Self::Bulk => ("One TCP connection (iperf3)".into(), "Gbit/s"),
            Self::Requests => ("Requests on 16 kept connections (wrk, nginx)".into(), "a second"),
            Self::Connections => {
                ("Connections of one request each (wrk, nginx)".into(), "a second")
            }
        }
    }
}

impl<'a> Book<'a> {
    /// An empty one.
    pub(super) fn new(args: &'a LabArgs) -> Self {
        Self { args, entries: Vec::new(), latencies: Vec::new(), skipped: Vec::new() }
    }

    /// One round's figure.
    pub(super) fn note(&mut self, subject: &Subject, metric: Metric, value: f64) {
        let known = |entry: &&mut Entry| entry.subject == *subject && entry.metric == metric;
        match self.entries.iter_mut().find(known) {
            Some(entry) => entry.rounds.push(value),
            None => self.entries.push(Entry { subject: *subject, metric, rounds: vec![value] }),
        }
    }

    /// One round's latencies.
    pub(super) fn note_latency(&mut self, subject: &Subject, metered: &Metered) {
        let known = |one: &&mut Lateness| one.subject == *subject;
        match self.latencies.iter_mut().find(known) {
            // They are made alike.
            Some(one) => {
                let _ = one.known.add(&metered.latency);
                let _ = one.first.add(&metered.first_latency);
            }
            None => self.latencies.push(Lateness {
                subject: *subject,
                known: metered.latency.clone(),
                first: metered.first_latency.clone(),
            }),
        }
    }

    /// Something that cannot be measured here.
    pub(super) fn skip(&mut self, why: &impl Display) {
        let why = why.to_string();
        if !self.skipped.contains(&why) {
            self.skipped.push(why);
        }
    }

    /// Somebody who cannot be measured any more.
    pub(super) fn fail(&mut self, subject: &Subject, error: &BenchError) {
        self.skip(&format!("{}, {} Services: {error}", subject.name(), subject.services));
    }

    /// The newest figures of somebody, in short.
    pub(super) fn line(&self, subject: &Subject) -> String {
        let of = self.entries.iter().filter(|entry| entry.subject == *subject);
        let newest = of.filter_map(|entry| {
            let value = entry.rounds.last()?;
            let text = match entry.metric.describe(self.args).1 {
                "pps" => format!("{:.3} Mpps", value / 1e6),
                unit => format!("{value:.3} {unit}"),
            };
            Some(format!("{:?} {text}", entry.metric))
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
        let latencies = self.latencies.iter().flat_map(|one| self.lateness(one)).collect();
        Ok(LabResult {
            origin,
            conditions: self.conditions(),
            figures,
            latencies,
            ratios: self.ratios(),
            skipped: self.skipped,
            interrupted,
        })
    }

    fn conditions(&self) -> Vec<String> {
        let args = self.args;
        vec![format!(
            "Rounds: {}, everybody in turn in each; medians, with the least and the greatest. UDP over IPv4 in \
             frames of 60 bytes, {} flows, between two veth pairs through a node of its own; the \
             generator sends and receives over AF_XDP on core 0. On a veth there is no zero-copy: \
             AF_XDP copies every packet twice there.",
            args.rounds, args.flows
        )]
    }

    fn figure(&self, entry: &Entry) -> LabFigure {
        let (metric, unit) = entry.metric.describe(self.args);
        let Entry { subject, rounds, .. } = entry;
        let services = if subject.services > 0 {
            format!(" --services {}", subject.services)
        } else {
            String::new()
        };
        let only = clap::ValueEnum::to_possible_value(&entry.metric);
        let only = only.map(|value| value.get_name().to_owned()).unwrap_or_default();
        LabFigure {
            subject: subject.name(),
            metric,
            unit: unit.to_owned(),
            services: subject.services,
            rounds: rounds.clone(),
            figure: Figure::of(rounds.iter().copied()),
            command: format!(
                "maglane-bench lab --rounds {} --seconds {} --subject '{}'{services} --only {only}",
                self.args.rounds,
                self.args.seconds,
                subject.name()
            ),
        }
    }

    fn lateness(&self, one: &Lateness) -> impl Iterator<Item = LabLatency> {
        let (subject, services) = (one.subject.name(), one.subject.services);
        let rate = self.args.rate;
        let of = move |name: &str, histogram: &Histogram<u64>| {
            Latency::of(histogram).map(|latency_ns| LabLatency {
                subject: subject.clone(),
                at: format!("{name} at {rate}"),
                services,
                latency_ns,
            })
        };
        [of("known flows", &one.known), of("first packets of flows", &one.first)]
            .into_iter()
            .flatten()
    }

    /// Who beside whom, round by round.
    fn ratios(&self) -> Vec<LabRatio> {
        let mut ratios = Vec::new();
        for metric in [Metric::Ndr, Metric::Max, Metric::Cpu] {
            let of = |entry: &&Entry| entry.metric == metric;
            let all: Vec<&Entry> = self.entries.iter().filter(of).collect();
            let find = |kind: Kind, services: Option<u32>| {
                all.iter().copied().find(|entry| {
                    let subject = &entry.subject;
                    subject.kind == kind
                        && subject.workers == 1
                        && subject.poll == crate::rig::Poll::Adaptive
                        && services.is_none_or(|services| subject.services == services)
                })
            };
            let mut compare = |one: Option<&Entry>, other: Option<&Entry>| {
                let (Some(one), Some(other)) = (one, other) else { return };
                let pairs = one.rounds.iter().zip(&other.rounds);
                let services = match one.subject.services {
                    0 | 1 => String::new(),
                    services => format!(", {services} Services"),
                };
                ratios.push(LabRatio {
                    what: format!(
                        "{}: {} / {}{services}",
                        metric.describe(self.args).0,
                        one.subject.name(),
                        other.subject.name()
                    ),
                    figure: Figure::of(pairs.map(|(one, other)| ratio(*one, *other))),
                });
            };
            compare(find(Kind::HostPort, None), find(Kind::BareHostPort, None));
            compare(find(Kind::XdpPorts, None), find(Kind::BarePorts, None));
            for services in &self.args.services {
                for kind in [Kind::Nftables, Kind::Iptables] {
                    compare(find(Kind::HostPort, Some(*services)), find(kind, Some(*services)));
                }
            }
        }
        ratios
    }
}
