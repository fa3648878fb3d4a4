//! Pods of ReplicaSets, as `replicaset-controller` makes them.

pub(super) mod claim;
mod rank;
mod status;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use self::claim::claim;
use self::rank::deletion_order;
pub(super) use self::status::REPLICA_FAILURE;
use super::change::{Change, Told, reference};
use super::kind::Kind;
use super::task::{Key, Moment, Plan};
use super::world::record::PodRecord;
use super::world::{World, controller_uid};

/// Who writes Events.
const COMPONENT: &str = "replicaset-controller";
/// Pods that are made or deleted for one ReplicaSet at a time.
const BURST: usize = 500;

/// What a ReplicaSet needs.
pub(super) fn plan(world: &World, key: &Key, moment: &Moment<'_>) -> Plan {
    let Some(set) = world.replica_sets.get(key) else { return Plan::none() };
    let Some(spec) = &set.spec else { return Plan::none() };
    let Some(claimed) = claim(world, set, spec) else { return Plan::none() };
    let mut changes = claimed.changes;
    let pods = claimed.pods;
    let difference = wanted(spec).abs_diff(pods.len()).min(BURST);
    let too_few = wanted(spec) > pods.len();
    let deleting = set.metadata.deletion_timestamp.is_some();

    let status = status::of(set, spec, &pods, moment);
    let again_after = next_available(spec, &pods, moment.now);
    if set.status.as_ref() != Some(&status) {
        let changed = ReplicaSet { status: Some(status), ..(**set).clone() };
        changes.push(Change::status(Kind::ReplicaSet, &changed.metadata, &changed));
    }
    if !deleting && difference > 0 && too_few {
        changes.extend((0..difference).map(|_| new_pod(set, spec)));
    } else if !deleting && difference > 0 {
        let related = related_by_node(world, set);
        let order = deletion_order(pods, &related, moment.now);
        changes.extend(order.into_iter().take(difference).map(|pod| delete_pod(set, &pod)));
    }
    Plan { changes, again_after }
}

/// How many replicas there shall be.
fn wanted(spec: &ReplicaSetSpec) -> usize {
    usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0)
}

/// Whether a Pod has been ready for as long as the ReplicaSet asks for.
pub(super) fn is_available(pod: &PodRecord, min_ready_seconds: i32, now: Timestamp) -> bool {
    let needed = SignedDuration::from_secs(min_ready_seconds.into());
    pod.ready_since
        .is_some_and(|since| min_ready_seconds == 0 || now.duration_since(since) >= needed)
}

/// When the next ready Pod will have been ready for long enough.
fn next_available(
    spec: &ReplicaSetSpec,
    pods: &[Arc<PodRecord>],
    now: Timestamp,
) -> Option<Duration> {
    let seconds = spec.min_ready_seconds.filter(|seconds| *seconds > 0)?;
    let waiting = pods.iter().filter(|pod| !is_available(pod, seconds, now));
    let since = waiting.filter_map(|pod| pod.ready_since).min()?;
    let left = SignedDuration::from_secs(seconds.into()) - now.duration_since(since);
    Some(Duration::try_from(left).unwrap_or_default() + Duration::from_millis(10))
}

fn new_pod(set: &ReplicaSet, spec: &ReplicaSetSpec) -> Change {
    let template = spec.template.clone().unwrap_or_default();
    let from = template.metadata.unwrap_or_default();
    let name = set.metadata.name.as_deref().unwrap_or_default();
    let metadata = ObjectMeta {
        namespace: set.metadata.namespace.clone(),
        generate_name: Some(format!("{name}-")),
        labels: from.labels,
        annotations: from.annotations,
        finalizers: from.finalizers,
        owner_references: Some(vec![owner_reference(Kind::ReplicaSet, &set.metadata)]),
        ..ObjectMeta::default()
    };
    let pod = Pod { metadata, spec: template.spec, status: None };
    Change::create(Kind::Pod, &pod.metadata, &pod).telling(Told {
        about: reference(Kind::ReplicaSet, &set.metadata),
        component: COMPONENT,
        done: Some(("SuccessfulCreate", "Created pod: {name}".to_owned())),
        failed: Some(("FailedCreate", "Error creating: {error}".to_owned())),
    })
}

fn delete_pod(set: &ReplicaSet, pod: &PodRecord) -> Change {
    Change::delete(Kind::Pod, &pod.metadata).telling(Told {
        about: reference(Kind::ReplicaSet, &set.metadata),
        component: COMPONENT,
        done: Some(("SuccessfulDelete", "Deleted pod: {name}".to_owned())),
        failed: Some(("FailedDelete", "Error deleting: {error}".to_owned())),
    })
}

/// A reference that makes an object the controller of another one.
pub(super) fn owner_reference(kind: Kind, owner: &ObjectMeta) -> OwnerReference {
    OwnerReference {
        api_version: kind.api_version(),
        kind: kind.kind().to_owned(),
        name: owner.name.clone().unwrap_or_default(),
        uid: owner.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// How many active Pods each Node has of the same Deployment (of the same ReplicaSet, if there is
/// none above): where there are several, one goes first.
fn related_by_node(world: &World, set: &ReplicaSet) -> HashMap<String, usize> {
    let above = controller_uid(&set.metadata);
    let beside = above.map(|uid| world.replica_sets_of(uid).map(|set| &set.metadata));
    let alone = above.is_none().then_some(&set.metadata);
    let mut counts = HashMap::new();
    for set in beside.into_iter().flatten().chain(alone) {
        for pod in world.pods_of(set).filter(|pod| pod.is_active()) {
            *counts.entry(pod.node.clone()).or_default() += 1;
        }
    }
    counts
}
