//! Pods, and the Pods of templates.
//!
//! | file | what |
//! |---|---|
//! | `defaults` | what a client may leave out of a `PodSpec` |
//! | `lifecycle` | what a Pod begins with, and what an update may change of it |
//! | `rules` | what may stand in a `PodSpec` |
//! | `containers`, `probes` | what may stand in its containers |
//! | `warnings` | what clients are told beside the answer |
//! | `columns` | what `kubectl get pods` shows |

mod columns;
mod containers;
mod defaults;
mod lifecycle;
mod probes;
mod rules;
#[cfg(test)]
mod tests;
mod warnings;

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

pub(super) use self::defaults::pod_spec as default_pod_spec;
pub(super) use self::rules::template as validate_template;
pub(super) use self::warnings::of_template as warnings_of_template;
use super::decoding::{change, plain, read, with_quantities};
use crate::apiserver::resource::{FieldError, Resource, Subresource};

/// What there is to know of the kind.
pub(super) const POD: Resource = Resource {
    short_names: &["po"],
    categories: &["all"],
    subresources: &[
        Subresource::Status,
        Subresource::Log,
        Subresource::Exec,
        Subresource::Eviction,
    ],
    decode: with_quantities::<Pod>,
    default,
    prepare: lifecycle::prepare,
    validate,
    warnings: warnings::of_pod,
    selectable_fields: &[
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ],
    columns: columns::COLUMNS,
    ..plain::<Pod>("pod")
};

fn default(object: &mut Value) {
    change(object, |pod: &mut Pod| {
        let spec = pod.spec.get_or_insert_default();
        defaults::pod_spec(spec);
        defaults::of_pods_only(spec);
    });
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let pod: Pod = read(new);
    let mut errors = Vec::new();
    if let Some(spec) = &pod.spec {
        errors.extend(rules::pod_spec(spec, "spec"));
    }
    if let Some(old) = old {
        errors.extend(lifecycle::validate_update(new, old));
    }
    errors
}
