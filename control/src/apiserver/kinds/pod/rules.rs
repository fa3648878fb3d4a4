use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec, Volume};
use serde_json::json;

use super::containers;
use crate::apiserver::kinds::checks::{self, invalid};
use crate::apiserver::resource::FieldError;

const RESTART_POLICIES: [&str; 3] = ["Always", "OnFailure", "Never"];
const DNS_POLICIES: [&str; 4] = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];

/// `ValidatePodTemplateSpec`.
pub(in crate::apiserver::kinds) fn template(
    template: &PodTemplateSpec,
    field: &str,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(labels) = template.metadata.as_ref().and_then(|all| all.labels.as_ref()) {
        errors.extend(checks::labels(labels, &format!("{field}.labels")));
    }
    let spec = template.spec.clone().unwrap_or_default();
    errors.extend(pod_spec(&spec, &format!("{field}.spec")));
    errors
}

/// `ValidatePodSpec`, as far as people meet it.
pub(super) fn pod_spec(spec: &PodSpec, field: &str) -> Vec<FieldError> {
    let mut errors = volumes(spec, field);
    errors.extend(containers::all(spec, field));
    one_of(&mut errors, field, "restartPolicy", spec.restart_policy.as_deref(), &RESTART_POLICIES);
    one_of(&mut errors, field, "dnsPolicy", spec.dns_policy.as_deref(), &DNS_POLICIES);
    if let Some(selector) = &spec.node_selector {
        errors.extend(checks::labels(selector, &format!("{field}.nodeSelector")));
    }
    for (name, text, check) in [
        ("nodeName", &spec.node_name, checks::dns_subdomain as fn(&str) -> Vec<String>),
        ("serviceAccountName", &spec.service_account_name, checks::dns_subdomain),
        ("hostname", &spec.hostname, checks::dns_label),
        ("subdomain", &spec.subdomain, checks::dns_label),
    ] {
        if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
            errors.extend(invalid(&format!("{field}.{name}"), &json!(text), check(text)));
        }
    }
    for (index, alias) in spec.host_aliases.iter().flatten().enumerate() {
        errors.extend(checks::valid_ip(&format!("{field}.hostAliases[{index}].ip"), &alias.ip));
        for name in alias.hostnames.iter().flatten() {
            let field = format!("{field}.hostAliases[{index}].hostnames");
            errors.extend(invalid(&field, &json!(name), checks::dns_subdomain(name)));
        }
    }
    if let Some(seconds) = spec.termination_grace_period_seconds.filter(|seconds| *seconds < 0) {
        let field = format!("{field}.terminationGracePeriodSeconds");
        let message = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(field, &json!(seconds), message));
    }
    if let Some(seconds) = spec.active_deadline_seconds
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        let message = format!("must be between 1 and {}, inclusive", i32::MAX);
        let field = format!("{field}.activeDeadlineSeconds");
        errors.push(FieldError::invalid(field, &json!(seconds), &message));
    }
    errors
}

/// A value out of a list; [`super::defaults`] fills in what is left out.
pub(super) fn one_of(
    errors: &mut Vec<FieldError>,
    parent: &str,
    name: &str,
    value: Option<&str>,
    supported: &[&str],
) {
    let field = format!("{parent}.{name}");
    match value.unwrap_or_default() {
        "" => errors.push(FieldError::required(field, "")),
        value if supported.contains(&value) => {}
        value => errors.push(FieldError::not_supported(field, &json!(value), supported)),
    }
}

fn volumes(spec: &PodSpec, parent: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut names = BTreeSet::new();
    for (index, volume) in spec.volumes.iter().flatten().enumerate() {
        let Volume { name, .. } = volume;
        let field = format!("{parent}.volumes[{index}].name");
        if name.is_empty() {
            errors.push(FieldError::required(field, ""));
            continue;
        }
        let wrong = checks::dns_label(name);
        let right = wrong.is_empty();
        errors.extend(invalid(&field, &json!(name), wrong));
        if right && !names.insert(name) {
            errors.push(FieldError::duplicate(field, &json!(name)));
        }
    }
    errors
}
