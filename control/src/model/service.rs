use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;
use maglane_dataplane::wire::{Address, Protocol};

use super::address::{ProtocolField, port_number, protocol, unicast};
use super::labels::{HEADLESS_LABEL, PROXY_NAME_LABEL};
use super::problem::Reporter;
use super::state::Settings;

/// What the model keeps of a Service that it serves.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct ServiceRecord {
    /// Decides which of two Services keeps a virtual IP.
    pub(super) created: Option<Timestamp>,
    /// At most one of each family.
    pub(super) vips: Vec<Vip>,
    pub(super) ports: Vec<PortRecord>,
    /// Empty when somebody else writes the endpoints.
    pub(super) selector: Box<[(String, String)]>,
    pub(super) publish_not_ready: bool,
}

/// A virtual IP and the field that it stands in.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Vip {
    pub(super) address: Address,
    pub(super) field: String,
}

/// One entry of `spec.ports` that is valid.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct PortRecord {
    /// Its place in `spec.ports`.
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) port: u16,
    pub(super) protocol: Protocol,
    pub(super) target: Target,
}

/// Where a selected Pod listens. EndpointSlices bring ports of their own.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Target {
    Number(u16),
    Name(String),
}

impl ServiceRecord {
    /// Reads a Service; `None` when no address of it is ours to serve.
    pub(super) fn read(
        service: &Service,
        settings: &Settings,
        reporter: &mut Reporter,
    ) -> Option<Self> {
        let labels = service.metadata.labels.as_ref();
        let label = |name: &str| labels.and_then(|labels| labels.get(name));
        let ours = label(PROXY_NAME_LABEL) == settings.service_proxy_name.as_ref();
        if !ours || label(HEADLESS_LABEL).is_some() {
            return None;
        }
        let Some(spec) = &service.spec else {
            reporter.report("spec", "Required value");
            return None;
        };
        if spec.type_.as_deref() == Some("ExternalName") {
            return None;
        }
        Some(Self {
            created: service.metadata.creation_timestamp.as_ref().map(|time| time.0),
            vips: read_vips(spec, settings, reporter)?,
            ports: read_ports(spec, reporter),
            selector: spec.selector.clone().unwrap_or_default().into_iter().collect(),
            publish_not_ready: spec.publish_not_ready_addresses.unwrap_or(false),
        })
    }
}

/// Whether a Service has no virtual IP on purpose.
pub(crate) fn is_headless(spec: &ServiceSpec) -> bool {
    asked(spec).iter().any(|(_, ip)| *ip == "None")
}

/// What `clusterIPs` says, and where that is empty `clusterIP`, each with its field.
fn asked(spec: &ServiceSpec) -> Vec<(String, &str)> {
    let listed = spec.cluster_ips.as_deref().unwrap_or_default();
    if listed.is_empty() {
        let single = spec.cluster_ip.as_deref().filter(|ip| !ip.is_empty());
        return single.map(|ip| ("spec.clusterIP".to_owned(), ip)).into_iter().collect();
    }
    let field = |index| format!("spec.clusterIPs[{index}]");
    listed.iter().enumerate().map(|(index, ip)| (field(index), ip.as_str())).collect()
}

/// The valid virtual IPs; `None` for a headless Service or one that has no address at all.
fn read_vips(spec: &ServiceSpec, settings: &Settings, reporter: &mut Reporter) -> Option<Vec<Vip>> {
    let cidrs = settings.service_cidrs.as_slice();
    if is_headless(spec) {
        return None;
    }
    let asked = asked(spec);
    if asked.is_empty() {
        reporter.report(
            "spec.clusterIP",
            format!("Required value: an address in the Service CIDRs {}", list(cidrs)),
        );
        return None;
    }
    Some(valid_vips(asked, cidrs, settings.allocated_elsewhere, reporter))
}

/// Those outside the CIDRs are told; whether they are valid is for the caller to say.
fn valid_vips(
    asked: Vec<(String, &str)>,
    cidrs: &[IpNet],
    outside_too: bool,
    reporter: &mut Reporter,
) -> Vec<Vip> {
    let mut vips: Vec<Vip> = Vec::new();
    for (field, text) in asked {
        let Some(address) = unicast(text, &field, reporter) else { continue };
        if !cidrs.is_empty() && !cidrs.iter().any(|cidr| cidr.contains(&address.to_ip())) {
            let served = if outside_too {
                ": served to Pods; the node's own processes have no route to it"
            } else {
                ""
            };
            let why = format!("is not in the Service CIDRs {}{served}", list(cidrs));
            reporter.invalid(field.as_str(), text, why);
            if !outside_too {
                continue;
            }
        }
        if vips.iter().any(|vip| vip.address.is_ipv4() == address.is_ipv4()) {
            reporter.invalid(field, text, "a Service has one address of each family");
        } else {
            vips.push(Vip { address, field });
        }
    }
    vips
}

fn list(cidrs: &[IpNet]) -> String {
    cidrs.iter().map(IpNet::to_string).collect::<Vec<_>>().join(", ")
}

fn read_ports(spec: &ServiceSpec, reporter: &mut Reporter) -> Vec<PortRecord> {
    let entries = spec.ports.as_deref().unwrap_or_default();
    if entries.is_empty() {
        reporter.report("spec.ports", "Required value");
    }
    let mut ports: Vec<PortRecord> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        if let Some(port) = read_port(index, entry, entries.len() > 1, reporter) {
            if let Some((field, value)) = clash(&ports, &port) {
                reporter.report(
                    format!("spec.ports[{index}]{field}"),
                    format!("Duplicate value: {value}"),
                );
            } else {
                ports.push(port);
            }
        }
    }
    ports
}

fn clash(ports: &[PortRecord], port: &PortRecord) -> Option<(&'static str, String)> {
    if ports.iter().any(|known| known.name == port.name) {
        return Some((".name", format!("{:?}", port.name)));
    }
    ports
        .iter()
        .any(|known| (known.port, known.protocol) == (port.port, port.protocol))
        .then(|| ("", format!("{}/{:?}", port.port, port.protocol).to_uppercase()))
}

fn read_port(
    index: usize,
    entry: &ServicePort,
    several: bool,
    reporter: &mut Reporter,
) -> Option<PortRecord> {
    let field = |name: &str| format!("spec.ports[{index}].{name}");
    let name = entry.name.clone().unwrap_or_default();
    if several && name.is_empty() {
        reporter
            .report(field("name"), "Required value: must be set when there is more than one port");
        return None;
    }
    let protocol = match protocol(entry.protocol.as_deref()) {
        ProtocolField::Known(protocol) => protocol,
        ProtocolField::Sctp => {
            let message = "SCTP is not forwarded by Maglane; this port is left out";
            reporter.report(field("protocol"), message);
            return None;
        }
        ProtocolField::Unknown => {
            let supported = "supported values: \"SCTP\", \"TCP\", \"UDP\"";
            let value = entry.protocol.as_deref().unwrap_or_default();
            reporter
                .report(field("protocol"), format!("Unsupported value: {value:?}: {supported}"));
            return None;
        }
    };
    let port = port_number(entry.port, &field("port"), reporter)?;
    let target = match &entry.target_port {
        None | Some(IntOrString::Int(0)) => Target::Number(port),
        Some(IntOrString::Int(number)) => {
            Target::Number(port_number(*number, &field("targetPort"), reporter)?)
        }
        Some(IntOrString::String(name)) => Target::Name(name.clone()),
    };
    Some(PortRecord { index, name, port, protocol, target })
}
