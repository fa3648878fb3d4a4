//! What can be measured of whom, and what it is called.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::LabArgs;
use super::subject::Subject;

/// Changes of a backend under load begin so long after one another, if they take no longer.
pub(super) const CHURN_EVERY_MS: u64 = 50;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Metric {
    /// Packets a second without loss.
    Ndr,
    /// Packets a second that arrive when the generator sends all it can.
    Max,
    /// Processor time of the whole machine for each packet, at a fixed rate.
    Cpu,
    /// Latency of known and of new flows, at a fixed rate.
    Latency,
    /// Time until one changed backend is in force.
    Change,
    /// Packets lost while backends change, as time in which nothing was forwarded.
    Churn,
    /// Bytes of one TCP connection.
    Bulk,
    /// Requests on kept connections.
    Requests,
    /// Connections of one request each.
    Connections,
}

impl Metric {
    /// As it is typed.
    pub(super) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Whether a greater figure is the better one.
    pub(super) fn more_is_better(self) -> bool {
        match self {
            Self::Ndr | Self::Max | Self::Bulk | Self::Requests | Self::Connections => true,
            Self::Cpu | Self::Latency | Self::Change | Self::Churn => false,
        }
    }

    /// Whether somebody has such a figure.
    pub(super) fn is_of(self, subject: &Subject) -> bool {
        match self {
            Self::Ndr | Self::Max | Self::Cpu | Self::Latency => true,
            Self::Change | Self::Churn => subject.has_backends(),
            Self::Bulk | Self::Requests | Self::Connections => subject.carries_connections(),
        }
    }

    /// For people: what it is, and in which unit.
    pub(super) fn describe(self, args: &LabArgs) -> (String, &'static str) {
        let (rate, seconds) = (args.rate, args.seconds);
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
                    "Effective blocked time in {seconds} s at {rate}, with a backend changed \
                     every {CHURN_EVERY_MS} ms"
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
