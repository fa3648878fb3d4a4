use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, ContainerPort, EnvVar, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Amount;
use serde_json::json;

use super::{probes, rules::one_of};
use crate::apiserver::kinds::checks::{self, invalid};
use crate::apiserver::kinds::quantity::Quantity;
use crate::apiserver::resource::FieldError;

const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];
const QUANTITY: &str = "quantities must match the regular expression \
                        '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// The containers of a Pod, and its init containers.
pub(super) fn all(spec: &PodSpec, field: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if spec.containers.is_empty() {
        errors.push(FieldError::required(format!("{field}.containers"), ""));
    }
    let volumes: BTreeSet<_> =
        spec.volumes.iter().flatten().map(|volume| volume.name.as_str()).collect();
    let on_host = spec.host_network == Some(true);
    let mut names = BTreeSet::new();
    let lists = [
        ("containers", spec.containers.as_slice(), true),
        ("initContainers", spec.init_containers.as_deref().unwrap_or_default(), false),
    ];
    for (list, containers, are_main) in lists {
        for (index, container) in containers.iter().enumerate() {
            let field = format!("{field}.{list}[{index}]");
            errors.extend(name(container, &field, &mut names));
            errors.extend(one(container, &field, &volumes, on_host));
            // Init containers that stay have probes too.
            let restarts = container.restart_policy.as_deref() == Some("Always");
            if are_main || restarts {
                errors.extend(probes::of(container, &field));
            } else {
                errors.extend(probes::forbidden(container, &field));
            }
        }
    }
    errors
}

fn name<'a>(
    container: &'a Container,
    field: &str,
    names: &mut BTreeSet<&'a str>,
) -> Vec<FieldError> {
    let field = format!("{field}.name");
    let name = container.name.as_str();
    if name.is_empty() {
        return vec![FieldError::required(field, "")];
    }
    let mut errors = invalid(&field, &json!(name), checks::dns_label(name));
    if !names.insert(name) {
        errors.push(FieldError::duplicate(field, &json!(name)));
    }
    errors
}

fn one(
    container: &Container,
    field: &str,
    volumes: &BTreeSet<&str>,
    on_host: bool,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let image = container.image.as_deref().unwrap_or_default();
    if image.is_empty() {
        errors.push(FieldError::required(format!("{field}.image"), ""));
    } else if image.trim() != image {
        let message = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid(format!("{field}.image"), &json!(image), message));
    }
    let policy = container.image_pull_policy.as_deref();
    one_of(&mut errors, field, "imagePullPolicy", policy, &PULL_POLICIES);
    let mut names = BTreeSet::new();
    for (index, port) in container.ports.iter().flatten().enumerate() {
        let field = format!("{field}.ports[{index}]");
        errors.extend(self::port(port, &field, on_host, &mut names));
    }
    for (index, variable) in container.env.iter().flatten().enumerate() {
        errors.extend(environment(variable, &format!("{field}.env[{index}]")));
    }
    let mut paths = BTreeSet::new();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let field = format!("{field}.volumeMounts[{index}]");
        if mount.name.is_empty() {
            errors.push(FieldError::required(format!("{field}.name"), ""));
        } else if !volumes.contains(mount.name.as_str()) {
            errors.push(FieldError::not_found(format!("{field}.name"), &json!(mount.name)));
        }
        let path = format!("{field}.mountPath");
        if mount.mount_path.is_empty() {
            errors.push(FieldError::required(path, ""));
        } else if !paths.insert(&mount.mount_path) {
            errors.push(FieldError::invalid(path, &json!(mount.mount_path), "must be unique"));
        }
    }
    if let Some(resources) = &container.resources {
        errors.extend(self::resources(resources, &format!("{field}.resources")));
    }
    errors
}

fn port<'a>(
    port: &'a ContainerPort,
    field: &str,
    on_host: bool,
    names: &mut BTreeSet<&'a str>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(name) = &port.name {
        let field = format!("{field}.name");
        let wrong = checks::port_name(name);
        if !wrong.is_empty() {
            errors.extend(invalid(&field, &json!(name), wrong));
        } else if !names.insert(name) {
            errors.push(FieldError::duplicate(field, &json!(name)));
        }
    }
    let number = |errors: &mut Vec<_>, name: &str, number: i32| {
        if !checks::is_port(number) {
            let field = format!("{field}.{name}");
            errors.push(FieldError::invalid(field, &json!(number), checks::PORT_RANGE));
        }
    };
    if port.container_port == 0 {
        errors.push(FieldError::required(format!("{field}.containerPort"), ""));
    } else {
        number(&mut errors, "containerPort", port.container_port);
    }
    if let Some(host_port) = port.host_port {
        number(&mut errors, "hostPort", host_port);
        if on_host && host_port != port.container_port {
            let message = "must match `containerPort` when `hostNetwork` is true";
            let field = format!("{field}.hostPort");
            errors.push(FieldError::invalid(field, &json!(host_port), message));
        }
    }
    let protocol = port.protocol.as_deref();
    one_of(&mut errors, field, "protocol", protocol, &checks::PROTOCOLS);
    errors
}

fn environment(variable: &EnvVar, field: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = variable.name.as_str();
    if name.is_empty() {
        errors.push(FieldError::required(format!("{field}.name"), ""));
    } else if !name.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=') {
        let message = "a valid environment variable name must consist only of printable ASCII \
                       characters other than '='";
        errors.push(FieldError::invalid(format!("{field}.name"), &json!(name), message));
    }
    let Some(from) = &variable.value_from else { return errors };
    let field = format!("{field}.valueFrom");
    let sources = [
        from.field_ref.is_some(),
        from.resource_field_ref.is_some(),
        from.config_map_key_ref.is_some(),
        from.secret_key_ref.is_some(),
        from.file_key_ref.is_some(),
    ];
    let message = match sources.iter().filter(|set| **set).count() {
        0 => {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or \
             `secretKeyRef`"
        }
        _ if variable.value.is_some() => "may not be specified when `value` is not empty",
        1 => return errors,
        _ => "may not have more than one field specified at a time",
    };
    errors.push(FieldError::invalid(field, &json!(""), message));
    errors
}

fn resources(resources: &ResourceRequirements, field: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let limits = amounts(resources.limits.as_ref(), &format!("{field}.limits"), &mut errors);
    let requests = amounts(resources.requests.as_ref(), &format!("{field}.requests"), &mut errors);
    for (name, request) in requests {
        if let Some(limit) = limits.get(name)
            && request.exceeds(*limit)
        {
            let message =
                format!("must be less than or equal to {name} limit of {}", limit.canonical());
            let value = json!(request.canonical());
            errors.push(FieldError::invalid(format!("{field}.requests"), &value, &message));
        }
    }
    errors
}

fn amounts<'a>(
    amounts: Option<&'a BTreeMap<String, Amount>>,
    field: &str,
    errors: &mut Vec<FieldError>,
) -> BTreeMap<&'a str, Quantity> {
    let mut read = BTreeMap::new();
    for (name, amount) in amounts.into_iter().flatten() {
        let field = format!("{field}[{name}]");
        match Quantity::parse(&amount.0) {
            None => errors.push(FieldError::invalid(field, &json!(amount.0), QUANTITY)),
            Some(quantity) if quantity.is_negative() => {
                let message = "must be greater than or equal to 0";
                errors.push(FieldError::invalid(field, &json!(amount.0), message));
            }
            Some(quantity) => {
                read.insert(name.as_str(), quantity);
            }
        }
    }
    read
}
