use serde::{Deserialize, Serialize};

use crate::figures::Figure;
use crate::pktgen::Latency;
use crate::result::Origin;

/// What was measured of whom.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LabFigure {
    /// Who forwarded.
    pub(crate) subject: String,
    /// What was measured, as `throughput, no loss`.
    pub(crate) metric: String,
    /// Of the values.
    pub(crate) unit: String,
    /// Services that there were.
    pub(crate) services: u32,
    /// One a round.
    pub(crate) rounds: Vec<f64>,
    /// Over all rounds.
    pub(crate) figure: Figure,
    /// What measures it again.
    pub(crate) command: String,
}

/// How late packets were, over all rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LabLatency {
    /// Who forwarded.
    pub(crate) subject: String,
    /// Which packets, and at which load.
    pub(crate) at: String,
    /// Services that there were.
    pub(crate) services: u32,
    /// Over all rounds.
    pub(crate) latency_ns: Latency,
}

/// Two figures of the same rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LabRatio {
    /// What is compared.
    pub(crate) what: String,
    /// One a round, of what was measured in that round.
    pub(crate) figure: Figure,
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
    /// What could not be measured here, and why.
    pub(crate) skipped: Vec<String>,
    /// Whether a signal ended it before its time.
    pub(crate) interrupted: bool,
}
