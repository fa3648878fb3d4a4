use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Percentiles that are kept, for charts with a logarithmic axis.
const PERCENTILES: [f64; 17] = [
    0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.9, 99.95, 99.99, 99.995, 99.999,
    99.9999, 100.0,
];

/// How late packets were, in nanoseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// Packets.
    pub(crate) packets: u64,
    /// The least.
    pub(crate) min: u64,
    /// The mean.
    pub(crate) mean: f64,
    /// Half of all packets were no later.
    pub(crate) p50: u64,
    /// 90% of them.
    pub(crate) p90: u64,
    /// 99% of them.
    pub(crate) p99: u64,
    /// 99.9% of them.
    pub(crate) p999: u64,
    /// The greatest.
    pub(crate) max: u64,
    /// `[percentile, nanoseconds]`, as far as there are packets enough.
    pub(crate) percentiles: Vec<(f64, u64)>,
}

impl Latency {
    /// `None` of no packets.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Option<Self> {
        if histogram.is_empty() {
            return None;
        }
        let at = |percentile| histogram.value_at_percentile(percentile);
        let packets = histogram.len();
        // 99.99% of a thousand packets would be one that is not there.
        let known = |percentile: f64| {
            percentile == 100.0 || (100.0 - percentile) / 100.0 * packets as f64 >= 1.0
        };
        Some(Self {
            packets,
            min: histogram.min(),
            mean: histogram.mean(),
            p50: at(50.0),
            p90: at(90.0),
            p99: at(99.0),
            p999: at(99.9),
            max: histogram.max(),
            percentiles: PERCENTILES
                .into_iter()
                .filter(|percentile| known(*percentile))
                .map(|percentile| (percentile, at(percentile)))
                .collect(),
        })
    }

    /// Of a table's row, in microseconds.
    pub(crate) fn cells(&self) -> Vec<String> {
        let values = [self.p50, self.p90, self.p99, self.p999, self.max];
        values.map(|ns| format!("{:.1}", ns as f64 / 1e3)).to_vec()
    }
}
