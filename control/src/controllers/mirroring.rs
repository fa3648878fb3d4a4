//! EndpointSlices that repeat hand-written Endpoints, as `endpointslicemirroring-controller.k8s.io`
//! makes them: whoever reads slices then sees the endpoints of Services without a selector too.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{self as core, Endpoints, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::change::{Change, key_of};
use super::endpoint_slices::{MANAGED_BY_LABEL, TRIGGER_ANNOTATION, packing};
use super::kind::Kind;
use super::task::{Key, Plan};
use super::world::{World, annotation, label};
use crate::model::labels::SERVICE_NAME_LABEL;

/// Who looks after these slices.
const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
/// Label of Endpoints that are not to be repeated.
pub(super) const SKIP_LABEL: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Annotation of Endpoints that were a lock for leaders.
const LEADER_ANNOTATION: &str = "control-plane.alpha.kubernetes.io/leader";
/// What `kubectl apply` remembers of the Endpoints themselves.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Addresses of a subset that are repeated, and endpoints in one slice.
const SUBSET_MAX: usize = 1000;

/// The slices that repeat some Endpoints, as changes of those there are.
pub(super) fn plan(world: &World, key: &Key) -> Plan {
    let ours = world.slices_of(key).filter(|slice| {
        label(&slice.metadata, MANAGED_BY_LABEL) == Some(MANAGER)
            && slice.metadata.deletion_timestamp.is_none()
    });
    let mut existing: BTreeMap<SliceKey, Vec<Arc<EndpointSlice>>> = BTreeMap::new();
    for slice in ours {
        existing.entry(slice_key(slice)).or_default().push(slice.clone());
    }
    let mut slices = super::endpoint_slices::Slices::default();
    if let Some(endpoints) = world.endpoints.get(key)
        && is_mirrored(endpoints, world.services.get(key).map(|service| &**service))
    {
        for (template, wanted) in wanted(endpoints) {
            let existing = existing.remove(&slice_key(&template)).unwrap_or_default();
            let (owned, foreign): (Vec<_>, Vec<_>) = existing
                .into_iter()
                .partition(|of| of.metadata.owner_references == template.metadata.owner_references);
            slices.delete.extend(foreign);
            let sizes = packing::Sizes { max: SUBSET_MAX };
            slices.extend(packing::pack(&template, wanted, owned, sizes));
        }
    }
    slices.delete.extend(existing.into_values().flatten());

    let created = slices.create.iter();
    let created = created.map(|of| Change::create(Kind::EndpointSlice, &of.metadata, of));
    let updated = slices.update.iter();
    let updated = updated.map(|of| Change::replace(Kind::EndpointSlice, &of.metadata, of));
    let deleted = slices.delete.iter();
    let deleted = deleted.map(|of| Change::delete(Kind::EndpointSlice, &of.metadata));
    created.chain(updated).chain(deleted).collect::<Vec<_>>().into()
}

/// Family and ports.
type SliceKey = (String, Vec<(Option<String>, Option<String>, Option<i32>, Option<String>)>);

fn slice_key(slice: &EndpointSlice) -> SliceKey {
    let ports = slice.ports.iter().flatten();
    let mut ports: Vec<_> = ports
        .map(|of| (of.name.clone(), of.protocol.clone(), of.port, of.app_protocol.clone()))
        .collect();
    ports.sort();
    (slice.address_type.clone(), ports)
}

fn is_mirrored(endpoints: &Endpoints, service: Option<&Service>) -> bool {
    let Some(service) = service else { return false };
    let spec = service.spec.as_ref();
    let selected = spec.and_then(|spec| spec.selector.as_ref()).is_some_and(|of| !of.is_empty());
    !selected
        && endpoints.metadata.deletion_timestamp.is_none()
        && label(&endpoints.metadata, SKIP_LABEL) != Some("true")
        && annotation(&endpoints.metadata, LEADER_ANNOTATION).is_none()
}

/// What is wanted: for each family and set of ports a slice without endpoints, and the endpoints.
fn wanted(endpoints: &Endpoints) -> Vec<(EndpointSlice, Vec<Endpoint>)> {
    let mut wanted: BTreeMap<SliceKey, (EndpointSlice, Vec<Endpoint>)> = BTreeMap::new();
    for subset in endpoints.subsets.iter().flatten() {
        let ports: Vec<_> = subset.ports.iter().flatten().map(mirrored_port).collect();
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let not_ready = subset.not_ready_addresses.iter().flatten();
        let all = ready.chain(not_ready.map(|address| (address, false)));
        for (address, ready) in all.take(SUBSET_MAX) {
            let Ok(ip) = address.ip.parse::<IpAddr>() else { continue };
            let template = new_slice(endpoints, ip, &ports);
            let entry =
                wanted.entry(slice_key(&template)).or_insert_with(|| (template, Vec::new()));
            entry.1.push(mirrored(address, ip, ready));
        }
    }
    wanted.into_values().collect()
}

fn mirrored(address: &core::EndpointAddress, ip: IpAddr, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![ip.to_string()],
        conditions: Some(EndpointConditions { ready: Some(ready), ..Default::default() }),
        hostname: address.hostname.clone(),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    }
}

fn mirrored_port(port: &core::EndpointPort) -> EndpointPort {
    EndpointPort {
        app_protocol: port.app_protocol.clone(),
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(port.port),
        protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
    }
}

fn new_slice(endpoints: &Endpoints, ip: IpAddr, ports: &[EndpointPort]) -> EndpointSlice {
    let key = key_of(&endpoints.metadata);
    let mut labels = endpoints.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME_LABEL.to_owned(), key.name.clone());
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGER.to_owned());
    let mut annotations = endpoints.metadata.annotations.clone().unwrap_or_default();
    annotations.remove(TRIGGER_ANNOTATION);
    annotations.remove(LAST_APPLIED);
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Endpoints".to_owned(),
        name: key.name.clone(),
        uid: endpoints.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    };
    EndpointSlice {
        address_type: if ip.is_ipv4() { "IPv4" } else { "IPv6" }.to_owned(),
        endpoints: Vec::new(),
        metadata: ObjectMeta {
            namespace: Some(key.namespace),
            generate_name: Some(format!("{}-", key.name)),
            labels: Some(labels),
            annotations: (!annotations.is_empty()).then_some(annotations),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        ports: Some(ports.to_vec()),
    }
}
