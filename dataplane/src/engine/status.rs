/// What an engine can tell of itself at one moment.
#[derive(Clone, Debug, Default)]
pub struct EngineStatus {
    /// Of the snapshot in force.
    pub generation: u32,
    /// One entry a worker.
    pub workers: Vec<WorkerStatus>,
    /// One entry a port and queue.
    pub ports: Vec<PortStatus>,
    /// What the steering programs counted: (name, packets).
    pub steering: Vec<(&'static str, u64)>,
}

/// One worker.
#[derive(Clone, Debug, Default)]
pub struct WorkerStatus {
    /// Its number, from 0.
    pub worker: u32,
    /// The core that it is pinned to.
    pub core: Option<u32>,
    /// Connections tracked now.
    pub flows: u64,
    /// Connections it can track.
    pub flow_capacity: u64,
    /// Every verdict and drop reason: (name, packets).
    pub counters: Vec<(&'static str, u64)>,
}

/// One queue of a port.
#[derive(Clone, Debug, Default)]
pub struct PortStatus {
    /// The interface.
    pub interface: String,
    /// The queue, which is also the number of the worker that owns it.
    pub queue: u32,
    /// `native` or `generic`.
    pub xdp: &'static str,
    /// `copy` or `zero-copy`: what it became.
    pub copy: &'static str,
    /// What the kernel counted at the socket: (name, packets).
    pub counters: Vec<(&'static str, u64)>,
}
