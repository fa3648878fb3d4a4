use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use super::kind;
use crate::apiserver::kinds::checks::{self, invalid};
use crate::apiserver::resource::{FieldError, FieldReason};

/// The ports one by one.
pub(super) fn each(spec: &ServiceSpec) -> Vec<FieldError> {
    let ports = spec.ports.as_deref().unwrap_or_default();
    let mut names = BTreeSet::new();
    let mut errors = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let field = format!("spec.ports[{index}]");
        errors.extend(name(port, &field, ports.len() > 1, &mut names));
        if !checks::is_port(port.port) {
            let field = format!("{field}.port");
            errors.push(FieldError::invalid(field, &json!(port.port), checks::PORT_RANGE));
        }
        match port.protocol.as_deref().unwrap_or_default() {
            "" => errors.push(FieldError::required(format!("{field}.protocol"), "")),
            protocol if checks::PROTOCOLS.contains(&protocol) => {}
            protocol => errors.push(FieldError::not_supported(
                format!("{field}.protocol"),
                &json!(protocol),
                &checks::PROTOCOLS,
            )),
        }
        errors.extend(target_port(port, &format!("{field}.targetPort")));
        if let Some(protocol) = &port.app_protocol {
            let field = format!("{field}.appProtocol");
            errors.extend(invalid(&field, &json!(protocol), checks::qualified_name(protocol)));
        }
    }
    errors
}

/// What several ports may not share, and what the Service's type does not have.
pub(super) fn together(spec: &ServiceSpec) -> Vec<FieldError> {
    let ports = || spec.ports.iter().flatten().enumerate();
    let mut errors = Vec::new();
    if kind(spec) == "ClusterIP" {
        for (index, _) in ports().filter(|(_, port)| port.node_port.is_some()) {
            let field = format!("spec.ports[{index}].nodePort");
            errors.push(FieldError::forbidden(field, "may not be used when `type` is 'ClusterIP'"));
        }
    }
    let mut seen = BTreeSet::new();
    for (index, port) in ports() {
        let Some(number) = port.node_port else { continue };
        if !seen.insert((&port.protocol, number)) {
            let field = format!("spec.ports[{index}].nodePort");
            errors.push(FieldError::duplicate(field, &json!(number)));
        }
    }
    let mut seen = BTreeSet::new();
    for (index, port) in ports() {
        if !seen.insert((&port.protocol, port.port)) {
            errors.push(duplicate(index, port));
        }
    }
    errors
}

fn name<'a>(
    port: &'a ServicePort,
    field: &str,
    required: bool,
    names: &mut BTreeSet<&'a str>,
) -> Vec<FieldError> {
    let field = format!("{field}.name");
    let Some(name) = &port.name else {
        return if required { vec![FieldError::required(field, "")] } else { Vec::new() };
    };
    let mut errors = invalid(&field, &json!(name), checks::dns_label(name));
    if !names.insert(name) {
        errors.push(FieldError::duplicate(field, &json!(name)));
    }
    errors
}

fn target_port(port: &ServicePort, field: &str) -> Vec<FieldError> {
    match &port.target_port {
        Some(IntOrString::String(name)) => invalid(field, &json!(name), checks::port_name(name)),
        Some(IntOrString::Int(number)) if !checks::is_port(*number) => {
            vec![FieldError::invalid(field, &json!(number), checks::PORT_RANGE)]
        }
        _ => Vec::new(),
    }
}

/// The real server shows its internal type, with what two ports share.
fn duplicate(index: usize, port: &ServicePort) -> FieldError {
    let protocol = port.protocol.as_deref().unwrap_or_default();
    let shown = format!(
        "{{\"Name\":\"\",\"Protocol\":{protocol:?},\"AppProtocol\":null,\"Port\":{},\
         \"TargetPort\":0,\"NodePort\":0}}",
        port.port
    );
    let message = format!("Duplicate value: {shown}");
    FieldError::new(format!("spec.ports[{index}]"), FieldReason::Duplicate, message)
}
