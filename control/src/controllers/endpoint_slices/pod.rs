//! A Pod as an endpoint of a Service.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{ObjectReference, Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{has_no_cluster_ip, publishes_not_ready};
use crate::controllers::world::record::PodRecord;

/// `addressType` of a slice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// As slices and Services write it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// The families that a Service has; if an older server did not say, that of its address, or both.
    pub(super) fn of_service(service: &Service) -> Vec<Self> {
        let Some(spec) = &service.spec else { return Vec::new() };
        let listed = spec.ip_families.iter().flatten();
        let both = [Self::V4, Self::V6];
        let families: Vec<_> = both
            .into_iter()
            .filter(|family| listed.clone().any(|listed| listed == family.name()))
            .collect();
        if !families.is_empty() {
            return families;
        }
        match spec.cluster_ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok()) {
            Some(address) => both.into_iter().filter(|family| family.has(address)).collect(),
            None => both.into(),
        }
    }

    fn has(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }
}

/// Whether a Pod is an endpoint of the Services that mean it, ready or not.
pub(in super::super) fn should_be_endpoint(pod: &PodRecord, terminating_too: bool) -> bool {
    !pod.is_finished() && !pod.addresses.is_empty() && (terminating_too || !pod.is_terminating())
}

/// The endpoint that a Pod is in a slice of one family; none when it has no address of it.
pub(super) fn to_endpoint(
    pod: &PodRecord,
    service: &Service,
    family: Family,
    zone: Option<&str>,
) -> Option<Endpoint> {
    let addresses: Vec<_> = pod
        .addresses
        .iter()
        .filter(|address| family.has(**address))
        .map(ToString::to_string)
        .collect();
    if addresses.is_empty() {
        return None;
    }
    let serving = pod.is_ready();
    let terminating = pod.is_terminating();
    Some(Endpoint {
        addresses,
        conditions: Some(EndpointConditions {
            ready: Some(publishes_not_ready(service) || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        deprecated_topology: None,
        hints: None,
        hostname: hostname(pod, service),
        node_name: (!pod.node.is_empty()).then(|| pod.node.clone()),
        target_ref: Some(target_ref(pod)),
        zone: zone.map(str::to_owned),
    })
}

/// A reference to a Pod, as endpoints have it.
pub(in super::super) fn target_ref(pod: &PodRecord) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// The name that DNS gives to a Pod under its Service, if it asks for one.
pub(in super::super) fn hostname(pod: &PodRecord, service: &Service) -> Option<String> {
    let asked = !pod.hostname.is_empty()
        && Some(pod.subdomain.as_str()) == service.metadata.name.as_deref();
    asked.then(|| pod.hostname.clone())
}

/// The ports of a Service, with the numbers that they have on a Pod. A port of which the Pod has
/// not the name is left out; the Pod is then in a slice without that port.
pub(super) fn ports_of(service: &Service, pod: &PodRecord) -> Vec<EndpointPort> {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    let resolved = ports.filter_map(|port| {
        Some(EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(target_port(port, pod)?),
            protocol: Some(protocol(port).to_owned()),
            app_protocol: port.app_protocol.clone(),
        })
    });
    resolved.collect()
}

/// The number that a Service's port has on a Pod.
pub(in super::super) fn target_port(port: &ServicePort, pod: &PodRecord) -> Option<i32> {
    match &port.target_port {
        Some(IntOrString::String(name)) => pod
            .ports
            .iter()
            .find(|of| of.name == *name && of.protocol == protocol(port))
            .map(|of| of.number),
        Some(IntOrString::Int(number)) if *number != 0 => Some(*number),
        _ => Some(port.port),
    }
}

/// Of a Service's port.
pub(in super::super) fn protocol(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

/// Whether a Service has endpoints though it has no ports.
pub(in super::super) fn is_portless(service: &Service) -> bool {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_ref());
    has_no_cluster_ip(service) && ports.is_none_or(Vec::is_empty)
}
