//! Endpoints of Services with a selector, as `endpoint-controller` makes them: the older form of
//! EndpointSlices, for the clients that still read it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, ObjectReference, Service,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::change::{Change, Told, key_of, reference};
use super::endpoint_slices::pod::{hostname, is_portless, protocol, target_port, target_ref};
use super::endpoint_slices::{
    TRIGGER_ANNOTATION, has_no_cluster_ip, publishes_not_ready, should_be_endpoint,
};
use super::kind::Kind;
use super::task::{Key, Moment, Plan};
use super::world::record::PodRecord;
use super::world::steps::selector;
use super::world::{World, annotation, label};
use crate::model::labels::HEADLESS_LABEL;

/// Who writes it, in labels and Events.
const MANAGER: &str = "endpoint-controller";
/// Label of Endpoints: who looks after it.
const MANAGED_BY_LABEL: &str = "endpoints.kubernetes.io/managed-by";
/// Annotation of Endpoints that leave some out.
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// Addresses in one object.
const ADDRESSES_MAX: usize = 1000;

/// Ports and states of a Pod's address; addresses with the same ones make a subset.
type Subsets = BTreeMap<Vec<PortKey>, BTreeMap<String, (bool, EndpointAddress)>>;

/// Name, protocol, number and application protocol.
type PortKey = (String, String, i32, Option<String>);

/// The Endpoints that a Service needs, as a change of what there is.
pub(super) fn plan(world: &World, key: &Key, moment: &Moment<'_>) -> Plan {
    let known = world.endpoints.get(key);
    let Some(service) = world.services.get(key) else {
        let deleted = known.filter(|of| of.metadata.deletion_timestamp.is_none());
        let deleted = deleted.map(|of| Change::delete(Kind::Endpoints, &of.metadata));
        return Vec::from_iter(deleted).into();
    };
    let Some(selector) = selector(service) else { return Plan::none() };
    if service.metadata.deletion_timestamp.is_some() {
        return Plan::none();
    }
    let pods = world.pods_with(&key.namespace, selector).map(|pod| &**pod);
    let (subsets, truncated) = subsets(service, pods);
    let labels = labels(service);
    let said = known.map(|of| annotation(&of.metadata, OVER_CAPACITY) == Some("truncated"));
    let same = known.is_some_and(|of| {
        of.subsets.as_deref().unwrap_or_default() == subsets
            && of.metadata.labels.as_ref() == Some(&labels)
    });
    if same && said == Some(truncated) {
        return Plan::none();
    }

    let mut metadata = known.map_or_else(
        || ObjectMeta {
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            ..ObjectMeta::default()
        },
        |known| known.metadata.clone(),
    );
    metadata.labels = Some(labels);
    let trigger = moment.trigger.map(|at| at.to_string());
    annotate(&mut metadata, TRIGGER_ANNOTATION, trigger.as_deref());
    annotate(&mut metadata, OVER_CAPACITY, truncated.then_some("truncated"));
    let endpoints = Endpoints { metadata, subsets: (!subsets.is_empty()).then_some(subsets) };
    let change = if known.is_none() {
        Change::create(Kind::Endpoints, &endpoints.metadata, &endpoints)
    } else {
        Change::replace(Kind::Endpoints, &endpoints.metadata, &endpoints)
    };
    vec![change.telling(told(service, known.is_none()))].into()
}

/// Whether these Endpoints are made from a Service's selector.
pub(super) fn is_ours(endpoints: &Endpoints) -> bool {
    label(&endpoints.metadata, MANAGED_BY_LABEL) == Some(MANAGER)
}

fn subsets<'a>(
    service: &Service,
    pods: impl Iterator<Item = &'a PodRecord>,
) -> (Vec<EndpointSubset>, bool) {
    let publish_not_ready = publishes_not_ready(service);
    let mut subsets = Subsets::new();
    for pod in pods.filter(|pod| should_be_endpoint(pod, publish_not_ready)) {
        let Some(address) = to_address(service, pod) else { continue };
        let ready = publish_not_ready || pod.is_ready();
        for ports in port_sets(service, pod) {
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            let place = format!("{}/{uid}", address.ip);
            subsets.entry(ports).or_default().insert(place, (ready, address.clone()));
        }
    }
    let mut subsets: Vec<_> = repack(subsets).into_iter().map(to_subset).collect();
    let truncated = truncate(&mut subsets);
    (subsets, truncated)
}

/// Each port alone: [`repack`] puts together what has the same addresses.
fn port_sets(service: &Service, pod: &PodRecord) -> Vec<Vec<PortKey>> {
    if is_portless(service) {
        return vec![Vec::new()];
    }
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    let found = ports.filter_map(|port| {
        let name = port.name.clone().unwrap_or_default();
        let number = target_port(port, pod)?;
        Some(vec![(name, protocol(port).to_owned(), number, port.app_protocol.clone())])
    });
    found.collect()
}

