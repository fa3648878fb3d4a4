//! What containers want done before they are told to end: `lifecycle.preStop`.

use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::LifecycleHandler;

use super::record::{ContainerRecord, specification};
use super::worker::Worker;
use super::{containers, process, target};
use crate::controllers::recorder::Severity;

/// Runs the hooks of all containers that run, beside each other.
pub(super) async fn before_stop(worker: &Worker) {
    let running = worker.record.containers.iter().filter(|one| one.process().is_some());
    join_all(running.map(|container| before_stop_of(worker, container))).await;
}

async fn before_stop_of(worker: &Worker, record: &ContainerRecord) {
    let Some(container) = specification(&worker.pod, record) else { return };
    let hook = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    let Some(hook) = hook else { return };
    if let Err(message) = run(worker, container.clone(), hook).await {
        let field = containers::field(record);
        let message = format!("PreStopHook failed: {message}");
        let events = &worker.context.events;
        events.container(&worker.pod, &field, Severity::Warning, "FailedPreStopHook", &message);
    }
}

async fn run(
    worker: &Worker,
    container: k8s_openapi::api::core::v1::Container,
    hook: &LifecycleHandler,
) -> Result<(), String> {
    if let Some(sleep) = &hook.sleep {
        let seconds = u64::try_from(sleep.seconds).unwrap_or(0);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        return Ok(());
    }
    let Some(exec) = &hook.exec else {
        return Err("a lab knows exec and sleep only".to_owned());
    };
    let target = target::again(&worker.context, &worker.pod, &worker.record, container).await;
    let words = exec.command.as_deref().unwrap_or_default();
    let null = |command: &mut std::process::Command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    };
    let spawned = process::spawn_beside(
        words,
        &target.container,
        &target.environment,
        &target.network_namespace,
        null,
    );
    let mut command = spawned.await?;
    let status = command.wait().await.map_err(|error| error.to_string())?;
    match process::exit_code(status) {
        0 => Ok(()),
        code => Err(format!("command {words:?} exited with {code}")),
    }
}
