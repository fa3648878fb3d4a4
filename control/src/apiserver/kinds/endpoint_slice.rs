//! EndpointSlices (k8s.io/kubernetes/pkg/apis/discovery/validation).

use std::collections::BTreeSet;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use serde_json::{Value, json};

use super::cells::{AGE, NAME, list_at, str_at, text};
use super::checks::{self, invalid};
use super::decoding::{change, plain, read};
use super::generation;
use crate::apiserver::resource::{Column, FieldError, Resource};

const ADDRESS_TYPES: [&str; 3] = ["FQDN", "IPv4", "IPv6"];
const MOST_ENDPOINTS: usize = 1_000;
const MOST_ADDRESSES: usize = 100;
const MOST_PORTS: usize = 100;
const MOST_HINTS: usize = 8;
/// How many are shown in a cell.
const SHOWN: usize = 3;

/// What there is to know of the kind.
pub(super) const ENDPOINT_SLICE: Resource = Resource {
    default,
    prepare,
    validate,
    warnings,
    columns: COLUMNS,
    ..plain::<EndpointSlice>("endpointslice")
};

const COLUMNS: &[Column] = &[
    NAME,
    text("AddressType", "What the addresses are.", |object, _| {
        str_at(object, "/addressType").into()
    }),
    text("Ports", "The ports of every endpoint.", |object, _| {
        let ports = list_at(object, "/ports").iter().map(|port| match port.get("port") {
            Some(number) => number.to_string(),
            None => match str_at(port, "/name") {
                "" => "*".to_owned(),
                name => name.to_owned(),
            },
        });
        few(ports).into()
    }),
    text("Endpoints", "The addresses of the endpoints.", |object, _| {
        let endpoints = list_at(object, "/endpoints").iter();
        let addresses = endpoints.flat_map(|endpoint| list_at(endpoint, "/addresses"));
        few(addresses.filter_map(Value::as_str).map(str::to_owned)).into()
    }),
    AGE,
];

/// `SetDefaults_EndpointPort`.
fn default(object: &mut Value) {
    change(object, |slice: &mut EndpointSlice| {
        for port in slice.ports.iter_mut().flatten() {
            port.name.get_or_insert_default();
            port.protocol.get_or_insert_with(|| "TCP".to_owned());
        }
    });
}

fn prepare(new: &mut Value, old: Option<&Value>) {
    generation::count(new, old, &["addressType", "endpoints", "ports"]);
}

/// `ValidateEndpointSliceCreate` and `ValidateEndpointSliceUpdate`.
fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let slice: EndpointSlice = read(new);
    let mut errors = Vec::new();
    let kind = slice.address_type.as_str();
    if kind.is_empty() {
        errors.push(FieldError::required("addressType", ""));
    } else if !ADDRESS_TYPES.contains(&kind) {
        errors.push(FieldError::not_supported("addressType", &json!(kind), &ADDRESS_TYPES));
    }
    if slice.endpoints.len() > MOST_ENDPOINTS {
        errors.push(FieldError::too_many("endpoints", slice.endpoints.len(), MOST_ENDPOINTS));
    } else {
        for (index, endpoint) in slice.endpoints.iter().enumerate() {
            errors.extend(validate_endpoint(endpoint, kind, &format!("endpoints[{index}]")));
        }
    }
    errors.extend(validate_ports(slice.ports.as_deref().unwrap_or_default()));
    if old.is_some_and(|old| old["addressType"] != new["addressType"]) {
        errors.push(FieldError::invalid("addressType", &json!(kind), checks::IMMUTABLE));
    }
    errors
}

