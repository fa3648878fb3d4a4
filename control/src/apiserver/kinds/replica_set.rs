//! ReplicaSets.

use k8s_openapi::api::apps::v1::ReplicaSet;
use serde_json::Value;

use super::cells::{AGE, NAME, containers_at, int_at, number, selector_at, wide};
use super::decoding::{change, plain, read, with_quantities};
use super::workload;
use crate::apiserver::resource::{Column, FieldError, Resource, Subresource};

/// What there is to know of the kind.
pub(super) const REPLICA_SET: Resource = Resource {
    short_names: &["rs"],
    categories: &["all"],
    subresources: &[Subresource::Status, Subresource::Scale],
    decode: with_quantities::<ReplicaSet>,
    default,
    prepare,
    validate,
    warnings: |new, _| {
        let set: ReplicaSet = read(new);
        let templates = set.spec.iter().filter_map(|spec| spec.template.as_ref());
        templates.flat_map(workload::warnings).collect()
    },
    selectable_fields: &["status.replicas"],
    columns: COLUMNS,
    ..plain::<ReplicaSet>("replicaset")
};

const COLUMNS: &[Column] = &[
    NAME,
    number("Desired", "The Pods that are wanted.", |object, _| {
        int_at(object, "/spec/replicas").into()
    }),
    number("Current", "The Pods that there are.", |object, _| {
        int_at(object, "/status/replicas").into()
    }),
    number("Ready", "The Pods that are ready.", |object, _| {
        int_at(object, "/status/readyReplicas").into()
    }),
    AGE,
    wide("Containers", "The names of the containers.", |object, _| {
        containers_at(object, "/spec/template/spec/containers", "/name").into()
    }),
    wide("Images", "The images of the containers.", |object, _| {
        containers_at(object, "/spec/template/spec/containers", "/image").into()
    }),
    wide("Selector", "The labels of its Pods.", |object, _| {
        selector_at(object, "/spec/selector").into()
    }),
];

/// `SetDefaults_ReplicaSet`.
fn default(object: &mut Value) {
    change(object, |set: &mut ReplicaSet| {
        let spec = set.spec.get_or_insert_default();
        spec.replicas.get_or_insert(1);
        spec.template.iter_mut().for_each(workload::default_template);
    });
}

fn prepare(new: &mut Value, old: Option<&Value>) {
    workload::prepare(new, old);
    if old.is_none() {
        // Not left out by the Go type.
        new["status"]["replicas"] = 0.into();
    }
}

/// `ValidateReplicaSetSpec`.
fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let set: ReplicaSet = read(new);
    let Some(spec) = &set.spec else { return Vec::new() };
    let mut errors = workload::counts(&[
        ("replicas", spec.replicas),
        ("minReadySeconds", spec.min_ready_seconds),
    ]);
    match &spec.template {
        Some(template) => {
            errors.extend(workload::validate(&spec.selector, template, "ReplicaSet"));
        }
        None => errors.push(FieldError::required("spec.template", "")),
    }
    errors.extend(workload::same_selector(new, old));
    errors
}
