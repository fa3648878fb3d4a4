//! Endpoints, which EndpointSlices have replaced and people still ask for.

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, Endpoints};
use serde_json::{Value, json};

use super::cells::{AGE, NAME, int_at, list_at, str_at, text};
use super::checks::{self, invalid};
use super::decoding::{change, plain, read};
use crate::apiserver::resource::{Column, FieldError, Resource};

/// What there is to know of the kind.
pub(super) const ENDPOINTS: Resource = Resource {
    short_names: &["ep"],
    deprecation: "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    default,
    validate,
    warnings,
    columns: COLUMNS,
    ..plain::<Endpoints>("endpoints")
};

/// How many are shown in a cell.
const SHOWN: usize = 3;

const COLUMNS: &[Column] = &[
    NAME,
    text("Endpoints", "Where the Service sends connections.", |object, _| shown(object).into()),
    AGE,
];

/// `SetDefaults_Endpoints`.
fn default(object: &mut Value) {
    change(object, |endpoints: &mut Endpoints| {
        for subset in endpoints.subsets.iter_mut().flatten() {
            for port in subset.ports.iter_mut().flatten() {
                port.protocol.take_if(|protocol| protocol.is_empty());
                port.protocol.get_or_insert_with(|| "TCP".to_owned());
                port.name.take_if(|name| name.is_empty());
            }
        }
    });
}

/// `ValidateEndpoints`.
fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let endpoints: Endpoints = read(new);
    let mut errors = Vec::new();
    for (index, subset) in endpoints.subsets.iter().flatten().enumerate() {
        let field = format!("subsets[{index}]");
        let ready = subset.addresses.as_deref().unwrap_or_default();
        let others = subset.not_ready_addresses.as_deref().unwrap_or_default();
        if ready.is_empty() && others.is_empty() {
            let detail = "must specify `addresses` or `notReadyAddresses`";
            errors.push(FieldError::required(field.clone(), detail));
        }
        for (list, addresses) in [("addresses", ready), ("notReadyAddresses", others)] {
            for (index, address) in addresses.iter().enumerate() {
                errors.extend(validate_address(address, &format!("{field}.{list}[{index}]")));
            }
        }
        let ports = subset.ports.as_deref().unwrap_or_default();
        for (index, port) in ports.iter().enumerate() {
            let field = format!("{field}.ports[{index}]");
            errors.extend(validate_port(port, ports.len() > 1, &field));
        }
    }
    errors
}

fn validate_address(address: &EndpointAddress, field: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let ip = format!("{field}.ip");
    errors.extend(checks::valid_ip(&ip, &address.ip));
    if let Some(hostname) = address.hostname.as_ref().filter(|hostname| !hostname.is_empty()) {
        let field = format!("{field}.hostname");
        errors.extend(invalid(&field, &json!(hostname), checks::dns_label(hostname)));
    }
    if let Some(node) = &address.node_name {
        let field = format!("{field}.nodeName");
        errors.extend(invalid(&field, &json!(node), checks::dns_subdomain(node)));
    }
    errors.extend(checks::ordinary_ip(&ip, &address.ip));
    errors
}

fn validate_port(port: &EndpointPort, name_required: bool, field: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    match &port.name {
        None if name_required => errors.push(FieldError::required(format!("{field}.name"), "")),
        Some(name) => {
            let field = format!("{field}.name");
            errors.extend(invalid(&field, &json!(name), checks::dns_label(name)));
        }
        None => {}
    }
    if !checks::is_port(port.port) {
        let field = format!("{field}.port");
        errors.push(FieldError::invalid(field, &json!(port.port), checks::PORT_RANGE));
    }
    let protocol = port.protocol.as_deref().unwrap_or_default();
    if !checks::PROTOCOLS.contains(&protocol) {
        let field = format!("{field}.protocol");
        errors.push(FieldError::not_supported(field, &json!(protocol), &checks::PROTOCOLS));
    }
    if let Some(protocol) = &port.app_protocol {
        let field = format!("{field}.appProtocol");
        errors.extend(invalid(&field, &json!(protocol), checks::qualified_name(protocol)));
    }
    errors
}

