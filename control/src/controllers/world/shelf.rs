//! The objects of one kind, as far as they have been watched.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::Event;

use super::super::change::key_of;
use super::super::task::Key;

/// What is kept of an object.
pub(in super::super) trait Kept: PartialEq {
    /// Its `metadata`, without what nobody asks for.
    fn metadata(&self) -> &ObjectMeta;
}

/// Objects by namespace and name.
#[derive(Debug)]
pub(in super::super) struct Shelf<T> {
    objects: BTreeMap<Key, Arc<T>>,
    /// While a list is coming in: what has come.
    listed: Option<BTreeSet<Key>>,
    /// Whether a first list is complete.
    synced: bool,
    /// The latest revision that was seen.
    revision: u64,
}

/// One object, before and after.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Step<T> {
    pub(super) before: Option<Arc<T>>,
    pub(super) after: Option<Arc<T>>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), listed: None, synced: false, revision: 0 }
    }
}

impl<T: Kept> Shelf<T> {
    /// Takes in what a watch says; returns what has changed.
    pub(super) fn take(&mut self, event: Event<T>) -> Vec<Step<T>> {
        match event {
            Event::Init => {
                self.listed = Some(BTreeSet::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                if let Some(listed) = &mut self.listed {
                    listed.insert(key_of(object.metadata()));
                }
                self.put(object)
            }
            Event::InitDone => {
                self.synced = true;
                let listed = self.listed.take().unwrap_or_default();
                let gone: Vec<_> =
                    self.objects.keys().filter(|key| !listed.contains(*key)).cloned().collect();
                gone.iter().filter_map(|key| self.remove(key)).collect()
            }
            Event::Apply(object) => self.put(object),
            Event::Delete(object) => {
                self.see(object.metadata());
                self.remove(&key_of(object.metadata())).into_iter().collect()
            }
        }
    }

    /// One object.
    pub(in super::super) fn get(&self, key: &Key) -> Option<&Arc<T>> {
        self.objects.get(key)
    }

    /// All of them, in order.
    pub(in super::super) fn iter(&self) -> impl Iterator<Item = (&Key, &Arc<T>)> {
        self.objects.iter()
    }

    /// Those of a namespace, in order.
    pub(in super::super) fn in_namespace<'a>(
        &'a self,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Arc<T>> + 'a {
        let from = Bound::Included(Key::new(namespace, ""));
        let all = self.objects.range((from, Bound::Unbounded));
        all.take_while(move |(key, _)| key.namespace == namespace).map(|(_, object)| object)
    }
    /// Whether it is known what there is.
    pub(super) fn is_synced(&self) -> bool {
        self.synced
    }

    /// The latest revision that was seen.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    fn put(&mut self, object: T) -> Vec<Step<T>> {
        self.see(object.metadata());
        let key = key_of(object.metadata());
        let after = Arc::new(object);
        let before = self.objects.insert(key, after.clone());
        match before {
            Some(before) if before == after => Vec::new(),
            // One was deleted, and another made in its place, while nobody watched.
            Some(before) if before.metadata().uid != after.metadata().uid => vec![
                Step { before: Some(before), after: None },
                Step { before: None, after: Some(after) },
            ],
            before => vec![Step { before, after: Some(after) }],
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Step<T>> {
        let before = self.objects.remove(key)?;
        Some(Step { before: Some(before), after: None })
    }

    fn see(&mut self, metadata: &ObjectMeta) {
        self.revision = self.revision.max(revision_of(metadata));
    }
}

/// An object's `resourceVersion` as a number: what every API server makes it (KEP-5504).
pub(in super::super) fn revision_of(metadata: &ObjectMeta) -> u64 {
    metadata.resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
}
