use serde::{Deserialize, Serialize};

use super::measure::Measured;
use super::stages::Stage;
use super::world::WorldConfig;
use crate::figures::Figure;
use crate::output::{INTERRUPTED, grouped, table};
use crate::result::Origin;

/// One case in one world: an object of the array that `engine -o json` prints.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EngineResult {
    /// Where it comes from.
    #[serde(flatten)]
    pub(crate) origin: Origin,
    /// What the packets are.
    pub(crate) case: String,
    /// Established flows.
    pub(crate) flows: u32,
    /// Services.
    pub(crate) services: u32,
    /// Of each Service.
    pub(crate) backends: u32,
    /// Of a frame, without the frame check sequence.
    pub(crate) packet_bytes: usize,
    /// 4 or 6.
    pub(crate) family: u8,
    /// The median of all rounds.
    pub(crate) ns_per_packet: f64,
    /// The least and the greatest of all rounds.
    pub(crate) ns_spread: [f64; 2],
    /// Of the pipeline alone.
    pub(crate) allocations_per_packet: f64,
    /// None where the machine does not count them.
    pub(crate) instructions_per_packet: Option<f64>,
    /// None where the machine does not count them.
    pub(crate) cache_misses_per_packet: Option<f64>,
    /// Where the time goes.
    pub(crate) stages: Vec<Stage>,
    /// Whether a signal ended the run before all that was asked for was measured. What is here was
    /// measured in full.
    #[serde(default)]
    pub(crate) interrupted: bool,
}

impl EngineResult {
    /// Of a measurement.
    pub(super) fn new(
        origin: &Origin,
        case: &str,
        config: &WorldConfig,
        measured: Measured,
    ) -> Self {
        let Figure { median, min, max } = measured.ns_per_packet;
        let counted = |at: usize| measured.counted.map(|counted| counted[at]);
        Self {
            origin: origin.clone(),
            case: case.to_owned(),
            flows: config.flows,
            services: config.services,
            backends: config.backends,
            packet_bytes: config.packet_bytes,
            family: if config.ipv6 { 6 } else { 4 },
            ns_per_packet: median,
            ns_spread: [min, max],
            allocations_per_packet: measured.allocations_per_packet,
            instructions_per_packet: counted(0),
            cache_misses_per_packet: counted(1),
            stages: measured.stages,
            interrupted: false,
        }
    }
}

/// For people.
pub(super) fn text(results: &[EngineResult]) -> String {
    let mut rows = table([
        "CASE",
        "FLOWS",
        "SERVICES",
        "BACKENDS",
        "BYTES",
        "IPV",
        "NS/PACKET",
        "MIN",
        "MAX",
        "ALLOCATIONS",
        "INSTRUCTIONS",
        "CACHE MISSES",
        "STAGES (NS)",
    ]);
    let count = |count: Option<f64>| count.map_or("-".to_owned(), |count| format!("{count:.1}"));
    for one in results {
        let stages = one.stages.iter().map(|stage| format!("{} {:.0}", stage.name, stage.ns));
        rows.add_row([
            one.case.clone(),
            grouped(one.flows.into()),
            grouped(one.services.into()),
            one.backends.to_string(),
            one.packet_bytes.to_string(),
            one.family.to_string(),
            format!("{:.1}", one.ns_per_packet),
            format!("{:.1}", one.ns_spread[0]),
            format!("{:.1}", one.ns_spread[1]),
            format!("{}", one.allocations_per_packet),
            count(one.instructions_per_packet),
            count(one.cache_misses_per_packet),
            stages.collect::<Vec<_>>().join(", "),
        ]);
    }
    let machine = results.first().map(|one| one.origin.machine.show()).unwrap_or_default();
    let mut text = format!("The pipeline in memory, medians, on {machine}\n\n{}", rows.trim_fmt());
    if results.iter().any(|one| one.interrupted) {
        text += &format!("\n\n{INTERRUPTED}");
    }
    text
}
