//! The Service that every cluster has: `kubernetes`, at the first address of the Service CIDR.
//!
//! The real API server keeps endpoints for that Service: its own address. Ours listens on the
//! loopback of its machine, which no Pod can reach, and loopback addresses are refused as endpoints
//! for that reason. So the Service has no endpoints, and connections to it are refused at once
//! instead of being lost, unless whoever starts the server says at which address Pods reach it.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort as PlainPort, EndpointSubset, Endpoints, Service, ServicePort,
    ServiceSpec,
};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::change::Change;
use super::kind::Kind;
use super::mirroring::SKIP_LABEL;
use super::task::{Key, Plan};
use super::world::{World, label};
use crate::apiserver::service_ips;
use crate::model::labels::SERVICE_NAME_LABEL;

/// Name of the Service, its Endpoints, its slice, and of the first ServiceCIDR.
const NAME: &str = "kubernetes";
/// Of the Service.
const PORT: i32 = 443;
/// Where the API listens unless it is said.
const TARGET_PORT: i32 = 6443;

/// What is missing of it; with `api`, the address at which Pods reach the API server.
pub(super) fn plan(world: &World, api: Option<SocketAddr>) -> Plan {
    let mut changes = Vec::new();
    let key = Key::new("default", NAME);
    let api = api.filter(|api| !api.ip().is_loopback() && !api.ip().is_unspecified());
    match (world.services.get(&key), first_address(world)) {
        (None, Some(address)) => {
            let service = service(address, api);
            changes.push(Change::create(Kind::Service, &service.metadata, &service));
        }
        (None, None) => return Plan::none(),
        (Some(_), _) => {}
    }
    changes.extend(endpoints_change(world, &key, api));
    changes.extend(slice_change(world, &key, api));
    changes.into()
}

/// The first address of the ServiceCIDR `kubernetes`, or of the oldest.
fn first_address(world: &World) -> Option<IpAddr> {
    let cidrs = world.service_cidrs.iter().map(|(_, cidr)| cidr);
    let first = cidrs.min_by_key(|cidr| {
        (cidr.metadata.name.as_deref() != Some(NAME), cidr.metadata.creation_timestamp.clone())
    })?;
    let net: IpNet = first.spec.as_ref()?.cidrs.as_ref()?.first()?.parse().ok()?;
    service_ips::first_address(net)
}

fn service(address: IpAddr, api: Option<SocketAddr>) -> Service {
    let labels = [("component", "apiserver"), ("provider", NAME)];
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    let port = ServicePort {
        name: Some("https".to_owned()),
        port: PORT,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::Int(target_port(api))),
        ..ServicePort::default()
    };
    Service {
        metadata: ObjectMeta {
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..metadata()
        },
        spec: Some(ServiceSpec {
            cluster_ip: Some(address.to_string()),
            cluster_ips: Some(vec![address.to_string()]),
            ip_families: Some(vec![family.to_owned()]),
            ip_family_policy: Some("SingleStack".to_owned()),
            ports: Some(vec![port]),
            session_affinity: Some("None".to_owned()),
            type_: Some("ClusterIP".to_owned()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn endpoints_change(world: &World, key: &Key, api: Option<SocketAddr>) -> Option<Change> {
    let known = world.endpoints.get(key);
    let Some(api) = api else {
        let ours = known.filter(|of| label(&of.metadata, SKIP_LABEL) == Some("true"));
        return ours.map(|of| Change::delete(Kind::Endpoints, &of.metadata));
    };
    let address = EndpointAddress { ip: api.ip().to_string(), ..EndpointAddress::default() };
    let port = PlainPort {
        name: Some("https".to_owned()),
        port: target_port(Some(api)),
        protocol: Some("TCP".to_owned()),
        app_protocol: None,
    };
    let subsets = Some(vec![EndpointSubset {
        addresses: Some(vec![address]),
        not_ready_addresses: None,
        ports: Some(vec![port]),
    }]);
    // The slice is written here too: nobody else has to.
    let labels = Some([(SKIP_LABEL.to_owned(), "true".to_owned())].into());
    match known {
        Some(known) if known.subsets == subsets => None,
        Some(known) => {
            let metadata = ObjectMeta { labels, ..known.metadata.clone() };
            let endpoints = Endpoints { metadata, subsets };
            Some(Change::replace(Kind::Endpoints, &endpoints.metadata, &endpoints))
        }
        None => {
            let endpoints = Endpoints { metadata: ObjectMeta { labels, ..metadata() }, subsets };
            Some(Change::create(Kind::Endpoints, &endpoints.metadata, &endpoints))
        }
    }
}

fn slice_change(world: &World, key: &Key, api: Option<SocketAddr>) -> Option<Change> {
    let known = world.slices.get(key);
    let Some(api) = api else {
        return known.map(|of| Change::delete(Kind::EndpointSlice, &of.metadata));
    };
    let endpoints = vec![Endpoint {
        addresses: vec![api.ip().to_string()],
        conditions: Some(EndpointConditions { ready: Some(true), ..Default::default() }),
        ..Endpoint::default()
    }];
    let address_type = if api.is_ipv4() { "IPv4" } else { "IPv6" }.to_owned();
    let ports = Some(vec![EndpointPort {
        name: Some("https".to_owned()),
        port: Some(target_port(Some(api))),
        protocol: Some("TCP".to_owned()),
        app_protocol: None,
    }]);
    let labels = Some([(SERVICE_NAME_LABEL.to_owned(), NAME.to_owned())].into());
    let fresh = |metadata| EndpointSlice { address_type, endpoints, metadata, ports };
    let Some(known) = known else {
        let slice = fresh(ObjectMeta { labels, ..metadata() });
        return Some(Change::create(Kind::EndpointSlice, &slice.metadata, &slice));
    };
    let slice = fresh(ObjectMeta { labels, ..known.metadata.clone() });
    if known.address_type != slice.address_type {
        return Some(Change::delete(Kind::EndpointSlice, &known.metadata));
    }
    let same = known.endpoints == slice.endpoints && known.ports == slice.ports;
    (!same).then(|| Change::replace(Kind::EndpointSlice, &slice.metadata, &slice))
}

fn metadata() -> ObjectMeta {
    ObjectMeta {
        namespace: Some("default".to_owned()),
        name: Some(NAME.to_owned()),
        ..ObjectMeta::default()
    }
}

fn target_port(api: Option<SocketAddr>) -> i32 {
    api.map_or(TARGET_PORT, |api| api.port().into())
}
