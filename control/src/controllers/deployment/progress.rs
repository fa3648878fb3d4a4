//! What a Deployment says of itself: how many replicas there are, whether they are enough, and
//! whether its rollout gets on.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentCondition, DeploymentSpec, DeploymentStatus, ReplicaSet,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::scaling::Limits;
use crate::controllers::replica_set::REPLICA_FAILURE;

/// Type of the condition that tells how a rollout gets on.
pub(super) const PROGRESSING: &str = "Progressing";
/// Reason: the rollout is through.
const AVAILABLE: &str = "NewReplicaSetAvailable";
/// Reason: nothing has changed for too long.
pub(super) const TIMED_OUT: &str = "ProgressDeadlineExceeded";
/// `progressDeadlineSeconds` of those that have none.
const NO_DEADLINE: i32 = i32::MAX;

/// The status of a Deployment with these ReplicaSets, before its rollout is judged.
pub(super) fn status(
    deployment: &Deployment,
    spec: &DeploymentSpec,
    known: &DeploymentStatus,
    new: Option<&ReplicaSet>,
    all: &[&ReplicaSet],
    now: Timestamp,
) -> DeploymentStatus {
    let sum = |count: fn(&ReplicaSet) -> i32| all.iter().map(|set| count(set)).sum::<i32>();
    let of = |set: &ReplicaSet| set.status.clone().unwrap_or_default();
    let replicas = sum(|set| set.status.as_ref().map_or(0, |of| of.replicas));
    let ready = sum(|set| set.status.as_ref().and_then(|of| of.ready_replicas).unwrap_or(0));
    let available =
        sum(|set| set.status.as_ref().and_then(|of| of.available_replicas).unwrap_or(0));
    let desired = all.iter().map(|set| desired(set)).sum::<i32>();
    let some = |count: i32| (count != 0).then_some(count);
    let mut status = DeploymentStatus {
        observed_generation: deployment.metadata.generation.or(known.observed_generation),
        replicas: some(replicas),
        updated_replicas: some(new.map_or(0, |set| of(set).replicas)),
        ready_replicas: some(ready),
        available_replicas: some(available),
        unavailable_replicas: some((desired - available).max(0)),
        ..known.clone()
    };
    let enough = available >= Limits::of(spec).least_available();
    let (value, reason, message) = if enough {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    set(&mut status, condition("Available", value, reason, message, now));
    status
}

/// Adds to `status` how the rollout gets on since `known`. Returns when it will have taken too long.
pub(super) fn judge(
    deployment: &Deployment,
    spec: &DeploymentSpec,
    known: &DeploymentStatus,
    status: &mut DeploymentStatus,
    new: Option<&ReplicaSet>,
    all: &[&ReplicaSet],
    now: Timestamp,
) -> Option<SignedDuration> {
    let deadline = deadline(spec);
    let current = find(known, PROGRESSING).cloned();
    let reason = current.as_ref().and_then(|of| of.reason.as_deref());
    let settled = status.replicas == status.updated_replicas && reason == Some(AVAILABLE);
    let name = match new {
        Some(set) => format!("ReplicaSet {:?}", set.metadata.name.as_deref().unwrap_or_default()),
        None => format!("Deployment {:?}", deployment.metadata.name.as_deref().unwrap_or_default()),
    };
    match deadline {
        None => remove(status, PROGRESSING),
        Some(_) if settled => {}
        Some(_) if is_complete(deployment, spec, status) => {
            let message = format!("{name} has successfully progressed.");
            set(status, condition(PROGRESSING, "True", AVAILABLE, &message, now));
        }
        Some(_) if has_progressed(known, status) => {
            let message = format!("{name} is progressing.");
            let mut fresh = condition(PROGRESSING, "True", "ReplicaSetUpdated", &message, now);
            // Its update time moves with every step, even if nothing else of it does.
            if let Some(current) = current.as_ref().filter(|of| of.status == "True") {
                fresh.last_transition_time.clone_from(&current.last_transition_time);
            }
            remove(status, PROGRESSING);
            set(status, fresh);
        }
        Some(deadline) if left(known, deadline, now).is_some_and(|left| !left.is_positive()) => {
            let message = format!("{name} has timed out progressing.");
            set(status, condition(PROGRESSING, "False", TIMED_OUT, &message, now));
        }
        Some(_) => {}
    }
    pass_on_failure(status, new, all);
    let over = settled || is_complete(deployment, spec, status);
    deadline.filter(|_| !over).and_then(|deadline| left(status, deadline, now))
}

/// Whether all replicas are of the present template, and available.
pub(super) fn is_complete(
    deployment: &Deployment,
    spec: &DeploymentSpec,
    status: &DeploymentStatus,
) -> bool {
    let wanted = spec.replicas.unwrap_or(1);
    let is_wanted = |count: Option<i32>| count.unwrap_or(0) == wanted;
    is_wanted(status.updated_replicas)
        && is_wanted(status.replicas)
        && is_wanted(status.available_replicas)
        && status.observed_generation >= deployment.metadata.generation
}

/// Whether a rollout has a time within which it has to get on.
pub(super) fn has_deadline(spec: &DeploymentSpec) -> bool {
    deadline(spec).is_some()
}

/// A condition that begins now.
pub(super) fn condition(
    type_: &str,
    status: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> DeploymentCondition {
    DeploymentCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

/// The condition of a type.
pub(super) fn find<'a>(
    status: &'a DeploymentStatus,
    type_: &str,
) -> Option<&'a DeploymentCondition> {
    status.conditions.iter().flatten().find(|of| of.type_ == type_)
}

/// Puts a condition in place of the one of its type, if it says anything new.
pub(super) fn set(status: &mut DeploymentStatus, mut condition: DeploymentCondition) {
    if let Some(known) = find(status, &condition.type_) {
        if known.status == condition.status && known.reason == condition.reason {
            return;
        }
        if known.status == condition.status {
            condition.last_transition_time.clone_from(&known.last_transition_time);
        }
    }
    remove(status, &condition.type_.clone());
    status.conditions.get_or_insert_default().push(condition);
}

fn remove(status: &mut DeploymentStatus, type_: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|of| of.type_ != type_);
    }
    status.conditions.take_if(|conditions| conditions.is_empty());
}

