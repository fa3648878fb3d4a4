//! Floor 4: start, attach, publish, read out, stop.

mod config;
mod error;
mod pods;
mod ports;
mod publish;
mod start;
mod status;

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;

pub use config::{ConfigError, EngineConfig, HostPort, PollMode, WORKERS};
pub use error::EngineError;
pub use status::{EngineStatus, PortStatus, WorkerStatus};

use crate::flow::FlowRecord;
use crate::service::{ServiceTable, Snapshot};
pub use crate::steer::XdpMode;
use crate::steer::{HostPortLinks, PodLinks, Steering, UplinkLink};
use crate::worker::{Command, Mailbox};
use ports::XdpPort;

/// A running dataplane: workers, sockets and steering programs.
///
/// All its calls belong to one control thread, in the network namespace where it was started.
/// Dropped without [`Engine::stop`], it detaches and ends its workers all the same, but nobody
/// learns whether all frames came back.
pub struct Engine {
    config: EngineConfig,
    steering: Steering,
    host_port: Option<HostPortLinks>,
    pods: HashMap<u32, PodLinks>,
    uplinks: HashMap<u32, UplinkLink>,
    ports: HashMap<u32, XdpPort>,
    mailboxes: Arc<[Mailbox]>,
    threads: Vec<JoinHandle<()>>,
    cores: Vec<Option<u32>>,
    /// Snapshots that a worker may still have; freed here and nowhere else.
    published: Vec<Arc<Snapshot>>,
    /// Whose virtual IPs the steering programs know; none when changing them failed half way.
    steered: Option<ServiceTable>,
    started: std::time::Instant,
}

impl Engine {
    /// Up to `limit` of the tracked flows.
    pub fn flows(&self, limit: usize) -> Vec<FlowRecord> {
        let mut flows = Vec::new();
        for mailbox in self.mailboxes.iter() {
            let (sender, records) = crossbeam::channel::bounded(limit - flows.len());
            mailbox.send(Command::Flows(sender));
            flows.extend(records.iter().take(limit - flows.len()));
            if flows.len() == limit {
                break;
            }
        }
        flows
    }

    /// The time that flows are stamped with: since the engine's start, in milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Detaches everything, ends the workers, and makes sure that all frames came back.
    ///
    /// # Errors
    /// When a port would not be given back, or frames are missing.
    pub fn stop(mut self) -> Result<(), EngineError> {
        self.detach_all();
        let mut first_error = None;
        for (worker, mailbox) in self.mailboxes.iter().enumerate() {
            let (sender, answer) = crossbeam::channel::bounded(1);
            mailbox.send(Command::Stop(sender));
            let stopped = answer.recv().map_err(|_| EngineError::WorkerGone { worker })?;
            let missing = stopped.frames_total - stopped.frames_available;
            let leak = (missing > 0).then_some(EngineError::FramesLost { worker, missing });
            let errors = stopped.errors.into_iter().map(EngineError::Socket).chain(leak);
            first_error = first_error.or(errors.take(1).next());
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Gives all traffic back to the kernel's own paths. Ports first: their sockets are still
    /// there for what is on its way.
    fn detach_all(&mut self) {
        self.pods.clear();
        self.uplinks.clear();
        self.host_port = None;
        for port in self.ports.values_mut() {
            port.detach();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.detach_all();
        for mailbox in self.mailboxes.iter() {
            mailbox.send(Command::Stop(crossbeam::channel::bounded(1).0));
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
