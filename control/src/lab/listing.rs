//! What is in the lab, for people and for programs.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Pod, Service};
use serde::Serialize;

use super::api::{Api, block_on};
use super::interrupt::Interrupt;
use super::kubelet::record::{PodRecord, RunState};
use super::state::{Process, State};
use super::{LabError, Result, Site};
use crate::apiserver::kinds;
use crate::model::is_headless;

/// Everything that `lab ls` knows.
#[derive(Debug, Serialize)]
pub(crate) struct Listing {
    /// The node.
    pub(crate) node: NodeListing,
    /// The Pods, by namespace and name.
    pub(crate) pods: Vec<PodListing>,
    /// The Services, by namespace and name.
    pub(crate) services: Vec<ServiceListing>,
    /// Nobody could be asked: there may be more Pods, and Services.
    #[serde(skip)]
    pub(crate) silent: bool,
}

/// The node.
#[derive(Debug, Serialize)]
pub(crate) struct NodeListing {
    /// Its network namespace.
    pub(crate) network_namespace: String,
    /// Its addresses.
    pub(crate) addresses: Vec<IpAddr>,
    /// Its agent.
    pub(crate) agent: ProcessListing,
}

/// A process, or the absence of one.
#[derive(Debug, Serialize)]
pub(crate) struct ProcessListing {
    /// The container's name, or `agent`.
    pub(crate) name: String,
    /// `running`, `exited`, `not started` or `no command`.
    pub(crate) state: &'static str,
    /// While it runs.
    pub(crate) pid: Option<i32>,
}

/// A Pod.
#[derive(Debug, Serialize)]
pub(crate) struct PodListing {
    /// Its Kubernetes namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// Its addresses.
    pub(crate) addresses: Vec<IpAddr>,
    /// Its network namespace.
    pub(crate) network_namespace: String,
    /// The node's end of its link.
    pub(crate) interface: Option<String>,
    /// Its containers.
    pub(crate) processes: Vec<ProcessListing>,
}

/// A Service.
#[derive(Debug, Serialize)]
pub(crate) struct ServiceListing {
    /// Its Kubernetes namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// `ClusterIP`, …, or `Headless`.
    pub(crate) r#type: String,
    /// Its virtual addresses.
    pub(crate) cluster_ips: Vec<String>,
    /// As `80/TCP`.
    pub(crate) ports: Vec<String>,
}

/// Lists the lab that is up. Without an agent nobody knows its Services, and of its Pods only those
/// that have been made.
pub(crate) fn list(site: &Site) -> Result<Listing> {
    let state = State::load(site)?;
    let records = PodRecord::load_all(site)?;
    let runs = state.agent.is_some_and(Process::runs);
    let asked = if runs { ask(site) } else { Ok(Known::default()) };
    let (silent, Known { services, pods: known }) = match asked {
        Ok(found) => (!runs, found),
        // It is on its way, up or down.
        Err(LabError::Api(_)) => (true, Known::default()),
        Err(error) => return Err(error),
    };
    let mut pods: Vec<PodListing> = records.iter().map(list_pod).collect();
    let unmade = known.into_iter().filter(|(uid, _)| !records.iter().any(|one| one.uid == *uid));
    pods.extend(unmade.map(|(_, pod)| pod));
    pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    let node = NodeListing {
        network_namespace: site.node_namespace(),
        addresses: state.options.node_ips.clone(),
        agent: list_process("agent", true, state.agent, false),
    };
    Ok(Listing { node, pods, services, silent })
}

/// What the API says there is.
#[derive(Default)]
struct Known {
    services: Vec<ServiceListing>,
    /// As if nothing of them stood, by `metadata.uid`.
    pods: Vec<(String, PodListing)>,
}

fn ask(site: &Site) -> Result<Known> {
    block_on(&Interrupt::default(), async {
        let api = Api::of(site).await?;
        let list = async |plural| match kinds::by_plural("", "v1", plural) {
            Some(kind) => api.list(kind, "").await,
            None => Ok(Vec::new()),
        };
        let services = list("services").await?.into_iter();
        let services = services.filter_map(|value| serde_json::from_value(value).ok());
        let pods = list("pods").await?.into_iter();
        let pods = pods.filter_map(|value| serde_json::from_value::<Pod>(value).ok());
        let services = services.map(|service| list_service(&service)).collect();
        Ok(Known { services, pods: pods.map(unmade).collect() })
    })
}

/// A Pod of which nothing stands.
fn unmade(pod: Pod) -> (String, PodListing) {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let processes = containers.map(|container| {
        let has_command = container.command.as_ref().is_some_and(|words| !words.is_empty());
        list_process(&container.name, has_command, None, false)
    });
    let listing = PodListing {
        processes: processes.collect(),
        namespace: pod.metadata.namespace.unwrap_or_default(),
        name: pod.metadata.name.unwrap_or_default(),
        addresses: Vec::new(),
        network_namespace: String::new(),
        interface: None,
    };
    (pod.metadata.uid.unwrap_or_default(), listing)
}

fn list_pod(record: &PodRecord) -> PodListing {
    let sandbox = record.sandbox.clone();
    let containers = record.containers.iter();
    let processes = containers.map(|one| {
        let has_run = !matches!(one.state, RunState::Waiting { .. }) || one.last.is_some();
        list_process(&one.name, one.has_command, one.process(), has_run)
    });
    PodListing {
        namespace: record.namespace.clone(),
        name: record.name.clone(),
        processes: processes.collect(),
        addresses: sandbox.iter().flat_map(|sandbox| sandbox.addresses.clone()).collect(),
        network_namespace: sandbox
            .as_ref()
            .map(|sandbox| sandbox.network_namespace.clone())
            .unwrap_or_default(),
        interface: sandbox.and_then(|sandbox| sandbox.interface),
    }
}

fn list_process(
    name: &str,
    has_command: bool,
    process: Option<Process>,
    has_run: bool,
) -> ProcessListing {
    let running = process.filter(|process| process.runs());
    let state = match (has_command, process, running) {
        (false, ..) => "no command",
        (true, _, Some(_)) => "running",
        (true, Some(_), None) => "exited",
        (true, None, None) if has_run => "exited",
        (true, None, None) => "not started",
    };
    ProcessListing { name: name.to_owned(), state, pid: running.map(|one| one.pid().as_raw()) }
}

fn list_service(service: &Service) -> ServiceListing {
    let spec = service.spec.clone().unwrap_or_default();
    let headless = is_headless(&spec);
    let kind = spec.type_.unwrap_or_else(|| "ClusterIP".to_owned());
    ServiceListing {
        namespace: service.metadata.namespace.clone().unwrap_or_default(),
        name: service.metadata.name.clone().unwrap_or_default(),
        r#type: if headless { "Headless".to_owned() } else { kind },
        cluster_ips: if headless { Vec::new() } else { spec.cluster_ips.unwrap_or_default() },
        ports: spec
            .ports
            .iter()
            .flatten()
            .map(|port| format!("{}/{}", port.port, port.protocol.as_deref().unwrap_or("TCP")))
            .collect(),
    }
}
