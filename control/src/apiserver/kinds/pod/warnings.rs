use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod, PodSpec, PodTemplateSpec};
use serde_json::Value;

use crate::apiserver::kinds::decoding::read;

/// `GetWarningsForPod`.
pub(super) fn of_pod(new: &Value, _old: Option<&Value>) -> Vec<String> {
    let pod: Pod = read(new);
    pod.spec.iter().flat_map(|spec| of_spec(spec, "spec")).collect()
}

/// `GetWarningsForPodTemplate`.
pub(in crate::apiserver::kinds) fn of_template(
    template: &PodTemplateSpec,
    field: &str,
) -> Vec<String> {
    template.spec.iter().flat_map(|spec| of_spec(spec, &format!("{field}.spec"))).collect()
}

fn of_spec(spec: &PodSpec, field: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    for (index, volume) in spec.volumes.iter().flatten().enumerate() {
        if volume.git_repo.is_some() {
            warnings.push(format!("{field}.volumes[{index}].gitRepo: deprecated in v1.11"));
        }
    }
    let mut ips = BTreeSet::new();
    for (index, alias) in spec.host_aliases.iter().flatten().enumerate() {
        if !ips.insert(&alias.ip) {
            let ip = &alias.ip;
            warnings.push(format!("{field}.hostAliases[{index}].ip: duplicate ip {ip:?}"));
        }
    }
    let mut names = BTreeSet::new();
    for (index, secret) in spec.image_pull_secrets.iter().flatten().enumerate() {
        if !names.insert(&secret.name) {
            let name = &secret.name;
            let field = format!("{field}.imagePullSecrets[{index}].name");
            warnings.push(format!("{field}: duplicate name {name:?}"));
        }
    }
    let containers = || {
        // In the order of the real server.
        let first = spec.init_containers.iter().flatten().enumerate();
        let first = first.map(|(index, container)| ("initContainers", index, container));
        let then = spec.containers.iter().enumerate();
        first
            .chain(then.map(|(index, container)| ("containers", index, container)))
            .map(|(list, index, container)| (format!("{field}.{list}[{index}]"), container))
    };
    for (field, container) in containers() {
        warnings.extend(hidden_variables(container, &field));
    }
    warnings.extend(duplicate_ports(containers()));
    warnings
}

/// Of two variables with one name the later one counts, which is rarely meant.
fn hidden_variables(container: &Container, field: &str) -> Vec<String> {
    let mut names = BTreeSet::new();
    let mut warnings = Vec::new();
    for (index, variable) in container.env.iter().flatten().enumerate() {
        let EnvVar { name, value, value_from } = variable;
        if names.insert(name) {
            continue;
        }
        let reference = format!("$({name})");
        let value = value.as_deref().unwrap_or_default();
        if value_from.is_some() || value == reference || !value.contains(&reference) {
            warnings.push(format!(
                "{field}.env[{index}]: hides previous definition of {name:?}, which may be dropped \
                 when using apply"
            ));
        }
    }
    warnings
}

fn duplicate_ports<'a>(containers: impl Iterator<Item = (String, &'a Container)>) -> Vec<String> {
    let mut seen: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut warnings = Vec::new();
    for (field, container) in containers {
        for (index, port) in container.ports.iter().flatten().enumerate() {
            let field = format!("{field}.ports[{index}]");
            let others = seen.entry((port.container_port, port.protocol.clone())).or_default();
            for (other_field, other_ip, other_port) in others.iter() {
                let how = if (&port.host_ip, port.host_port) == (*other_ip, *other_port) {
                    "duplicate"
                } else if port.host_port.is_none() || other_port.is_none() {
                    "overlapping"
                } else {
                    continue;
                };
                warnings.push(format!("{field}: {how} port definition with {other_field}"));
            }
            others.push((field, &port.host_ip, port.host_port));
        }
    }
    warnings
}
