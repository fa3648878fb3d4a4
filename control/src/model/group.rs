use std::sync::Arc;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::{EndpointSubset, Endpoints};
use k8s_openapi::api::discovery::v1::{Endpoint as SliceEndpoint, EndpointPort, EndpointSlice};
use maglane_dataplane::wire::{Address, Protocol};

use super::address::{ProtocolField, port_number, protocol, unicast};
use super::labels::SERVICE_NAME_LABEL;
use super::place::{Place, Places};
use super::problem::Reporter;

/// Addresses that all listen on the same ports: an EndpointSlice, or a subset of an Endpoints
/// object.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct EndpointGroup {
    pub(super) ports: Box<[GroupPort]>,
    pub(super) endpoints: Box<[GroupEndpoint]>,
}

/// One machine of an [`EndpointGroup`]. There may be a million of these.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct GroupEndpoint {
    pub(super) address: Address,
    /// None where the source knows of no places.
    place: Option<Arc<Place>>,
    pub(super) conditions: Conditions,
}

/// A port of an [`EndpointGroup`], matched to a Service's port by name and protocol.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct GroupPort {
    pub(super) name: Box<str>,
    pub(super) protocol: Protocol,
    pub(super) port: u16,
}

/// The state of one endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Conditions {
    /// It takes new flows.
    pub(super) ready: bool,
    /// It answers, whether it terminates or not.
    pub(super) serving: bool,
    /// It is about to go.
    pub(super) terminating: bool,
}

/// What the model keeps of an EndpointSlice.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct SliceRecord {
    /// Name of its Service, in the same namespace.
    pub(super) service: Arc<str>,
    pub(super) group: EndpointGroup,
}

impl SliceRecord {
    /// Reads a slice; `None` when it is of no use to any Service.
    pub(super) fn read(
        slice: &EndpointSlice,
        service_cidrs: &[IpNet],
        places: &mut Places,
        reporter: &mut Reporter,
    ) -> Option<Self> {
        let service = slice.metadata.labels.as_ref()?.get(SERVICE_NAME_LABEL)?;
        let ipv4 = match slice.address_type.as_str() {
            "IPv4" => true,
            "IPv6" => false,
            "FQDN" => return None,
            other => {
                let supported = "supported values: \"FQDN\", \"IPv4\", \"IPv6\"";
                reporter
                    .report("addressType", format!("Unsupported value: {other:?}: {supported}"));
                return None;
            }
        };
        let ports = slice.ports.as_deref().unwrap_or_default();
        let ports = ports.iter().enumerate();
        let ports =
            ports.filter_map(|(index, port)| read_slice_port(index, port, reporter)).collect();
        let mut endpoints = Vec::with_capacity(slice.endpoints.len());
        for (index, endpoint) in slice.endpoints.iter().enumerate() {
            // Every address of an endpoint is the same machine: the API says to use the first.
            let Some(text) = endpoint.addresses.first() else { continue };
            let field = format!("endpoints[{index}].addresses[0]");
            let Some(address) = backend_address(text, &field, service_cidrs, reporter) else {
                continue;
            };
            if address.is_ipv4() == ipv4 {
                let conditions = read_conditions(endpoint);
                endpoints.push(GroupEndpoint {
                    address,
                    place: Some(places.of(endpoint)),
                    conditions,
                });
            } else {
                let why = format!("must be of the slice's addressType {}", slice.address_type);
                reporter.invalid(field, text, why);
            }
        }
        let group = EndpointGroup { ports, endpoints: endpoints.into() };
        Some(Self { service: service.as_str().into(), group })
    }
}

/// Reads an Endpoints object, one group for each subset and state.
pub(super) fn read_endpoints(
    endpoints: &Endpoints,
    service_cidrs: &[IpNet],
    reporter: &mut Reporter,
) -> Vec<EndpointGroup> {
    let subsets = endpoints.subsets.as_deref().unwrap_or_default().iter().enumerate();
    subsets.map(|(index, subset)| read_subset(index, subset, service_cidrs, reporter)).collect()
}

fn read_subset(
    index: usize,
    subset: &EndpointSubset,
    service_cidrs: &[IpNet],
    reporter: &mut Reporter,
) -> EndpointGroup {
    let mut endpoints = Vec::new();
    let lists = [
        ("addresses", &subset.addresses, true),
        ("notReadyAddresses", &subset.not_ready_addresses, false),
    ];
    for (list, addresses, ready) in lists {
        for (place, address) in addresses.as_deref().unwrap_or_default().iter().enumerate() {
            let field = format!("subsets[{index}].{list}[{place}].ip");
            let conditions = Conditions { ready, serving: ready, terminating: false };
            let address = backend_address(&address.ip, &field, service_cidrs, reporter);
            endpoints.extend(address.map(|address| GroupEndpoint {
                address,
                place: None,
                conditions,
            }));
        }
    }
    let ports = subset.ports.as_deref().unwrap_or_default().iter().enumerate();
    let ports = ports.filter_map(|(place, port)| {
        let field = format!("subsets[{index}].ports[{place}]");
        read_port(port.name.as_deref(), port.protocol.as_deref(), port.port, &field, reporter)
    });
    EndpointGroup { ports: ports.collect(), endpoints: endpoints.into() }
}

fn read_slice_port(
    index: usize,
    port: &EndpointPort,
    reporter: &mut Reporter,
) -> Option<GroupPort> {
    let field = format!("ports[{index}]");
    read_port(port.name.as_deref(), port.protocol.as_deref(), port.port?, &field, reporter)
}

fn read_port(
    name: Option<&str>,
    protocol_text: Option<&str>,
    number: i32,
    field: &str,
    reporter: &mut Reporter,
) -> Option<GroupPort> {
    // The Service's own port says that SCTP is left out; once is enough.
    let protocol = match protocol(protocol_text) {
        ProtocolField::Known(protocol) => protocol,
        ProtocolField::Sctp => return None,
        ProtocolField::Unknown => {
            let value = protocol_text.unwrap_or_default();
            let supported = "supported values: \"SCTP\", \"TCP\", \"UDP\"";
            reporter.report(
                format!("{field}.protocol"),
                format!("Unsupported value: {value:?}: {supported}"),
            );
            return None;
        }
    };
    let port = port_number(number, &format!("{field}.port"), reporter)?;
    Some(GroupPort { name: name.unwrap_or_default().into(), protocol, port })
}

fn read_conditions(endpoint: &SliceEndpoint) -> Conditions {
    let conditions = endpoint.conditions.as_ref();
    Conditions {
        ready: conditions.and_then(|conditions| conditions.ready).unwrap_or(true),
        serving: conditions.and_then(|conditions| conditions.serving).unwrap_or(true),
        terminating: conditions.and_then(|conditions| conditions.terminating).unwrap_or(false),
    }
}

/// Reads the address of an endpoint. A virtual IP is none: its packets would come back to us and be
/// translated again, without end if it is the Service's own.
pub(super) fn backend_address(
    text: &str,
    field: &str,
    service_cidrs: &[IpNet],
    reporter: &mut Reporter,
) -> Option<Address> {
    let address = unicast(text, field, reporter)?;
    if let Some(cidr) = service_cidrs.iter().find(|cidr| cidr.contains(&address.to_ip())) {
        reporter.invalid(
            field,
            text,
            format_args!("an endpoint may not be in the Service CIDR {cidr}"),
        );
        return None;
    }
    Some(address)
}