fn validate_endpoint(endpoint: &Endpoint, kind: &str, field: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let addresses = format!("{field}.addresses");
    if endpoint.addresses.is_empty() {
        errors.push(FieldError::required(addresses.clone(), "must contain at least 1 address"));
    } else if endpoint.addresses.len() > MOST_ADDRESSES {
        let count = endpoint.addresses.len();
        errors.push(FieldError::too_many(addresses.clone(), count, MOST_ADDRESSES));
    }
    for (index, address) in endpoint.addresses.iter().enumerate() {
        errors.extend(validate_address(address, kind, &format!("{addresses}[{index}]")));
    }
    if let Some(hostname) = &endpoint.hostname {
        let field = format!("{field}.hostname");
        errors.extend(invalid(&field, &json!(hostname), checks::dns_label(hostname)));
    }
    let Some(hints) = &endpoint.hints else { return errors };
    let zones: Vec<_> = hints.for_zones.iter().flatten().map(|zone| &zone.name).collect();
    let nodes: Vec<_> = hints.for_nodes.iter().flatten().map(|node| &node.name).collect();
    for (list, names, check) in [
        ("forZones", zones, checks::label_value as fn(&str) -> Vec<String>),
        ("forNodes", nodes, checks::dns_subdomain),
    ] {
        let field = format!("{field}.hints.{list}");
        if names.len() > MOST_HINTS {
            errors.push(FieldError::too_many(field, names.len(), MOST_HINTS));
            continue;
        }
        let mut seen = BTreeSet::new();
        for (index, name) in names.into_iter().enumerate() {
            let field = format!("{field}[{index}].name");
            if !seen.insert(name) {
                errors.push(FieldError::duplicate(field.clone(), &json!(name)));
            }
            errors.extend(invalid(&field, &json!(name), check(name)));
        }
    }
    errors
}

fn validate_address(address: &str, kind: &str, field: &str) -> Vec<FieldError> {
    let ip = checks::ip(address);
    let expected = match kind {
        "IPv4" => ip.is_some_and(|ip| ip.is_ipv4()),
        "IPv6" => ip.is_some_and(|ip| ip.is_ipv6()),
        "FQDN" => return invalid(field, &json!(address), fully_qualified(address)),
        _ => return Vec::new(),
    };
    let mut errors = Vec::new();
    if !expected {
        let message = format!("must be a valid {kind} address");
        errors.push(FieldError::invalid(field, &json!(address), &message));
    }
    errors.extend(checks::ordinary_ip(field, address));
    errors
}

/// `IsFullyQualifiedDomainName`.
fn fully_qualified(name: &str) -> Vec<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let wrong = checks::dns_subdomain(name);
    if wrong.is_empty() && !name.contains('.') {
        return vec!["should be a domain with at least two segments separated by dots".to_owned()];
    }
    wrong
}

fn validate_ports(ports: &[EndpointPort]) -> Vec<FieldError> {
    if ports.len() > MOST_PORTS {
        return vec![FieldError::too_many("ports", ports.len(), MOST_PORTS)];
    }
    let mut errors = Vec::new();
    let mut names = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let name = port.name.as_deref().unwrap_or_default();
        let field = format!("ports[{index}].name");
        if !name.is_empty() {
            errors.extend(invalid(&field, &json!(name), checks::dns_label(name)));
        }
        if !names.insert(name) {
            errors.push(FieldError::duplicate(field, &json!(name)));
        }
        let protocol = port.protocol.as_deref().unwrap_or_default();
        if !checks::PROTOCOLS.contains(&protocol) {
            let field = format!("ports[{index}].protocol");
            errors.push(FieldError::not_supported(field, &json!(protocol), &checks::PROTOCOLS));
        }
        if let Some(protocol) = &port.app_protocol {
            let field = format!("ports[{index}].appProtocol");
            errors.extend(invalid(&field, &json!(protocol), checks::qualified_name(protocol)));
        }
    }
    errors
}

/// `GetWarningsForEndpointSlice`.
fn warnings(new: &Value, _old: Option<&Value>) -> Vec<String> {
    let slice: EndpointSlice = read(new);
    let mut warnings = Vec::new();
    if slice.address_type == "FQDN" {
        warnings.push("addressType: FQDN endpoints are deprecated".to_owned());
        return warnings;
    }
    for (index, endpoint) in slice.endpoints.iter().enumerate() {
        for (place, address) in endpoint.addresses.iter().enumerate() {
            let field = format!("endpoints[{index}].addresses[{place}]");
            warnings.extend(checks::ip_warning(&field, address));
        }
    }
    warnings
}

