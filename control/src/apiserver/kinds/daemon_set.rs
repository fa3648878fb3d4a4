//! DaemonSets: kept, not run.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use super::cells::{AGE, NAME, containers_at, int_at, labels_at, number, selector_at, text, wide};
use super::decoding::{change, plain, read, with_quantities};
use super::workload;
use crate::apiserver::resource::{Column, FieldError, Resource, Subresource};

const STRATEGIES: [&str; 2] = ["OnDelete", "RollingUpdate"];

/// What there is to know of the kind.
pub(super) const DAEMON_SET: Resource = Resource {
    short_names: &["ds"],
    categories: &["all"],
    subresources: &[Subresource::Status],
    decode: with_quantities::<DaemonSet>,
    default,
    prepare,
    validate,
    warnings: |new, _| {
        let set: DaemonSet = read(new);
        set.spec.iter().flat_map(|spec| workload::warnings(&spec.template)).collect()
    },
    columns: COLUMNS,
    ..plain::<DaemonSet>("daemonset")
};

const COLUMNS: &[Column] = &[
    NAME,
    number("Desired", "The Pods that are wanted, one a node.", |object, _| {
        int_at(object, "/status/desiredNumberScheduled").into()
    }),
    number("Current", "The Pods that there are.", |object, _| {
        int_at(object, "/status/currentNumberScheduled").into()
    }),
    number("Ready", "The Pods that are ready.", |object, _| {
        int_at(object, "/status/numberReady").into()
    }),
    number("Up-to-date", "The Pods that are as the template says.", |object, _| {
        int_at(object, "/status/updatedNumberScheduled").into()
    }),
    number("Available", "The Pods that have been ready for long enough.", |object, _| {
        int_at(object, "/status/numberAvailable").into()
    }),
    text("Node Selector", "The labels of the nodes that it is for.", |object, _| {
        labels_at(object, "/spec/template/spec/nodeSelector").into()
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

/// `SetDefaults_DaemonSet`.
fn default(object: &mut Value) {
    change(object, |set: &mut DaemonSet| {
        let spec = set.spec.get_or_insert_default();
        spec.revision_history_limit.get_or_insert(10);
        let strategy = spec.update_strategy.get_or_insert_default();
        strategy.type_.take_if(|kind| kind.is_empty());
        let kind = strategy.type_.get_or_insert_with(|| "RollingUpdate".to_owned());
        if kind == "RollingUpdate" {
            let rolling = strategy.rolling_update.get_or_insert_default();
            rolling.max_unavailable.get_or_insert(IntOrString::Int(1));
            rolling.max_surge.get_or_insert(IntOrString::Int(0));
        }
        workload::default_template(&mut spec.template);
    });
}

fn prepare(new: &mut Value, old: Option<&Value>) {
    workload::prepare(new, old);
    if old.is_none() {
        // Not left out by the Go type.
        new["status"] = json!({"currentNumberScheduled": 0, "numberMisscheduled": 0,
            "desiredNumberScheduled": 0, "numberReady": 0});
    }
}

/// `ValidateDaemonSetSpec`.
fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let set: DaemonSet = read(new);
    let Some(spec) = &set.spec else { return Vec::new() };
    let mut errors = workload::validate(&spec.selector, &spec.template, "DaemonSet");
    errors.extend(workload::counts(&[
        ("minReadySeconds", spec.min_ready_seconds),
        ("revisionHistoryLimit", spec.revision_history_limit),
    ]));
    if let Some(strategy) = &spec.update_strategy {
        const ROLLING: &str = "spec.updateStrategy.rollingUpdate";
        let kind = strategy.type_.as_deref().unwrap_or_default();
        if !STRATEGIES.contains(&kind) {
            let field = "spec.updateStrategy.type";
            errors.push(FieldError::not_supported(field, &json!(kind), &STRATEGIES));
        }
        if let Some(rolling) = &strategy.rolling_update {
            let unavailable = rolling.max_unavailable.as_ref();
            errors.extend(workload::share(unavailable, &format!("{ROLLING}.maxUnavailable")));
            let surge = rolling.max_surge.as_ref();
            errors.extend(workload::share(surge, &format!("{ROLLING}.maxSurge")));
        }
    }
    errors.extend(workload::same_selector(new, old));
    errors
}
