//! Which task is next.
//!
//! ```text
//!            add                 start                 done
//!   nothing ------> ready ----------------> running ----------> held ----> nothing, or ready again
//!              ^                                    (its own writes are     if something came
//!              '---- later: backoff, deadlines       not watched yet)       meanwhile
//! ```
//!
//! A task that has written waits until the watches have shown what it wrote: a plan made before
//! would not know of it and, say, make the same Pods once more. No clock: time is an argument.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::kind::Kind;
use super::task::{Failure, Task};

/// The first retry comes after this; each further one after twice the time.
const BACKOFF_MIN: Duration = Duration::from_millis(20);
/// Retries are not further apart.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// What was written is shown within this time, or something is wrong with the watch: then it is
/// better to go on.
const HELD_MAX: Duration = Duration::from_secs(30);

/// Tasks, each once.
#[derive(Default, Debug)]
pub(super) struct Queue {
    states: HashMap<Task, State>,
    ready: VecDeque<Task>,
    later: BTreeSet<(Instant, Task)>,
    due: HashMap<Task, Instant>,
    /// Held tasks, by when they are held no longer.
    deadlines: BTreeSet<(Instant, Task)>,
    /// Attempts that came to nothing since the last that did not, and why the last one did.
    failures: HashMap<Task, (u32, Option<Failure>)>,
    /// Held tasks, by the revision of a kind that they wait for.
    revisions: BTreeMap<Kind, BTreeSet<(u64, Task)>>,
    /// Held tasks, by the uid of an object that they deleted.
    departures: HashMap<String, Task>,
}

#[derive(Debug)]
enum State {
    Ready,
    Running { again: bool },
    Held { awaited: Awaited, until: Instant, again: bool },
}

/// What watches have to show before a task goes on.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Awaited {
    /// Of each kind that was written, the latest revision.
    pub(super) revisions: BTreeMap<Kind, u64>,
    /// Uids of deleted objects, until they are seen to go.
    pub(super) departures: BTreeSet<String>,
}

impl Awaited {
    /// Adds a written object.
    pub(super) fn written(&mut self, kind: Kind, revision: u64) {
        let known = self.revisions.entry(kind).or_default();
        *known = revision.max(*known);
    }

    fn is_empty(&self) -> bool {
        self.revisions.is_empty() && self.departures.is_empty()
    }
}

impl Queue {
    /// Something may have to be done.
    pub(super) fn add(&mut self, task: Task) {
        match self.states.get_mut(&task) {
            None => {
                self.forget_later(&task);
                self.ready.push_back(task.clone());
                self.states.insert(task, State::Ready);
            }
            Some(State::Ready) => {}
            Some(State::Running { again } | State::Held { again, .. }) => *again = true,
        }
    }

    /// Something will have to be done at a time; the earliest counts.
    pub(super) fn add_at(&mut self, task: Task, at: Instant) {
        match self.due.get(&task) {
            Some(known) if *known <= at => {}
            _ => {
                self.forget_later(&task);
                self.due.insert(task.clone(), at);
                self.later.insert((at, task));
            }
        }
    }

    /// The next task, which is running now, and why it failed the last time if it did.
    pub(super) fn start(&mut self, now: Instant) -> Option<(Task, Option<Failure>)> {
        self.wake(now);
        let task = self.ready.pop_front()?;
        self.states.insert(task.clone(), State::Running { again: false });
        let failure = self.failures.get(&task).and_then(|(_, failure)| failure.clone());
        Some((task, failure))
    }

