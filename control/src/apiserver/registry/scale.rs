//! The scale subresource: how many replicas, in the words of `autoscaling/v1`, whatever the kind.

use serde_json::{Value, json};

use super::object::Object;
use super::options::WriteOptions;
use super::update::change;
use super::writing::Transaction;
use super::{Place, Registry, Written, metadata};
use crate::apiserver::resource::FieldError;
use crate::apiserver::status::Refusal;

/// The Scale of an object.
pub(super) fn scale_of(place: Place<'_>, object: &Object) -> Object {
    Object::new(place.of, &to_scale(&object.value()))
}

/// The same as JSON.
pub(super) fn to_scale(object: &Value) -> Value {
    let mut of_metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        metadata::set(&mut of_metadata, field, &object["metadata"][field]);
    }
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": of_metadata,
        "spec": {"replicas": object["spec"]["replicas"].as_i64().unwrap_or(0)},
        "status": {
            "replicas": object["status"]["replicas"].as_i64().unwrap_or(0),
            "selector": selector_text(&object["spec"]["selector"]),
        },
    })
}

/// Replaces the Scale of an object.
pub(super) fn update(
    registry: &Registry,
    place: Place<'_>,
    name: &str,
    scale: Value,
    options: &WriteOptions,
) -> Result<Written, Refusal> {
    registry.write(options.dry_run, |transaction| {
        let before = transaction
            .get(place.kind, place.namespace, name)
            .ok_or_else(|| Refusal::not_found(place.of, name))?;
        rescale(transaction, place, &before, scale)
    })
}

/// Checks a Scale and has the object follow it.
pub(super) fn rescale(
    transaction: &mut Transaction<'_>,
    place: Place<'_>,
    before: &Object,
    scale: Value,
) -> Result<Written, Refusal> {
    let (kind, version) = (&scale["kind"], &scale["apiVersion"]);
    let right = |given: &Value, wanted: &str| given.is_null() || given == wanted || given == "";
    if !scale.is_object() || !right(kind, "Scale") || !right(version, "autoscaling/v1") {
        return Err(Refusal::bad_request(format!(
            "{} in version {} cannot be handled as a Scale: autoscaling/v1 Scale is wanted",
            kind.as_str().unwrap_or("what was sent"),
            version,
        )));
    }
    metadata::check_place(&scale, place.namespace, before.name())?;
    let replicas = &scale["spec"]["replicas"];
    let replicas = match replicas.as_i64().map(i32::try_from) {
        Some(Ok(replicas)) => replicas,
        None if replicas.is_null() => 0,
        _ => {
            return Err(Refusal::bad_request(format!(
                "Scale in version \"v1\" cannot be handled as a Scale: json: cannot unmarshal \
                 {replicas} into Go struct field ScaleSpec.spec.replicas of type int32"
            )));
        }
    };
    if replicas < 0 {
        let detail = "must be greater than or equal to 0";
        let error = FieldError::invalid("spec.replicas", &json!(replicas), detail);
        return Err(Refusal::invalid_as("Scale.autoscaling", before.name(), &[error]));
    }
    let mut new = before.value();
    for field in ["uid", "resourceVersion"] {
        metadata::set(&mut new["metadata"], field, &scale["metadata"][field]);
    }
    new["spec"]["replicas"] = replicas.into();
    let written = change(transaction, place, None, before, new, Vec::new())?;
    Ok(Written { object: scale_of(place, &written.object), ..written })
}

/// A `LabelSelector` as text, as `metav1.FormatLabelSelector` writes it.
fn selector_text(selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut terms: Vec<(String, String)> = labels
        .map(|(key, value)| (key.clone(), format!("{key}={}", value.as_str().unwrap_or_default())))
        .collect();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let mut values = metadata::list(&expression["values"]);
        values.sort_unstable();
        let values = values.join(",");
        let text = match expression["operator"].as_str().unwrap_or_default() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        };
        terms.push((key.to_owned(), text));
    }
    terms.sort();
    terms.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",")
}
