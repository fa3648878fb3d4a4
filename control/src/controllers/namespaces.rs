//! The end of namespaces: everything in them is deleted, then they may go.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, NamespaceSpec};

use super::change::{Change, Verb, key_of};
use super::kind::Kind;
use super::task::{Key, Plan};
use super::world::World;

/// In `spec.finalizers` of a namespace that is not empty yet.
const FINALIZER: &str = "kubernetes";
/// How long until it is looked again, should no watch say that an object is gone.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What a namespace that ends still needs.
pub(super) fn plan(world: &World, name: &str) -> Plan {
    let Some(namespace) = world.namespaces.get(&Key::new("", name)) else { return Plan::none() };
    let finalizers = namespace.spec.iter().flat_map(|spec| spec.finalizers.iter().flatten());
    let finalizers: Vec<_> = finalizers.cloned().collect();
    if namespace.metadata.deletion_timestamp.is_none()
        || !finalizers.iter().any(|of| of == FINALIZER)
    {
        return Plan::none();
    }
    let mut left = 0;
    let mut changes = Vec::new();
    // Events come last: those about the end of the others are new.
    let kinds = Kind::ALL.into_iter().filter(|kind| kind.is_namespaced());
    for kind in kinds.filter(|kind| *kind != Kind::Event) {
        let objects = world.metadata_in(kind, name);
        left += objects.len();
        let alive = objects.into_iter().filter(|of| of.deletion_timestamp.is_none());
        changes.extend(alive.map(|of| Change::delete(kind, of)));
    }
    if left > 0 {
        return Plan { changes, again_after: Some(LOOK_AGAIN) };
    }
    changes.extend(
        world.metadata_in(Kind::Event, name).into_iter().map(|of| Change::delete(Kind::Event, of)),
    );
    if !changes.is_empty() {
        return Plan { changes, again_after: Some(LOOK_AGAIN) };
    }
    let finalizers = finalizers.into_iter().filter(|of| of != FINALIZER).collect();
    let ended = Namespace {
        spec: Some(NamespaceSpec { finalizers: Some(finalizers) }),
        ..(**namespace).clone()
    };
    let finalize = Verb::Finalize(serde_json::to_value(&ended).unwrap_or_default());
    vec![Change::new(Kind::Namespace, key_of(&ended.metadata), finalize)].into()
}
