//! How writes happen: one after the other against what all writes before them left, durable
//! before anybody sees them, and several to one wait for the disk.
//!
//! ```text
//!  write ──lock──> Head: decide, number, queue ──unlock──> wait ─────────────> answer
//!                                    │                       ▲
//!                                    └─ the first to wait writes the whole queue to disk,
//!                                       then shows it to readers and to watches
//! ```
//!
//! Writers see what is queued, readers only what is on disk. When the disk refuses, everything
//! queued is refused: it was decided on top of what is not there.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use serde_json::Value;

use super::object::Object;
use super::state::{Change, State, key};
use crate::apiserver::resource::Resource;
use crate::apiserver::service_ips::ServiceIps;
use crate::apiserver::status::Refusal;
use crate::apiserver::store::{Row, Store, StoreError};

/// Everything that writes go through.
pub(super) struct Writer {
    store: Store,
    head: Mutex<Head>,
    /// A batch has its outcome.
    settled: Condvar,
}

/// What the next write builds on.
struct Head {
    /// The last one given out.
    revision: u64,
    /// What differs from the committed state: objects by kind and key, none for deleted ones.
    pending: HashMap<(usize, Box<str>), (u64, Option<Object>)>,
    /// Not yet being written.
    queue: Vec<Change>,
    /// Of the queue.
    outcome: Outcome,
    /// Of what is being written.
    writing: Option<Outcome>,
    /// Who has which address, by the same changes.
    service_ips: ServiceIps,
    /// What a failed write may have left on disk: to be put right with the next one.
    doubtful: Vec<(usize, Box<str>)>,
}

/// What became of a batch: set once.
type Outcome = Arc<OnceLock<Result<(), String>>>;

/// A write that is being decided. Nobody else decides meanwhile.
pub(super) struct Transaction<'a> {
    state: &'a RwLock<State>,
    head: MutexGuard<'a, Head>,
    dry_run: bool,
}

impl Writer {
    /// On top of a state that was loaded from the store.
    pub(super) fn new(store: Store, state: &State) -> Self {
        let head = Head {
            revision: state.revision,
            pending: HashMap::new(),
            queue: Vec::new(),
            outcome: Outcome::default(),
            writing: None,
            service_ips: service_ips(state),
            doubtful: Vec::new(),
        };
        Self { store, head: Mutex::new(head), settled: Condvar::new() }
    }

    /// Decides, and waits until what was decided is durable. Changes that were made before a
    /// refusal stay made.
    pub(super) fn write<T>(
        &self,
        state: &RwLock<State>,
        dry_run: bool,
        decide: impl FnOnce(&mut Transaction<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let mut transaction = Transaction { state, head, dry_run };
        let decided = decide(&mut transaction);
        let head = transaction.head;
        // Also what was only looked at must be durable before it is answered with.
        let outcome = if head.queue.is_empty() {
            head.writing.clone()
        } else {
            Some(Arc::clone(&head.outcome))
        };
        if let Some(outcome) = outcome {
            self.settle(state, head, &outcome)?;
        }
        decided
    }

    /// Waits for a batch; whoever comes first writes it.
    fn settle<'a>(
        &'a self,
        state: &RwLock<State>,
        mut head: MutexGuard<'a, Head>,
        outcome: &Outcome,
    ) -> Result<(), Refusal> {
        loop {
            if let Some(result) = outcome.get() {
                return result.clone().map_err(|error| Refusal::new(500, "InternalError", error));
            }
            head = if head.writing.is_some() {
                self.settled.wait(head).unwrap_or_else(PoisonError::into_inner)
            } else {
                let head = self.commit(state, head);
                self.settled.notify_all();
                head
            };
        }
    }

    fn commit<'a>(
        &'a self,
        state: &RwLock<State>,
        mut head: MutexGuard<'a, Head>,
    ) -> MutexGuard<'a, Head> {
        let batch = mem::take(&mut head.queue);
        let outcome = mem::take(&mut head.outcome);
        head.writing = Some(Arc::clone(&outcome));
        let doubtful = mem::take(&mut head.doubtful);
        drop(head);

        let result = self.write_to_disk(state, &batch, &doubtful).map_err(|error| {
            tracing::error!("{error}");
            format!("Internal error occurred: {error}")
        });

        let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        head.writing = None;
        if result.is_ok() {
            head.publish(state, batch);
        } else {
            head.doubtful = doubtful;
            head.fail(state, batch, result.clone());
        }
        // It is set here and nowhere else.
        let _ = outcome.set(result);
        head
    }

    fn write_to_disk(
        &self,
        state: &RwLock<State>,
        batch: &[Change],
        doubtful: &[(usize, Box<str>)],
    ) -> Result<(), StoreError> {
        let state = state.read().unwrap_or_else(PoisonError::into_inner);
        let as_committed: Vec<_> = doubtful
            .iter()
            .map(|(kind, key)| {
                let kind = &state.kinds[*kind];
                (kind.path(key), kind.objects.get(key).cloned())
            })
            .collect();
        let paths: Vec<_> =
            batch.iter().map(|change| state.kinds[change.kind].path(&change.key)).collect();
        drop(state);
        let settled = as_committed.iter().map(|(path, object)| Row {
            key: path,
            json: object.as_ref().map(|object| object.json().as_ref()),
        });
        let rows = batch.iter().zip(&paths).map(|(change, path)| Row {
            key: path,
            json: (!change.deleted).then(|| change.object.json().as_ref()),
        });
        let revision = batch.last().map_or(0, |change| change.object.revision());
        self.store.commit(revision, settled.chain(rows))
    }
}

