//! What was measured so far: every round of everybody's every figure.

use std::fmt::Display;

use hdrhistogram::Histogram;

use super::LabArgs;
use super::cpu::TICK_NS;
use super::measure::{Metric, TOLERATED_LOSS, WIDTH, cpu_seconds};
use super::ratio::LabRatio;
use super::result::{LabFigure, LabLatency, LabResult};
use super::subject::{Kind, Subject};
use crate::error::{BenchError, Result};
use crate::figures::Figure;
use crate::output::grouped;
use crate::pktgen::{Latency, Metered};
use crate::result::Origin;
use crate::rig::Poll;

/// All rounds of one figure.
struct Entry {
    subject: Subject,
    metric: Metric,
    /// The round's number, and its figure.
    rounds: Vec<(u32, f64)>,
}

/// All rounds of one latency.
struct Lateness {
    subject: Subject,
    /// Whether it is that of flows' first packets.
    first: bool,
    /// Of all rounds together.
    all: Histogram<u64>,
    /// The round's number, and its p50, p90, p99 and p99.9.
    rounds: Vec<(u32, [f64; 4])>,
}

impl Lateness {
    fn packets(&self) -> &'static str {
        if self.first { "first packets of flows" } else { "known flows" }
    }

    fn rounds_of(&self, at: usize) -> Vec<(u32, f64)> {
        self.rounds.iter().map(|(round, percentiles)| (*round, percentiles[at])).collect()
    }
}

/// What two subjects can be compared by.
struct Comparable<'a> {
    subject: &'a Subject,
    metric: String,
    more_is_better: bool,
    /// Less cannot be told from it.
    nothing: f64,
    rounds: Vec<(u32, f64)>,
}

const PERCENTILES: [f64; 4] = [50.0, 90.0, 99.0, 99.9];