fn deadline(spec: &DeploymentSpec) -> Option<SignedDuration> {
    let seconds = spec.progress_deadline_seconds.filter(|seconds| *seconds != NO_DEADLINE)?;
    Some(SignedDuration::from_secs(seconds.into()))
}

fn has_progressed(known: &DeploymentStatus, status: &DeploymentStatus) -> bool {
    let number = |count: Option<i32>| count.unwrap_or(0);
    let old = |of: &DeploymentStatus| number(of.replicas) - number(of.updated_replicas);
    number(status.updated_replicas) > number(known.updated_replicas)
        || old(status) < old(known)
        || number(status.ready_replicas) > number(known.ready_replicas)
        || number(status.available_replicas) > number(known.available_replicas)
}

/// Time that is left until a rollout that does not get on has failed; none when it is not judged.
fn left(
    status: &DeploymentStatus,
    deadline: SignedDuration,
    now: Timestamp,
) -> Option<SignedDuration> {
    let current = find(status, PROGRESSING)?;
    if matches!(current.reason.as_deref(), Some(AVAILABLE | TIMED_OUT | "DeploymentPaused")) {
        return None;
    }
    let since = current.last_update_time.as_ref()?.0;
    Some(deadline - now.duration_since(since))
}

/// What keeps a ReplicaSet from making Pods is the Deployment's failure too; the new one's first.
fn pass_on_failure(status: &mut DeploymentStatus, new: Option<&ReplicaSet>, all: &[&ReplicaSet]) {
    let failure = |set: &ReplicaSet| {
        let conditions = set.status.as_ref()?.conditions.as_ref()?;
        conditions.iter().find(|of| of.type_ == REPLICA_FAILURE).cloned()
    };
    match new.and_then(failure).or_else(|| all.iter().find_map(|set| failure(set))) {
        Some(found) => set(
            status,
            DeploymentCondition {
                type_: found.type_,
                status: found.status,
                reason: found.reason,
                message: found.message,
                last_update_time: found.last_transition_time.clone(),
                last_transition_time: found.last_transition_time,
            },
        ),
        None => remove(status, REPLICA_FAILURE),
    }
}

/// `spec.replicas` of a ReplicaSet.
pub(super) fn desired(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}
