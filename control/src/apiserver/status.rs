//! Refusals, as clients of the Kubernetes API read them: `v1 Status`.

use serde_json::{Value, json};

use super::resource::{FieldError, Resource};

/// Why a request was refused.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Refusal {
    /// HTTP status code.
    pub(crate) code: u16,
    /// `NotFound`, `Invalid`, `Conflict`, …; empty for those that have none.
    pub(crate) reason: &'static str,
    /// One line for people.
    pub(crate) message: String,
    /// `details` of the Status; null when there are none.
    pub(crate) details: Value,
}

impl Refusal {
    /// One without details.
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    /// 400: the request itself makes no sense.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 404: `services "web" not found`.
    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} not found", qualified(resource));
        Self::new(404, "NotFound", message).about(resource, name)
    }

    /// 409: `services "web" already exists`.
    pub(crate) fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", qualified(resource));
        Self::new(409, "AlreadyExists", message).about(resource, name)
    }

    /// 409: somebody else was faster.
    pub(crate) fn conflict(resource: &Resource, name: &str, detail: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} {name:?}: {detail}", qualified(resource));
        Self::new(409, "Conflict", message).about(resource, name)
    }

    /// 410: the client's resourceVersion is older than what is remembered.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 403.
    pub(crate) fn forbidden(resource: &Resource, name: &str, detail: &str) -> Self {
        let message = format!("{} {name:?} is forbidden: {detail}", qualified(resource));
        Self::new(403, "Forbidden", message).about(resource, name)
    }

    /// 500: it is not the client's fault.
    pub(crate) fn internal(message: &str) -> Self {
        Self {
            details: json!({"causes": [{"message": message}]}),
            ..Self::new(500, "InternalError", format!("Internal error occurred: {message}"))
        }
    }

    /// 422: fields are wrong, all of them named.
    pub(crate) fn invalid(resource: &Resource, name: &str, errors: &[FieldError]) -> Self {
        let kind = if resource.group.is_empty() {
            resource.kind.to_owned()
        } else {
            format!("{}.{}", resource.kind, resource.group)
        };
        Self::invalid_as(&kind, name, errors)
    }

    /// 422: parameters of a request are wrong; `kind` is of `meta.k8s.io`, as `ListOptions`.
    pub(crate) fn invalid_options(kind: &str, errors: &[FieldError]) -> Self {
        Self::invalid_as(&format!("{kind}.meta.k8s.io"), "", errors)
    }

    /// 422 about a kind and its group, as `Scale.autoscaling`.
    pub(crate) fn invalid_as(kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
        let listed = match texts.as_slice() {
            [only] => only.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let causes: Vec<_> = errors
            .iter()
            .map(|error| json!({"reason": error.reason.as_str(), "message": error.message, "field": error.field}))
            .collect();
        let (short, group) = kind.split_once('.').unwrap_or((kind, ""));
        Self {
            details: json!({"name": name, "group": group, "kind": short, "causes": causes}),
            ..Self::new(422, "Invalid", format!("{kind} {name:?} is invalid: {listed}"))
        }
    }

    /// As JSON: `v1 Status`.
    pub(crate) fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }

    fn about(self, resource: &Resource, name: &str) -> Self {
        let details = json!({"name": name, "group": resource.group, "kind": resource.plural});
        Self { details, ..self }
    }
}

/// `services`, `deployments.apps`.
pub(crate) fn qualified(resource: &Resource) -> String {
    if resource.group.is_empty() {
        resource.plural.to_owned()
    } else {
        format!("{}.{}", resource.plural, resource.group)
    }
}
