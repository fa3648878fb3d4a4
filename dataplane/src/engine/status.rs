use super::Engine;
use crate::pipeline::Counters;
use crate::steer::XdpMode;
use crate::worker::{Command, PortReport};
use crate::xsk::CopyMode;

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
    /// Every verdict, drop reason and flow event: (name, how often).
    pub counters: Vec<(String, u64)>,
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
    /// What the kernel and the worker counted at the socket: (name, how often).
    pub counters: Vec<(&'static str, u64)>,
}

impl PortStatus {
    pub(super) fn new(interface: &str, queue: u32, mode: XdpMode, copy: CopyMode) -> Self {
        Self {
            interface: interface.to_owned(),
            queue,
            xdp: match mode {
                XdpMode::Native => "native",
                XdpMode::Generic => "generic",
            },
            copy: match copy {
                CopyMode::Copy => "copy",
                CopyMode::ZeroCopy => "zero-copy",
            },
            counters: Vec::new(),
        }
    }
}

impl Engine {
    /// What the engine can tell of itself now. Costs each worker a moment.
    pub fn status(&self) -> EngineStatus {
        let mut status = EngineStatus {
            generation: self.generation(),
            steering: self.steering.counters().unwrap_or_default(),
            ..EngineStatus::default()
        };
        for (number, mailbox) in self.mailboxes.iter().enumerate() {
            status.workers.push(WorkerStatus {
                worker: number as u32,
                core: self.cores[number],
                flows: mailbox.flows(),
                flow_capacity: self.config.flow_capacity.into(),
                counters: Counters::names().zip(mailbox.counters()).collect(),
            });
            let (sender, reports) = crossbeam::channel::bounded(self.ports.len() + 1);
            mailbox.send(Command::Ports(sender));
            status.ports.extend(reports.iter().map(|report| self.port_status(number, &report)));
        }
        status
    }

    fn port_status(&self, worker: usize, report: &PortReport) -> PortStatus {
        let port = self.ports.values().find(|port| port.name == report.interface);
        let mode = port.map_or(XdpMode::Native, |port| port.mode);
        let (kernel, worker_side) = (&report.kernel, &report.worker);
        let counters = vec![
            ("rx_dropped", kernel.rx_dropped),
            ("rx_ring_full", kernel.rx_ring_full),
            ("rx_fill_ring_empty", kernel.rx_fill_ring_empty_descs),
            ("rx_invalid", kernel.rx_invalid_descs),
            ("tx_invalid", kernel.tx_invalid_descs),
            ("kicks", worker_side.kicks),
            ("kicks_busy", worker_side.kicks_busy),
            ("kicks_no_buffers", worker_side.kicks_no_buffers),
            ("kicks_net_down", worker_side.kicks_net_down),
            ("kicks_failed", worker_side.kicks_failed),
        ];
        let status = PortStatus::new(&report.interface, worker as u32, mode, report.copy_mode);
        PortStatus { counters, ..status }
    }
}
