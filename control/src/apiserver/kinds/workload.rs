//! What Deployments, ReplicaSets and DaemonSets share: a selector, and a template of the Pods that
//! it selects (k8s.io/kubernetes/pkg/apis/apps/validation).

use std::fmt::Display;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use super::checks::{self, not_negative};
use super::pod::{default_pod_spec, validate_template, warnings_of_template};
use super::{generation, selectors};
use crate::apiserver::resource::FieldError;

const TEMPLATE: &str = "spec.template";
const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' \
                       (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";

/// Fills in the template.
pub(super) fn default_template(template: &mut PodTemplateSpec) {
    template.metadata.get_or_insert_default();
    default_pod_spec(template.spec.get_or_insert_default());
}

/// Clients do not set the status; every other change of the specification counts.
pub(super) fn prepare(new: &mut Value, old: Option<&Value>) {
    new["status"] = old.map_or_else(|| json!({}), |old| old["status"].clone());
    generation::count(new, old, &["spec"]);
}

/// The selector, which may not change, and the template that it has to select.
pub(super) fn validate(
    selector: &LabelSelector,
    template: &PodTemplateSpec,
    owner: &str,
) -> Vec<FieldError> {
    let mut errors = selectors::validate(selector, "spec.selector");
    // The type cannot tell none from one that is empty, which is as wrong.
    if selectors::is_empty(selector) {
        errors.push(FieldError::required("spec.selector", ""));
    }
    let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.clone());
    let labels = labels.unwrap_or_default();
    if selectors::is_empty(selector) || !selectors::matches(selector, &labels) {
        let shown = if labels.is_empty() { Value::Null } else { json!(labels) };
        let field = format!("{TEMPLATE}.metadata.labels");
        let message = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid(field, &shown, message));
    }
    errors.extend(validate_template(template, TEMPLATE));
    let Some(spec) = &template.spec else { return errors };
    let policy = spec.restart_policy.as_deref().unwrap_or_default();
    if matches!(policy, "OnFailure" | "Never") {
        let field = format!("{TEMPLATE}.spec.restartPolicy");
        errors.push(FieldError::not_supported(field, &json!(policy), &["Always"]));
    }
    if spec.active_deadline_seconds.is_some() {
        let field = format!("{TEMPLATE}.spec.activeDeadlineSeconds");
        let message = format!("activeDeadlineSeconds in {owner} is not Supported");
        errors.push(FieldError::forbidden(field, &message));
    }
    errors
}

/// The selector stays for life.
pub(super) fn same_selector(new: &Value, old: Option<&Value>) -> Option<FieldError> {
    let (new, old) = (&new["spec"]["selector"], &old?["spec"]["selector"]);
    (new != old).then(|| FieldError::invalid("spec.selector", new, checks::IMMUTABLE))
}

/// Numbers of a specification that cannot be less than none.
pub(super) fn counts(fields: &[(&str, Option<i32>)]) -> Vec<FieldError> {
    fields
        .iter()
        .filter_map(|(name, value)| not_negative(&format!("spec.{name}"), *value))
        .collect()
}

/// `ValidatePositiveIntOrPercent` and `IsNotMoreThan100Percent`.
pub(super) fn share(value: Option<&IntOrString>, field: &str) -> Vec<FieldError> {
    match value {
        Some(IntOrString::Int(number)) => not_negative(field, Some(*number)).into_iter().collect(),
        Some(IntOrString::String(text)) => {
            let percent = text.strip_suffix('%').and_then(|digits| digits.parse::<u32>().ok());
            let invalid = |message: &dyn Display| {
                vec![FieldError::invalid(field, &json!(text), &message.to_string())]
            };
            match percent {
                None => invalid(&PERCENT),
                Some(101..) => invalid(&"must not be greater than 100%"),
                Some(_) => Vec::new(),
            }
        }
        None => Vec::new(),
    }
}

/// Whether a number or percentage is none.
pub(super) fn is_zero(value: Option<&IntOrString>) -> bool {
    match value {
        Some(IntOrString::Int(number)) => *number == 0,
        Some(IntOrString::String(text)) => text.trim_end_matches('%').parse() == Ok(0),
        None => true,
    }
}

