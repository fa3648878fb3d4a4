//! What people type, and who is measured then.

use clap::Args;

use super::measure::NEW_FLOWS_SHARE;
use super::metric::Metric;
use super::subject::{Kind, Subject};
use crate::error::{BenchError, Result};
use crate::output::Format;
use crate::pktgen::{PORTS, Rate, seconds};
use crate::rig::{BareForwarder, Poll};

/// Addresses that the lab has for Services.
const MAX_SERVICES: u32 = 60_000;

/// Options of `lab`.
#[derive(Args, Clone, Debug)]
pub(crate) struct LabArgs {
    #[command(flatten)]
    pub(super) bare: BareForwarder,
    /// Rounds, each of which measures everybody once.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(super) rounds: u32,
    /// Seconds of each measurement. Trials that search for throughput last half as long, processor
    /// time takes 5 at least, real clients count in whole ones, and a change takes its own time.
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = seconds)]
    pub(super) seconds: f64,
    /// Packets a second at which latency, processor time and churn are measured.
    #[arg(long, value_name = "RATE", default_value = "100k")]
    pub(super) rate: Rate,
    /// UDP flows that the generator sends.
    #[arg(long, value_name = "N", default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub(super) flows: u32,
    /// Services, for those that know of Services.
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "1,100,1000,10000", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SERVICES)))]
    pub(super) services: Vec<u32>,
    /// Only those whose name has this in it; may be given more than once. One that nobody has lists
    /// them all.
    #[arg(long, value_name = "NAME")]
    subject: Vec<String>,
    /// Only these measurements.
    #[arg(long, value_enum, value_name = "METRIC", value_delimiter = ',')]
    pub(super) only: Vec<Metric>,
    /// Of every random choice: the same seed sends the same packets.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// Text for people, or JSON for programs.
    #[arg(short, long, value_enum, default_value_t)]
    pub(super) output: Format,
}

impl LabArgs {
    /// Who is to be measured, the generator first.
    ///
    /// # Errors
    /// When that is nobody, or somebody is asked for what nobody of them has.
    pub(super) fn subjects(&self) -> Result<Vec<Subject>> {
        let all = self.everybody();
        let wanted = |subject: &&Subject| {
            let name = subject.name().to_lowercase();
            self.subject.is_empty()
                || self.subject.iter().any(|part| name.contains(&part.to_lowercase()))
        };
        let subjects: Vec<Subject> = all.iter().filter(wanted).copied().collect();
        if subjects.is_empty() {
            let mut names: Vec<String> = all.iter().map(Subject::name).collect();
            names.dedup();
            let message = format!("nobody has such a name; there are {}", names.join("; "));
            return Err(BenchError::Usage { option: "--subject", message });
        }
        let new_flows = self.rate.pps() * NEW_FLOWS_SHARE * self.seconds;
        if self.measures(Metric::Latency) && f64::from(self.flows) + new_flows > PORTS as f64 {
            let message = format!(
                "{} flows and {new_flows:.0} new ones in a measurement of latency are more than the \
                 {PORTS} ports that a client has; less of --rate, --seconds or --flows",
                self.flows
            );
            return Err(BenchError::Usage { option: "--rate", message });
        }
        let is_anybodys = |metric: &Metric| subjects.iter().any(|subject| metric.is_of(subject));
        match self.only.iter().find(|metric| !is_anybodys(metric)) {
            None => Ok(subjects),
            Some(metric) => Err(BenchError::Usage {
                option: "--only",
                message: format!("{} is measured of none of these subjects", metric.name()),
            }),
        }
    }

    fn everybody(&self) -> Vec<Subject> {
        let mut services = self.services.clone();
        services.sort_unstable();
        services.dedup();
        let fewest = services.first().copied().unwrap_or(1);
        let subject = |kind, workers, poll, services| Subject { kind, workers, poll, services };
        let one = |kind, services| subject(kind, 1, Poll::Adaptive, services);
        let each = |kind| services.iter().map(move |services| one(kind, *services));
        let mut subjects = vec![Subject::GENERATOR, one(Kind::Kernel, 0)];
        subjects.extend(each(Kind::HostPort));
        subjects.extend([
            subject(Kind::HostPort, 1, Poll::Busy, fewest),
            subject(Kind::HostPort, 2, Poll::Adaptive, fewest),
            subject(Kind::HostPort, 2, Poll::Busy, fewest),
            one(Kind::BareHostPort, 0),
            one(Kind::XdpPorts, fewest),
            one(Kind::BarePorts, 0),
        ]);
        subjects.extend(each(Kind::Nftables));
        subjects.extend(each(Kind::Iptables));
        subjects
    }

    /// Whether a figure is asked for.
    pub(super) fn measures(&self, metric: Metric) -> bool {
        self.only.is_empty() || self.only.contains(&metric)
    }
}
