//! Which families of addresses a Service has (KEP-563), as the real server's `initIPFamilyFields`
//! settles them. A family is `IPv4` or `IPv6`.

use k8s_openapi::api::core::v1::ServiceSpec;
use serde_json::{Value, json};

use crate::apiserver::kinds::checks;
use crate::apiserver::resource::FieldError;

const POLICY: &str = "spec.ipFamilyPolicy";
const SINGLE: &str = "SingleStack";
const REQUIRE: &str = "RequireDualStack";

/// Fills in `ipFamilyPolicy` and `ipFamilies`, and gives back secondary addresses that are given
/// up. `configured` are the families that there are Service CIDRs of, the default one first.
pub(crate) fn settle(
    spec: &mut ServiceSpec,
    old: Option<&ServiceSpec>,
    configured: &[&str],
) -> Vec<FieldError> {
    let without_selector = is_headless(spec) && spec.selector.iter().flatten().next().is_none();
    if spec.ip_family_policy.is_none() {
        // What is not said is as before, so that nobody changes stacks without saying so.
        let before = old.and_then(|old| old.ip_family_policy.clone());
        let default = if without_selector { REQUIRE } else { SINGLE };
        spec.ip_family_policy = Some(before.unwrap_or_else(|| default.to_owned()));
    }
    if old.is_some_and(|old| prefers_dual_stack_as_before(spec, old)) {
        // The cluster may have changed to or from dual stack; its Services do not follow.
        return Vec::new();
    }
    let single = spec.ip_family_policy.as_deref() == Some(SINGLE);
    let mut errors = Vec::new();
    if let Some(old) = old {
        if single {
            downgrade(spec, old);
        } else {
            errors.extend(reduced(spec, old));
        }
    }
    if single {
        errors.extend(too_many_for_single_stack(spec));
    }
    errors.extend(infer_from_addresses(spec, configured));
    if !errors.is_empty() {
        return errors;
    }
    let dual = without_selector || configured.len() > 1;
    if !without_selector {
        errors.extend(not_configured(spec, configured));
        if !errors.is_empty() {
            return errors;
        }
    }
    let families = spec.ip_families.get_or_insert_default();
    if families.is_empty() {
        families.extend(configured.first().map(|family| (*family).to_owned()));
    }
    if let ([only], false, true) = (families.as_slice(), single, dual) {
        let other = if only == "IPv4" { "IPv6" } else { "IPv4" };
        families.push(other.to_owned());
    }
    Vec::new()
}

/// The addresses of a Service that it has or asks for.
pub(crate) fn cluster_ips(spec: &ServiceSpec) -> &[String] {
    spec.cluster_ips.as_deref().unwrap_or_default()
}

/// The families of a Service.
pub(crate) fn ip_families(spec: &ServiceSpec) -> &[String] {
    spec.ip_families.as_deref().unwrap_or_default()
}

/// Whether a Service has no address on purpose.
pub(crate) fn is_headless(spec: &ServiceSpec) -> bool {
    cluster_ips(spec) == ["None"]
}

/// The family of an address.
pub(super) fn family_of(ip: &str) -> &'static str {
    if checks::ip(ip).is_some_and(|ip| ip.is_ipv6()) { "IPv6" } else { "IPv4" }
}

fn prefers_dual_stack_as_before(spec: &ServiceSpec, old: &ServiceSpec) -> bool {
    let prefers = |spec: &ServiceSpec| spec.ip_family_policy.as_deref() == Some("PreferDualStack");
    spec.type_ == old.type_
        && prefers(spec)
        && prefers(old)
        && cluster_ips(spec) == cluster_ips(old)
        && ip_families(spec) == ip_families(old)
}

/// Single stack says which address is meant to go when both are still there.
fn downgrade(spec: &mut ServiceSpec, old: &ServiceSpec) {
    if cluster_ips(spec) == cluster_ips(old) {
        spec.cluster_ips.get_or_insert_default().truncate(1);
    }
    if ip_families(spec) == ip_families(old) {
        spec.ip_families.get_or_insert_default().truncate(1);
    }
}

fn reduced(spec: &ServiceSpec, old: &ServiceSpec) -> Vec<FieldError> {
    let fewer = |new: &[String], old: &[String]| !new.is_empty() && new.len() < old.len();
    let mut errors = Vec::new();
    if fewer(cluster_ips(spec), cluster_ips(old)) {
        let message = "must be 'SingleStack' to release the secondary cluster IP";
        errors.push(FieldError::invalid(POLICY, &policy(spec), message));
    }
    if fewer(ip_families(spec), ip_families(old)) {
        let message = "must be 'SingleStack' to release the secondary IP family";
        errors.push(FieldError::invalid(POLICY, &policy(spec), message));
    }
    errors
}

fn too_many_for_single_stack(spec: &ServiceSpec) -> Vec<FieldError> {
    [(cluster_ips(spec), "cluster IPs"), (ip_families(spec), "IP families")]
        .into_iter()
        .filter(|(list, _)| list.len() == 2)
        .map(|(_, what)| {
            let message = format!(
                "must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
            );
            FieldError::invalid(POLICY, &policy(spec), &message)
        })
        .collect()
}

/// Addresses say their families.
fn infer_from_addresses(spec: &mut ServiceSpec, configured: &[&str]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if is_headless(spec) {
        return errors;
    }
    let ips = spec.cluster_ips.clone().unwrap_or_default();
    let families = spec.ip_families.get_or_insert_default();
    for (index, ip) in ips.iter().enumerate().skip(families.len()) {
        let family = family_of(ip);
        if configured.contains(&family) {
            families.push(family.to_owned());
        } else {
            let message = format!("{family} is not configured on this cluster");
            let field = format!("spec.clusterIPs[{index}]");
            errors.push(FieldError::invalid(field, &json!(ips), &message));
        }
    }
    errors
}

fn not_configured(spec: &ServiceSpec, configured: &[&str]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if spec.ip_family_policy.as_deref() == Some(REQUIRE) && configured.len() < 2 {
        let message = "this cluster is not configured for dual-stack services";
        errors.push(FieldError::invalid(POLICY, &policy(spec), message));
    }
    for (index, family) in ip_families(spec).iter().enumerate() {
        if !configured.contains(&family.as_str()) {
            let field = format!("spec.ipFamilies[{index}]");
            let message = "not configured on this cluster";
            errors.push(FieldError::invalid(field, &json!(family), message));
        }
    }
    errors
}

fn policy(spec: &ServiceSpec) -> Value {
    json!(spec.ip_family_policy)
}
