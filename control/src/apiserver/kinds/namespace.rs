//! Namespaces.

use k8s_openapi::api::core::v1::Namespace;
use serde_json::{Value, json};

use super::cells::{AGE, NAME, str_at, text};
use super::decoding::plain;
use crate::apiserver::resource::{Column, Names, Resource, Subresource};

/// Has every namespace say its own name in a label, so that selectors can choose it.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// What there is to know of the kind.
pub(super) const NAMESPACE: Resource = Resource {
    short_names: &["ns"],
    namespaced: false,
    names: Names::Label,
    subresources: &[Subresource::Status, Subresource::Finalize],
    default,
    prepare,
    selectable_fields: &["status.phase"],
    columns: COLUMNS,
    ..plain::<Namespace>("namespace")
};

const COLUMNS: &[Column] = &[
    NAME,
    text("Status", "Whether the namespace is there or going.", |object, _| {
        str_at(object, "/status/phase").into()
    }),
    AGE,
];

/// `SetDefaults_Namespace`.
fn default(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    if name.as_str().is_some_and(|name| !name.is_empty()) {
        object["metadata"]["labels"][NAME_LABEL] = name;
    }
}

/// A new namespace waits, once it is deleted, until it is empty: whoever has emptied it takes the
/// finalizer away, through the `finalize` subresource.
fn prepare(new: &mut Value, old: Option<&Value>) {
    let begin = json!({"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
    let from = old.unwrap_or(&begin);
    for field in ["spec", "status"] {
        new[field] = from[field].clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_begins_active_and_named() {
        let mut object = json!({"metadata": {"name": "shop"}, "status": {"phase": "Odd"}});
        default(&mut object);
        prepare(&mut object, None);
        assert_eq!(
            object,
            json!({"metadata": {"name": "shop", "labels": {NAME_LABEL: "shop"}},
                "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}})
        );
        let mut emptied = object.clone();
        emptied["spec"] = json!({});
        prepare(&mut emptied, Some(&object));
        assert_eq!(emptied, object);
    }
}
