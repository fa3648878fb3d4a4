//! Events, of both groups that have them.

use jiff::Timestamp;
use k8s_openapi::api::{core, events};
use serde_json::{Value, json};

use super::cells::{UNKNOWN, at, int_at, number, since, str_at, text, wide};
use super::decoding::plain;
use crate::apiserver::resource::{Column, FieldError, Resource};

/// `v1`: what `kubectl` reads and client-go's older recorder writes.
pub(super) const EVENT: Resource = Resource {
    short_names: &["ev"],
    validate,
    selectable_fields: &[
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source.component",
        "type",
    ],
    columns: COLUMNS,
    ..plain::<core::v1::Event>("event")
};

/// `events.k8s.io/v1`: what newer recorders write.
pub(super) const NEW_EVENT: Resource = Resource {
    short_names: &["ev"],
    selectable_fields: &[
        "regarding.kind",
        "regarding.namespace",
        "regarding.name",
        "regarding.uid",
        "reason",
        "reportingController",
        "type",
    ],
    columns: COLUMNS,
    ..plain::<events::v1::Event>("event")
};

/// The two groups call the same things by different names.
const COLUMNS: &[Column] = &[
    text("Last Seen", "When it happened last.", |event, now| last_seen(event, now).into()),
    text("Type", "`Normal` or `Warning`.", |event, _| str_at(event, "/type").into()),
    text("Reason", "Why, in one word.", |event, _| str_at(event, "/reason").into()),
    text("Object", "What it is about.", |event, _| {
        let kind = str_at(about(event), "/kind").to_lowercase();
        match str_at(about(event), "/name") {
            "" => kind.into(),
            name => format!("{kind}/{name}").into(),
        }
    }),
    wide("Subobject", "Which part of the object.", |event, _| {
        str_at(about(event), "/fieldPath").into()
    }),
    wide("Source", "Who says so.", |event, _| source(event).into()),
    text("Message", "What happened.", |event, _| {
        let message = str_at(event, "/message");
        if message.is_empty() { str_at(event, "/note") } else { message }.trim().into()
    }),
    wide("First Seen", "When it happened first.", |event, now| first_seen(event, now).into()),
    Column {
        priority: 1,
        ..number("Count", "How often it happened.", |event, _| count(event).into())
    },
    wide("Name", "Name must be unique within a namespace.", |event, _| {
        str_at(event, "/metadata/name").into()
    }),
];

/// The object's fields under either name: of `v1` first.
fn either<'a>(event: &'a Value, old: &str, new: &str) -> &'a Value {
    event.pointer(old).unwrap_or_else(|| at(event, new))
}

fn about(event: &Value) -> &Value {
    either(event, "/involvedObject", "/regarding")
}

fn first_seen(event: &Value, now: Timestamp) -> String {
    let first = either(event, "/firstTimestamp", "/deprecatedFirstTimestamp");
    match since(first, now) {
        unknown if unknown == UNKNOWN => since(at(event, "/eventTime"), now),
        since => since,
    }
}

fn last_seen(event: &Value, now: Timestamp) -> String {
    let series = at(event, "/series/lastObservedTime");
    if !series.is_null() {
        return since(series, now);
    }
    let last = either(event, "/lastTimestamp", "/deprecatedLastTimestamp");
    match since(last, now) {
        unknown if unknown == UNKNOWN => first_seen(event, now),
        since => since,
    }
}

fn count(event: &Value) -> i64 {
    let series = int_at(event, "/series/count");
    let count = either(event, "/count", "/deprecatedCount").as_i64().unwrap_or_default();
    if series > 0 { series } else { count.max(1) }
}

fn source(event: &Value) -> String {
    let old = either(event, "/source", "/deprecatedSource");
    let (mut component, mut instance) = (str_at(old, "/component"), str_at(old, "/host"));
    if component.is_empty() {
        let new = either(event, "/reportingComponent", "/reportingController");
        component = new.as_str().unwrap_or_default();
        instance = str_at(event, "/reportingInstance");
    }
    if instance.is_empty() { component.to_owned() } else { format!("{component}, {instance}") }
}

/// `legacyValidateEvent`.
fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let namespace = str_at(new, "/metadata/namespace");
    let about = str_at(new, "/involvedObject/namespace");
    // Of objects without a namespace they are in `default`.
    let expected = if about.is_empty() { "default" } else { about };
    if namespace == expected || (about.is_empty() && namespace == "kube-system") {
        return Vec::new();
    }
    let message = "does not match event.namespace";
    vec![FieldError::invalid("involvedObject.namespace", &json!(about), message)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_the_same_for_both_groups() {
        let old = json!({"metadata": {"name": "web.1", "namespace": "default"},
            "involvedObject": {"kind": "Pod", "name": "web", "namespace": "default",
                "fieldPath": "spec.containers{a}"},
            "type": "Normal", "reason": "Started", "message": "Started container a\n", "count": 3,
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:05:00Z",
            "source": {"component": "kubelet", "host": "node"}});
        let new = json!({"metadata": {"name": "web.1", "namespace": "default"},
            "regarding": {"kind": "Pod", "name": "web", "fieldPath": "spec.containers{a}"},
            "type": "Normal", "reason": "Started", "note": "Started container a",
            "series": {"count": 3, "lastObservedTime": "2026-01-01T00:05:00.000000Z"},
            "eventTime": "2026-01-01T00:00:00.000000Z",
            "reportingController": "kubelet", "reportingInstance": "node"});
        let now = "2026-01-01T00:05:30Z".parse().unwrap();
        for event in [&old, &new] {
            let cells: Value = COLUMNS.iter().map(|column| (column.cell)(event, now)).collect();
            assert_eq!(
                cells,
                json!([
                    "30s",
                    "Normal",
                    "Started",
                    "pod/web",
                    "spec.containers{a}",
                    "kubelet, node",
                    "Started container a",
                    "5m30s",
                    3,
                    "web.1"
                ])
            );
        }
        assert_eq!(validate(&old, None), []);
        let mut elsewhere = old;
        elsewhere["metadata"]["namespace"] = json!("shop");
        assert_eq!(
            validate(&elsewhere, None)[0].to_string(),
            "involvedObject.namespace: Invalid value: \"default\": does not match event.namespace"
        );
    }
}
