//! What is in the lab, for people and for programs.

use std::net::IpAddr;

use serde::Serialize;

use super::manifests::load_stored;
use super::state::{Process, State};
use super::{Result, Site};
use crate::model::{Object, ObjectKey, is_headless};

/// Everything that `lab ls` knows.
#[derive(Debug, Serialize)]
pub(crate) struct Listing {
    /// The node.
    pub(crate) node: NodeListing,
    /// The Pods, by namespace and name.
    pub(crate) pods: Vec<PodListing>,
    /// The Services, by namespace and name.
    pub(crate) services: Vec<ServiceListing>,
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

/// Lists the lab that is up.
pub(crate) fn list(site: &Site) -> Result<Listing> {
    let state = State::load(site)?;
    let services = load_stored(site)
        .into_iter()
        .filter_map(|(id, object)| match object {
            Object::Service(service) => Some(list_service(id.key, &service)),
            _ => None,
        })
        .collect();
    let pods = state
        .pods
        .iter()
        .map(|(path, pod)| {
            let (namespace, name) = path.split_once('/').unwrap_or(("", path));
            PodListing {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                addresses: pod.addresses.clone(),
                network_namespace: pod.network_namespace.clone(),
                interface: pod.interface.clone(),
                processes: pod
                    .containers
                    .iter()
                    .map(|one| list_process(&one.name, one.has_command, one.process))
                    .collect(),
            }
        })
        .collect();
    let node = NodeListing {
        network_namespace: site.node_namespace(),
        addresses: state.options.node_ips.clone(),
        agent: list_process("agent", true, state.agent),
    };
    Ok(Listing { node, pods, services })
}

fn list_process(name: &str, has_command: bool, process: Option<Process>) -> ProcessListing {
    let running = process.filter(|process| process.runs());
    let state = match (has_command, process, running) {
        (false, ..) => "no command",
        (true, None, _) => "not started",
        (true, Some(_), None) => "exited",
        (true, Some(_), Some(_)) => "running",
    };
    ProcessListing { name: name.to_owned(), state, pid: running.map(|one| one.pid().as_raw()) }
}

fn list_service(
    ObjectKey { namespace, name }: ObjectKey,
    service: &k8s_openapi::api::core::v1::Service,
) -> ServiceListing {
    let spec = service.spec.clone().unwrap_or_default();
    let headless = is_headless(&spec);
    let kind = spec.type_.unwrap_or_else(|| "ClusterIP".to_owned());
    ServiceListing {
        namespace: namespace.to_string(),
        name: name.to_string(),
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
