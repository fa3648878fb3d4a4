//! A Pod's end: nobody is sent to it any more, its processes end, its network goes, and then the
//! object.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams};
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::record::{ContainerRecord, Ended, RunState};
use super::worker::{Seen, Worker};
use super::{Context, containers, hooks, process, tell};
use crate::admin;
use crate::controllers::recorder::Severity;

/// How long Services may take to stop sending to a Pod that goes.
const DRAIN: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(10);
/// Grace of a Pod whose object is gone already: somebody was in a hurry.
const FORCED_GRACE_SECONDS: u64 = 1;
/// How long a killed process may take to be gone.
const AFTER_KILL: Duration = Duration::from_secs(5);
/// When what could not be removed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Ends a Pod; `pod` is none when its object is gone.
pub(super) async fn terminate(mut worker: Worker, pod: Seen) {
    let begun = Instant::now();
    let was_ready = is_ready(&worker.pod);
    let exists = pod.is_some();
    if let Some(pod) = pod {
        worker.pod = pod;
    }
    let grace = grace(&worker.pod, exists);
    for container in worker.record.containers.iter().filter(|one| one.process().is_some()) {
        let message = format!("Stopping container {}", container.name);
        let field = containers::field(container);
        worker.context.events.container(&worker.pod, &field, Severity::Normal, "Killing", &message);
    }
    worker.running.clear();
    worker.running.resize_with(worker.record.containers.len(), || None);
    if was_ready && exists && any_process(&worker) {
        drain(&worker.context, &worker.pod).await;
    }
    let mut deadline = begun + grace;
    if exists {
        deadline = before_stop(&worker, deadline).await;
    }
    end_processes(&mut worker, deadline).await;
    end_rest(&mut worker);
    if exists {
        tell::status(&mut worker).await;
    }
    remove(&worker).await;
    if exists {
        tell::gone(&worker.context, &worker.record).await;
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True")
}

/// A year.
const MOST_GRACE_SECONDS: u64 = 365 * 24 * 3_600;

fn grace(pod: &Pod, exists: bool) -> Duration {
    let asked = pod.metadata.deletion_grace_period_seconds;
    let seconds = asked.and_then(|seconds| u64::try_from(seconds).ok());
    let seconds = if exists { seconds.unwrap_or(30) } else { FORCED_GRACE_SECONDS };
    // Whoever asks for more than a clock can tell means: as long as it takes.
    Duration::from_secs(seconds.min(MOST_GRACE_SECONDS))
}

fn any_process(worker: &Worker) -> bool {
    worker.record.containers.iter().any(|one| one.process().is_some())
}

/// Waits until no Service sends to the Pod: its slices say so, and the agent has it in force. On a
/// real cluster this is a race, for which people write `preStop: sleep`.
async fn drain(context: &Context, pod: &Pod) {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    let api: Api<EndpointSlice> = Api::namespaced(context.client.clone(), namespace);
    let uid = pod.metadata.uid.as_deref();
    let told = async {
        while let Ok(slices) = api.list(&ListParams::default()).await {
            let mut endpoints = slices.items.iter().flat_map(|slice| &slice.endpoints);
            let sends = endpoints.any(|endpoint| {
                let target = endpoint.target_ref.as_ref().and_then(|of| of.uid.as_deref());
                let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready);
                target == uid && ready != Some(false)
            });
            if !sends {
                break;
            }
            sleep(LOOK).await;
        }
        // Without an agent that answers nobody sends anything.
        let _ = admin::Client::new(context.site.agent_socket()).sync().await;
    };
    let _ = timeout(DRAIN, told).await;
}

/// Runs the hooks, until the grace period is over. It may be cut short: its end is returned.
async fn before_stop(worker: &Worker, mut deadline: Instant) -> Instant {
    let mut seen = worker.seen.clone();
    let mut hooks = std::pin::pin!(hooks::before_stop(worker));
    loop {
        tokio::select! {
            () = &mut hooks => return deadline,
            () = sleep_until(deadline) => return deadline,
            changed = seen.changed() => {
                if changed.is_err() {
                    return deadline;
                }
                let pod = seen.borrow_and_update().clone();
                deadline = deadline.min(deadline_of(worker, pod));
            }
        }
    }
}

/// When the grace period is over that a newer version of the Pod gives from now on.
fn deadline_of(worker: &Worker, seen: Seen) -> Instant {
    Instant::now() + grace(seen.as_deref().unwrap_or(&worker.pod), seen.is_some())
}

/// SIGTERM, and SIGKILL to what is left at the end of the grace period, which may be cut short.
async fn end_processes(worker: &mut Worker, mut deadline: Instant) {
    signal_all(worker, Signal::SIGTERM);
    while any_process(worker) && Instant::now() < deadline {
        tokio::select! {
            Some(input) = worker.inputs.recv() => worker.take(input).await,
            changed = worker.seen.changed() => {
                if changed.is_err() {
                    return;
                }
                let seen = worker.seen.borrow_and_update().clone();
                deadline = deadline.min(deadline_of(worker, seen));
            }
            () = sleep_until(deadline) => {}
        }
    }
    signal_all(worker, Signal::SIGKILL);
    let deadline = Instant::now() + AFTER_KILL;
    while any_process(worker) && Instant::now() < deadline {
        tokio::select! {
            Some(input) = worker.inputs.recv() => worker.take(input).await,
            () = sleep_until(deadline) => {}
        }
    }
}

/// What had no command ran until now.
fn end_rest(worker: &mut Worker) {
    for container in &mut worker.record.containers {
        if let RunState::Running { process: None, since } = container.state {
            container.state = RunState::Ended(Ended::with_code(0, since, Worker::now()));
        }
    }
}

fn signal_all(worker: &Worker, signal: Signal) {
    for process in worker.record.containers.iter().filter_map(ContainerRecord::process) {
        process::signal(process, signal);
    }
}

/// Removes the network and the record, however long it takes: nobody else will.
async fn remove(worker: &Worker) {
    loop {
        let (context, record) = (worker.context.clone(), worker.record.clone());
        let comes_back = worker.pod.metadata.owner_references.iter().flatten().next().is_none();
        let _turn = worker.context.building.acquire().await;
        let removed = tokio::task::spawn_blocking(move || {
            for sandbox in record.sandbox.iter().chain(&record.unfinished) {
                context.places.remove(sandbox)?;
            }
            process::end_strays(&record.logs(&context.site), &[]);
            record.remove(&context.site)?;
            context.places.release(&record, comes_back);
            Ok::<(), crate::lab::LabError>(())
        });
        match removed.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => tracing::warn!("{}: {error}, trying again", worker.record.key()),
            Err(error) => return tracing::error!("{}: {error}", worker.record.key()),
        }
        sleep(RETRY).await;
    }
}