    /// When [`Self::start`] may have more without anything happening.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let first = |of: &BTreeSet<(Instant, Task)>| of.first().map(|(at, _)| *at);
        first(&self.later).into_iter().chain(first(&self.deadlines)).min()
    }

    /// A running task is through; it goes on when what it wrote has been shown.
    pub(super) fn done(&mut self, task: Task, awaited: Awaited, now: Instant) {
        self.failures.remove(&task);
        let again = self.stop(&task);
        self.hold(task, awaited, again, now);
    }

    /// A running task met something that is not as it was watched: it is tried again a little later,
    /// when that has probably been shown.
    pub(super) fn stale(&mut self, task: Task, awaited: Awaited, now: Instant) {
        let failure = self.failures.get(&task).and_then(|(_, failure)| failure.clone());
        self.retry(task, awaited, failure, now);
    }

    /// A running task failed and is tried again later. Returns whether that is news.
    pub(super) fn failed(
        &mut self,
        task: Task,
        awaited: Awaited,
        failure: Failure,
        now: Instant,
    ) -> bool {
        let known = self.failures.get(&task).and_then(|(_, failure)| failure.as_ref());
        let news = known != Some(&failure);
        self.retry(task, awaited, Some(failure), now);
        news
    }

    fn retry(&mut self, task: Task, awaited: Awaited, failure: Option<Failure>, now: Instant) {
        self.stop(&task);
        let attempts = self.failures.get(&task).map_or(0, |(attempts, _)| *attempts);
        let backoff = BACKOFF_MIN.saturating_mul(1 << attempts.min(16)).min(BACKOFF_MAX);
        self.failures.insert(task.clone(), (attempts + 1, failure));
        self.hold(task.clone(), awaited, false, now);
        self.add_at(task, now + backoff);
    }

    /// Watches have shown a kind up to a revision.
    pub(super) fn shown(&mut self, kind: Kind, revision: u64) {
        let Some(waiting) = self.revisions.get_mut(&kind) else { return };
        let later = waiting.split_off(&(revision + 1, smallest_task()));
        for (_, task) in std::mem::replace(waiting, later) {
            if let Some(State::Held { awaited, .. }) = self.states.get_mut(&task) {
                awaited.revisions.remove(&kind);
            }
            self.release(&task);
        }
    }

    /// Watches have shown that an object is gone, or about to go.
    pub(super) fn departed(&mut self, uid: &str) {
        let Some(task) = self.departures.remove(uid) else { return };
        if let Some(State::Held { awaited, .. }) = self.states.get_mut(&task) {
            awaited.departures.remove(uid);
        }
        self.release(&task);
    }

    /// Whether nothing is to be done now.
    #[cfg(test)]
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.states.is_empty()
    }

    fn wake(&mut self, now: Instant) {
        while let Some((_, task)) = self.later.first().filter(|(at, _)| *at <= now).cloned() {
            self.forget_later(&task);
            self.add(task);
        }
        while let Some(first) = self.deadlines.first().filter(|(at, _)| *at <= now).cloned() {
            self.deadlines.remove(&first);
            let task = first.1;
            tracing::warn!(%task, "what was written has not been shown: going on");
            if let Some(State::Held { awaited, again, .. }) = self.states.get_mut(&task) {
                *again = true;
                let awaited = std::mem::take(awaited);
                self.forget_awaited(&task, &awaited);
            }
            self.release(&task);
        }
    }

    fn stop(&mut self, task: &Task) -> bool {
        matches!(self.states.remove(task), Some(State::Running { again: true }))
    }

    fn hold(&mut self, task: Task, awaited: Awaited, again: bool, now: Instant) {
        if awaited.is_empty() {
            if again {
                self.add(task);
            }
            return;
        }
        for (kind, revision) in &awaited.revisions {
            self.revisions.entry(*kind).or_default().insert((*revision, task.clone()));
        }
        for uid in &awaited.departures {
            self.departures.insert(uid.clone(), task.clone());
        }
        let until = now + HELD_MAX;
        self.deadlines.insert((until, task.clone()));
        self.states.insert(task, State::Held { awaited, until, again });
    }

    fn release(&mut self, task: &Task) {
        let Some(State::Held { awaited, until, again }) = self.states.get(task) else { return };
        if awaited.is_empty() {
            let (until, again) = (*until, *again);
            self.states.remove(task);
            self.deadlines.remove(&(until, task.clone()));
            if again {
                self.add(task.clone());
            }
        }
    }

    fn forget_awaited(&mut self, task: &Task, awaited: &Awaited) {
        for (kind, revision) in &awaited.revisions {
            if let Some(waiting) = self.revisions.get_mut(kind) {
                waiting.remove(&(*revision, task.clone()));
            }
        }
        for uid in &awaited.departures {
            self.departures.remove(uid);
        }
    }

    fn forget_later(&mut self, task: &Task) {
        if let Some(at) = self.due.remove(task) {
            self.later.remove(&(at, task.clone()));
        }
    }
}

/// Sorts before all others.
fn smallest_task() -> Task {
    Task::Slices(super::task::Key::new("", ""))
}