/// `GetWarningsForEndpoints`.
fn warnings(new: &Value, _old: Option<&Value>) -> Vec<String> {
    let endpoints: Endpoints = read(new);
    let mut warnings = Vec::new();
    for (index, subset) in endpoints.subsets.iter().flatten().enumerate() {
        let lists =
            [("addresses", &subset.addresses), ("notReadyAddresses", &subset.not_ready_addresses)];
        for (list, addresses) in lists {
            for (place, address) in addresses.iter().flatten().enumerate() {
                let field = format!("subsets[{index}].{list}[{place}].ip");
                warnings.extend(checks::ip_warning(&field, &address.ip));
            }
        }
    }
    warnings
}

/// `formatEndpoints`: `10.0.0.1:80,10.0.0.2:80 + 3 more...`.
fn shown(object: &Value) -> String {
    let subsets = list_at(object, "/subsets");
    let mut all = subsets.iter().flat_map(|subset| {
        let addresses = list_at(subset, "/addresses");
        let ports = list_at(subset, "/ports");
        let both = ports.iter().flat_map(move |port| {
            addresses
                .iter()
                .map(move |address| host_port(str_at(address, "/ip"), int_at(port, "/port")))
        });
        // Of a headless Service: addresses without a port.
        let alone = addresses.iter().filter(|_| ports.is_empty());
        both.chain(alone.map(|address| str_at(address, "/ip").to_owned()))
    });
    let first: Vec<_> = all.by_ref().take(SHOWN).collect();
    let others = all.count();
    match (first.is_empty(), others) {
        (true, _) => super::cells::NONE.to_owned(),
        (false, 0) => first.join(","),
        (false, _) => format!("{} + {others} more...", first.join(",")),
    }
}

fn host_port(ip: &str, port: i64) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(subsets: Value) -> Value {
        let mut object =
            json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {}, "subsets": subsets});
        default(&mut object);
        object
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_the_real_words() {
        for (subsets, expected) in [
            (json!([{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]), ""),
            (
                json!([{"ports": [{"port": 0}, {"port": 1, "name": "a", "protocol": "X"}]}]),
                "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`\n\
                 subsets[0].ports[0].name: Required value\n\
                 subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, \
                 inclusive\n\
                 subsets[0].ports[1].protocol: Unsupported value: \"X\": supported values: \
                 \"SCTP\", \"TCP\", \"UDP\"",
            ),
            (
                json!([{"addresses": [{"ip": "127.0.0.1"}, {"ip": "169.254.1.1"}, {"ip": "224.0.0.1"}, {"ip": "0.0.0.0"}, {"ip": "x"}]}]),
                "subsets[0].addresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the \
                 loopback range (127.0.0.0/8, ::1/128)\n\
                 subsets[0].addresses[1].ip: Invalid value: \"169.254.1.1\": may not be in the \
                 link-local range (169.254.0.0/16, fe80::/10)\n\
                 subsets[0].addresses[2].ip: Invalid value: \"224.0.0.1\": may not be in the \
                 link-local multicast range (224.0.0.0/24, ff02::/10)\n\
                 subsets[0].addresses[3].ip: Invalid value: \"0.0.0.0\": may not be unspecified \
                 (0.0.0.0)\n\
                 subsets[0].addresses[4].ip: Invalid value: \"x\": must be a valid IP address, \
                 (e.g. 10.9.8.7 or 2001:db8::ffff)\n\
                 subsets[0].addresses[4].ip: Invalid value: \"x\": must be a valid IP address",
            ),
        ] {
            let errors = validate(&prepared(subsets), None);
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(errors.join("\n"), expected);
        }
    }

    #[test]
    fn a_few_endpoints_are_shown() {
        let ips = |count: usize| -> Value {
            (1..=count).map(|number| json!({"ip": format!("10.0.0.{number}")})).collect()
        };
        for (subsets, expected) in [
            (json!([]), "<none>"),
            (json!([{"addresses": ips(2), "ports": [{"port": 80}]}]), "10.0.0.1:80,10.0.0.2:80"),
            (
                json!([{"addresses": ips(3), "ports": [{"port": 80}, {"port": 81, "name": "b"}]}]),
                "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 3 more...",
            ),
            (json!([{"addresses": [{"ip": "fd00::1"}], "ports": [{"port": 80}]}]), "[fd00::1]:80"),
            (json!([{"addresses": ips(1)}]), "10.0.0.1"),
        ] {
            assert_eq!(shown(&prepared(subsets)), expected);
        }
    }
}
