//! What controllers want of the API server, as data.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde_json::{Value, json};

use super::kind::Kind;
use super::task::Key;

/// One request.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Change {
    pub(super) kind: Kind,
    /// The name is empty for what the server shall name.
    pub(super) key: Key,
    pub(super) verb: Verb,
    /// What is written down about it, in an Event.
    pub(super) told: Option<Told>,
}

/// What kind of request.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Verb {
    /// Makes the object.
    Create(Value),
    /// Puts it in place of the one at the same `resourceVersion`.
    Replace(Value),
    /// As [`Self::Replace`], of the status alone.
    ReplaceStatus(Value),
    /// As [`Self::Replace`], of a namespace's `spec.finalizers` alone.
    Finalize(Value),
    /// JSON merge patch; carries a `resourceVersion` where it must not meet another change.
    Patch(Value),
    /// Deletes the object, if it still has that uid.
    Delete { uid: String, propagation: Propagation },
    /// No change: goes on only if the object with that uid is really there, or really is not. What
    /// has been watched may be a moment old.
    Confirm { uid: String, exists: bool },
}

/// What becomes of objects that a deleted one owns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// An Event about a change.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Told {
    pub(super) about: ObjectReference,
    /// Who says it: `replicaset-controller`.
    pub(super) component: &'static str,
    /// Reason and message when it was done; `{name}` stands for the object's name.
    pub(super) done: Option<(&'static str, String)>,
    /// Reason and message when it was refused; `{error}` stands for why.
    pub(super) failed: Option<(&'static str, String)>,
}

impl Change {
    /// Makes an object.
    pub(super) fn create(kind: Kind, metadata: &ObjectMeta, object: &impl Serialize) -> Self {
        Self::new(kind, key_of(metadata), Verb::Create(to_json(object)))
    }

    /// Replaces an object.
    pub(super) fn replace(kind: Kind, metadata: &ObjectMeta, object: &impl Serialize) -> Self {
        Self::new(kind, key_of(metadata), Verb::Replace(to_json(object)))
    }

    /// Replaces an object's status.
    pub(super) fn status(kind: Kind, metadata: &ObjectMeta, object: &impl Serialize) -> Self {
        Self::new(kind, key_of(metadata), Verb::ReplaceStatus(to_json(object)))
    }

    /// Deletes an object and, later, what it owns.
    pub(super) fn delete(kind: Kind, metadata: &ObjectMeta) -> Self {
        Self::delete_with(kind, metadata, Propagation::Background)
    }

    /// Deletes an object.
    pub(super) fn delete_with(kind: Kind, metadata: &ObjectMeta, propagation: Propagation) -> Self {
        let uid = metadata.uid.clone().unwrap_or_default();
        Self::new(kind, key_of(metadata), Verb::Delete { uid, propagation })
    }

    /// Changes parts of an object's `metadata`, if nobody else has changed it.
    pub(super) fn patch_metadata(kind: Kind, metadata: &ObjectMeta, mut fields: Value) -> Self {
        fields["resourceVersion"] = json!(metadata.resource_version);
        Self::new(kind, key_of(metadata), Verb::Patch(json!({ "metadata": fields })))
    }

    /// Goes on only if the object is there.
    pub(super) fn confirm(kind: Kind, metadata: &ObjectMeta) -> Self {
        let uid = metadata.uid.clone().unwrap_or_default();
        Self::new(kind, key_of(metadata), Verb::Confirm { uid, exists: true })
    }

    /// Any request.
    pub(super) fn new(kind: Kind, key: Key, verb: Verb) -> Self {
        Self { kind, key, verb, told: None }
    }

    /// With an Event about it.
    pub(super) fn telling(self, told: Told) -> Self {
        Self { told: Some(told), ..self }
    }
}

/// Namespace and name of an object.
pub(super) fn key_of(metadata: &ObjectMeta) -> Key {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    Key::new(text(&metadata.namespace), text(&metadata.name))
}

/// A reference to an object, as Events and owner references make it.
pub(super) fn reference(kind: Kind, metadata: &ObjectMeta) -> ObjectReference {
    ObjectReference {
        api_version: Some(kind.api_version()),
        kind: Some(kind.kind().to_owned()),
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        uid: metadata.uid.clone(),
        resource_version: metadata.resource_version.clone(),
        field_path: None,
    }
}

/// Typed objects of the API are always JSON.
fn to_json(object: &impl Serialize) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}
