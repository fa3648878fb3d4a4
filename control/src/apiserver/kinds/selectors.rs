//! Label selectors of objects (`metav1.LabelSelector`).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use serde_json::json;

use super::checks::{self, invalid};
use crate::apiserver::resource::FieldError;

/// Whether labels are selected.
pub(crate) fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let pairs = selector.match_labels.iter().flatten();
    let terms = selector.match_expressions.iter().flatten();
    pairs.into_iter().all(|(key, value)| labels.get(key) == Some(value))
        && terms.into_iter().all(|term| {
            let value = labels.get(&term.key);
            let listed =
                value.is_some_and(|value| term.values.iter().flatten().any(|v| v == value));
            match term.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                _ => value.is_none(),
            }
        })
}

/// Whether a selector has no terms.
pub(super) fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.iter().flatten().next().is_none()
        && selector.match_expressions.iter().flatten().next().is_none()
}

/// `ValidateLabelSelector`.
pub(super) fn validate(selector: &LabelSelector, field: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(labels) = &selector.match_labels {
        errors.extend(checks::labels(labels, &format!("{field}.matchLabels")));
    }
    for (index, term) in selector.match_expressions.iter().flatten().enumerate() {
        errors.extend(requirement(term, &format!("{field}.matchExpressions[{index}]")));
    }
    errors
}

fn requirement(term: &LabelSelectorRequirement, field: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let values = term.values.as_deref().unwrap_or_default();
    let of_values = format!("{field}.values");
    match term.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => {
            let detail = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(FieldError::required(of_values.clone(), detail));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(FieldError::forbidden(of_values.clone(), detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        operator => errors.push(FieldError::invalid(
            format!("{field}.operator"),
            &json!(operator),
            "not a valid selector operator",
        )),
    }
    let key = format!("{field}.key");
    errors.extend(invalid(&key, &json!(term.key), checks::qualified_name(&term.key)));
    for (index, value) in values.iter().enumerate() {
        let field = format!("{of_values}[{index}]");
        errors.extend(invalid(&field, &json!(value), checks::label_value(value)));
    }
    errors
}
