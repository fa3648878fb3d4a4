//! What is committed, in memory: the objects of every kind, and the latest changes of each.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use tokio::sync::watch;

use super::Settings;
use super::object::Object;
use crate::apiserver::resource::Resource;

/// Everything that is committed.
pub(super) struct State {
    /// In the order in which the registry was given the kinds.
    pub(super) kinds: Vec<Kind>,
    /// Of the last change of any kind.
    pub(super) revision: u64,
    /// How much JSON all objects are.
    pub(super) bytes: usize,
    /// How much they may be.
    pub(super) most_bytes: usize,
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
    pub(super) forgotten: u64,
    /// How many changes are remembered.
    longest: usize,
    /// How many bytes of JSON they may keep alive.
    largest: usize,
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

/// Where an object stands among those of its kind: `namespace/name`, or `name`. The objects of a
/// namespace stand together, and in the order in which the real server gives them.
pub(super) fn key(namespace: &str, name: &str) -> Box<str> {
    if namespace.is_empty() { name.into() } else { format!("{namespace}/{name}").into() }
}

/// What the keys of a namespace, or of everything, begin with.
pub(super) fn prefix(namespace: Option<&str>) -> String {
    match namespace {
        None | Some("") => String::new(),
        Some(namespace) => format!("{namespace}/"),
    }
}

impl State {
    /// Without objects.
    pub(super) fn new(settings: &Settings) -> Self {
        let kinds = settings.kinds.iter().map(|of| Kind {
            of,
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            history_bytes: 0,
            forgotten: 0,
            longest: settings.history_changes,
            largest: settings.history_bytes,
            news: watch::Sender::new(()),
        });
        Self { kinds: kinds.collect(), revision: 0, bytes: 0, most_bytes: settings.most_bytes }
    }

    /// Takes in an object that was stored before the start.
    pub(super) fn load(&mut self, path: &str, json: &[u8]) -> Result<(), String> {
        let mut parts = path.splitn(3, '/');
        let (group, plural) = (parts.next(), parts.next());
        let key = parts.next().ok_or("a key of another form")?;
        let kind = self
            .kinds
            .iter_mut()
            .find(|kind| Some(kind.of.group) == group && Some(kind.of.plural) == plural);
        let value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let Some(kind) = kind else {
            tracing::warn!("{path} is of a kind that is not served: it is left alone");
            return Ok(());
        };
        let object = Object::new(kind.of, &value);
        self.bytes += object.json().len();
        kind.objects.insert(key.into(), object);
        Ok(())
    }

    /// What was loaded is at this revision, and of what came before nothing is known.
    pub(super) fn begin(&mut self, revision: u64) {
        self.revision = revision;
        for kind in &mut self.kinds {
            kind.forgotten = revision;
        }
    }

    /// Takes a committed change in. They come in the order of their revisions.
    pub(super) fn apply(&mut self, change: Change) {
        self.revision = change.object.revision();
        let length = change.object.json().len();
        self.bytes += if change.deleted { 0 } else { length };
        self.bytes -= change.before.as_ref().map_or(0, |before| before.json().len());
        self.kinds[change.kind].apply(change);
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
        while self.history.len() > self.longest || self.history_bytes > self.largest {
            let Some(oldest) = self.history.pop_front() else { break };
            self.history_bytes -= oldest.bytes();
            self.forgotten = oldest.object.revision();
        }
        self.news.send_replace(());
    }

    /// What an object is called on disk.
    pub(super) fn path(&self, key: &str) -> String {
        format!("{}/{}/{key}", self.of.group, self.of.plural)
    }

    /// The changes after a revision, oldest first; none when some of them are forgotten.
    pub(super) fn since(&self, revision: u64) -> Option<impl Iterator<Item = &Change>> {
        let first = self.history.partition_point(|change| change.object.revision() <= revision);
        (revision >= self.forgotten).then(|| self.history.range(first..))
    }

    /// The objects as they were at a revision, from a key on, in their order; none when that is
    /// forgotten.
    pub(super) fn objects_at<'a>(
        &'a self,
        revision: u64,
        from: &'a str,
    ) -> Option<impl Iterator<Item = (&'a str, &'a Object)>> {
        // What changed since is as it was before its first change.
        let mut before: BTreeMap<&str, Option<&Object>> = BTreeMap::new();
        for change in self.since(revision)?.filter(|change| &*change.key >= from) {
            before.entry(&change.key).or_insert(change.before.as_ref());
        }
        let mut before = before.into_iter().peekable();
        let from = (Bound::Included(from), Bound::Unbounded);
        let mut now = self.objects.range::<str, _>(from).peekable();
        let objects = std::iter::from_fn(move || {
            let key_now = now.peek().map(|(key, _)| &***key);
            match before.peek() {
                Some((key, _)) if key_now.is_none_or(|key_now| *key <= key_now) => {
                    now.next_if(|(key_now, _)| &***key_now == *key);
                    before.next()
                }
                _ => now.next().map(|(key, object)| (&**key, Some(object))),
            }
        });
        Some(objects.filter_map(|(key, object)| Some((key, object?))))
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
