use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use serde_json::{Value, json};

use super::families::{cluster_ips, ip_families, is_headless};
use super::{has_cluster_ip, has_health_check, is_external, kind, ports, stacks, status};
use crate::apiserver::kinds::checks::{self, invalid};
use crate::apiserver::kinds::decoding::read;
use crate::apiserver::resource::FieldError;

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const AFFINITIES: [&str; 2] = ["ClientIP", "None"];
const TRAFFIC_POLICIES: [&str; 2] = ["Cluster", "Local"];
const DISTRIBUTIONS: [&str; 3] = ["PreferClose", "PreferSameNode", "PreferSameZone"];
/// A day, in seconds.
const MAX_AFFINITY_TIMEOUT: i32 = 86_400;
const ONLY_LOAD_BALANCER: &str = "may only be used when `type` is 'LoadBalancer'";
const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
const MODE: &str = "service.kubernetes.io/topology-mode";
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

/// `ValidateService` and `ValidateServiceUpdate`.
pub(super) fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let service: Service = read(new);
    let mut errors = Vec::new();
    let Some(spec) = &service.spec else { return errors };
    let old: Option<Service> = old.map(read);
    if let Some(old) = old.as_ref().and_then(|old| old.spec.as_ref()) {
        errors.extend(stacks::validate_update(spec, old));
        errors.extend(once_set(spec, old));
    }
    if old.as_ref().is_some_and(|old| old.status != service.status) {
        errors.extend(status::validate(&service));
    }
    errors.extend(annotations(&service));
    if spec.ports.is_none() && !is_headless(spec) && kind(spec) != "ExternalName" {
        errors.push(FieldError::required("spec.ports", ""));
    }
    errors.extend(kind_rules(spec));
    errors.extend(ports::each(spec));
    if let Some(selector) = &spec.selector {
        errors.extend(checks::labels(selector, "spec.selector"));
    }
    errors.extend(affinity(spec));
    errors.extend(stacks::validate(spec));
    for (index, ip) in spec.external_ips.iter().flatten().enumerate() {
        let field = format!("spec.externalIPs[{index}]");
        match checks::valid_ip(&field, ip) {
            Some(error) => errors.push(error),
            None => errors.extend(checks::ordinary_ip(&field, ip)),
        }
    }
    if !TYPES.contains(&kind(spec)) {
        errors.push(FieldError::not_supported("spec.type", &json!(kind(spec)), &TYPES));
    }
    errors.extend(ports::together(spec));
    errors.extend(load_balancer(&service, spec));
    errors.extend(traffic(spec));
    errors
}

fn once_set(spec: &ServiceSpec, old: &ServiceSpec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if kind(spec) == "LoadBalancer"
        && kind(old) == "LoadBalancer"
        && spec.load_balancer_class != old.load_balancer_class
    {
        let class = spec.load_balancer_class.as_deref().unwrap_or("null");
        let message = "may not change once set";
        errors.push(FieldError::invalid("spec.loadBalancerClass", &json!(class), message));
    }
    if has_health_check(spec)
        && has_health_check(old)
        && spec.health_check_node_port != old.health_check_node_port
    {
        errors.push(FieldError::forbidden("spec.healthCheckNodePort", checks::IMMUTABLE));
    }
    errors
}

fn annotations(service: &Service) -> Option<FieldError> {
    let annotations = service.metadata.annotations.as_ref()?;
    let (hints, mode) = (annotations.get(HINTS)?, annotations.get(MODE)?);
    let message = format!("must match annotations[{HINTS}] when both are specified");
    let field = format!("metadata.annotations[{MODE}]");
    (hints != mode).then(|| FieldError::invalid(field, &json!(mode), &message))
}

/// What the type does not have, and what it needs.
fn kind_rules(spec: &ServiceSpec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    match kind(spec) {
        "LoadBalancer" | "NodePort" if is_headless(spec) => {
            let message = format!("may not be set to 'None' for {} services", kind(spec));
            errors.push(FieldError::invalid("spec.clusterIPs[0]", &json!("None"), &message));
        }
        "ExternalName" => {
            let forbidden = "may not be set for ExternalName services";
            for (set, field) in [
                (!cluster_ips(spec).is_empty() || spec.cluster_ip.is_some(), "spec.clusterIPs"),
                (!ip_families(spec).is_empty(), "spec.ipFamilies"),
                (spec.ip_family_policy.is_some(), "spec.ipFamilyPolicy"),
            ] {
                if set {
                    errors.push(FieldError::forbidden(field, forbidden));
                }
            }
            let name = spec.external_name.as_deref().unwrap_or_default();
            // A dot at its end makes it fully qualified.
            let name = name.strip_suffix('.').unwrap_or(name);
            if name.is_empty() {
                errors.push(FieldError::required("spec.externalName", ""));
            } else {
                let wrong = checks::dns_subdomain(name);
                errors.extend(invalid("spec.externalName", &json!(name), wrong));
            }
        }
        _ => {}
    }
    errors
}

