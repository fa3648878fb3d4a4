use std::io;
use std::path::PathBuf;

use maglane_dataplane::engine::{ConfigError, EngineError};

use crate::admin::SocketError;
use crate::apiserver::http::listeners::ListenError;
use crate::apiserver::server::ApiServerError;
use crate::net::NetError;
use crate::source::cluster::AccessError;
use crate::source::watch::WatchError;

/// Why an agent does not start, or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentError {
    /// The process may not shape the network.
    #[error("the agent needs root (CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF): run it with sudo")]
    Unprivileged,
    /// There is one already.
    #[error("another maglane agent runs in this network namespace: stop it first")]
    NotAlone,
    /// Whether there is one cannot be told.
    #[error("cannot make sure that no other agent runs here: {0}")]
    Lock(io::Error),
    /// A limit is out of range.
    #[error("--{}: {} is out of range: must be {}", .0.field.replace('_', "-"), .0.value, .0.range)]
    Limit(ConfigError),
    /// The admin socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// A path that was given does not lead to manifests.
    #[error("cannot read manifests from {}: {cause}", path.display())]
    Manifests {
        /// As it was given.
        path: PathBuf,
        /// The system's answer.
        cause: io::Error,
    },
    /// The API server cannot be reached with what is known of it.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The API of this machine's own.
    #[error("--standalone")]
    Api(#[from] ApiServerError),
    /// Its socket.
    #[error("--listen")]
    Listen(#[from] ListenError),
    /// Changes of manifests would go unnoticed.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// The node's network.
    #[error(transparent)]
    Net(#[from] NetError),
    /// Somebody removed its ends.
    #[error("the host port is gone: somebody removed mlg0 and mlg1; start the agent again")]
    HostPortLost,
    /// The dataplane.
    #[error("the dataplane: {0}")]
    Engine(Box<EngineError>),
    /// An XDP port.
    #[error("--xdp-port {interface}: {cause}")]
    Port {
        /// Its name.
        interface: String,
        /// What the dataplane says.
        cause: Box<EngineError>,
    },
    /// A chosen core does not exist, or is not ours.
    #[error("--cores: this process may not run on core {0}, or there is none")]
    Core(u32),
    /// The runtime has no signals.
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
}

impl From<ConfigError> for AgentError {
    fn from(cause: ConfigError) -> Self {
        Self::Limit(cause)
    }
}

impl From<EngineError> for AgentError {
    fn from(cause: EngineError) -> Self {
        Self::Engine(Box::new(cause))
    }
}
