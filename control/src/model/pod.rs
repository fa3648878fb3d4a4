use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Container, Pod, PodStatus};
use maglane_dataplane::wire::{Address, Protocol};

use super::Problem;
use super::address::{ProtocolField, protocol};
use super::group::{Conditions, backend_address};
use super::problem::{Reporter, strictly};
use super::service::Target;

/// What the model keeps of a Pod that can be an endpoint.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct PodRecord {
    labels: BTreeMap<String, String>,
    pub(super) addresses: Vec<Address>,
    ports: Vec<(String, Protocol, u16)>,
    ready: bool,
    terminating: bool,
}

impl PodRecord {
    /// Reads a Pod; `None` when it has no address or has ended.
    pub(super) fn read(
        pod: &Pod,
        service_cidrs: &[IpNet],
        reporter: &mut Reporter,
    ) -> Option<Self> {
        let status = pod.status.as_ref()?;
        if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
            return None;
        }
        let addresses = read_addresses(status, service_cidrs, reporter);
        (!addresses.is_empty()).then(|| Self {
            labels: pod.metadata.labels.clone().unwrap_or_default(),
            addresses,
            ports: read_container_ports(pod),
            ready: is_ready(status),
            terminating: pod.metadata.deletion_timestamp.is_some(),
        })
    }

    /// Whether a Service with this selector means the Pod. An empty selector means none.
    pub(super) fn matches(&self, selector: &[(String, String)]) -> bool {
        !selector.is_empty()
            && selector.iter().all(|(label, value)| self.labels.get(label) == Some(value))
    }

    /// The port that a Service's target means on this Pod.
    pub(super) fn port(&self, target: &Target, protocol: Protocol) -> Option<u16> {
        match target {
            Target::Number(port) => Some(*port),
            Target::Name(name) => self
                .ports
                .iter()
                .find(|(known, of, _)| known == name && *of == protocol)
                .map(|(_, _, port)| *port),
        }
    }

    /// As the endpoint slice controller would write them.
    pub(super) fn conditions(&self, publish_not_ready: bool) -> Conditions {
        Conditions {
            ready: publish_not_ready || (self.ready && !self.terminating),
            serving: self.ready,
            terminating: self.terminating,
        }
    }
}

/// A manifest may leave out the phase and the conditions: such a Pod runs and is ready.
fn is_ready(status: &PodStatus) -> bool {
    let running =
        status.phase.as_deref().is_none_or(|phase| phase.is_empty() || phase == "Running");
    let mut conditions = status.conditions.iter().flatten();
    let ready = conditions.find(|condition| condition.type_ == "Ready");
    running && ready.is_none_or(|condition| condition.status == "True")
}

/// What `podIPs` says, and where that is empty `podIP`, each with its field.
pub(crate) fn listed_ips(status: &PodStatus) -> Vec<(String, &str)> {
    let listed = status.pod_ips.iter().flatten().enumerate();
    let mut texts: Vec<_> =
        listed.map(|(index, ip)| (format!("status.podIPs[{index}].ip"), ip.ip.as_str())).collect();
    if texts.is_empty() {
        let single = status.pod_ip.as_deref().filter(|ip| !ip.is_empty());
        texts.extend(single.map(|ip| ("status.podIP".to_owned(), ip)));
    }
    texts
}

/// Reads addresses, each with its field, that a Pod shall be reached at.
///
/// # Errors
/// The first thing that is wrong with any of them.
pub(crate) fn pod_ips(texts: &[(String, &str)], cidrs: &[IpNet]) -> Result<Vec<IpAddr>, Problem> {
    strictly(|reporter| {
        let read = |(field, text): &(String, &str)| backend_address(text, field, cidrs, reporter);
        texts.iter().filter_map(read).map(|address| address.to_ip()).collect()
    })
}

/// One address of each family at most, the first of each.
fn read_addresses(
    status: &PodStatus,
    service_cidrs: &[IpNet],
    reporter: &mut Reporter,
) -> Vec<Address> {
    let mut addresses: Vec<Address> = Vec::new();
    for (field, text) in listed_ips(status) {
        let address = backend_address(text, &field, service_cidrs, reporter);
        addresses.extend(
            address.filter(|address| {
                addresses.iter().all(|known| known.is_ipv4() != address.is_ipv4())
            }),
        );
    }
    addresses
}

/// Named ports of all containers, and of the init containers that keep running.
fn read_container_ports(pod: &Pod) -> Vec<(String, Protocol, u16)> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars =
        sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(container_ports);
    ports.filter_map(|(name, protocol, number)| Some((name?.clone(), protocol, number))).collect()
}

/// The valid TCP and UDP ports that a container declares, with their names.
pub(crate) fn container_ports(
    container: &Container,
) -> impl Iterator<Item = (Option<&String>, Protocol, u16)> {
    container.ports.iter().flatten().filter_map(|port| {
        let number = u16::try_from(port.container_port).ok().filter(|number| *number != 0)?;
        match protocol(port.protocol.as_deref()) {
            ProtocolField::Known(protocol) => Some((port.name.as_ref(), protocol, number)),
            ProtocolField::Sctp | ProtocolField::Unknown => None,
        }
    })
}
