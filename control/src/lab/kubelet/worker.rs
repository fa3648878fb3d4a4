//! One Pod on this node, from the first sight of it to the last: a task.
//!
//! It takes in what comes (a new version of the Pod, the end of a process, a probe's finding),
//! decides by [`plan`](super::plan) what is to be done, does it, writes down what is, and tells it
//! as the Pod's status.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use tokio::sync::{mpsc, watch};

use super::containers::{Input, Running};
use super::plan::{BackOff, Plan, plan};
use super::record::{ContainerRecord, PodRecord, RunState, Sandbox};
use super::sandbox::NoPlace;
use super::schedule::Placement;
use super::{Context, schedule, seconds, tell, termination};
use crate::controllers::recorder::Severity;

/// Things that may wait for the Pod.
const WAITING: usize = 64;
/// How long a network that cannot be made is not tried again; doubles each time.
const RETRY: SignedDuration = SignedDuration::from_secs(1);
/// And no longer than this.
const RETRY_MOST: SignedDuration = SignedDuration::from_secs(60);
/// How long one waits for a Pod of the same name to be gone, before looking again.
const NAMESAKE: SignedDuration = SignedDuration::from_millis(50);

/// A Pod, as it is handed on: `None` when the object is gone.
pub(super) type Seen = Option<Arc<Pod>>;

/// The task's own.
pub(super) struct Worker {
    pub(super) context: Arc<Context>,
    pub(super) seen: watch::Receiver<Seen>,
    /// The Node as it is.
    node: watch::Receiver<Node>,
    /// The newest version that is known.
    pub(super) pod: Arc<Pod>,
    pub(super) record: PodRecord,
    pub(super) back_off: Vec<BackOff>,
    /// Who watches the containers.
    pub(super) running: Vec<Option<Running>>,
    pub(super) inputs: mpsc::Receiver<Input>,
    pub(super) sender: mpsc::Sender<Input>,
    pub(super) sandbox_problem: Option<String>,
    sandbox_retry: Option<Timestamp>,
    sandbox_patience: SignedDuration,
    scheduling_told: String,
    /// What still ran when all was over was told to end.
    over: bool,
}

impl Worker {
    /// For a Pod with this record; what it says runs is looked for.
    pub(super) fn new(
        context: Arc<Context>,
        seen: watch::Receiver<Seen>,
        pod: Arc<Pod>,
        record: PodRecord,
    ) -> Self {
        let (sender, inputs) = mpsc::channel(WAITING);
        let count = record.containers.len();
        let node = context.node.clone();
        Self {
            context,
            seen,
            node,
            pod,
            record,
            back_off: vec![BackOff::default(); count],
            running: (0..count).map(|_| None).collect(),
            inputs,
            sender,
            sandbox_problem: None,
            sandbox_retry: None,
            sandbox_patience: RETRY,
            scheduling_told: String::new(),
            over: false,
        }
    }

    /// Until the Pod is gone, or the agent ends: then what runs goes on.
    pub(super) async fn run(mut self) {
        self.find_again().await;
        loop {
            match self.take_seen() {
                Some(pod) if pod.metadata.deletion_timestamp.is_none() => self.pod = pod,
                gone => return termination::terminate(self, gone).await,
            }
            let wake = match self.placement().await {
                Placement::Here => self.settle().await,
                _ => None,
            };
            let sleep = wake.map(|at| {
                let left = at.duration_since(Timestamp::now());
                tokio::time::sleep(left.try_into().unwrap_or_default())
            });
            let woken = async {
                match sleep {
                    Some(sleep) => sleep.await,
                    None => std::future::pending().await,
                }
            };
            let placed = self.pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
            tokio::select! {
                changed = self.seen.changed() => if changed.is_err() { return },
                Ok(()) = self.node.changed(), if !placed => {}
                Some(input) = self.inputs.recv() => self.take(input).await,
                () = woken => {}
            }
        }
    }

    /// What was seen last; an older version than the one that is known is not news.
    pub(super) fn take_seen(&mut self) -> Seen {
        let seen = self.seen.borrow_and_update().clone()?;
        Some(if revision(&seen) < revision(&self.pod) { self.pod.clone() } else { seen })
    }

    /// Gives the Pod to this node, if it is nobody's.
    async fn placement(&mut self) -> Placement {
        let mut placement = schedule::place(&self.pod, &self.node.borrow_and_update());
        if placement == Placement::Fits {
            match tell::bind(&self.context, &self.pod).await {
                Ok(Some(pod)) => {
                    self.pod = pod;
                    placement = Placement::Here;
                }
                // It has changed meanwhile: the next version is on its way.
                Ok(None) => {}
                Err(error) => tracing::warn!("{}: {error}", self.record.key()),
            }
        }
        let told = match &placement {
            Placement::Gated => "SchedulingGated",
            Placement::Unschedulable(message) => message,
            _ => "",
        };
        if told != self.scheduling_told {
            told.clone_into(&mut self.scheduling_told);
            tell::not_scheduled(self, &placement).await;
        }
        placement
    }