/// Puts together the ports of equal addresses, as the real controller does for compactness.
fn repack(subsets: Subsets) -> Subsets {
    let mut ports_of: BTreeMap<String, (bool, EndpointAddress, Vec<PortKey>)> = BTreeMap::new();
    for (ports, addresses) in subsets {
        for (place, (ready, address)) in addresses {
            let known = ports_of.entry(place).or_insert_with(|| (ready, address, Vec::new()));
            known.2.extend(ports.iter().cloned());
        }
    }
    let mut packed = Subsets::new();
    for (place, (ready, address, mut ports)) in ports_of {
        ports.sort();
        packed.entry(ports).or_default().insert(place, (ready, address));
    }
    packed
}

fn to_subset(
    (ports, addresses): (Vec<PortKey>, BTreeMap<String, (bool, EndpointAddress)>),
) -> EndpointSubset {
    let (ready, not_ready): (Vec<_>, Vec<_>) =
        addresses.into_values().partition(|(ready, _)| *ready);
    let list = |addresses: Vec<(bool, EndpointAddress)>| {
        let addresses: Vec<_> = addresses.into_iter().map(|(_, address)| address).collect();
        (!addresses.is_empty()).then_some(addresses)
    };
    let ports = ports.into_iter().map(|(name, protocol, port, app_protocol)| EndpointPort {
        app_protocol,
        name: (!name.is_empty()).then_some(name),
        port,
        protocol: Some(protocol),
    });
    let ports: Vec<_> = ports.collect();
    EndpointSubset {
        addresses: list(ready),
        not_ready_addresses: list(not_ready),
        ports: (!ports.is_empty()).then_some(ports),
    }
}

/// Keeps at most [`ADDRESSES_MAX`] addresses, those that are ready first, and of each subset its
/// share. Returns whether any were left out.
pub(super) fn truncate(subsets: &mut [EndpointSubset]) -> bool {
    fn count(list: &Option<Vec<EndpointAddress>>) -> usize {
        list.as_ref().map_or(0, Vec::len)
    }
    let ready: usize = subsets.iter().map(|of| count(&of.addresses)).sum();
    let not_ready: usize = subsets.iter().map(|of| count(&of.not_ready_addresses)).sum();
    if ready + not_ready <= ADDRESSES_MAX {
        return false;
    }
    let too_many_ready = ready > ADDRESSES_MAX;
    let (total, room) =
        if too_many_ready { (ready, ADDRESSES_MAX) } else { (not_ready, ADDRESSES_MAX - ready) };
    let mut left = room;
    for subset in subsets {
        if too_many_ready {
            subset.not_ready_addresses = None;
        }
        let list =
            if too_many_ready { &mut subset.addresses } else { &mut subset.not_ready_addresses };
        let share = (count(list) * room).div_ceil(total).min(left);
        left -= share;
        if let Some(addresses) = list {
            addresses.truncate(share);
        }
        list.take_if(|addresses| addresses.is_empty());
    }
    true
}

/// A Pod's address of the Service's first family.
fn to_address(service: &Service, pod: &PodRecord) -> Option<EndpointAddress> {
    let families = service.spec.as_ref()?.ip_families.as_ref();
    let ipv6 = families.and_then(|of| of.first()).is_some_and(|family| family == "IPv6");
    let address = pod.addresses.iter().find(|address| address.is_ipv6() == ipv6)?;
    Some(EndpointAddress {
        hostname: hostname(pod, service),
        ip: address.to_string(),
        node_name: (!pod.node.is_empty()).then(|| pod.node.clone()),
        target_ref: Some(target_ref(pod)),
    })
}

fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS_LABEL);
    if has_no_cluster_ip(service) {
        labels.insert(HEADLESS_LABEL.to_owned(), String::new());
    }
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGER.to_owned());
    labels
}

fn annotate(metadata: &mut ObjectMeta, name: &str, value: Option<&str>) {
    let annotations = metadata.annotations.get_or_insert_default();
    match value {
        Some(value) => annotations.insert(name.to_owned(), value.to_owned()),
        None => annotations.remove(name),
    };
    metadata.annotations.take_if(|annotations| annotations.is_empty());
}

fn told(service: &Service, create: bool) -> Told {
    let key = key_of(&service.metadata);
    let about = ObjectReference { uid: None, ..reference(Kind::Endpoints, &service.metadata) };
    let failed = if create {
        (
            "FailedToCreateEndpoint",
            format!("Failed to create endpoint for service {key}: {{error}}"),
        )
    } else {
        ("FailedToUpdateEndpoint", format!("Failed to update endpoint {key}: {{error}}"))
    };
    Told { about, component: MANAGER, done: None, failed: Some(failed) }
}
