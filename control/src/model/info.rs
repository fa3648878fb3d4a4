use std::net::IpAddr;

use maglane_dataplane::service::Service;
use maglane_dataplane::wire::{Endpoint, Protocol};
use serde::{Deserialize, Serialize};

use super::ObjectKey;
use super::build::{Built, BuiltFrontend};
use super::service::{PortRecord, ServiceRecord, Target};

/// A Service that is in force, for people and programs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ServiceInfo {
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// The virtual IPs that are in force.
    pub(crate) cluster_ips: Vec<IpAddr>,
    /// What is offered on each of them.
    pub(crate) ports: Vec<PortInfo>,
    /// Who answers, port by port.
    pub(crate) backends: Vec<BackendInfo>,
}

/// One port of a Service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct PortInfo {
    /// Empty when it has none.
    pub(crate) name: String,
    /// What clients send to.
    pub(crate) port: u16,
    /// `TCP` or `UDP`.
    pub(crate) protocol: String,
    /// `targetPort`: a number or the name of a container port.
    pub(crate) target: String,
}

/// One endpoint of one port of a Service.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) struct BackendInfo {
    /// The Service's port.
    pub(crate) service_port: u16,
    /// `TCP` or `UDP`.
    pub(crate) protocol: String,
    /// Where packets go.
    pub(crate) address: IpAddr,
    /// And on which port.
    pub(crate) port: u16,
    /// Whether it takes new flows.
    pub(crate) state: BackendState,
}

/// Whether a backend takes new flows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BackendState {
    /// It does.
    Ready,
    /// It keeps those that it has.
    Draining,
}

pub(super) fn service_info(key: &ObjectKey, record: &ServiceRecord, built: &Built) -> ServiceInfo {
    let mut backends: Vec<_> = built.frontends.iter().flat_map(backend_infos).collect();
    backends.sort();
    ServiceInfo {
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
        cluster_ips: built.vips.iter().map(|vip| vip.to_ip()).collect(),
        ports: record.ports.iter().map(port_info).collect(),
        backends,
    }
}

fn port_info(port: &PortRecord) -> PortInfo {
    PortInfo {
        name: port.name.clone(),
        port: port.port,
        protocol: protocol_name(port.protocol).to_owned(),
        target: match &port.target {
            Target::Number(number) => number.to_string(),
            Target::Name(name) => name.clone(),
        },
    }
}

fn backend_infos(built: &BuiltFrontend) -> impl Iterator<Item = BackendInfo> + '_ {
    let service: &Service = &built.service;
    let ready = service.backends().iter().map(|backend| (backend.endpoint, BackendState::Ready));
    let draining = built.draining.iter().map(|endpoint| (*endpoint, BackendState::Draining));
    ready.chain(draining).map(|(Endpoint { address, port }, state)| BackendInfo {
        service_port: built.frontend.endpoint.port,
        protocol: protocol_name(built.frontend.protocol).to_owned(),
        address: address.to_ip(),
        port,
        state,
    })
}

/// As Kubernetes writes it.
pub(crate) fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    }
}
