//! What the API server and the scheduler would fill in before anybody else sees an object.

use std::collections::HashSet;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{HostIP, Pod, PodCondition, PodIP, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::addresses;
use super::node::NODE_NAME;
use super::state::State;
use crate::model::{Object, Problem};

/// Fills in an object: its namespace, addresses, defaults, a Pod's status. `exists` says that this is a change of
/// one that is there; `live` are all of its kind that are there or about to be, as
/// `namespace/name`.
pub(super) fn admit(
    object: &mut Object,
    exists: bool,
    state: &mut State,
    live: &HashSet<String>,
) -> Result<(), Problem> {
    let id = object.id();
    let owner = id.key.to_string();
    object.metadata_mut().namespace = Some(id.key.namespace.to_string());
    let options = state.options.clone();
    let admitted = match object {
        Object::Service(service) => {
            let all = &mut state.service_addresses;
            addresses::assign_service(service, &owner, exists, &options, all, live)
                .map(|()| default_service(service))
        }
        Object::Pod(pod) => {
            let ips = if is_host_network(pod) {
                Ok(options.node_ips.clone())
            } else {
                addresses::assign_pod(pod, &owner, &options, &mut state.pod_addresses, live)
            };
            ips.map(|ips| schedule(pod, &ips, &options.node_ips))
        }
        Object::Endpoints(_) | Object::EndpointSlice(_) => Ok(()),
    };
    admitted.map_err(|problem| problem.object(id))
}

/// Whether the Pod is the node, as far as the network goes.
pub(super) fn is_host_network(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true)
}

/// The addresses that [`admit`] gave a Pod.
pub(super) fn addresses_of(pod: &Pod) -> Vec<IpAddr> {
    let ips = pod.status.iter().flat_map(|status| status.pod_ips.iter().flatten());
    ips.filter_map(|entry| entry.ip.parse().ok()).collect()
}

fn default_service(service: &mut Service) {
    let Some(spec) = &mut service.spec else { return };
    spec.session_affinity.get_or_insert_with(|| "None".to_owned());
    for port in spec.ports.iter_mut().flatten() {
        port.protocol.get_or_insert_with(|| "TCP".to_owned());
        port.target_port.get_or_insert(IntOrString::Int(port.port));
    }
}

/// A Pod in a lab is on the lab's node and ready, unless its manifest says otherwise.
fn schedule(pod: &mut Pod, ips: &[IpAddr], node_ips: &[IpAddr]) {
    if let Some(spec) = &mut pod.spec {
        spec.node_name.get_or_insert_with(|| NODE_NAME.to_owned());
    }
    let status = pod.status.get_or_insert_default();
    status.phase.get_or_insert_with(|| "Running".to_owned());
    status.pod_ip = ips.first().map(IpAddr::to_string);
    status.pod_ips = Some(ips.iter().map(|ip| PodIP { ip: ip.to_string() }).collect());
    status.host_ip = node_ips.first().map(IpAddr::to_string);
    status.host_ips = Some(node_ips.iter().map(|ip| HostIP { ip: ip.to_string() }).collect());
    let conditions = status.conditions.get_or_insert_default();
    for kind in ["PodScheduled", "Initialized", "ContainersReady", "Ready"] {
        if !conditions.iter().any(|condition| condition.type_ == kind) {
            conditions.push(PodCondition {
                type_: kind.to_owned(),
                status: "True".to_owned(),
                ..PodCondition::default()
            });
        }
    }
}
