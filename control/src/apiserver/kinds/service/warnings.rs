use k8s_openapi::api::core::v1::Service;
use serde_json::Value;

use super::families::{cluster_ips, is_headless};
use super::kind;
use crate::apiserver::kinds::checks;
use crate::apiserver::kinds::decoding::read;

/// `GetWarningsForService`.
pub(super) fn warnings(new: &Value, _old: Option<&Value>) -> Vec<String> {
    let service: Service = read(new);
    let mut warnings = Vec::new();
    let Some(spec) = &service.spec else { return warnings };
    let annotations = service.metadata.annotations.iter().flatten();
    if annotations.into_iter().any(|(key, _)| key == "service.kubernetes.io/topology-aware-hints") {
        warnings.push(
            "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use \
             service.kubernetes.io/topology-mode instead"
                .to_owned(),
        );
    }
    for (index, ip) in cluster_ips(spec).iter().enumerate() {
        warnings.extend(checks::ip_warning(&format!("spec.clusterIPs[{index}]"), ip));
    }
    let external_ips = spec.external_ips.as_deref().unwrap_or_default();
    let headless = is_headless(spec) && kind(spec) == "ClusterIP";
    if headless {
        for (set, field) in [
            (spec.load_balancer_ip.is_some(), "spec.loadBalancerIP"),
            (!external_ips.is_empty(), "spec.externalIPs"),
            (spec.session_affinity.as_deref() != Some("None"), "spec.SessionAffinity"),
        ] {
            if set {
                warnings.push(format!("{field} is ignored for headless services"));
            }
        }
    }
    for (index, ip) in external_ips.iter().enumerate() {
        warnings.extend(checks::ip_warning(&format!("spec.externalIPs[{index}]"), ip));
    }
    let is_name = kind(spec) == "ExternalName";
    if !external_ips.is_empty() && !headless && !is_name {
        let message = "spec.externalIPs is deprecated and may no longer be implemented in some \
                       clusters";
        warnings.push(message.to_owned());
    }
    if let Some(ip) = &spec.load_balancer_ip {
        warnings.extend(checks::ip_warning("spec.loadBalancerIP", ip));
    }
    for (index, cidr) in spec.load_balancer_source_ranges.iter().flatten().enumerate() {
        let field = format!("spec.loadBalancerSourceRanges[{index}]");
        warnings.extend(checks::cidr_warnings(&field, cidr));
    }
    if is_name && !external_ips.is_empty() {
        warnings.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if !is_name && spec.external_name.is_some() {
        let message = "spec.externalName is ignored when spec.type is not \"ExternalName\"";
        warnings.push(message.to_owned());
    }
    warnings
}
