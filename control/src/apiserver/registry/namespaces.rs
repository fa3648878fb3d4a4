//! The life of namespaces: what may be made in them, and how they end.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::object::Object;
use super::writing::Transaction;
use super::{Deleted, Place, metadata};
use crate::apiserver::resource::Resource;
use crate::apiserver::status::Refusal;

/// Those that every cluster has. They cannot be deleted.
pub(super) const ALWAYS: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// Whether these are namespaces.
pub(super) fn is_namespace(of: &Resource) -> bool {
    of.group.is_empty() && of.kind == "Namespace"
}

/// Whether somebody has yet to say that a namespace is empty.
pub(super) fn has_content(namespace: &Value) -> bool {
    !metadata::list(&namespace["spec"]["finalizers"]).is_empty()
}

/// Whether something may be made in the place's namespace.
pub(super) fn check(
    transaction: &Transaction<'_>,
    place: Place<'_>,
    name: &str,
) -> Result<(), Refusal> {
    if !place.of.namespaced {
        return Ok(());
    }
    let Some((index, of)) = transaction.read(|state| {
        let kind = state.kinds.iter().position(|kind| is_namespace(kind.of))?;
        Some((kind, state.kinds[kind].of))
    }) else {
        return Ok(());
    };
    let Some(namespace) = transaction.get(index, "", place.namespace) else {
        return Err(Refusal::not_found(of, place.namespace));
    };
    if !namespace.is_ending() {
        return Ok(());
    }
    let namespace = place.namespace;
    let mut refusal = Refusal::forbidden(
        place.of,
        name,
        &format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        ),
    );
    refusal.details["causes"] = json!([{
        "reason": "NamespaceTerminating",
        "message": format!("namespace {namespace} is being terminated"),
        "field": "metadata.namespace",
    }]);
    Err(refusal)
}

/// Begins the end of a namespace: whoever empties it takes `kubernetes` out of its
/// `spec.finalizers`. None when it has begun and nobody is to be waited for.
pub(super) fn delete(
    transaction: &mut Transaction<'_>,
    place: Place<'_>,
    before: &Object,
    value: &mut Value,
) -> Result<Option<Deleted>, Refusal> {
    if ALWAYS.contains(&before.name()) {
        let detail = "this namespace may not be deleted";
        return Err(Refusal::forbidden(place.of, before.name(), detail));
    }
    if !before.is_ending() {
        value["metadata"]["deletionTimestamp"] = metadata::time(Timestamp::now()).into();
        value["status"]["phase"] = "Terminating".into();
    } else if has_content(value) {
        return Ok(Some(Deleted { object: before.clone(), gone: false }));
    } else {
        return Ok(None);
    }
    if !has_content(value) && metadata::list(&value["metadata"]["finalizers"]).is_empty() {
        return Ok(None);
    }
    let object = transaction.put(place.of, place.kind, Some(before.clone()), value.clone());
    Ok(Some(Deleted { object, gone: false }))
}
