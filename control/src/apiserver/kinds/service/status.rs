use k8s_openapi::api::core::v1::{LoadBalancerIngress, Service};
use serde_json::json;

use super::kind;
use crate::apiserver::kinds::checks::{self, invalid};
use crate::apiserver::resource::FieldError;

const INGRESS: &str = "status.loadBalancer.ingress";
const IP_MODES: [&str; 2] = ["Proxy", "VIP"];

/// `ValidateLoadBalancerStatus`: what load balancers may say.
pub(super) fn validate(service: &Service) -> Vec<FieldError> {
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    let is_balancer = service.spec.as_ref().is_some_and(|spec| kind(spec) == "LoadBalancer");
    if !is_balancer && !ingress.is_empty() {
        let message = "may only be used when `spec.type` is LoadBalancer";
        return vec![FieldError::forbidden(INGRESS, message)];
    }
    let indexed = ingress.iter().enumerate();
    indexed.flat_map(|(index, ingress)| one(ingress, &format!("{INGRESS}[{index}]"))).collect()
}

fn one(ingress: &LoadBalancerIngress, field: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let ip = ingress.ip.as_deref().filter(|ip| !ip.is_empty());
    if let Some(ip) = ip {
        errors.extend(checks::valid_ip(&format!("{field}.ip"), ip));
    }
    let mode = format!("{field}.ipMode");
    match &ingress.ip_mode {
        None if ip.is_some() => {
            errors.push(FieldError::required(mode, "must be specified when `ip` is set"));
        }
        Some(_) if ip.is_none() => {
            errors.push(FieldError::forbidden(mode, "may not be specified when `ip` is not set"));
        }
        Some(value) if !IP_MODES.contains(&value.as_str()) => {
            errors.push(FieldError::not_supported(mode, &json!(value), &IP_MODES));
        }
        _ => {}
    }
    if let Some(name) = ingress.hostname.as_deref().filter(|name| !name.is_empty()) {
        let field = format!("{field}.hostname");
        errors.extend(invalid(&field, &json!(name), checks::dns_subdomain(name)));
        if checks::ip(name).is_some() {
            let message = "must be a DNS name, not an IP address";
            errors.push(FieldError::invalid(field, &json!(name), message));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn load_balancers_say_addresses_or_names() {
        let errors = |kind: &str, ingress: Value| {
            let service = json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": kind},
                "status": {"loadBalancer": {"ingress": [ingress]}}});
            let errors = validate(&serde_json::from_value(service).unwrap());
            errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        for (kind, ingress, expected) in [
            ("LoadBalancer", json!({"ip": "198.51.100.7", "ipMode": "VIP"}), ""),
            ("LoadBalancer", json!({"hostname": "a.example"}), ""),
            (
                "ClusterIP",
                json!({"ip": "198.51.100.7"}),
                "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is \
                 LoadBalancer",
            ),
            (
                "LoadBalancer",
                json!({"ip": "x", "ipMode": "Odd"}),
                "status.loadBalancer.ingress[0].ip: Invalid value: \"x\": must be a valid IP \
                 address, (e.g. 10.9.8.7 or 2001:db8::ffff)\n\
                 status.loadBalancer.ingress[0].ipMode: Unsupported value: \"Odd\": supported \
                 values: \"Proxy\", \"VIP\"",
            ),
            (
                "LoadBalancer",
                json!({"hostname": "10.0.0.1"}),
                "status.loadBalancer.ingress[0].hostname: Invalid value: \"10.0.0.1\": must be a \
                 DNS name, not an IP address",
            ),
        ] {
            assert_eq!(errors(kind, ingress), expected);
        }
    }
}
