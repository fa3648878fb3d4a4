//! EndpointSlices of Services with a selector, as `endpointslice-controller.k8s.io` makes them.
//!
//! For each family of the Service, and each set of port numbers that its Pods give to its ports,
//! the wanted endpoints are compared with the slices there are ([`packing`]).

pub(super) mod packing;
pub(super) mod pod;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{
    Endpoint, EndpointHints, EndpointPort, EndpointSlice, ForNode, ForZone,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use self::packing::{Sizes, pack};
use self::pod::{Family, ports_of, to_endpoint};
use super::change::{Change, Told, key_of, reference};
use super::kind::Kind;
use super::task::{Key, Moment, Plan};
use super::world::steps::selector;
use super::world::{World, label};
use crate::model::labels::{HEADLESS_LABEL, SERVICE_NAME_LABEL};

pub(super) use self::pod::should_be_endpoint;

/// Label of a slice: who looks after it.
pub(super) const MANAGED_BY_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
/// Who looks after the slices of Services with a selector.
const MANAGER: &str = "endpointslice-controller.k8s.io";
/// Annotation of a slice: when what it tells of happened.
pub(super) const TRIGGER_ANNOTATION: &str = "endpoints.kubernetes.io/last-change-trigger-time";
/// Endpoints in one slice.
const SLICE_MAX: usize = 100;

/// The slices that a Service needs, as changes of those there are.
pub(super) fn plan(world: &World, key: &Key, moment: &Moment<'_>) -> Plan {
    let Some(service) = world.services.get(key) else { return Plan::none() };
    let Some(selector) = selector(service) else { return Plan::none() };
    let pods: Vec<_> = world.pods_with(&key.namespace, selector).collect();
    let ours = world.slices_of(key).filter(|slice| is_ours(slice)).cloned();
    let mut existing: BTreeMap<String, Vec<Arc<EndpointSlice>>> = BTreeMap::new();
    for slice in ours.filter(|slice| slice.metadata.deletion_timestamp.is_none()) {
        existing.entry(slice.address_type.clone()).or_default().push(slice);
    }

    let mut slices = Slices::default();
    for family in Family::of_service(service) {
        let wanted = wanted(world, service, family, &pods);
        let existing = existing.remove(family.name()).unwrap_or_default();
        slices.extend(of_family(service, family, wanted, existing));
    }
    slices.delete.extend(existing.into_values().flatten());
    let trigger = moment.trigger.map(|at| at.to_string());
    slices.into_changes(service, trigger.as_deref()).into()
}

/// What is to become of slices.
#[derive(Default)]
pub(super) struct Slices {
    pub(super) create: Vec<EndpointSlice>,
    pub(super) update: Vec<EndpointSlice>,
    pub(super) delete: Vec<Arc<EndpointSlice>>,
}

impl Slices {
    pub(super) fn extend(&mut self, other: Self) {
        self.create.extend(other.create);
        self.update.extend(other.update);
        self.delete.extend(other.delete);
    }

