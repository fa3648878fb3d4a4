//! Which figures stand beside which: Maglane's beside everybody else's, and beside its own with busy
//! and with more workers.

use super::book::{Book, Noted};
use super::measure::least_cost_ns;
use super::metric::Metric;
use super::ratio::LabRatio;
use super::subject::{Kind, Subject};
use crate::rig::Poll;

/// What two subjects can be compared by.
struct Comparable<'a> {
    subject: &'a Subject,
    metric: Metric,
    /// The metric, or one percentile of it.
    name: String,
    /// Less cannot be told from it.
    nothing: f64,
    rounds: Vec<Noted>,
}

impl Book<'_> {
    /// All that can be compared, in the order of figures.
    fn comparable(&self) -> Vec<Comparable<'_>> {
        let mut all: Vec<Comparable<'_>> = Vec::new();
        for entry in &self.entries {
            let is_cost = entry.metric == Metric::Cpu;
            all.push(Comparable {
                subject: &entry.subject,
                metric: entry.metric,
                name: entry.metric.describe(self.args).0,
                nothing: if is_cost { least_cost_ns(self.args) } else { 0.0 },
                rounds: entry.rounds.clone(),
            });
        }
        for one in &self.latencies {
            for (at, name) in [(0, "p50"), (2, "p99")] {
                all.push(Comparable {
                    subject: &one.subject,
                    metric: Metric::Latency,
                    name: format!("Latency of {} at {}, {name}", one.packets(), self.args.rate),
                    nothing: 0.0,
                    rounds: one.rounds_of(at),
                });
            }
        }
        all
    }

    /// Side by side, round by round.
    pub(super) fn ratios(&self) -> Vec<LabRatio> {
        let all = self.comparable();
        let mut names: Vec<&str> = Vec::new();
        for one in &all {
            if !names.contains(&one.name.as_str()) {
                names.push(&one.name);
            }
        }
        names.into_iter().flat_map(|name| self.ratios_of(&all, name)).collect()
    }

    fn ratios_of(&self, all: &[Comparable<'_>], name: &str) -> Vec<LabRatio> {
        let find = |kind: Kind, workers: u32, poll: Poll, services: Option<u32>| {
            all.iter().find(|one| {
                let Subject { kind: own, workers: of_own, poll: own_poll, services: known } =
                    *one.subject;
                one.name == name
                    && (own, of_own, own_poll) == (kind, workers, poll)
                    && services.is_none_or(|services| services == known)
            })
        };
        let usual = |kind, services| find(kind, 1, Poll::Adaptive, services);
        let fewest = self.args.services.iter().min().copied();
        let host_port = usual(Kind::HostPort, fewest);
        let mut pairs = vec![
            (host_port, usual(Kind::BareHostPort, None)),
            (usual(Kind::XdpPorts, None), usual(Kind::BarePorts, None)),
            (host_port, usual(Kind::Kernel, None)),
        ];
        for kind in [Kind::Nftables, Kind::Iptables] {
            for services in self.args.services.iter().copied().map(Some) {
                pairs.push((usual(Kind::HostPort, services), usual(kind, services)));
            }
        }
        for (workers, poll) in [(1, Poll::Busy), (2, Poll::Adaptive), (2, Poll::Busy)] {
            pairs.push((find(Kind::HostPort, workers, poll, fewest), host_port));
        }
        let both = pairs.into_iter().filter_map(|(one, other)| one.zip(other));
        both.filter_map(|(one, other)| self.ratio(one, other)).collect()
    }

    fn ratio(&self, one: &Comparable<'_>, other: &Comparable<'_>) -> Option<LabRatio> {
        let more_is_better = one.metric.more_is_better();
        let of = self.round as usize;
        let rounds = LabRatio::rounds(&one.rounds, &other.rounds, of, one.nothing, more_is_better)?;
        // Who was seldom measured, since it lost packets or others had the cores, was measured at
        // odd times.
        if 2 * rounds.rounds <= of {
            return None;
        }
        Some(LabRatio {
            key: one.metric,
            metric: one.name.clone(),
            subject: one.subject.name(),
            beside: other.subject.name(),
            beside_kind: other.subject.kind,
            services: other.subject.services,
            more_is_better,
            rounds,
            command: self.args.repeat(one.metric, &[one.subject, other.subject]),
        })
    }
}