/// Of the Pods of the template.
pub(super) fn warnings(template: &PodTemplateSpec) -> Vec<String> {
    warnings_of_template(template, TEMPLATE)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::apiserver::kinds::by_plural;
    use crate::apiserver::resource::Resource;

    fn kind(plural: &str) -> &'static Resource {
        by_plural("apps", "v1", plural).unwrap()
    }

    fn prepared(plural: &str, spec: Value, old: Option<&Value>) -> Value {
        let of = kind(plural);
        let metadata = json!({"name": "web",
            "generation": old.map(|old| old["metadata"]["generation"].clone())});
        let object =
            json!({"apiVersion": "apps/v1", "kind": of.kind, "metadata": metadata, "spec": spec});
        let mut object = (of.decode)(object).unwrap().object;
        (of.default)(&mut object);
        (of.prepare)(&mut object, old);
        object
    }

    fn template(label: &str) -> Value {
        json!({"metadata": {"labels": {"app": label}}, "spec": {"containers": [{"name": "a", "image": "i:1"}]}})
    }

    fn errors(plural: &str, spec: Value, old: Option<&Value>) -> String {
        let errors = (kind(plural).validate)(&prepared(plural, spec, old), old);
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_a_deployment_leaves_out_is_filled_in() {
        let spec = json!({"selector": {"matchLabels": {"app": "a"}}, "template": template("a")});
        let object = prepared("deployments", spec, None);
        assert_eq!(
            object["spec"],
            json!({
                "replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
                "strategy": {"type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
                "selector": {"matchLabels": {"app": "a"}},
                "template": {"metadata": {"labels": {"app": "a"}}, "spec": {
                    "containers": [{"name": "a", "image": "i:1", "imagePullPolicy": "IfNotPresent",
                        "resources": {}, "terminationMessagePath": "/dev/termination-log",
                        "terminationMessagePolicy": "File"}],
                    "dnsPolicy": "ClusterFirst", "restartPolicy": "Always",
                    "schedulerName": "default-scheduler", "securityContext": {},
                    "terminationGracePeriodSeconds": 30}},
            })
        );
        assert_eq!((&object["metadata"]["generation"], &object["status"]), (&json!(1), &json!({})));
        let mut scaled = object["spec"].clone();
        scaled["replicas"] = json!(2);
        let scaled = prepared("deployments", scaled, Some(&object));
        assert_eq!(scaled["metadata"]["generation"], 2);
    }

    #[test]
    fn workloads_are_refused_in_the_real_words() {
        let selector = json!({"matchLabels": {"app": "a"}});
        let with = |field: &str, value: Value| {
            let mut spec = json!({"selector": selector, "template": template("a")});
            spec[field] = value;
            spec
        };
        for (plural, spec, expected) in [
            ("deployments", with("replicas", json!(3)), ""),
            (
                "deployments",
                with("replicas", json!(-1)),
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                "deployments",
                with("template", template("b")),
                "spec.template.metadata.labels: Invalid value: {\"app\":\"b\"}: `selector` does not \
                 match template `labels`",
            ),
            (
                "replicasets",
                with("selector", json!({})),
                "spec.selector: Required value\n\
                 spec.template.metadata.labels: Invalid value: {\"app\":\"a\"}: `selector` does not \
                 match template `labels`",
            ),
            (
                "deployments",
                with("selector", json!({"matchExpressions": [{"key": "app", "operator": "In"}]})),
                "spec.selector.matchExpressions[0].values: Required value: must be specified when \
                 `operator` is 'In' or 'NotIn'\n\
                 spec.template.metadata.labels: Invalid value: {\"app\":\"a\"}: `selector` does not \
                 match template `labels`",
            ),
            (
                "deployments",
                with("strategy", json!({"type": "Recreate", "rollingUpdate": {}})),
                "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` \
                 is 'Recreate'",
            ),
            (
                "deployments",
                with("strategy", json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}})),
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 \
                 when `maxSurge` is 0",
            ),
            (
                "deployments",
                with(
                    "strategy",
                    json!({"rollingUpdate": {"maxSurge": "x", "maxUnavailable": "200%"}}),
                ),
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"200%\": must not be \
                 greater than 100%\n\
                 spec.strategy.rollingUpdate.maxSurge: Invalid value: \"x\": a valid percent string \
                 must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex \
                 used for validation is '[0-9]+%')",
            ),
            (
                "deployments",
                with("progressDeadlineSeconds", json!(0)),
                "spec.progressDeadlineSeconds: Invalid value: 0: must be greater than \
                 minReadySeconds",
            ),
            (
                "daemonsets",
                with(
                    "template",
                    json!({"metadata": {"labels": {"app": "a"}}, "spec": {
                    "restartPolicy": "Never", "containers": [{"name": "A", "image": ""}]}}),
                ),
                "spec.template.spec.containers[0].name: Invalid value: \"A\": a lowercase RFC 1123 \
                 label must consist of lower case alphanumeric characters or '-', and must start \
                 and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used \
                 for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')\n\
                 spec.template.spec.containers[0].image: Required value\n\
                 spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \
                 \"Always\"",
            ),
        ] {
            assert_eq!(errors(plural, spec.clone(), None), expected, "{plural} {spec}");
        }
    }

    #[test]
    fn a_selector_stays() {
        for plural in ["deployments", "replicasets", "daemonsets"] {
            let spec = |label| json!({"selector": {"matchLabels": {"app": label}}, "template": template(label)});
            let old = prepared(plural, spec("a"), None);
            assert_eq!(errors(plural, spec("a"), Some(&old)), "");
            assert_eq!(
                errors(plural, spec("b"), Some(&old)),
                "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"b\"}}: field is immutable"
            );
        }
    }

    #[test]
    fn columns_are_as_people_know_them() {
        let selector = json!({"matchLabels": {"app": "a"}});
        let now = "2026-01-01T00:05:30Z".parse().unwrap();
        for (plural, status, expected) in [
            (
                "deployments",
                json!({"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1}),
                "\"web\" \"2/3\" 3 1 \"5m30s\" \"a\" \"i:1\" \"app=a\"",
            ),
            (
                "replicasets",
                json!({"replicas": 3, "readyReplicas": 2}),
                "\"web\" 3 3 2 \"5m30s\" \"a\" \"i:1\" \"app=a\"",
            ),
            (
                "daemonsets",
                json!({"desiredNumberScheduled": 1}),
                "\"web\" 1 0 0 0 0 \"<none>\" \"5m30s\" \"a\" \"i:1\" \"app=a\"",
            ),
        ] {
            let mut spec = json!({"selector": selector, "template": template("a")});
            if plural != "daemonsets" {
                spec["replicas"] = json!(3);
            }
            let mut object = prepared(plural, spec, None);
            object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
            object["status"] = status;
            let cells = kind(plural).columns.iter().map(|column| (column.cell)(&object, now));
            let cells: Vec<_> = cells.map(|cell| cell.to_string()).collect();
            assert_eq!(cells.join(" "), expected);
        }
    }
}
