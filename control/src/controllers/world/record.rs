//! What is kept of objects. Pods, Nodes and Events are many or change often, and little of them
//! matters here; kinds that controllers write are kept whole.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{
    Container, Endpoints, Event, Namespace, Node, Pod, PodStatus, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::shelf::Kept;
use crate::model::labels::ZONE_LABEL;

/// What `kubectl apply` remembers: as large as the object again.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A Pod.
#[derive(Clone, PartialEq, Debug, Default)]
pub(in super::super) struct PodRecord {
    pub(in super::super) metadata: ObjectMeta,
    /// Empty until it has one.
    pub(in super::super) node: String,
    pub(in super::super) hostname: String,
    pub(in super::super) subdomain: String,
    pub(in super::super) phase: String,
    pub(in super::super) addresses: Vec<IpAddr>,
    /// Named ports of containers.
    pub(in super::super) ports: Vec<NamedPort>,
    /// Condition `Ready`: since when it is true.
    pub(in super::super) ready_since: Option<Timestamp>,
    /// Condition `Ready`: when it last changed.
    pub(in super::super) ready_changed: Option<Timestamp>,
    /// Of the container that was restarted most often.
    pub(in super::super) restarts: i32,
}

/// A port that a Service may mean by its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in super::super) struct NamedPort {
    pub(in super::super) name: String,
    pub(in super::super) protocol: String,
    pub(in super::super) number: i32,
}

/// A Node.
#[derive(Clone, PartialEq, Debug, Default)]
pub(in super::super) struct NodeRecord {
    pub(in super::super) metadata: ObjectMeta,
    pub(in super::super) zone: Option<String>,
}

/// An Event.
#[derive(Clone, PartialEq, Debug, Default)]
pub(in super::super) struct EventRecord {
    pub(in super::super) metadata: ObjectMeta,
    pub(in super::super) last: Option<Timestamp>,
}

/// An object of which only `metadata` matters.
#[derive(Clone, PartialEq, Debug, Default)]
pub(in super::super) struct Bare {
    pub(in super::super) metadata: ObjectMeta,
}

impl PodRecord {
    /// What matters of a Pod.
    pub(in super::super) fn read(pod: Pod) -> Self {
        let status = pod.status.unwrap_or_default();
        let spec = pod.spec.unwrap_or_default();
        // A sidecar is an init container that keeps running.
        let sidecars = spec.init_containers.iter().flatten();
        let sidecars =
            sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
        let ports = spec.containers.iter().chain(sidecars).flat_map(named_ports).collect();
        let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
        let changed = ready
            .and_then(|condition| condition.last_transition_time.as_ref())
            .map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        Self {
            ports,
            addresses: addresses(&status),
            ready_since: ready.filter(|condition| condition.status == "True").map(|_| changed),
            ready_changed: ready.map(|_| changed),
            restarts: restarts(&status),
            phase: status.phase.unwrap_or_default(),
            node: spec.node_name.unwrap_or_default(),
            hostname: spec.hostname.unwrap_or_default(),
            subdomain: spec.subdomain.unwrap_or_default(),
            metadata: ObjectMeta { generation: None, ..lean(pod.metadata) },
        }
    }

    /// Whether its condition `Ready` is true.
    pub(in super::super) fn is_ready(&self) -> bool {
        self.ready_since.is_some()
    }

    /// Whether it is about to go.
    pub(in super::super) fn is_terminating(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Whether its containers have ended for good.
    pub(in super::super) fn is_finished(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Whether it counts as a replica.
    pub(in super::super) fn is_active(&self) -> bool {
        !self.is_finished() && !self.is_terminating()
    }
}

impl NodeRecord {
    /// What matters of a Node.
    pub(in super::super) fn read(node: Node) -> Self {
        let zone = node.metadata.labels.as_ref().and_then(|labels| labels.get(ZONE_LABEL).cloned());
        Self { zone: zone.filter(|zone| !zone.is_empty()), metadata: identity(node.metadata) }
    }
}

impl EventRecord {
    /// What matters of an Event.
    pub(in super::super) fn read(event: Event) -> Self {
        let series = event.series.and_then(|series| series.last_observed_time).map(|time| time.0);
        let last = event.last_timestamp.map(|time| time.0);
        let first = event.event_time.map(|time| time.0);
        let made = event.metadata.creation_timestamp.as_ref().map(|time| time.0);
        Self { last: series.max(last).or(first).or(made), metadata: identity(event.metadata) }
    }
}

impl Bare {
    /// What matters of any object.
    pub(in super::super) fn read(metadata: ObjectMeta) -> Self {
        Self {
            metadata: ObjectMeta {
                owner_references: metadata.owner_references.clone(),
                finalizers: metadata.finalizers.clone(),
                deletion_timestamp: metadata.deletion_timestamp.clone(),
                ..identity(metadata)
            },
        }
    }
}

/// A Service, as it is kept.
pub(in super::super) fn service(service: Service) -> Service {
    Service { metadata: lean(service.metadata), ..service }
}

/// `metadata` of something that this program does not write as a whole.
fn lean(metadata: ObjectMeta) -> ObjectMeta {
    let mut metadata = ObjectMeta { managed_fields: None, self_link: None, ..metadata };
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
    metadata
}

/// Only what tells an object from others.
fn identity(metadata: ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        namespace: metadata.namespace,
        name: metadata.name,
        uid: metadata.uid,
        resource_version: metadata.resource_version,
        creation_timestamp: metadata.creation_timestamp,
        ..ObjectMeta::default()
    }
}

fn named_ports(container: &Container) -> impl Iterator<Item = NamedPort> {
    container.ports.iter().flatten().filter_map(|port| {
        Some(NamedPort {
            name: port.name.clone()?,
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
            number: port.container_port,
        })
    })
}

fn addresses(status: &PodStatus) -> Vec<IpAddr> {
    let mut listed: Vec<_> =
        status.pod_ips.iter().flatten().filter_map(|ip| ip.ip.parse().ok()).collect();
    if listed.is_empty() {
        listed.extend(status.pod_ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok()));
    }
    listed
}

fn restarts(status: &PodStatus) -> i32 {
    let containers = status.container_statuses.iter().flatten();
    containers.map(|container| container.restart_count).max().unwrap_or(0)
}

macro_rules! kept {
    ($($kind:ty),*) => {$(
        impl Kept for $kind {
            fn metadata(&self) -> &ObjectMeta {
                &self.metadata
            }
        }
    )*};
}

kept!(PodRecord, NodeRecord, EventRecord, Bare);
kept!(Deployment, Endpoints, EndpointSlice, Namespace, ReplicaSet, Service, ServiceCIDR);
