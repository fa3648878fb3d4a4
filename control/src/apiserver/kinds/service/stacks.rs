use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ServiceSpec;
use serde_json::{Value, json};

use super::families::{cluster_ips, ip_families, is_headless};
use super::kind;
use crate::apiserver::kinds::checks;
use crate::apiserver::resource::FieldError;

const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];
const POLICIES: [&str; 3] = ["PreferDualStack", "RequireDualStack", "SingleStack"];
const MAY_NOT_CHANGE: &str = "may not change once set";

/// `ValidateServiceClusterIPsRelatedFields`.
pub(crate) fn validate(spec: &ServiceSpec) -> Vec<FieldError> {
    if kind(spec) == "ExternalName" {
        return Vec::new();
    }
    let mut errors: Vec<_> = primary(spec).into_iter().collect();
    let mut seen = BTreeSet::new();
    for (index, family) in ip_families(spec).iter().enumerate() {
        let field = format!("spec.ipFamilies[{index}]");
        if !FAMILIES.contains(&family.as_str()) {
            errors.push(FieldError::not_supported(&field, &json!(family), &FAMILIES));
        }
        if !seen.insert(family) {
            errors.push(FieldError::duplicate(field, &json!(family)));
        }
    }
    if let Some(policy) = &spec.ip_family_policy
        && !POLICIES.contains(&policy.as_str())
    {
        errors.push(FieldError::not_supported("spec.ipFamilyPolicy", &json!(policy), &POLICIES));
    }
    let ips = cluster_ips(spec);
    let mut wrong = Vec::new();
    if ips.len() > 1 && ips[0] == "None" {
        wrong.push(FieldError::invalid(
            "spec.clusterIPs",
            &json!(ips),
            "'None' must be the first and only value",
        ));
    }
    for (index, ip) in ips.iter().enumerate().filter(|(index, ip)| *index > 0 || *ip != "None") {
        wrong.extend(checks::valid_ip(&format!("spec.clusterIPs[{index}]"), ip));
    }
    let readable = wrong.is_empty();
    errors.extend(wrong);
    if ips.len() > 2 {
        let message = "may only hold up to 2 values";
        errors.push(FieldError::invalid("spec.clusterIPs", &json!(ips), message));
    }
    if readable {
        errors.extend(one_of_each_family(spec));
    }
    errors
}

/// `clusterIP` is the first of `clusterIPs`.
fn primary(spec: &ServiceSpec) -> Option<FieldError> {
    let ips = cluster_ips(spec);
    match (&spec.cluster_ip, ips.first()) {
        (Some(_), None) => Some(FieldError::required("spec.clusterIPs", "")),
        (Some(ip), Some(first)) if ip != first => Some(FieldError::invalid(
            "spec.clusterIPs",
            &json!(ips),
            "first value must match `clusterIP`",
        )),
        (None, Some(_)) => Some(FieldError::invalid(
            "spec.clusterIPs",
            &json!(ips),
            "must be empty when `clusterIP` is not specified",
        )),
        _ => None,
    }
}

fn one_of_each_family(spec: &ServiceSpec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let ips = cluster_ips(spec);
    let family = |ip: &str| checks::ip(ip).is_some_and(|ip| ip.is_ipv6());
    let families: BTreeSet<_> = ips.iter().map(|ip| family(ip)).collect();
    if ips.len() > 1 && families.len() < 2 {
        let message = "may specify no more than one IP for each IP family";
        errors.push(FieldError::invalid("spec.clusterIPs", &json!(ips), message));
    }
    if is_headless(spec) {
        return errors;
    }
    for (index, (ip, named)) in ips.iter().zip(ip_families(spec)).enumerate() {
        let expected = match (named.as_str(), family(ip)) {
            ("IPv4", true) => "an IPv4",
            ("IPv6", false) => "an IPv6",
            _ => continue,
        };
        let message = format!("expected {expected} value as indicated by `ipFamilies[{index}]`");
        let field = format!("spec.clusterIPs[{index}]");
        errors.push(FieldError::invalid(field, &json!(ip), &message));
    }
    errors
}

/// `validateUpgradeDowngradeClusterIPs` and `validateUpgradeDowngradeIPFamilies`: a second address
/// comes and goes, the first one stays.
pub(super) fn validate_update(spec: &ServiceSpec, old: &ServiceSpec) -> Vec<FieldError> {
    if kind(spec) == "ExternalName" || kind(old) == "ExternalName" {
        return Vec::new();
    }
    let (headless, was_headless) = (is_headless(spec), is_headless(old));
    let mut errors = Vec::new();
    if !(headless && was_headless) {
        errors.extend(changed_addresses(spec, old));
    }
    if !headless && !was_headless {
        errors.extend(changed_families(spec, old));
    }
    errors
}

fn changed_addresses(spec: &ServiceSpec, old: &ServiceSpec) -> Vec<FieldError> {
    let (ips, before) = (cluster_ips(spec), cluster_ips(old));
    let invalid = |index: usize, message: &str| {
        FieldError::invalid(format!("spec.clusterIPs[{index}]"), &listed(ips), message)
    };
    let mut errors = Vec::new();
    if ips.len() == before.len() {
        let changed = (0..ips.len()).filter(|index| ips[*index] != before[*index]);
        errors.extend(changed.map(|index| invalid(index, MAY_NOT_CHANGE)));
        return errors;
    }
    if ips.is_empty() {
        errors.push(invalid(0, "primary clusterIP can not be unset"));
    } else if before.first().is_some_and(|first| *first != ips[0]) {
        errors.push(invalid(0, MAY_NOT_CHANGE));
    }
    if ips.len() == 1 && before.len() > 1 {
        errors.extend(must_be_single(spec, "clusterIP"));
    }
    errors
}

fn changed_families(spec: &ServiceSpec, old: &ServiceSpec) -> Vec<FieldError> {
    let (families, before) = (ip_families(spec), ip_families(old));
    let invalid =
        |value: &Value, message: &str| FieldError::invalid("spec.ipFamilies[0]", value, message);
    let mut errors = Vec::new();
    if families.len() == before.len() {
        let changed = families.iter().zip(before).filter(|(new, old)| new != old);
        errors.extend(changed.map(|_| invalid(&listed(families), MAY_NOT_CHANGE)));
        return errors;
    }
    // Those that are left out follow from the addresses.
    if let (Some(first), Some(was)) = (families.first(), before.first())
        && first != was
    {
        errors.push(invalid(&listed(cluster_ips(spec)), MAY_NOT_CHANGE));
    }
    if families.len() == 1 && before.len() > 1 {
        errors.extend(must_be_single(spec, "ipFamily"));
    }
    errors
}

fn must_be_single(spec: &ServiceSpec, what: &str) -> Option<FieldError> {
    (spec.ip_family_policy.as_deref() != Some("SingleStack")).then(|| {
        let message = format!("must be set to 'SingleStack' when releasing the secondary {what}");
        let policy = spec.ip_family_policy.as_deref().unwrap_or("null");
        FieldError::invalid("spec.ipFamilyPolicy", &json!(policy), &message)
    })
}

/// An empty list of Go is no list.
fn listed(list: &[String]) -> Value {
    if list.is_empty() { Value::Null } else { json!(list) }
}
