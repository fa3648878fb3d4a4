//! A Pod's containers, as its task handles them: started, watched, found again.

use std::process::Child;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Container;
use maglane_dataplane::wire::Protocol;
use nix::sys::signal::Signal;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::probes::{self, Finding, Purpose};
use super::process;
use super::record::{ContainerRecord, Ended, Role, RunState, specification};
use super::target::{self, Target};
use super::worker::Worker;
use crate::controllers::recorder::Severity;
use crate::lab::log_file;
use crate::lab::state::Process;
use crate::model::container_ports;
use crate::net::namespace;

/// How long a container whose liveness probe fails gets to end.
const GRACE_SECONDS: i64 = 30;
/// When it is looked again for what a container's environment is made of.
const CONFIG_RETRY: jiff::SignedDuration = jiff::SignedDuration::from_secs(2);

/// What a Pod's task is told.
pub(super) enum Input {
    /// A container's process has ended; its exit code, if that is known.
    Ended { container: usize, run: u32, code: Option<i32> },
    /// A probe has found something.
    Found { container: usize, run: u32, finding: Finding },
}

/// Who watches a container while it runs. When this is dropped nobody does.
pub(super) struct Running {
    tasks: JoinSet<()>,
    target: Target,
    /// Probes that begin once the container has started.
    later: Vec<(Purpose, k8s_openapi::api::core::v1::Probe)>,
}

impl Worker {
    /// Looks for what an earlier agent has left: its processes go on, and whatever no container
    /// owns is ended.
    pub(super) async fn find_again(&mut self) {
        let lost = self.record.sandbox.as_ref().is_some_and(|sandbox| {
            sandbox.interface.is_some() && !namespace::exists(&sandbox.network_namespace)
        });
        if lost {
            self.record.sandbox = None;
        }
        for index in 0..self.record.containers.len() {
            let container = &mut self.record.containers[index];
            let RunState::Running { process, since } = container.state else { continue };
            let runs = !lost && process.is_none_or(Process::runs);
            if runs {
                if let Some(container) = specification(&self.pod, container).cloned() {
                    let target = target::again(&self.context, &self.pod, &self.record, container);
                    let target = target.await;
                    self.watch(index, process, None, target);
                }
            } else {
                if let Some(process) = process {
                    process::signal(process, Signal::SIGKILL);
                }
                container.state = RunState::Ended(Ended::unknown(since, Self::now()));
                (container.ready, container.started) = (false, false);
            }
        }
        self.end_strays().await;
    }

    /// Ends what runs in the Pod's name and belongs to no container.
    async fn end_strays(&self) {
        let keep: Vec<Process> =
            self.record.containers.iter().filter_map(ContainerRecord::process).collect();
        let logs = self.record.logs(&self.context.site);
        let strays = tokio::task::spawn_blocking(move || process::end_strays(&logs, &keep));
        let _ = strays.await;
    }

    /// Starts a container, or notes why it cannot be.
    pub(super) async fn start(&mut self, index: usize) {
        let container = &self.record.containers[index];
        let Some(specification) = specification(&self.pod, container).cloned() else { return };
        let specification = Arc::new(specification);
        let target = target::of(&self.context, &self.pod, &self.record, specification.clone());
        let target = match target.await {
            Ok(target) => target,
            Err(message) => return self.not_yet(index, message),
        };
        let container = &mut self.record.containers[index];
        if let Some(ended) = container.ended().cloned() {
            self.back_off[index].restarted(&ended);
            container.restarts = container.restarts.saturating_add(1);
            container.last = Some(ended);
        }
        let container = container.clone();
        let log = self.record.log(&self.context.site, &container, container.restarts);
        let started = if container.has_command {
            let (target, log) = (target.clone(), log.clone());
            let start = move || {
                process::start(&specification, &target.environment, &target.network_namespace, &log)
            };
            match tokio::task::spawn_blocking(start).await {
                Ok(Ok((process, child))) => Ok(Some((process, child))),
                Ok(Err(message)) => Err(message),
                Err(error) => Err(error.to_string()),
            }
        } else {
            Ok(None)
        };
        self.forget_old_log(&container);
        match started {
            Ok(started) => self.has_started(index, started, target),
            Err(message) => self.cannot_start(index, message),
        }
    }