/// The record of a run.
pub(super) struct Book<'a> {
    args: &'a LabArgs,
    entries: Vec<Entry>,
    latencies: Vec<Lateness>,
    skipped: Vec<String>,
    round: u32,
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
        Self { args, entries: Vec::new(), latencies: Vec::new(), skipped: Vec::new(), round: 0 }
    }

    /// What is noted from now on is of this round.
    pub(super) fn begin(&mut self, round: u32) {
        self.round = round;
    }

    /// One round's figure.
    pub(super) fn note(&mut self, subject: &Subject, metric: Metric, value: f64) {
        let known = |entry: &&mut Entry| entry.subject == *subject && entry.metric == metric;
        match self.entries.iter_mut().find(known) {
            Some(entry) => entry.rounds.push((self.round, value)),
            None => {
                let rounds = vec![(self.round, value)];
                self.entries.push(Entry { subject: *subject, metric, rounds });
            }
        }
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

    /// Something that would tell too little, since too many packets did not arrive.
    pub(super) fn lossy(&mut self, subject: &Subject, what: &str) {
        self.skip(&format!(
            "{what} of {}, {} Services, in some rounds or all: more than {}% of the packets at {} \
             did not arrive",
            subject.name(),
            subject.services,
            TOLERATED_LOSS * 100.0,
            self.args.rate
        ));
    }

    /// Somebody who cannot be measured any more.
    pub(super) fn fail(&mut self, subject: &Subject, error: &BenchError) {
        self.skip(&format!("{}, {} Services: {error}", subject.name(), subject.services));
    }

    /// The newest figures of somebody, in short.
    pub(super) fn line(&self, subject: &Subject) -> String {
        let of = self.entries.iter().filter(|entry| entry.subject == *subject);
        let newest = of.filter_map(|entry| {
            let (_, value) = entry.rounds.last()?;
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
        let latencies = self.latencies.iter().filter_map(|one| self.lateness(one)).collect();
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
        vec![format!(
            "Rounds: {}, everybody in turn in each; medians, with the least and the greatest. UDP over \
             IPv4 in frames of 60 bytes, {} flows, between two veth pairs through a node of its own; \
             the generator sends and receives over AF_XDP on core 0.",
            self.rounds(),
            grouped(args.flows.into())
        ),
        format!(
            "The kernel's paths run where packets are sent, on core 0; workers take the last cores, \
             so that on two cores a second worker shares the generator's. Throughput without loss is \
             searched to {:.0}% in trials of {} s and less; where it is the maximum, it may be the \
             generator's.",
            WIDTH * 100.0,
            args.seconds / 2.0
        ),
        "Maglane is its engine, as the agent starts it, in a process that is told of changes; \
         kube-proxy is the rules that its proxiers write, and a change what their partial sync \
         writes, through nft and iptables-restore."
            .to_owned(),
        "On a veth there is no zero-copy: AF_XDP copies every packet twice there and pays a system \
         call, where the kernel's path copies nothing. On a NIC with zero-copy it does neither."
            .to_owned()]
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
            rounds: rounds.iter().map(|(_, value)| *value).collect(),
            figure: Figure::of(rounds.iter().map(|(_, value)| *value)),
            command: format!(
                "maglane-bench lab --rounds {} --seconds {} --rate {} --flows {} --seed {} \
                 --subject '{}'{services} --only {only}",
                self.args.rounds,
                self.args.seconds,
                self.args.rate.pps(),
                self.args.flows,
                self.args.seed,
                subject.name()
            ),
        }
    }

    fn lateness(&self, one: &Lateness) -> Option<LabLatency> {
        let of_round = |at: usize| Figure::of(one.rounds_of(at).into_iter().map(|(_, ns)| ns));
        Some(LabLatency {
            subject: one.subject.name(),
            at: format!("{} at {}", one.packets(), self.args.rate),
            services: one.subject.services,
            latency_ns: Latency::of(&one.all)?,
            p50_ns: of_round(0),
            p90_ns: of_round(1),
            p99_ns: of_round(2),
            p999_ns: of_round(3),
        })
    }

    /// Processor time a packet that is one tick of the whole measurement.
    fn cpu_resolution_ns(&self) -> f64 {
        TICK_NS / (self.args.rate.pps() * cpu_seconds(self.args))
    }

    /// All that can be compared, in the order of figures.
    fn comparable(&self) -> Vec<Comparable<'_>> {
        let mut all: Vec<Comparable<'_>> = Vec::new();
        for entry in &self.entries {
            all.push(Comparable {
                subject: &entry.subject,
                metric: entry.metric.describe(self.args).0,
                more_is_better: entry.metric.more_is_better(),
                nothing: if entry.metric == Metric::Cpu { self.cpu_resolution_ns() } else { 0.0 },
                rounds: entry.rounds.clone(),
            });
        }
        for one in &self.latencies {
            for (at, name) in [(0, "p50"), (2, "p99")] {
                all.push(Comparable {
                    subject: &one.subject,
                    metric: format!("Latency of {} at {}, {name}", one.packets(), self.args.rate),
                    more_is_better: false,
                    nothing: 0.0,
                    rounds: one.rounds_of(at),
                });
            }
        }
        all
    }

    /// Maglane beside everybody else, round by round.
    fn ratios(&self) -> Vec<LabRatio> {
        let all = self.comparable();
        let mut metrics: Vec<&str> = Vec::new();
        for one in &all {
            if !metrics.contains(&one.metric.as_str()) {
                metrics.push(&one.metric);
            }
        }
        let mut ratios = Vec::new();
        for metric in metrics {
            let find = |kind: Kind, services: Option<u32>| {
                all.iter().find(|one| {
                    one.metric == metric
                        && one.subject.kind == kind
                        && one.subject.workers == 1
                        && one.subject.poll == Poll::Adaptive
                        && services.is_none_or(|services| one.subject.services == services)
                })
            };
            let mut compare = |one: Option<&Comparable<'_>>, other: Option<&Comparable<'_>>| {
                let (Some(one), Some(other)) = (one, other) else { return };
                let figure = LabRatio::figure(&one.rounds, &other.rounds, one.nothing);
                let Some((figure, rounds_without)) = figure else { return };
                ratios.push(LabRatio {
                    metric: metric.to_owned(),
                    subject: one.subject.name(),
                    beside: other.subject.name(),
                    services: other.subject.services,
                    more_is_better: one.more_is_better,
                    figure,
                    rounds_without,
                });
            };
            let fewest = self.args.services.iter().min().copied();
            let host_port = find(Kind::HostPort, fewest);
            compare(host_port, find(Kind::BareHostPort, None));
            compare(find(Kind::XdpPorts, None), find(Kind::BarePorts, None));
            compare(host_port, find(Kind::Kernel, None));
            for kind in [Kind::Nftables, Kind::Iptables] {
                for services in &self.args.services {
                    compare(find(Kind::HostPort, Some(*services)), find(kind, Some(*services)));
                }
            }
        }
        ratios
    }
}