impl Head {
    /// What is durable may be seen.
    fn publish(&mut self, state: &RwLock<State>, batch: Vec<Change>) {
        let mut state = state.write().unwrap_or_else(PoisonError::into_inner);
        for change in batch {
            let place = (change.kind, change.key.clone());
            let revision = change.object.revision();
            if self.pending.get(&place).is_some_and(|(latest, _)| *latest == revision) {
                self.pending.remove(&place);
            }
            state.apply(change);
        }
    }

    /// What was queued meanwhile was decided on top of the batch, so it fails with it. Revisions
    /// are not given out again.
    fn fail(&mut self, state: &RwLock<State>, batch: Vec<Change>, result: Result<(), String>) {
        self.pending.clear();
        self.service_ips = service_ips(&state.read().unwrap_or_else(PoisonError::into_inner));
        self.doubtful.extend(batch.into_iter().map(|change| (change.kind, change.key)));
        self.queue.clear();
        let _ = mem::take(&mut self.outcome).set(result);
    }
}

impl Transaction<'_> {
    /// An object as the last write left it.
    pub(super) fn get(&self, kind: usize, namespace: &str, name: &str) -> Option<Object> {
        let place = (kind, key(namespace, name));
        match self.head.pending.get(&place) {
            Some((_, object)) => object.clone(),
            None => self.read(|state| state.kinds[kind].objects.get(&place.1).cloned()),
        }
    }

    /// Writes an object under its namespace and name, at a new revision; in a dry run it stays at
    /// the one it has.
    pub(super) fn put(
        &mut self,
        of: &Resource,
        kind: usize,
        before: Option<Object>,
        mut value: Value,
    ) -> Object {
        if self.dry_run {
            return Object::new(of, &value);
        }
        let object = self.number(of, &mut value);
        if concerns_addresses(of) {
            let before = before.as_ref().map(Object::value);
            self.head.service_ips.observe(of, before.as_ref(), Some(&value));
        }
        let key = key(object.namespace(), object.name());
        self.change(Change { kind, key, before, object: object.clone(), deleted: false });
        object
    }

    /// Deletes an object; the answer is its last state, at a new revision.
    pub(super) fn remove(
        &mut self,
        of: &Resource,
        kind: usize,
        before: Object,
        mut value: Value,
    ) -> Object {
        if self.dry_run {
            return Object::new(of, &value);
        }
        let object = self.number(of, &mut value);
        if concerns_addresses(of) {
            self.head.service_ips.observe(of, Some(&before.value()), None);
        }
        let key = key(object.namespace(), object.name());
        let before = Some(before);
        self.change(Change { kind, key, before, object: object.clone(), deleted: true });
        object
    }

    /// Fills in the addresses and ports that a Service gets; they are its own once it is
    /// [`Self::put`].
    pub(super) fn assign_addresses(
        &mut self,
        of: &Resource,
        new: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), Refusal> {
        self.head.service_ips.assign(of, new, old)
    }

    /// Refuses what would make all objects together larger than they may be. What is not committed
    /// yet is not counted.
    pub(super) fn check_room(&self, more: usize) -> Result<(), Refusal> {
        let (bytes, most) = self.read(|state| (state.bytes, state.most_bytes));
        if more == 0 || bytes + more <= most {
            return Ok(());
        }
        let mebibytes = most >> 20;
        Err(Refusal::internal(&format!(
            "database space exceeded: objects may take {mebibytes} MiB together, delete some"
        )))
    }

    /// Looks at what is committed.
    pub(super) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn number(&mut self, of: &Resource, value: &mut Value) -> Object {
        self.head.revision += 1;
        value["metadata"]["resourceVersion"] = self.head.revision.to_string().into();
        Object::new(of, value)
    }

    fn change(&mut self, change: Change) {
        let place = (change.kind, change.key.clone());
        let now = (!change.deleted).then(|| change.object.clone());
        self.head.pending.insert(place, (change.object.revision(), now));
        self.head.queue.push(change);
    }
}

/// Whether addresses are given to such objects, or because of them.
fn concerns_addresses(of: &Resource) -> bool {
    matches!((of.group, of.kind), ("", "Service") | ("networking.k8s.io", "ServiceCIDR"))
}

/// Who has which address in a state.
fn service_ips(state: &State) -> ServiceIps {
    let mut service_ips = ServiceIps::default();
    for kind in state.kinds.iter().filter(|kind| concerns_addresses(kind.of)) {
        for object in kind.objects.values() {
            service_ips.observe(kind.of, None, Some(&object.value()));
        }
    }
    service_ips
}