fn affinity(spec: &ServiceSpec) -> Option<FieldError> {
    const CONFIG: &str = "spec.sessionAffinityConfig";
    let affinity = spec.session_affinity.as_deref().unwrap_or_default();
    let config = spec.session_affinity_config.as_ref();
    match affinity {
        "" => Some(FieldError::required("spec.sessionAffinity", "")),
        "None" => config.map(|_| {
            FieldError::forbidden(CONFIG, "must not be set when session affinity is None")
        }),
        "ClientIP" => {
            let client = config.and_then(|config| config.client_ip.as_ref());
            let seconds = client.and_then(|client| client.timeout_seconds);
            let when = "when session affinity type is ClientIP";
            let field = format!("{CONFIG}.clientIP.timeoutSeconds");
            match seconds {
                None => Some(FieldError::required(field, when)),
                Some(1..=MAX_AFFINITY_TIMEOUT) => None,
                Some(seconds) => {
                    let message =
                        format!("must be greater than 0 and less than {MAX_AFFINITY_TIMEOUT}");
                    Some(FieldError::invalid(field, &json!(seconds), &message))
                }
            }
        }
        _ => Some(FieldError::not_supported("spec.sessionAffinity", &json!(affinity), &AFFINITIES)),
    }
}

fn load_balancer(service: &Service, spec: &ServiceSpec) -> Vec<FieldError> {
    let is_balancer = kind(spec) == "LoadBalancer";
    let mut errors = source_ranges(service, spec, is_balancer);
    if spec.allocate_load_balancer_node_ports.is_some() && !is_balancer {
        let field = "spec.allocateLoadBalancerNodePorts";
        errors.push(FieldError::forbidden(field, ONLY_LOAD_BALANCER));
    }
    if let Some(class) = &spec.load_balancer_class {
        let field = "spec.loadBalancerClass";
        if is_balancer {
            errors.extend(invalid(field, &json!(class), checks::qualified_name(class)));
        } else {
            errors.push(FieldError::forbidden(field, ONLY_LOAD_BALANCER));
        }
    }
    errors
}

fn source_ranges(service: &Service, spec: &ServiceSpec, is_balancer: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let annotation = service.metadata.annotations.as_ref().and_then(|all| all.get(SOURCE_RANGES));
    let (field, ranges): (_, Vec<_>) = match (&spec.load_balancer_source_ranges, annotation) {
        (Some(ranges), _) => {
            // The real server's own spelling.
            let field = "spec.LoadBalancerSourceRanges".to_owned();
            let indexed = |(index, range): (usize, &String)| {
                (format!("{field}[{index}]"), range.trim().to_owned())
            };
            let ranges = ranges.iter().enumerate().map(indexed).collect();
            (field, ranges)
        }
        (None, Some(list)) => {
            let field = format!("metadata.annotations[{SOURCE_RANGES}]");
            let ranges = list.split(',').filter(|_| !list.trim().is_empty());
            let ranges = ranges.map(|range| (field.clone(), range.trim().to_owned())).collect();
            (field, ranges)
        }
        (None, None) => return errors,
    };
    if !is_balancer {
        errors.push(FieldError::forbidden(field, ONLY_LOAD_BALANCER));
    }
    errors.extend(ranges.iter().filter_map(|(field, range)| checks::valid_cidr(field, range)));
    errors
}

fn traffic(spec: &ServiceSpec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let field = "spec.externalTrafficPolicy";
    match (&spec.external_traffic_policy, is_external(spec)) {
        (Some(policy), false) => {
            let message = "may only be set for externally-accessible services";
            errors.push(FieldError::invalid(field, &json!(policy), message));
        }
        (Some(policy), true) if !TRAFFIC_POLICIES.contains(&policy.as_str()) => {
            errors.push(FieldError::not_supported(field, &json!(policy), &TRAFFIC_POLICIES));
        }
        _ => {}
    }
    if let Some(port) = spec.health_check_node_port {
        let field = "spec.healthCheckNodePort";
        if !has_health_check(spec) {
            let message = "may only be set when `type` is 'LoadBalancer' and \
                           `externalTrafficPolicy` is 'Local'";
            errors.push(FieldError::invalid(field, &json!(port), message));
        } else if !checks::is_port(port) {
            errors.push(FieldError::invalid(field, &json!(port), checks::PORT_RANGE));
        }
    }
    match &spec.internal_traffic_policy {
        None if has_cluster_ip(spec) => {
            errors.push(FieldError::required("spec.internalTrafficPolicy", ""));
        }
        Some(policy) if !TRAFFIC_POLICIES.contains(&policy.as_str()) => {
            let field = "spec.internalTrafficPolicy";
            errors.push(FieldError::not_supported(field, &json!(policy), &TRAFFIC_POLICIES));
        }
        _ => {}
    }
    if let Some(distribution) = &spec.traffic_distribution
        && !DISTRIBUTIONS.contains(&distribution.as_str())
    {
        let field = "spec.trafficDistribution";
        errors.push(FieldError::not_supported(field, &json!(distribution), &DISTRIBUTIONS));
    }
    errors
}