    fn into_changes(mut self, service: &Service, trigger: Option<&str>) -> Vec<Change> {
        // The garbage collector is about to take the slices of a Service that goes.
        if service.metadata.deletion_timestamp.is_some() {
            self.create.clear();
        }
        for slice in self.create.iter_mut().chain(&mut self.update) {
            let annotations = slice.metadata.annotations.get_or_insert_default();
            match trigger {
                Some(trigger) => {
                    annotations.insert(TRIGGER_ANNOTATION.to_owned(), trigger.to_owned());
                }
                None => {
                    annotations.remove(TRIGGER_ANNOTATION);
                }
            }
            if annotations.is_empty() {
                slice.metadata.annotations = None;
            }
        }
        let created = self.create.iter();
        let created = created.map(|of| Change::create(Kind::EndpointSlice, &of.metadata, of));
        let updated = self.update.iter();
        let updated = updated.map(|of| Change::replace(Kind::EndpointSlice, &of.metadata, of));
        let deleted = self.delete.iter();
        let deleted = deleted.map(|of| Change::delete(Kind::EndpointSlice, &of.metadata));
        let told = told(service);
        let all = created.chain(updated).chain(deleted);
        all.map(|change| change.telling(told.clone())).collect()
    }
}

/// Endpoints by the ports that they share.
type Wanted = BTreeMap<PortsKey, (Vec<EndpointPort>, Vec<Endpoint>)>;

/// Ports, in an order.
type PortsKey = BTreeSet<(String, String, Option<i32>, Option<String>)>;

fn wanted(
    world: &World,
    service: &Service,
    family: Family,
    pods: &[&Arc<super::world::record::PodRecord>],
) -> Wanted {
    let publish_not_ready = publishes_not_ready(service);
    let mut wanted = Wanted::new();
    for pod in pods.iter().filter(|pod| should_be_endpoint(pod, true)) {
        let node = world.nodes.get(&Key::new("", &pod.node));
        // Nothing is known of a Node that is not there: its Pods may not run at all.
        if node.is_none() && !publish_not_ready {
            continue;
        }
        let ports = ports_of(service, pod);
        let entry = wanted.entry(ports_key(&ports)).or_insert_with(|| (ports, Vec::new()));
        let zone = node.and_then(|node| node.zone.as_deref());
        if let Some(mut endpoint) = to_endpoint(pod, service, family, zone) {
            endpoint.hints = hints(service, &endpoint);
            entry.1.push(endpoint);
        }
    }
    wanted
}

fn of_family(
    service: &Service,
    family: Family,
    wanted: Wanted,
    existing: Vec<Arc<EndpointSlice>>,
) -> Slices {
    let count = existing.len();
    let mut by_ports: BTreeMap<PortsKey, Vec<Arc<EndpointSlice>>> = BTreeMap::new();
    let mut slices = Slices::default();
    for slice in existing {
        if is_owned_by(&slice, service) {
            let ports = slice.ports.as_deref().unwrap_or_default();
            by_ports.entry(ports_key(ports)).or_default().push(slice);
        } else {
            // Of an earlier Service with the same name.
            slices.delete.push(slice);
        }
    }
    for (key, (ports, endpoints)) in wanted {
        let existing = by_ports.remove(&key).unwrap_or_default();
        let template = new_slice(service, family, ports);
        slices.extend(pack(&template, endpoints, existing, Sizes { max: SLICE_MAX }));
    }
    slices.delete.extend(by_ports.into_values().flatten());

    // People look for a slice, and see that it has no endpoints.
    if slices.delete.len() == count && slices.create.is_empty() {
        slices.create.push(new_slice(service, family, Vec::new()));
    }
    reuse(service, &mut slices);
    slices
}

/// A slice that would be deleted while another one is made becomes that one.
fn reuse(service: &Service, slices: &mut Slices) {
    let mut kept = Vec::new();
    for old in std::mem::take(&mut slices.delete) {
        let reusable = is_owned_by(&old, service);
        match slices.create.pop() {
            Some(new) if reusable => {
                let metadata = ObjectMeta {
                    labels: new.metadata.labels,
                    owner_references: new.metadata.owner_references,
                    ..old.metadata.clone()
                };
                let new = EndpointSlice { metadata, ..new };
                // The one without endpoints is there already.
                let same_ports = new.ports.as_deref().unwrap_or_default()
                    == old.ports.as_deref().unwrap_or_default();
                let same = same_ports
                    && new.endpoints == old.endpoints
                    && new.metadata.labels == old.metadata.labels;
                if !same {
                    slices.update.push(new);
                }
            }
            new => {
                slices.create.extend(new);
                kept.push(old);
            }
        }
    }
    slices.delete = kept;
}

fn new_slice(service: &Service, family: Family, ports: Vec<EndpointPort>) -> EndpointSlice {
    let name = service.metadata.name.clone().unwrap_or_default();
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        name: name.clone(),
        uid: service.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    };
    EndpointSlice {
        address_type: family.name().to_owned(),
        endpoints: Vec::new(),
        metadata: ObjectMeta {
            namespace: service.metadata.namespace.clone(),
            generate_name: Some(format!("{name}-")),
            labels: Some(slice_labels(service)),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        ports: Some(ports),
    }
}

/// The Service's own labels, and those that say what the slice is.
fn slice_labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS_LABEL);
    if has_no_cluster_ip(service) {
        labels.insert(HEADLESS_LABEL.to_owned(), String::new());
    }
    labels.insert(SERVICE_NAME_LABEL.to_owned(), key_of(&service.metadata).name);
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGER.to_owned());
    labels
}

/// Whom an endpoint is meant for, if the Service asks for closeness (KEP-4444, KEP-3015).
fn hints(service: &Service, endpoint: &Endpoint) -> Option<EndpointHints> {
    let wish = service.spec.as_ref()?.traffic_distribution.as_deref()?;
    if !matches!(wish, "PreferClose" | "PreferSameZone" | "PreferSameNode") {
        return None;
    }
    let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready);
    if ready != Some(true) {
        return None;
    }
    let node = endpoint.node_name.as_ref().filter(|_| wish == "PreferSameNode");
    let hints = EndpointHints {
        for_zones: endpoint.zone.as_ref().map(|zone| vec![ForZone { name: zone.clone() }]),
        for_nodes: node.map(|node| vec![ForNode { name: node.clone() }]),
    };
    (hints.for_zones.is_some() || hints.for_nodes.is_some()).then_some(hints)
}

fn told(service: &Service) -> Told {
    let key = key_of(&service.metadata);
    let message = format!("Error updating Endpoint Slices for Service {key}: {{error}}");
    Told {
        about: reference(Kind::Service, &service.metadata),
        component: "endpoint-slice-controller",
        done: None,
        failed: Some(("FailedToUpdateEndpointSlices", message)),
    }
}

fn is_ours(slice: &EndpointSlice) -> bool {
    label(&slice.metadata, MANAGED_BY_LABEL) == Some(MANAGER)
}

fn is_owned_by(slice: &EndpointSlice, service: &Service) -> bool {
    let uid = service.metadata.uid.as_deref();
    let mut owners = slice.metadata.owner_references.iter().flatten();
    owners.any(|owner| Some(owner.uid.as_str()) == uid && owner.kind == "Service")
}

fn ports_key(ports: &[EndpointPort]) -> PortsKey {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    ports
        .iter()
        .map(|of| (text(&of.name), text(&of.protocol), of.port, of.app_protocol.clone()))
        .collect()
}

/// Whether a Service has no virtual IP.
pub(super) fn has_no_cluster_ip(service: &Service) -> bool {
    let ip = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref());
    matches!(ip, None | Some("" | "None"))
}

/// Whether a Service wants Pods as endpoints though they are not ready.
pub(super) fn publishes_not_ready(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    spec.and_then(|spec| spec.publish_not_ready_addresses).unwrap_or(false)
}
