use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use maglane_dataplane::engine::{EngineStatus, PortStatus, WorkerStatus};
use maglane_dataplane::flow::FlowRecord;
use maglane_dataplane::wire::Endpoint;
use serde::{Deserialize, Serialize};

use crate::model::{Problem, protocol_name};

/// What an agent tells of itself.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct StatusView {
    /// Of the program.
    pub(crate) version: String,
    /// Since the agent started.
    pub(crate) uptime_s: u64,
    /// Of the snapshot in force.
    pub(crate) generation: u32,
    /// What it follows.
    #[serde(default)]
    pub(crate) source: SourceView,
    /// Services with an address in force.
    pub(crate) services: usize,
    /// Pairs of address and port in force.
    pub(crate) frontends: usize,
    /// Memory of the lookup tables of the Services in force.
    #[serde(default)]
    pub(crate) table_bytes: usize,
    /// Interfaces of Pods that are attached.
    pub(crate) pods: Vec<String>,
    /// One entry a worker.
    pub(crate) workers: Vec<WorkerView>,
    /// One entry a port and queue.
    pub(crate) ports: Vec<PortView>,
    /// What the steering programs counted.
    pub(crate) steering: BTreeMap<String, u64>,
    /// Packets that the kernel dropped at the ports, where a ring of its own was full.
    pub(crate) kernel: BTreeMap<String, u64>,
    /// What is wrong, one line each.
    pub(crate) problems: Vec<String>,
}

/// What an agent follows.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SourceView {
    /// `manifests …`, or `API server …`.
    pub(crate) what: String,
    /// One entry a watched resource; none of manifests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) watches: Vec<WatchView>,
    /// The Node that the agent runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<String>,
    /// Its zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) zone: Option<String>,
    /// Why what is in force is not all that there is; nothing once it has been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) incomplete: Option<String>,
    /// How kubectl reaches the API of a standalone agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

/// One watched resource.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct WatchView {
    /// `Services`.
    pub(crate) what: String,
    /// Whether the server answers.
    pub(crate) connected: bool,
    /// Since it does, or does not.
    pub(crate) since_s: u64,
    /// Since an object last changed, or all were listed.
    pub(crate) last_event_s: Option<u64>,
    /// What was wrong last.
    pub(crate) last_error: Option<String>,
}

/// One worker.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct WorkerView {
    /// Its number, from 0.
    pub(crate) worker: u32,
    /// The core that it is pinned to.
    pub(crate) core: Option<u32>,
    /// Connections tracked now.
    pub(crate) flows: u64,
    /// Connections it can track.
    pub(crate) flow_capacity: u64,
    /// Every verdict, drop reason and flow event, and how often.
    pub(crate) counters: BTreeMap<String, u64>,
}

/// One queue of a port.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct PortView {
    /// The interface.
    pub(crate) interface: String,
    /// The queue, and the worker that owns it.
    pub(crate) queue: u32,
    /// `native` or `generic`.
    pub(crate) xdp: String,
    /// `copy` or `zero-copy`.
    pub(crate) copy: String,
    /// What the kernel and the worker counted at the socket.
    pub(crate) counters: BTreeMap<String, u64>,
}

/// One tracked connection.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct FlowView {
    /// `TCP` or `UDP`.
    pub(crate) protocol: String,
    /// Who opened it.
    pub(crate) client: SocketAddr,
    /// What it was sent to.
    pub(crate) service: SocketAddr,
    /// The endpoint that was picked.
    pub(crate) backend: SocketAddr,
    /// The client as the backend sees it.
    pub(crate) translated: SocketAddr,
    /// What it is up to, as `established`.
    pub(crate) state: String,
    /// From the client.
    pub(crate) packets_out: u64,
    /// From the backend.
    pub(crate) packets_back: u64,
    /// From the client, in bytes of IP packets.
    pub(crate) bytes_out: u64,
    /// From the backend, in bytes of IP packets.
    pub(crate) bytes_back: u64,
    /// Until it is forgotten if nothing more comes.
    pub(crate) expires_in_ms: u64,
}

/// The answer to `POST /sync`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct SyncView {
    /// Of the snapshot in force.
    pub(crate) generation: u32,
    /// What is wrong.
    pub(crate) problems: Vec<Problem>,
}

impl StatusView {
    /// Adds what the dataplane tells of itself.
    pub(crate) fn with_engine(mut self, engine: EngineStatus) -> Self {
        self.workers = engine.workers.into_iter().map(WorkerView::from).collect();
        self.ports = engine.ports.into_iter().map(PortView::from).collect();
        self.steering = named(engine.steering);
        self
    }
}

impl From<WorkerStatus> for WorkerView {
    fn from(status: WorkerStatus) -> Self {
        Self {
            worker: status.worker,
            core: status.core,
            flows: status.flows,
            flow_capacity: status.flow_capacity,
            counters: named(status.counters),
        }
    }
}

impl From<PortStatus> for PortView {
    fn from(status: PortStatus) -> Self {
        Self {
            interface: status.interface,
            queue: status.queue,
            xdp: status.xdp.to_owned(),
            copy: status.copy.to_owned(),
            counters: named(status.counters),
        }
    }
}

impl FlowView {
    /// What is known of a flow at `now_ms` of the engine's clock.
    pub(crate) fn new(flow: &FlowRecord, now_ms: u64) -> Self {
        Self {
            protocol: protocol_name(flow.protocol).to_owned(),
            client: socket(flow.client),
            service: socket(flow.service),
            backend: socket(flow.backend),
            translated: socket(flow.translated),
            state: flow.state.name().to_owned(),
            packets_out: flow.forward_packets,
            packets_back: flow.reply_packets,
            bytes_out: flow.forward_bytes,
            bytes_back: flow.reply_bytes,
            expires_in_ms: flow.expires_ms.saturating_sub(now_ms),
        }
    }
}

fn socket(endpoint: Endpoint) -> SocketAddr {
    SocketAddr::new(endpoint.address.to_ip(), endpoint.port)
}

fn named<N: Into<String>>(counters: Vec<(N, u64)>) -> BTreeMap<String, u64> {
    counters.into_iter().map(|(name, count)| (name.into(), count)).collect()
}
