//! ReplicaSets of Deployments, as `deployment-controller` makes them.
//!
//! A Deployment has one ReplicaSet for each Pod template that it ever had (up to its history limit);
//! the one of the present template is the new one. A rollout scales the new one up and the old ones
//! down, one careful step each time that something has changed.

mod creation;
mod member;
mod progress;
mod resize;
mod revision;
mod rollout;
pub(super) mod scaling;
mod template;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet};
use kube::core::{Selector, SelectorExt};

use self::rollout::Rollout;
use super::change::{Change, Told, key_of, reference};
use super::kind::Kind;
use super::replica_set::claim::{adopt, release};
use super::task::{Key, Moment, Plan};
use super::world::{World, controller_uid};

/// Who writes Events.
const COMPONENT: &str = "deployment-controller";

/// What a Deployment needs.
pub(super) fn plan(world: &World, key: &Key, moment: &Moment<'_>) -> Plan {
    let Some(deployment) = world.deployments.get(key) else { return Plan::none() };
    let Some(spec) = &deployment.spec else { return Plan::none() };
    let Ok(selector) = Selector::try_from(spec.selector.clone()) else { return Plan::none() };
    if selector.selects_all() {
        return Plan::none();
    }
    let (sets, changes) = claim(world, deployment, &selector);
    if !changes.is_empty() {
        return changes.into();
    }
    let taken = |name: &str| world.replica_sets.get(&Key::new(&key.namespace, name)).is_some();
    let mut rollout = Rollout::new(deployment, spec, sets, moment);
    if deployment.metadata.deletion_timestamp.is_some() {
        return rollout.finish();
    }
    rollout.note_pause();
    if is_paused(spec) || rollout.is_scaled() {
        rollout.note_new_set();
        rollout.scale();
        if is_paused(spec) {
            rollout.forget_history();
        }
        return rollout.finish();
    }
    let recreate = spec.strategy.as_ref().and_then(|of| of.type_.as_deref()) == Some("Recreate");
    if recreate {
        let old_pods =
            |set: &ReplicaSet| world.pods_of(&set.metadata).any(|pod| !pod.is_finished());
        rollout.recreate(&taken, &old_pods);
    } else {
        rollout.roll(&taken);
    }
    rollout.track_progress();
    rollout.finish()
}

fn is_paused(spec: &DeploymentSpec) -> bool {
    spec.paused.unwrap_or(false)
}

/// The ReplicaSets of a Deployment; and, if there are any, the changes that make them so, before
/// anything else is done.
fn claim(
    world: &World,
    deployment: &Deployment,
    selector: &Selector,
) -> (Vec<Arc<ReplicaSet>>, Vec<Change>) {
    let namespace = key_of(&deployment.metadata).namespace;
    let deleting = deployment.metadata.deletion_timestamp.is_some();
    let nothing = BTreeMap::new();
    let mut sets = Vec::new();
    let mut changes = Vec::new();
    let mut adopted = Vec::new();
    let own = deployment.metadata.uid.as_deref().unwrap_or_default();
    let own = world.replica_sets_of(own);
    for set in own.chain(world.lone_replica_sets(&namespace)).cloned() {
        let means = selector.matches(set.metadata.labels.as_ref().unwrap_or(&nothing));
        let owned = controller_uid(&set.metadata) == deployment.metadata.uid.as_deref();
        match (owned, means) {
            (true, true) => sets.push(set),
            (true, false) if !deleting => {
                changes.push(release(Kind::ReplicaSet, &set.metadata, &deployment.metadata));
            }
            (false, true) if !deleting && set.metadata.deletion_timestamp.is_none() => {
                adopted.push(adopt(
                    Kind::ReplicaSet,
                    &set.metadata,
                    Kind::Deployment,
                    &deployment.metadata,
                ));
            }
            _ => {}
        }
    }
    if !adopted.is_empty() {
        changes.push(Change::confirm(Kind::Deployment, &deployment.metadata));
        changes.extend(adopted);
    }
    sets.sort_by_key(|set| (set.metadata.creation_timestamp.clone(), set.metadata.name.clone()));
    (sets, changes)
}

/// Events about a ReplicaSet that is made or scaled.
fn told(deployment: &Deployment, done: Option<String>, failed: Option<String>) -> Told {
    Told {
        about: reference(Kind::Deployment, &deployment.metadata),
        component: COMPONENT,
        done: done.map(|message| ("ScalingReplicaSet", message)),
        failed: failed.map(|message| ("ReplicaSetCreateError", message)),
    }
}