    fn has_started(&mut self, index: usize, started: Option<(Process, Child)>, target: Target) {
        let (process, child) = started.unzip();
        let container = &mut self.record.containers[index];
        container.state = RunState::Running { process, since: Self::now() };
        (container.started, container.ready) = (false, false);
        let mut message = format!("Started container {}", container.name);
        if !container.has_command {
            message.push_str(": it has no command, and nothing runs in it");
        }
        let field = field(container);
        self.context.events.container(&self.pod, &field, Severity::Normal, "Started", &message);
        // Before anything else: a crash from here on loses no process.
        self.save();
        self.watch(index, process, child, target);
    }

    /// What its environment is made of is not there: it has not run, and waits for that.
    fn not_yet(&mut self, index: usize, message: String) {
        self.tell_failure(index, &message);
        let container = &mut self.record.containers[index];
        if let RunState::Ended(ended) = &container.state {
            container.last = Some(ended.clone());
        }
        container.state =
            RunState::Waiting { reason: "CreateContainerConfigError".to_owned(), message };
        self.back_off[index].not_before(jiff::Timestamp::now() + CONFIG_RETRY);
    }

    fn cannot_start(&mut self, index: usize, message: String) {
        self.tell_failure(index, &message);
        let container = &mut self.record.containers[index];
        container.state = RunState::Ended(Ended::not_started(message, Self::now()));
        (container.started, container.ready) = (false, false);
    }

    fn tell_failure(&self, index: usize, message: &str) {
        let field = field(&self.record.containers[index]);
        let text = format!("Error: {message}");
        self.context.events.container(&self.pod, &field, Severity::Warning, "Failed", &text);
    }

    /// Follows a container that runs: its end, its ports, its probes.
    fn watch(
        &mut self,
        index: usize,
        process: Option<Process>,
        child: Option<Child>,
        target: Target,
    ) {
        let run = self.record.containers[index].restarts;
        let mut running = Running { tasks: JoinSet::new(), target, later: Vec::new() };
        if let Some(process) = process {
            let log = self.record.log(&self.context.site, &self.record.containers[index], run);
            running.tasks.spawn(log_file::bound(log));
            let sender = self.sender.clone();
            // Not one of the tasks that end with the watch: somebody has to wait for the child.
            tokio::spawn(async move {
                let code = process::ended(process, child).await;
                let _ = sender.send(Input::Ended { container: index, run, code }).await;
            });
        }
        let specification = running.target.container.clone();
        let later = [
            (Purpose::Readiness, &specification.readiness_probe),
            (Purpose::Liveness, &specification.liveness_probe),
        ];
        running.later =
            later.into_iter().filter_map(|(of, probe)| Some((of, probe.clone()?))).collect();
        let container = &self.record.containers[index];
        let ports = declared_ports(&specification);
        if container.started {
            // An earlier agent has seen it start.
            self.running[index] = Some(running);
            return self.probe_further(index);
        }
        let has_readiness = specification.readiness_probe.is_some();
        if let Some(probe) = specification.startup_probe.clone() {
            self.follow(&mut running, index, run, Purpose::Startup, probe);
        } else if let Some(process) = process
            && !has_readiness
            && container.role != Role::Init
            && !ports.is_empty()
        {
            let sender = self.forward(&mut running, index, run);
            running.tasks.spawn(probes::ports_open(process, ports, sender));
        } else {
            self.running[index] = Some(running);
            return self.is_started(index);
        }
        self.running[index] = Some(running);
    }

    /// The container counts as started: now it may be ready, and the other probes begin.
    fn is_started(&mut self, index: usize) {
        let container = &mut self.record.containers[index];
        container.started = true;
        let later = self.running[index].as_ref().map_or(&[][..], |running| &running.later);
        container.ready = !later.iter().any(|(purpose, _)| *purpose == Purpose::Readiness);
        self.probe_further(index);
    }

    fn probe_further(&mut self, index: usize) {
        let run = self.record.containers[index].restarts;
        let Some(mut running) = self.running[index].take() else { return };
        for (purpose, probe) in std::mem::take(&mut running.later) {
            self.follow(&mut running, index, run, purpose, probe);
        }
        self.running[index] = Some(running);
    }

