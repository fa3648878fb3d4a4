use hdrhistogram::Histogram;
use serde::Serialize;

use super::agent::Memory;
use crate::figures::ratio;
use crate::output::table;
use crate::result::Origin;

const MIB: f64 = (1u64 << 20) as f64;
const MS: f64 = 1e6;

/// How long changes took, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Latency {
    changes: u64,
    p50_ns: u64,
    p90_ns: u64,
    p99_ns: u64,
    max_ns: u64,
}

impl Latency {
    pub(super) fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            changes: histogram.len(),
            p50_ns: histogram.value_at_quantile(0.5),
            p90_ns: histogram.value_at_quantile(0.9),
            p99_ns: histogram.value_at_quantile(0.99),
            max_ns: histogram.max(),
        }
    }
}

/// One size of cluster.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Size {
    pub(super) services: usize,
    /// Once it was in force.
    pub(super) memory: Memory,
    /// After all changes.
    pub(super) memory_after: Memory,
    /// Lookup tables of the dataplane, as the agent counts them.
    pub(super) table_bytes: u64,
    /// From the process's start until everything was in force.
    pub(super) start_s: f64,
    pub(super) latency: Latency,
    /// Processor time of the control thread.
    pub(super) control_time_per_change_us: f64,
    /// From the first of many changes at once until all were in force.
    pub(super) burst_ms: f64,
}

/// What is printed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// Where it comes from.
    #[serde(flatten)]
    origin: Origin,
    endpoints_per_service: u32,
    workers: u32,
    /// Of an agent without Services: program, workers, rings, flow tables.
    empty: Memory,
    sizes: Vec<Size>,
    /// Whether a signal ended it before its time.
    interrupted: bool,
}

impl Report {
    pub(super) fn new(
        origin: Origin,
        (endpoints_per_service, workers): (u32, u32),
        empty: Memory,
        sizes: Vec<Size>,
        interrupted: bool,
    ) -> Self {
        Self { origin, endpoints_per_service, workers, empty, sizes, interrupted }
    }

    /// The control plane's share, in bytes: all that is neither the dataplane's tables nor there
    /// without Services.
    fn control_bytes(&self, resident: u64, table_bytes: u64) -> u64 {
        resident.saturating_sub(table_bytes).saturating_sub(self.empty.resident)
    }

    pub(super) fn text(&self) -> String {
        let first = self.sizes.first();
        let mut memory = table([
            "Services",
            "RSS MiB",
            "tables MiB",
            "control MiB",
            "a Service, bytes",
            "peak MiB",
        ]);
        let mut times = table([
            "Services",
            "start s",
            "p50 ms",
            "p90 ms",
            "p99 ms",
            "max ms",
            "p99, × the first",
            "control µs",
            "burst ms",
        ]);
        for size in &self.sizes {
            let control = self.control_bytes(size.memory_after.resident, size.table_bytes);
            memory.add_row([
                size.services.to_string(),
                mib(size.memory_after.resident),
                mib(size.table_bytes),
                mib(control),
                format!("{:.0}", ratio(control as f64, size.services as f64)),
                mib(size.memory_after.peak),
            ]);
            let Latency { p50_ns, p90_ns, p99_ns, max_ns, .. } = size.latency;
            let ms = |ns: u64| format!("{:.2}", ns as f64 / MS);
            let growth =
                first.map_or(0.0, |first| ratio(p99_ns as f64, first.latency.p99_ns as f64));
            times.add_row([
                size.services.to_string(),
                format!("{:.2}", size.start_s),
                ms(p50_ns),
                ms(p90_ns),
                ms(p99_ns),
                ms(max_ns),
                format!("{growth:.2}"),
                format!("{:.0}", size.control_time_per_change_us),
                format!("{:.0}", size.burst_ms),
            ]);
        }
        let changes = first.map_or(0, |first| first.latency.changes);
        format!(
            "Of {} endpoints each; {} workers. Without Services the agent takes {} MiB: program,\n\
             rings, flow tables. \"control\" is what comes on top, without the lookup tables.\n\n\
             {memory}\n\n\
             From an event's writing to its being in force in all workers, {changes} changes of \
             one\nendpoint; \"control\" is the control thread's processor time for each.\n\n{times}",
            self.endpoints_per_service,
            self.workers,
            mib(self.empty.resident),
        )
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / MIB)
}
