//! What a ReplicaSet says of itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{
    ReplicaSet, ReplicaSetCondition, ReplicaSetSpec, ReplicaSetStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::is_available;
use crate::controllers::task::{Attempt, Moment};
use crate::controllers::world::has_labels;
use crate::controllers::world::record::PodRecord;

/// Type of the condition of a ReplicaSet that cannot make or delete Pods.
pub(in super::super) const REPLICA_FAILURE: &str = "ReplicaFailure";

/// The status of a ReplicaSet that has these active Pods.
pub(super) fn of(
    set: &ReplicaSet,
    spec: &ReplicaSetSpec,
    pods: &[Arc<PodRecord>],
    moment: &Moment<'_>,
) -> ReplicaSetStatus {
    let nothing = BTreeMap::new();
    let template = spec.template.as_ref().and_then(|of| of.metadata.as_ref());
    let labels = template.and_then(|of| of.labels.as_ref()).unwrap_or(&nothing);
    let min_ready_seconds = spec.min_ready_seconds.unwrap_or(0);
    let count = |of: &dyn Fn(&PodRecord) -> bool| {
        i32::try_from(pods.iter().filter(|pod| of(pod)).count()).unwrap_or(i32::MAX)
    };
    let some = |count: i32| (count != 0).then_some(count);
    let known = set.status.clone().unwrap_or_default();
    ReplicaSetStatus {
        replicas: count(&|_| true),
        fully_labeled_replicas: some(count(&|pod| has_labels(&pod.metadata, labels))),
        ready_replicas: some(count(&PodRecord::is_ready)),
        available_replicas: some(count(&|pod| is_available(pod, min_ready_seconds, moment.now))),
        observed_generation: set.metadata.generation.or(known.observed_generation),
        conditions: conditions(known.conditions, moment),
        ..known
    }
}

fn conditions(
    known: Option<Vec<ReplicaSetCondition>>,
    moment: &Moment<'_>,
) -> Option<Vec<ReplicaSetCondition>> {
    let mut conditions = known.unwrap_or_default();
    let reason = moment.failure.map(|failure| match failure.attempt {
        Attempt::Delete => "FailedDelete",
        Attempt::Create | Attempt::Change => "FailedCreate",
    });
    let place = conditions.iter().position(|of| of.type_ == REPLICA_FAILURE);
    let said = place.and_then(|place| conditions[place].reason.as_deref());
    if said != reason {
        conditions.retain(|of| of.type_ != REPLICA_FAILURE);
        conditions.extend(moment.failure.map(|failure| ReplicaSetCondition {
            type_: REPLICA_FAILURE.to_owned(),
            status: "True".to_owned(),
            reason: reason.map(str::to_owned),
            message: Some(failure.message.clone()),
            last_transition_time: Some(Time(moment.now)),
        }));
    }
    (!conditions.is_empty()).then_some(conditions)
}