/// `10.0.0.1,10.0.0.2 + 3 more...`.
fn few(mut all: impl Iterator<Item = String>) -> String {
    let first: Vec<_> = all.by_ref().take(SHOWN).collect();
    match (first.is_empty(), all.count()) {
        (true, _) => "<unset>".to_owned(),
        (false, 0) => first.join(","),
        (false, others) => format!("{} + {others} more...", first.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(mut slice: Value, old: Option<&Value>) -> Value {
        slice["apiVersion"] = json!("discovery.k8s.io/v1");
        slice["kind"] = json!("EndpointSlice");
        let mut object = (ENDPOINT_SLICE.decode)(slice).unwrap().object;
        default(&mut object);
        prepare(&mut object, old);
        object
    }

    fn errors(slice: Value, old: Option<&Value>) -> String {
        let errors = validate(&prepared(slice, old), old);
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_the_real_words() {
        let of = |kind: &str, address: &str| json!({"addressType": kind, "endpoints": [{"addresses": [address]}]});
        let many: Vec<_> = (0..1_001).map(|_| json!({"addresses": ["10.0.0.1"]})).collect();
        for (slice, expected) in [
            (of("IPv4", "10.0.0.1"), ""),
            (of("FQDN", "a.example"), ""),
            (
                of("FQDN", "a"),
                "endpoints[0].addresses[0]: Invalid value: \"a\": should be a domain with at least \
                 two segments separated by dots",
            ),
            (
                json!({"endpoints": [{"addresses": []}]}),
                "addressType: Required value\n\
                 endpoints[0].addresses: Required value: must contain at least 1 address",
            ),
            (
                of("IP", "x"),
                "addressType: Unsupported value: \"IP\": supported values: \"FQDN\", \"IPv4\", \
                 \"IPv6\"",
            ),
            (
                of("IPv4", "fd00::1"),
                "endpoints[0].addresses[0]: Invalid value: \"fd00::1\": must be a valid IPv4 \
                 address",
            ),
            (
                of("IPv6", "::1"),
                "endpoints[0].addresses[0]: Invalid value: \"::1\": may not be in the loopback \
                 range (127.0.0.0/8, ::1/128)",
            ),
            (
                of("IPv4", "169.254.0.1"),
                "endpoints[0].addresses[0]: Invalid value: \"169.254.0.1\": may not be in the \
                 link-local range (169.254.0.0/16, fe80::/10)",
            ),
            (
                json!({"addressType": "IPv4", "endpoints": many}),
                "endpoints: Too many: 1001: must have at most 1000 items",
            ),
            (
                json!({"addressType": "IPv4", "endpoints": [], "ports": [{"name": "a"}, {"name": "a"}, {"protocol": "X"}]}),
                "ports[1].name: Duplicate value: \"a\"\n\
                 ports[2].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \
                 \"UDP\"",
            ),
        ] {
            assert_eq!(errors(slice, None), expected);
        }
        let old = prepared(of("IPv4", "10.0.0.1"), None);
        assert_eq!(
            errors(of("IPv6", "fd00::1"), Some(&old)),
            "addressType: Invalid value: \"IPv6\": field is immutable"
        );
    }

    #[test]
    fn ports_have_a_name_and_changes_count() {
        let mut slice = json!({"addressType": "IPv4", "endpoints": [], "ports": [{"port": 80}], "metadata": {}});
        let old = prepared(slice.clone(), None);
        assert_eq!(old["ports"], json!([{"name": "", "port": 80, "protocol": "TCP"}]));
        assert_eq!(old["metadata"]["generation"], 1);
        slice["metadata"]["labels"] = json!({"a": "b"});
        assert_eq!(prepared(slice.clone(), Some(&old))["metadata"]["generation"], 1);
        slice["endpoints"] = json!([{"addresses": ["10.0.0.1"]}]);
        assert_eq!(prepared(slice, Some(&old))["metadata"]["generation"], 2);
    }

    #[test]
    fn columns_show_a_few() {
        let addresses: Vec<_> =
            (1..=5).map(|number| json!({"addresses": [format!("10.0.0.{number}")]})).collect();
        let slice = prepared(
            json!({"addressType": "IPv4", "endpoints": addresses,
                "ports": [{"port": 80}, {"name": "any"}, {}], "metadata": {"name": "web-1"}}),
            None,
        );
        let cells = COLUMNS.iter().map(|column| (column.cell)(&slice, jiff::Timestamp::UNIX_EPOCH));
        let cells: Vec<_> = cells.map(|cell| cell.as_str().unwrap().to_owned()).collect();
        assert_eq!(
            cells,
            ["web-1", "IPv4", "80,any,*", "10.0.0.1,10.0.0.2,10.0.0.3 + 2 more...", "<unknown>"]
        );
    }
}
