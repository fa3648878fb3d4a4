use std::ops::RangeInclusive;

use thiserror::Error;

use crate::flow::Timeouts;

/// How many workers an engine may have: `MAX_WORKERS` of `bpf/tables.h`.
pub const WORKERS: RangeInclusive<u32> = 1..=64;

/// How workers wait for packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PollMode {
    /// Never sleep: the lowest latency, one whole core a worker.
    Busy,
    /// Sleep in the kernel when there is nothing to do.
    #[default]
    Adaptive,
}

/// The two ends of the host port, both in the namespace of the thread that starts the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The workers' end, with one queue per worker: `mlg0`.
    pub outer: String,
    /// The kernel's end: `mlg1`.
    pub inner: String,
}

/// Every limit of an engine, checked once at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// The node's host port; none on a rig that only forwards between XDP ports.
    pub host_port: Option<HostPort>,
    /// Worker threads, each pinned to a core of its own while there are enough: 1 to 64.
    pub workers: u32,
    /// The cores to pin workers to, in order; none for as many as the machine has, from the last.
    pub cores: Vec<u32>,
    /// How workers wait.
    pub poll: PollMode,
    /// Entries of each ring, a power of two: 64 to 32,768.
    pub ring_size_frames: u32,
    /// Frames of 4 KiB in each worker's UMEM: at least two rings.
    pub frames_per_worker: u32,
    /// Connections that one worker tracks at once: 1,024 to 16,777,216.
    pub flow_capacity: u32,
    /// How long silent connections are remembered.
    pub timeouts: Timeouts,
    /// Packets that may wait on their way from one worker to another, a power of two.
    pub handover_ring_frames: u32,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            host_port: Some(HostPort { outer: "mlg0".into(), inner: "mlg1".into() }),
            workers: 1,
            cores: Vec::new(),
            poll: PollMode::default(),
            ring_size_frames: 4096,
            frames_per_worker: 16384,
            flow_capacity: 262_144,
            timeouts: Timeouts::default(),
            handover_ring_frames: 4096,
        }
    }
}

/// A limit that is out of range.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{field} is {value}, must be {range}")]
pub struct ConfigError {
    /// The field of [`EngineConfig`].
    pub field: &'static str,
    /// What it was.
    pub value: u64,
    /// What it may be.
    pub range: &'static str,
}

impl EngineConfig {
    /// Checks every limit.
    ///
    /// # Errors
    /// The first field that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let limit = |field, value: u32, ok: bool, range| {
            if ok { Ok(()) } else { Err(ConfigError { field, value: value.into(), range }) }
        };
        limit("workers", self.workers, WORKERS.contains(&self.workers), "between 1 and 64")?;
        limit(
            "ring_size_frames",
            self.ring_size_frames,
            self.ring_size_frames.is_power_of_two()
                && (64..=32_768).contains(&self.ring_size_frames),
            "a power of two between 64 and 32768",
        )?;
        limit(
            "frames_per_worker",
            self.frames_per_worker,
            self.frames_per_worker >= 2 * self.ring_size_frames
                && self.frames_per_worker <= 1 << 20,
            "between twice ring_size_frames and 1048576",
        )?;
        limit(
            "flow_capacity",
            self.flow_capacity,
            (1024..=1 << 24).contains(&self.flow_capacity),
            "between 1024 and 16777216",
        )?;
        limit(
            "handover_ring_frames",
            self.handover_ring_frames,
            self.handover_ring_frames.is_power_of_two()
                && (64..=32_768).contains(&self.handover_ring_frames),
            "a power of two between 64 and 32768",
        )
    }
}
