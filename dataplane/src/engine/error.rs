use std::io;

use thiserror::Error;

use super::ConfigError;
use crate::flow::{FingerprintsError, FlowConfigError};
use crate::steer::SteerError;
use crate::xsk::XskError;

/// What can go wrong with an engine.
#[derive(Debug, Error)]
pub enum EngineError {
    /// A limit is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A limit of the flow table is out of range.
    #[error(transparent)]
    FlowConfig(#[from] FlowConfigError),
    /// The fingerprints do not fit their memory.
    #[error(transparent)]
    Fingerprints(#[from] FingerprintsError),
    /// The steering programs.
    #[error(transparent)]
    Steering(#[from] SteerError),
    /// A socket.
    #[error(transparent)]
    Socket(#[from] XskError),
    /// No thread could be started.
    #[error("cannot start worker {worker}: {source}")]
    Thread {
        /// Its number.
        worker: usize,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A worker ended before its time.
    #[error("worker {worker} is gone")]
    WorkerGone {
        /// Its number.
        worker: usize,
    },
    /// A worker does not answer.
    #[error("worker {worker} did not take the new state within {waited_ms} ms; it goes on trying")]
    WorkerSlow {
        /// Its number.
        worker: usize,
        /// How long it was waited for.
        waited_ms: u64,
    },
    /// An interface is not there.
    #[error("interface {0} does not exist; `ip link` lists those of this network namespace")]
    NoInterface(String),
    /// The interface is a port already.
    #[error("interface {0} is an XDP port already")]
    PortTaken(String),
    /// Packets of some of its queues would pass by.
    #[error(
        "interface {interface} has {queues} receive queues, and the workers ({workers}) serve one \
         each: lower the one (`ethtool -L {interface}`) or raise the other"
    )]
    TooManyQueues {
        /// The interface.
        interface: String,
        /// On which it receives.
        queues: u32,
        /// Of the engine.
        workers: u32,
    },
    /// The interface is no XDP port.
    #[error("interface {0} is not an XDP port")]
    NotAPort(String),
    /// Frames that a stopped worker could not account for.
    #[error("worker {worker} lost {missing} frames")]
    FramesLost {
        /// Its number.
        worker: usize,
        /// How many.
        missing: usize,
    },
}
