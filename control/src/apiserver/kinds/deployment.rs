//! Deployments.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use super::cells::{AGE, NAME, containers_at, int_at, number, selector_at, text, wide};
use super::decoding::{change, plain, read, with_quantities};
use super::workload;
use crate::apiserver::resource::{Column, FieldError, Resource, Subresource};

const STRATEGIES: [&str; 2] = ["Recreate", "RollingUpdate"];

/// What there is to know of the kind.
pub(super) const DEPLOYMENT: Resource = Resource {
    short_names: &["deploy"],
    categories: &["all"],
    subresources: &[Subresource::Status, Subresource::Scale],
    decode: with_quantities::<Deployment>,
    default,
    prepare: workload::prepare,
    validate,
    warnings: |new, _| {
        let deployment: Deployment = read(new);
        deployment.spec.iter().flat_map(|spec| workload::warnings(&spec.template)).collect()
    },
    columns: COLUMNS,
    ..plain::<Deployment>("deployment")
};

const COLUMNS: &[Column] = &[
    NAME,
    text("Ready", "The Pods that are ready, of those that are wanted.", |object, _| {
        let (ready, wanted) =
            (int_at(object, "/status/readyReplicas"), int_at(object, "/spec/replicas"));
        format!("{ready}/{wanted}").into()
    }),
    number("Up-to-date", "The Pods that are as the template says.", |object, _| {
        int_at(object, "/status/updatedReplicas").into()
    }),
    number("Available", "The Pods that have been ready for long enough.", |object, _| {
        int_at(object, "/status/availableReplicas").into()
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

/// `SetDefaults_Deployment`.
fn default(object: &mut Value) {
    change(object, |deployment: &mut Deployment| {
        let spec = deployment.spec.get_or_insert_default();
        spec.replicas.get_or_insert(1);
        spec.revision_history_limit.get_or_insert(10);
        spec.progress_deadline_seconds.get_or_insert(600);
        let strategy = spec.strategy.get_or_insert_default();
        strategy.type_.take_if(|kind| kind.is_empty());
        let kind = strategy.type_.get_or_insert_with(|| "RollingUpdate".to_owned());
        if kind == "RollingUpdate" {
            let rolling = strategy.rolling_update.get_or_insert_default();
            let quarter = || IntOrString::String("25%".to_owned());
            rolling.max_surge.get_or_insert_with(quarter);
            rolling.max_unavailable.get_or_insert_with(quarter);
        }
        workload::default_template(&mut spec.template);
    });
}

/// `ValidateDeploymentSpec`.
fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let deployment: Deployment = read(new);
    let Some(spec) = &deployment.spec else { return Vec::new() };
    let mut errors = workload::counts(&[("replicas", spec.replicas)]);
    errors.extend(workload::validate(&spec.selector, &spec.template, "ReplicaSet"));
    if let Some(strategy) = &spec.strategy {
        errors.extend(validate_strategy(strategy));
    }
    errors.extend(workload::counts(&[
        ("minReadySeconds", spec.min_ready_seconds),
        ("revisionHistoryLimit", spec.revision_history_limit),
        ("progressDeadlineSeconds", spec.progress_deadline_seconds),
    ]));
    errors.extend(deadline(spec));
    errors.extend(workload::same_selector(new, old));
    errors
}

fn deadline(spec: &DeploymentSpec) -> Option<FieldError> {
    let seconds = spec.progress_deadline_seconds?;
    let message = "must be greater than minReadySeconds";
    (seconds <= spec.min_ready_seconds.unwrap_or_default())
        .then(|| FieldError::invalid("spec.progressDeadlineSeconds", &json!(seconds), message))
}

fn validate_strategy(strategy: &DeploymentStrategy) -> Vec<FieldError> {
    const ROLLING: &str = "spec.strategy.rollingUpdate";
    let kind = strategy.type_.as_deref().unwrap_or_default();
    let mut errors = Vec::new();
    match (kind, &strategy.rolling_update) {
        ("Recreate", Some(_)) => {
            let message = "may not be specified when strategy `type` is 'Recreate'";
            errors.push(FieldError::forbidden(ROLLING, message));
        }
        ("RollingUpdate", Some(rolling)) => {
            let (unavailable, surge) =
                (rolling.max_unavailable.as_ref(), rolling.max_surge.as_ref());
            let field = format!("{ROLLING}.maxUnavailable");
            errors.extend(workload::share(unavailable, &field));
            errors.extend(workload::share(surge, &format!("{ROLLING}.maxSurge")));
            if workload::is_zero(unavailable) && workload::is_zero(surge) {
                let message = "may not be 0 when `maxSurge` is 0";
                errors.push(FieldError::invalid(field, &json!(unavailable), message));
            }
        }
        ("Recreate" | "RollingUpdate", None) => {}
        _ => {
            let field = "spec.strategy.type";
            errors.push(FieldError::not_supported(field, &json!(kind), &STRATEGIES));
        }
    }
    errors
}
