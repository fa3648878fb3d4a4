//! Which Pods are a ReplicaSet's: those that it owns and means; ones without an owner that it means
//! are adopted, its own that it no longer means are released.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::core::{Selector, SelectorExt};
use serde_json::json;

use super::owner_reference;
use crate::controllers::change::{Change, key_of};
use crate::controllers::kind::Kind;
use crate::controllers::world::record::PodRecord;
use crate::controllers::world::{World, controller};

/// The active Pods of a ReplicaSet, and what makes them so.
pub(super) struct Claimed {
    pub(super) pods: Vec<Arc<PodRecord>>,
    pub(super) changes: Vec<Change>,
}

/// None when the selector makes no sense.
pub(super) fn claim(world: &World, set: &ReplicaSet, spec: &ReplicaSetSpec) -> Option<Claimed> {
    let selector = Selector::try_from(spec.selector.clone()).ok()?;
    let nothing = BTreeMap::new();
    let means =
        |pod: &PodRecord| selector.matches(pod.metadata.labels.as_ref().unwrap_or(&nothing));
    let deleting = set.metadata.deletion_timestamp.is_some();
    let mut pods = Vec::new();
    let mut changes = Vec::new();
    for pod in world.pods_of(&set.metadata).filter(|pod| pod.is_active()) {
        if means(pod) {
            pods.push(pod.clone());
        } else if !deleting {
            changes.push(release(Kind::Pod, &pod.metadata, &set.metadata));
        }
    }
    let orphans = orphans(world, set, spec);
    let wanted: Vec<_> = orphans.into_iter().filter(|pod| pod.is_active() && means(pod)).collect();
    if !deleting && !wanted.is_empty() {
        // An owner that was deleted a moment ago would take what it adopts with it.
        changes.push(Change::confirm(Kind::ReplicaSet, &set.metadata));
        for pod in wanted {
            changes.push(adopt(Kind::Pod, &pod.metadata, Kind::ReplicaSet, &set.metadata));
            pods.push(pod);
        }
    }
    Some(Claimed { pods, changes })
}

fn orphans(world: &World, set: &ReplicaSet, spec: &ReplicaSetSpec) -> Vec<Arc<PodRecord>> {
    let key = key_of(&set.metadata);
    let without_owner = |pod: &&Arc<PodRecord>| controller(&pod.metadata).is_none();
    match spec.selector.match_labels.as_ref().filter(|labels| !labels.is_empty()) {
        Some(labels) => {
            world.pods_with(&key.namespace, labels).filter(without_owner).cloned().collect()
        }
        None => world.pods.in_namespace(&key.namespace).filter(without_owner).cloned().collect(),
    }
}

/// Makes `owner` the controller of an object.
pub(in super::super) fn adopt(
    kind: Kind,
    object: &ObjectMeta,
    owner_kind: Kind,
    owner: &ObjectMeta,
) -> Change {
    let mut owners = object.owner_references.clone().unwrap_or_default();
    owners.push(owner_reference(owner_kind, owner));
    Change::patch_metadata(kind, object, json!({ "ownerReferences": owners }))
}

/// Makes `owner` an owner of the object no longer.
pub(in super::super) fn release(kind: Kind, object: &ObjectMeta, owner: &ObjectMeta) -> Change {
    let uid = owner.uid.as_deref().unwrap_or_default();
    let others: Vec<&OwnerReference> =
        object.owner_references.iter().flatten().filter(|of| of.uid != uid).collect();
    let owners = if others.is_empty() { json!(null) } else { json!(others) };
    Change::patch_metadata(kind, object, json!({ "ownerReferences": owners }))
}
