use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use crate::apiserver::kinds::checks::{self, invalid};
use crate::apiserver::resource::FieldError;

const SCHEMES: [&str; 2] = ["HTTP", "HTTPS"];

/// The probes of a container.
pub(super) fn of(container: &Container, field: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (name, probe) in named(container) {
        let Some(probe) = probe else { continue };
        let field = format!("{field}.{name}");
        errors.extend(one(probe, &field));
        // Once alive, always alive: more than one success says nothing.
        if name != "readinessProbe"
            && let Some(threshold) = probe.success_threshold.filter(|threshold| *threshold != 1)
        {
            let field = format!("{field}.successThreshold");
            errors.push(FieldError::invalid(field, &json!(threshold), "must be 1"));
        }
    }
    errors
}

/// Init containers end; there is nothing to probe.
pub(super) fn forbidden(container: &Container, field: &str) -> Vec<FieldError> {
    let probes = named(container).into_iter().filter(|(_, probe)| probe.is_some());
    let message = "may not be set for init containers without restartPolicy=Always";
    probes.map(|(name, _)| FieldError::forbidden(format!("{field}.{name}"), message)).collect()
}

fn named(container: &Container) -> [(&'static str, Option<&Probe>); 3] {
    [
        ("livenessProbe", container.liveness_probe.as_ref()),
        ("readinessProbe", container.readiness_probe.as_ref()),
        ("startupProbe", container.startup_probe.as_ref()),
    ]
}

fn one(probe: &Probe, field: &str) -> Vec<FieldError> {
    let mut errors = handler(probe, field);
    for (name, value) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        errors.extend(checks::not_negative(&format!("{field}.{name}"), value));
    }
    if let Some(seconds) = probe.termination_grace_period_seconds.filter(|seconds| *seconds <= 0) {
        let field = format!("{field}.terminationGracePeriodSeconds");
        errors.push(FieldError::invalid(field, &json!(seconds), "must be greater than 0"));
    }
    errors
}

fn handler(probe: &Probe, field: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = false;
    let handlers = [
        ("exec", probe.exec.is_some()),
        ("httpGet", probe.http_get.is_some()),
        ("tcpSocket", probe.tcp_socket.is_some()),
        ("grpc", probe.grpc.is_some()),
    ];
    for (name, _) in handlers.into_iter().filter(|(_, set)| *set) {
        let field = format!("{field}.{name}");
        if std::mem::replace(&mut seen, true) {
            errors.push(FieldError::forbidden(field, "may not specify more than 1 handler type"));
            continue;
        }
        match name {
            "exec" => {
                let command = probe.exec.as_ref().and_then(|exec| exec.command.as_deref());
                if command.unwrap_or_default().is_empty() {
                    errors.push(FieldError::required(format!("{field}.command"), ""));
                }
            }
            "httpGet" => errors.extend(probe.http_get.iter().flat_map(|get| http_get(get, &field))),
            "tcpSocket" => {
                let ports = probe.tcp_socket.iter().map(|socket| &socket.port);
                errors
                    .extend(ports.flat_map(|port| number_or_name(port, &format!("{field}.port"))));
            }
            _ => {
                let ports = probe.grpc.iter().map(|grpc| grpc.port);
                for port in ports.filter(|port| !checks::is_port(*port)) {
                    let field = format!("{field}.port");
                    errors.push(FieldError::invalid(field, &json!(port), checks::PORT_RANGE));
                }
            }
        }
    }
    if !seen {
        errors.push(FieldError::required(field, "must specify a handler type"));
    }
    errors
}

fn http_get(get: &HTTPGetAction, field: &str) -> Vec<FieldError> {
    let mut errors = number_or_name(&get.port, &format!("{field}.port"));
    let scheme = get.scheme.as_deref().unwrap_or_default();
    if !SCHEMES.contains(&scheme) {
        let field = format!("{field}.scheme");
        errors.push(FieldError::not_supported(field, &json!(scheme), &SCHEMES));
    }
    errors
}

fn number_or_name(port: &IntOrString, field: &str) -> Vec<FieldError> {
    match port {
        IntOrString::Int(number) if !checks::is_port(*number) => {
            vec![FieldError::invalid(field, &json!(number), checks::PORT_RANGE)]
        }
        IntOrString::Int(_) => Vec::new(),
        IntOrString::String(name) => invalid(field, &json!(name), checks::port_name(name)),
    }
}
