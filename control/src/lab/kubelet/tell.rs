//! What a Pod's task writes to the API: the Pod's node, its status, that it is gone.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Error;
use kube::api::{Api, DeleteParams, PostParams, Preconditions};

use super::record::PodRecord;
use super::schedule::Placement;
use super::status::{Surroundings, status as build};
use super::worker::Worker;
use super::{Context, seconds};
use crate::lab::node::NODE_NAME;

/// How often one write is tried again when somebody else was faster.
const TRIES: u32 = 10;
/// Until a write that the API could not take is tried again.
pub(super) const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// The status that a Pod is to have.
pub(super) fn status_of(
    context: &Context,
    pod: &Pod,
    record: &PodRecord,
    sandbox_problem: Option<&str>,
) -> PodStatus {
    let around = Surroundings { node_ips: &context.options.node_ips, sandbox_problem };
    build(pod, record, around, seconds(Timestamp::now()))
}

/// Writes the Pod's status, if that is not what it says already. Whether it says it now.
pub(super) async fn status(worker: &mut Worker) -> bool {
    let context = worker.context.clone();
    let record = worker.record.clone();
    let problem = worker.sandbox_problem.clone();
    write(worker, |pod| status_of(&context, pod, &record, problem.as_deref())).await
}

/// Says that a Pod has no node, and why.
pub(super) async fn not_scheduled(worker: &mut Worker, placement: &Placement) {
    let (reason, message) = match placement {
        Placement::Gated => {
            ("SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")
        }
        Placement::Unschedulable(message) => ("Unschedulable", message.as_str()),
        _ => return,
    };
    if let Placement::Unschedulable(message) = placement {
        worker.context.events.not_scheduled(&worker.pod, message);
    }
    let condition = PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "False".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(Time(seconds(Timestamp::now()))),
        ..PodCondition::default()
    };
    write(worker, |pod| {
        let mut status = pod.status.clone().unwrap_or_default();
        status.phase = Some("Pending".to_owned());
        let conditions = status.conditions.get_or_insert_default();
        conditions.retain(|one| one.type_ != condition.type_);
        conditions.push(condition.clone());
        status
    })
    .await;
}

/// Whether the Pod says it now, or is gone.
async fn write(worker: &mut Worker, status: impl Fn(&Pod) -> PodStatus) -> bool {
    let api: Api<Pod> = Api::namespaced(worker.context.client.clone(), &worker.record.namespace);
    let name = worker.record.name.clone();
    for _ in 0..TRIES {
        let wanted = status(&worker.pod);
        if worker.pod.status.as_ref() == Some(&wanted) {
            return true;
        }
        let pod = Pod { status: Some(wanted), ..Pod::clone(&worker.pod) };
        match api.replace_status(&name, &PostParams::default(), &pod).await {
            Ok(written) => {
                worker.pod = Arc::new(written);
                return true;
            }
            Err(Error::Api(refusal)) if refusal.is_conflict() => match api.get_opt(&name).await {
                Ok(Some(now)) if now.metadata.uid == worker.pod.metadata.uid => {
                    worker.pod = Arc::new(now);
                }
                Ok(_) => return true, // it is gone, and the task will be told
                Err(error) => {
                    tracing::warn!("{}: {error}", worker.record.key());
                    return false;
                }
            },
            Err(Error::Api(refusal)) if refusal.is_not_found() => return true,
            Err(error) => {
                tracing::warn!("{}: {error}", worker.record.key());
                return false;
            }
        }
    }
    false
}

/// Gives a Pod to this node. `None` when it has changed meanwhile.
pub(super) async fn bind(context: &Context, pod: &Pod) -> kube::Result<Option<Arc<Pod>>> {
    let metadata = &pod.metadata;
    let namespace = metadata.namespace.as_deref().unwrap_or("default");
    let api: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
    let mut bound = pod.clone();
    if let Some(spec) = &mut bound.spec {
        spec.node_name = Some(NODE_NAME.to_owned());
    }
    let name = metadata.name.as_deref().unwrap_or_default();
    match api.replace(name, &PostParams::default(), &bound).await {
        Ok(bound) => {
            let message = format!("Successfully assigned {namespace}/{name} to {NODE_NAME}");
            context.events.scheduled(pod, &message);
            Ok(Some(Arc::new(bound)))
        }
        Err(Error::Api(refusal)) if refusal.is_conflict() || refusal.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes the object away: nothing of the Pod is left. Tried until it is done: nobody else will.
pub(super) async fn gone(context: &Context, record: &PodRecord) {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &record.namespace);
    let preconditions = Preconditions { uid: Some(record.uid.clone()), resource_version: None };
    let parameters = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(preconditions),
        ..DeleteParams::default()
    };
    loop {
        match api.delete(&record.name, &parameters).await {
            Ok(_) => return,
            Err(Error::Api(refusal)) if refusal.is_not_found() || refusal.is_conflict() => return,
            Err(error) => tracing::warn!("{}: {error}", record.key()),
        }
        tokio::time::sleep(RETRY).await;
    }
}
