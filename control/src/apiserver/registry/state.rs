//! What is committed, in memory: the objects of every kind, and the latest changes of each.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::watch;

use super::super::resource::Resource;
use super::object::Object;

/// How many changes of a kind are remembered for watches at most.
const HISTORY_CHANGES: usize = 16_384;

/// How many bytes of JSON the remembered changes of a kind may keep alive.
const HISTORY_BYTES: usize = 32 << 20;

/// Everything that is committed.
pub(super) struct State {
    /// In the order in which the registry was given the kinds.
    pub(super) kinds: Vec<Kind>,
    /// Of the last change of any kind.
    pub(super) revision: u64,
}

/// One kind's objects.
pub(super) struct Kind {
    pub(super) of: &'static Resource,
    /// By [`key`], in the order in which lists give them.
    pub(super) objects: BTreeMap<Box<str>, Object>,
    /// Oldest first.
    history: VecDeque<Change>,
    history_bytes: usize,
    /// Changes up to this revision are forgotten.
    forgotten: u64,
    /// Tells watches that there is news.
    news: watch::Sender<()>,
}

/// What happened to one object.
#[derive(Clone)]
pub(super) struct Change {
    /// Index of the kind.
    pub(super) kind: usize,
    pub(super) key: Box<str>,
    pub(super) before: Option<Object>,
    /// As it is now; of a deletion, as it was last, at the revision of the deletion.
    pub(super) object: Object,
    pub(super) deleted: bool,
}

/// Where an object stands among those of its kind: `namespace/name`, or `name`.
pub(super) fn key(namespace: &str, name: &str) -> Box<str> {
    if namespace.is_empty() { name.into() } else { format!("{namespace}/{name}").into() }
}

impl State {
    /// Without objects.
    pub(super) fn new(kinds: &'static [Resource], revision: u64) -> Self {
        let kinds = kinds.iter().map(|of| Kind {
            of,
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            history_bytes: 0,
            forgotten: revision,
            news: watch::Sender::new(()),
        });
        Self { kinds: kinds.collect(), revision }
    }

    /// Takes a committed change in. They come in the order of their revisions.
    pub(super) fn apply(&mut self, change: Change) {
        self.revision = change.object.revision();
        if let Some(kind) = self.kinds.get_mut(change.kind) {
            kind.apply(change);
        }
    }
}

impl Kind {
    fn apply(&mut self, change: Change) {
        if change.deleted {
            self.objects.remove(&change.key);
        } else {
            self.objects.insert(change.key.clone(), change.object.clone());
        }
        self.history_bytes += change.bytes();
        self.history.push_back(change);
        while self.history.len() > HISTORY_CHANGES || self.history_bytes > HISTORY_BYTES {
            let Some(oldest) = self.history.pop_front() else { break };
            self.history_bytes -= oldest.bytes();
            self.forgotten = oldest.object.revision();
        }
        self.news.send_replace(());
    }

    /// The changes after a revision, oldest first; none when some of them are forgotten.
    pub(super) fn since(&self, revision: u64) -> Option<impl Iterator<Item = &Change>> {
        let first = self.history.partition_point(|change| change.object.revision() <= revision);
        (revision >= self.forgotten).then(|| self.history.range(first..))
    }

    /// Is woken after changes of this kind.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }
}

impl Change {
    /// What only this change keeps alive, at most.
    fn bytes(&self) -> usize {
        let before = self.before.as_ref().map_or(0, |object| object.json().len());
        before + if self.deleted { self.object.json().len() } else { 0 }
    }
}