    fn follow(
        &self,
        running: &mut Running,
        index: usize,
        run: u32,
        purpose: Purpose,
        probe: k8s_openapi::api::core::v1::Probe,
    ) {
        let sender = self.forward(running, index, run);
        running.tasks.spawn(probes::follow(probe, purpose, running.target.clone(), sender));
    }

    /// A channel for findings that says whose they are.
    fn forward(&self, running: &mut Running, container: usize, run: u32) -> mpsc::Sender<Finding> {
        let (sender, mut findings) = mpsc::channel(1);
        let inputs = self.sender.clone();
        running.tasks.spawn(async move {
            while let Some(finding) = findings.recv().await {
                if inputs.send(Input::Found { container, run, finding }).await.is_err() {
                    return;
                }
            }
        });
        sender
    }

    /// Takes in what was told. What is about an earlier run is not news.
    pub(super) async fn take(&mut self, input: Input) {
        match input {
            Input::Ended { container: index, run, code } => {
                let container = &mut self.record.containers[index];
                let RunState::Running { since, .. } = container.state else { return };
                if container.restarts != run {
                    return;
                }
                let now = Self::now();
                container.state = RunState::Ended(match code {
                    Some(code) => Ended::with_code(code, since, now),
                    None => Ended::unknown(since, now),
                });
                (container.started, container.ready) = (false, false);
                self.running[index] = None;
                if code.is_none() {
                    // Nobody's child: what it has left of its group is not known by its number.
                    self.end_strays().await;
                }
            }
            Input::Found { container: index, run, finding } => {
                let container = &self.record.containers[index];
                if container.runs() && container.restarts == run {
                    self.found(index, finding).await;
                }
            }
        }
    }

    async fn found(&mut self, index: usize, finding: Finding) {
        let Finding { purpose, verdict, failure } = finding;
        let field = field(&self.record.containers[index]);
        if let Some(failure) = failure {
            let message = format!("{} probe failed: {failure}", purpose.as_str());
            self.context.events.container(
                &self.pod,
                &field,
                Severity::Warning,
                "Unhealthy",
                &message,
            );
        }
        match (purpose, verdict) {
            (Purpose::Startup, Some(true)) => self.is_started(index),
            (Purpose::Readiness, Some(ready)) => self.record.containers[index].ready = ready,
            (Purpose::Startup | Purpose::Liveness, Some(false)) => {
                let container = &self.record.containers[index];
                let message = format!(
                    "Container {} failed {} probe, will be restarted",
                    container.name,
                    purpose.as_str().to_lowercase()
                );
                self.context.events.container(
                    &self.pod,
                    &field,
                    Severity::Normal,
                    "Killing",
                    &message,
                );
                if let Some(process) = container.process() {
                    self.end_later(process);
                }
            }
            (Purpose::Liveness, Some(true)) | (_, None) => {}
        }
    }

    /// Ends a process that does not go by itself in time. Its end is told by who watches it.
    pub(super) fn end_later(&self, process: Process) {
        let spec = self.pod.spec.as_ref();
        let grace_seconds = spec.and_then(|spec| spec.termination_grace_period_seconds);
        let grace_seconds = u64::try_from(grace_seconds.unwrap_or(GRACE_SECONDS)).unwrap_or(0);
        process::signal(process, Signal::SIGTERM);
        tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_secs(grace_seconds)).await;
            process::signal(process, Signal::SIGKILL);
        });
    }

    /// The output of the run before the last one is nobody's to ask for.
    fn forget_old_log(&self, container: &ContainerRecord) {
        if let Some(run) = container.restarts.checked_sub(2) {
            let _ = std::fs::remove_file(self.record.log(&self.context.site, container, run));
        }
    }
}

/// `spec.containers{web}`, as Events name a container.
pub(super) fn field(container: &ContainerRecord) -> String {
    let list = if container.role == Role::Main { "containers" } else { "initContainers" };
    format!("spec.{list}{{{}}}", container.name)
}

/// The TCP ports that a container says it serves.
fn declared_ports(container: &Container) -> Vec<u16> {
    let ports = container_ports(container);
    let tcp = ports.filter(|(_, protocol, _)| *protocol == Protocol::Tcp);
    tcp.map(|(_, _, number)| number).collect()
}
