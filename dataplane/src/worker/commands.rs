use std::os::fd::{AsRawFd, RawFd};

use crossbeam::channel::Sender;

use super::{Port, Running};
use crate::flow::FlowRecord;
use crate::pipeline::Ingress;
use crate::xsk::{
    CopyMode, KernelStatistics, PortQueue, PortQueueConfig, PortQueueCounters, XskError,
};

/// What can be asked of a worker. An answer comes through the channel in the command; the worker
/// goes on without waiting for anyone.
pub enum Command {
    /// Serve a queue.
    Bind {
        /// Which, and how.
        config: PortQueueConfig,
        /// What its packets are.
        ingress: Ingress,
        /// What it became.
        answer: Sender<Result<Bound, XskError>>,
    },
    /// Serve it no longer. The answer is closed when all its frames are back.
    Unbind {
        /// What its packets are.
        ingress: Ingress,
        /// The kernel's reason, if it would not let go.
        answer: Sender<XskError>,
    },
    /// Tell flows, as many as the channel has room for; then close it.
    Flows(Sender<FlowRecord>),
    /// Tell what the kernel counted at each port; then close.
    Ports(Sender<PortReport>),
    /// Give everything back and end.
    Stop(Sender<Stopped>),
}

/// A queue that a worker now serves.
pub struct Bound {
    /// The socket's descriptor, which the worker keeps open.
    pub socket: RawFd,
    /// What the kernel made of it.
    pub copy_mode: CopyMode,
}

/// What was counted at one port's queue.
pub struct PortReport {
    /// The interface.
    pub interface: String,
    /// Copied or not.
    pub copy_mode: CopyMode,
    /// By the kernel.
    pub kernel: KernelStatistics,
    /// By the worker.
    pub worker: PortQueueCounters,
}

/// What a stopped worker had in the end.
pub struct Stopped {
    /// Frames that came back.
    pub frames_available: usize,
    /// Frames there are.
    pub frames_total: usize,
    /// Why a port could not be given back.
    pub errors: Vec<XskError>,
}

/// Places of the flow table that are read at once.
const FLOW_CHUNK: u32 = 4096;

impl Running {
    /// Returns whether the worker is to stop.
    #[cold]
    pub(super) fn obey(&mut self, command: Command) -> bool {
        match command {
            Command::Bind { config, ingress, answer } => {
                let _ = answer.send(self.bind(&config, ingress));
            }
            Command::Unbind { ingress, answer } => {
                let is_it = |port: &Port| port.ingress == ingress;
                if let Some(at) = self.ports.iter().position(is_it) {
                    let port = self.ports.swap_remove(at);
                    if let Err(error) = port.queue.unbind(&mut self.worker.pool) {
                        let _ = answer.send(error);
                    }
                }
            }
            Command::Flows(sender) => self.tell_flows(&sender),
            Command::Ports(sender) => {
                for port in &self.ports {
                    let _ = sender.try_send(PortReport {
                        interface: port.queue.interface().to_owned(),
                        copy_mode: port.queue.copy_mode(),
                        kernel: port.queue.statistics().unwrap_or_default(),
                        worker: *port.queue.counters(),
                    });
                }
            }
            Command::Stop(sender) => {
                let _ = sender.send(self.stop());
                return true;
            }
        }
        false
    }

    fn bind(&mut self, config: &PortQueueConfig, ingress: Ingress) -> Result<Bound, XskError> {
        let pool = &mut self.worker.pool;
        let mut queue = PortQueue::bind(pool, config)?;
        queue.refill(pool);
        let bound = Bound { socket: queue.fd().as_raw_fd(), copy_mode: queue.copy_mode() };
        self.ports.push(Port { queue, ingress, outgoing: Default::default() });
        Ok(bound)
    }

    fn tell_flows(&self, sender: &Sender<FlowRecord>) {
        let mut next = Some(0);
        while let Some(from) = next {
            let (records, rest) = self.worker.pipeline.flows().records(from, FLOW_CHUNK);
            for record in records {
                if sender.try_send(record).is_err() {
                    return;
                }
            }
            next = rest;
        }
    }

    fn stop(&mut self) -> Stopped {
        let pool = &mut self.worker.pool;
        let ports = self.ports.drain(..);
        let errors = ports.filter_map(|port| port.queue.unbind(pool).err()).collect();
        Stopped { frames_available: pool.available(), frames_total: pool.total(), errors }
    }
}