    /// Does what is to be done, and tells how things are. Returns when to look again.
    async fn settle(&mut self) -> Option<Timestamp> {
        if self.record.sandbox.is_none() {
            if let Some(at) = self.sandbox_retry
                && Timestamp::now() < at
            {
                return Some(at);
            }
            if let Err(retry) = self.make_sandbox().await {
                self.sandbox_retry = Some(retry);
                tell::status(self).await;
                return Some(retry);
            }
        }
        let now = Timestamp::now();
        let decided = plan(&self.pod, &self.record, &self.back_off, now);
        self.carry_out(&decided).await;
        self.save();
        if !tell::status(self).await {
            // Until somebody knows how the Pod is, its Services are wrong about it.
            let retry = now + tell::RETRY;
            return Some(decided.wake.map_or(retry, |wake| wake.min(retry)));
        }
        // What was started now may let others begin.
        if decided.start.is_empty() { decided.wake } else { Some(now) }
    }

    async fn carry_out(&mut self, decided: &Plan) {
        for index in &decided.start {
            self.start(*index).await;
        }
        for (index, length) in &decided.hold {
            self.hold(*index, *length);
        }
        if decided.over && !self.over {
            self.over = true;
            let left = self.record.containers.iter().filter_map(ContainerRecord::process);
            left.for_each(|process| self.end_later(process));
        }
    }

    /// Says that a container is held back.
    fn hold(&mut self, index: usize, length: SignedDuration) {
        let container = &mut self.record.containers[index];
        let RunState::Ended(ended) = &container.state else { return };
        container.last = Some(ended.clone());
        let message = format!(
            "back-off {}s restarting failed container={} pod={}_{}({})",
            length.as_secs(),
            container.name,
            self.record.name,
            self.record.namespace,
            self.record.uid
        );
        let reason = "CrashLoopBackOff".to_owned();
        container.state = RunState::Waiting { reason, message };
        let message = format!(
            "Back-off restarting failed container {} in pod {}_{}({})",
            container.name, self.record.name, self.record.namespace, self.record.uid
        );
        let field = super::containers::field(container);
        self.context.events.container(&self.pod, &field, Severity::Warning, "BackOff", &message);
    }

    /// # Errors
    /// When to try again.
    async fn make_sandbox(&mut self) -> Result<(), Timestamp> {
        let problem = match self.context.places.plan(&self.pod, &self.record) {
            Ok(planned) => match self.make_planned(planned).await {
                Ok(()) => return Ok(()),
                Err(problem) => problem,
            },
            Err(NoPlace::NotYet) => {
                let problem = "the Pod that had its name before is still ending";
                if self.sandbox_problem.as_deref() != Some(problem) {
                    self.context.events.warning(&self.pod, "FailedCreatePodSandBox", problem);
                    self.sandbox_problem = Some(problem.to_owned());
                }
                return Err(Timestamp::now() + NAMESAKE);
            }
            Err(NoPlace::Problem(problem)) => problem,
        };
        let message = format!("Failed to create pod sandbox: {problem}");
        self.context.events.warning(&self.pod, "FailedCreatePodSandBox", &message);
        self.sandbox_problem = Some(problem);
        let retry = Timestamp::now() + self.sandbox_patience;
        self.sandbox_patience = (self.sandbox_patience * 2).min(RETRY_MOST);
        Err(retry)
    }

    async fn make_planned(&mut self, planned: Sandbox) -> Result<(), String> {
        // Before anything of it is there: a crash from here on leaves nothing that nobody owns.
        self.record.unfinished = Some(planned.clone());
        self.save();
        let (context, key) = (self.context.clone(), self.record.key());
        let making = planned.clone();
        let turn = self.context.building.acquire().await;
        let made = tokio::task::spawn_blocking(move || context.places.make(&key, &making)).await;
        drop(turn);
        made.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        (self.record.sandbox, self.record.unfinished) = (Some(planned), None);
        self.save();
        self.tell_what_is_ignored();
        (self.sandbox_problem, self.sandbox_retry) = (None, None);
        Ok(())
    }

    /// A lab is no container runtime.
    fn tell_what_is_ignored(&self) {
        let volumes = self.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let names: Vec<&str> = volumes.map(|volume| volume.name.as_str()).collect();
        if !names.is_empty() {
            let message = format!(
                "a lab mounts no volumes ({}): its Pods see the machine's files",
                names.join(", ")
            );
            self.context.events.warning(&self.pod, "VolumesIgnored", &message);
        }
    }

    /// Writes the record down. Without it an agent that comes later would not find what runs.
    pub(super) fn save(&self) {
        if let Err(error) = self.record.save(&self.context.site) {
            tracing::error!("{error}");
        }
    }

    /// Now, as the API writes times: in whole seconds.
    pub(super) fn now() -> Timestamp {
        seconds(Timestamp::now())
    }
}

/// `metadata.resourceVersion`, which this API counts.
fn revision(pod: &Pod) -> u64 {
    let text = pod.metadata.resource_version.as_deref().unwrap_or_default();
    text.parse().unwrap_or_default()
}
