//! The loop: what watches say goes into the World, what follows from it is planned and done.

use std::collections::BTreeSet;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use kube::Client;
use tokio::time::{Instant, sleep_until};

use super::execute::{End, Outcome, execute};
use super::queue::Queue;
use super::recorder::Recorder;
use super::task::{Moment, Plan, Task};
use super::watching::watch_all;
use super::world::{Observed, World};
use super::{
    Settings, deployment, endpoint_slices, endpoints, garbage, kubernetes_service, mirroring,
    namespaces, old_events, replica_set, service_cidrs,
};

/// Tasks that wait for the server at a time.
const RUNNING_MAX: usize = 32;
/// Events of watches that are taken in before tasks are looked at again.
const OBSERVED_MAX: usize = 1024;

/// Runs for ever.
pub(super) async fn run(client: Client, settings: Settings, recorder: Recorder) {
    let mut watches = watch_all(&client);
    let mut manager = Manager::default();
    let mut running = FuturesUnordered::new();
    loop {
        // What has been said already is one change, however many events it came in.
        for _ in 0..OBSERVED_MAX {
            match watches.next().now_or_never() {
                Some(Some(observed)) => manager.observe(observed),
                _ => break,
            }
        }
        while running.len() < RUNNING_MAX {
            let Some(mut work) = manager.next(&settings, Clock::now()) else { break };
            let changes = std::mem::take(&mut work.plan.changes);
            let (client, recorder) = (&client, &recorder);
            running.push(async move { (work, execute(client, recorder, changes).await) });
        }
        let due = manager.queue.next_due();
        tokio::select! {
            Some(observed) = watches.next() => manager.observe(observed),
            Some((work, outcome)) = running.next() => manager.finish(work, outcome, Clock::now()),
            () = sleep_until(due.unwrap_or_else(Instant::now)),
                if due.is_some() && running.len() < RUNNING_MAX => {}
        }
    }
}

/// What time it is, for plans and for the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) time: Timestamp,
    pub(super) instant: Instant,
}

impl Clock {
    fn now() -> Self {
        Self { time: Timestamp::now(), instant: Instant::now() }
    }
}

/// What is known, and what is to be done. No I/O.
#[derive(Default)]
pub(super) struct Manager {
    pub(super) world: World,
    pub(super) queue: Queue,
    /// Whether all kinds have been listed once: before, nothing is known to be missing.
    synced: bool,
}

/// A task that is being done.
pub(super) struct Work {
    pub(super) task: Task,
    pub(super) plan: Plan,
    trigger: Option<Timestamp>,
}

impl Manager {
    /// Takes in what a watch says.
    pub(super) fn observe(&mut self, observed: Observed) {
        let kind = observed.kind();
        let mut tasks = BTreeSet::new();
        self.world.observe(observed, &mut tasks);
        tasks.into_iter().for_each(|task| self.queue.add(task));
        self.queue.shown(kind, self.world.revision(kind));
        for uid in self.world.take_departed() {
            self.queue.departed(&uid);
        }
        if !self.synced && self.world.is_synced() {
            self.synced = true;
            tracing::debug!("all kinds have been listed");
        }
    }

    /// The next task that needs something.
    pub(super) fn next(&mut self, settings: &Settings, now: Clock) -> Option<Work> {
        while self.synced {
            let (task, failure) = self.queue.start(now.instant)?;
            let trigger = self.world.take_trigger(&task);
            let moment = Moment { now: now.time, failure: failure.as_ref(), trigger };
            let plan = plan(&self.world, settings, &task, &moment);
            let work = Work { task, plan, trigger };
            if !work.plan.changes.is_empty() {
                return Some(work);
            }
            self.finish(work, Outcome::default(), now);
        }
        None
    }

    /// A task is through.
    pub(super) fn finish(&mut self, work: Work, outcome: Outcome, now: Clock) {
        let now = now.instant;
        let Outcome { mut awaited, end } = outcome;
        let Work { task, plan, trigger } = work;
        // Most of it has been shown while the requests were under way.
        awaited.revisions.retain(|kind, revision| self.world.revision(*kind) < *revision);
        awaited.departures.retain(|uid| self.world.is_staying(uid));
        match end {
            End::Done | End::Pointless => {
                self.queue.done(task.clone(), awaited, now);
                if let Some(after) = plan.again_after {
                    self.queue.add_at(task, now + after);
                }
            }
            End::Stale => {
                self.world.note_trigger(task.clone(), trigger);
                self.queue.stale(task, awaited, now);
            }
            End::Failed(failure) => {
                self.world.note_trigger(task.clone(), trigger);
                let message = failure.message.clone();
                if self.queue.failed(task.clone(), awaited, failure, now) {
                    tracing::warn!(%task, error = message, "failed, trying again");
                }
            }
        }
    }
}

/// What is to be done for a task.
fn plan(world: &World, settings: &Settings, task: &Task, moment: &Moment<'_>) -> Plan {
    match task {
        Task::Slices(key) => endpoint_slices::plan(world, key, moment),
        Task::Endpoints(key) => endpoints::plan(world, key, moment),
        Task::Mirror(key) => mirroring::plan(world, key),
        Task::ReplicaSet(key) => replica_set::plan(world, key, moment),
        Task::Deployment(key) => deployment::plan(world, key, moment),
        Task::Garbage(uid) => garbage::plan(world, uid),
        Task::Namespace(name) => namespaces::plan(world, name),
        Task::Kubernetes => kubernetes_service::plan(world, settings.api),
        Task::ServiceCidr(name) => service_cidrs::plan(world, name, moment.now),
        Task::OldEvents => old_events::plan(world, moment.now),
    }
}
