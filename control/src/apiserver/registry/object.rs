//! Objects as they are kept: their JSON, and beside it the little that lists and watches ask for.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::apiserver::resource::Resource;

/// An object at one revision. Cheap to clone; everybody who sends it shares its bytes.
///
/// JSON takes a tenth of the memory of a [`Value`], and most objects are only ever sent on, so that
/// is what is kept; [`Self::value`] reads it anew each time.
#[derive(Clone)]
pub(crate) struct Object(Arc<Inner>);

struct Inner {
    namespace: Box<str>,
    name: Box<str>,
    revision: u64,
    /// Whether it has a `deletionTimestamp`.
    ending: bool,
    json: Bytes,
    labels: Box<[(Box<str>, Box<str>)]>,
    /// In the order of the kind's `selectable_fields`.
    fields: Box<[Box<str>]>,
}

impl Object {
    /// Of a kind, at the revision that its `metadata.resourceVersion` says.
    pub(super) fn new(of: &Resource, value: &Value) -> Self {
        let metadata = &value["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default();
        let labels = metadata["labels"].as_object().into_iter().flatten();
        Self(Arc::new(Inner {
            namespace: text("namespace").into(),
            name: text("name").into(),
            revision: text("resourceVersion").parse().unwrap_or_default(),
            ending: !metadata["deletionTimestamp"].is_null(),
            json: value.to_string().into(),
            labels: labels
                .map(|(key, value)| {
                    (key.as_str().into(), value.as_str().unwrap_or_default().into())
                })
                .collect(),
            fields: of.selectable_fields.iter().map(|path| field(value, path).into()).collect(),
        }))
    }

    /// As it goes over the wire: with `apiVersion` and `kind`.
    pub(crate) fn json(&self) -> &Bytes {
        &self.0.json
    }

    /// To look into.
    pub(crate) fn value(&self) -> Value {
        // It was written from a `Value`, so it reads as one.
        serde_json::from_slice(&self.0.json).unwrap_or_default()
    }

    /// Empty for objects outside of namespaces.
    pub(crate) fn namespace(&self) -> &str {
        &self.0.namespace
    }

    /// `metadata.name`.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// `metadata.resourceVersion`.
    pub(crate) fn revision(&self) -> u64 {
        self.0.revision
    }

    /// Whether it is being deleted.
    pub(crate) fn is_ending(&self) -> bool {
        self.0.ending
    }

    /// The value of a label.
    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.0.labels.iter().find(|(each, _)| &**each == key).map(|(_, value)| &**value)
    }

    /// The value of the kind's selectable field of that number.
    pub(super) fn field(&self, index: usize) -> &str {
        self.0.fields.get(index).map_or("", |value| value)
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0.json))
    }
}

/// The text at a path like `spec.nodeName`; what is not there is empty, as in Go.
fn field(value: &Value, path: &str) -> String {
    match path.split('.').fold(value, |value, name| &value[name]) {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
