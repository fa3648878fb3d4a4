//! Garbage collection by owner, as `generic-garbage-collector` does it.
//!
//! - An object all of whose owners are gone is deleted (`Background`).
//! - An owner that was deleted with `Foreground` has a finalizer, and waits: its dependents are
//!   deleted, and when none is left that blocks it, the finalizer is taken away.
//! - One that was deleted with `Orphan` has a finalizer too: its dependents forget it, then it goes.
//!
//! Owners are compared by uid: another object under the same name owns nothing. What has been
//! watched may be a moment old, so an owner is looked for once more before anything is deleted. An
//! owner of a kind that is not served here is taken to be there.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::json;

use super::change::{Change, Propagation, Verb, key_of};
use super::kind::Kind;
use super::task::{Key, Plan};
use super::world::World;

/// Finalizer of an owner that waits for its dependents.
const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer of an owner that leaves its dependents behind.
const ORPHAN: &str = "orphan";

/// What has to be done about the object with that uid.
pub(super) fn plan(world: &World, uid: &str) -> Plan {
    let Some((kind, key)) = world.owners.place(uid).cloned() else { return Plan::none() };
    let Some(object) = world.metadata(kind, &key).filter(|of| of.uid.as_deref() == Some(uid))
    else {
        return Plan::none();
    };
    if object.deletion_timestamp.is_some() {
        if has_finalizer(object, ORPHAN) {
            return orphan_dependents(world, kind, object).into();
        }
        if has_finalizer(object, FOREGROUND) {
            return finish_foreground(world, kind, object).into();
        }
        return Plan::none();
    }
    without_owners(world, kind, object).into()
}

/// How an owner looks from a dependent.
enum Owner<'a> {
    Present,
    /// It waits for its dependents to go.
    Waiting,
    /// It has not been seen.
    Absent(Kind, &'a OwnerReference),
}

fn without_owners(world: &World, kind: Kind, object: &ObjectMeta) -> Vec<Change> {
    let references = object.owner_references.as_deref().unwrap_or_default();
    if references.is_empty() {
        return Vec::new();
    }
    let namespace = key_of(object).namespace;
    let owners: Vec<_> = references.iter().map(|of| look(world, &namespace, of)).collect();
    let present = owners.iter().any(|owner| matches!(owner, Owner::Present));
    let waiting = owners.iter().any(|owner| matches!(owner, Owner::Waiting));
    let absent = owners.iter().filter_map(|owner| match owner {
        Owner::Absent(kind, reference) => Some((*kind, *reference)),
        _ => None,
    });
    let absent: Vec<_> = absent.collect();
    // Whoever is still there keeps the object; it only forgets the others.
    if present {
        if absent.is_empty() && !waiting {
            return Vec::new();
        }
        let mut changes: Vec<_> =
            absent.iter().map(|(kind, of)| confirm_absent(*kind, &namespace, of)).collect();
        let kept = references.iter().zip(&owners);
        let kept = kept.filter(|(_, owner)| matches!(owner, Owner::Present));
        let kept: Vec<_> = kept.map(|(reference, _)| reference).collect();
        changes.push(Change::patch_metadata(kind, object, json!({ "ownerReferences": kept })));
        return changes;
    }
    let mut changes: Vec<_> =
        absent.iter().map(|(kind, of)| confirm_absent(*kind, &namespace, of)).collect();
    let uid = object.uid.as_deref().unwrap_or_default();
    let has_dependents = world.owners.dependents(uid).next().is_some();
    let propagation = if has_finalizer(object, ORPHAN) {
        Propagation::Orphan
    } else if has_finalizer(object, FOREGROUND) || (waiting && has_dependents) {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    changes.push(Change::delete_with(kind, object, propagation));
    changes
}

fn look<'a>(world: &World, namespace: &str, reference: &'a OwnerReference) -> Owner<'a> {
    let Some(kind) = Kind::find(&reference.api_version, &reference.kind) else {
        return Owner::Present;
    };
    let place = Key::new(if kind.is_namespaced() { namespace } else { "" }, &reference.name);
    let owner = world.metadata(kind, &place).filter(|of| of.uid.as_deref() == Some(&reference.uid));
    match owner {
        None => Owner::Absent(kind, reference),
        Some(owner) if owner.deletion_timestamp.is_some() && has_finalizer(owner, FOREGROUND) => {
            Owner::Waiting
        }
        Some(_) => Owner::Present,
    }
}

fn confirm_absent(kind: Kind, namespace: &str, reference: &OwnerReference) -> Change {
    let place = Key::new(if kind.is_namespaced() { namespace } else { "" }, &reference.name);
    Change::new(kind, place, Verb::Confirm { uid: reference.uid.clone(), exists: false })
}

/// The dependents of an owner that leaves them behind forget it.
fn orphan_dependents(world: &World, kind: Kind, owner: &ObjectMeta) -> Vec<Change> {
    let uid = owner.uid.as_deref().unwrap_or_default();
    let mut changes: Vec<_> = dependents(world, owner)
        .map(|(kind, object, _)| {
            let others: Vec<_> =
                object.owner_references.iter().flatten().filter(|of| of.uid != uid).collect();
            let others = if others.is_empty() { json!(null) } else { json!(others) };
            Change::patch_metadata(kind, object, json!({ "ownerReferences": others }))
        })
        .collect();
    changes.push(without_finalizer(kind, owner, ORPHAN));
    changes
}

/// An owner that waits for its dependents goes when none is left that blocks it. They are deleted
/// by their own tasks, which come when the owner's deletion is seen.
fn finish_foreground(world: &World, kind: Kind, owner: &ObjectMeta) -> Vec<Change> {
    let blocked = dependents(world, owner)
        .any(|(_, _, reference)| reference.block_owner_deletion.unwrap_or(false));
    if blocked { Vec::new() } else { vec![without_finalizer(kind, owner, FOREGROUND)] }
}

fn dependents<'a>(
    world: &'a World,
    owner: &'a ObjectMeta,
) -> impl Iterator<Item = (Kind, &'a ObjectMeta, &'a OwnerReference)> + 'a {
    let uid = owner.uid.as_deref().unwrap_or_default();
    world.owners.dependents(uid).filter_map(move |dependent| {
        let (kind, key) = world.owners.place(dependent)?;
        let object = world.metadata(*kind, key)?;
        let reference = object.owner_references.iter().flatten().find(|of| of.uid == uid)?;
        Some((*kind, object, reference))
    })
}

fn without_finalizer(kind: Kind, object: &ObjectMeta, finalizer: &str) -> Change {
    let left: Vec<_> = object.finalizers.iter().flatten().filter(|of| *of != finalizer).collect();
    Change::patch_metadata(kind, object, json!({ "finalizers": left }))
}

fn has_finalizer(object: &ObjectMeta, finalizer: &str) -> bool {
    object.finalizers.iter().flatten().any(|of| of == finalizer)
}
