//! What happens to objects, told as it happens.

use std::collections::VecDeque;

use futures::Stream;
use tokio::sync::watch::Receiver;

use super::options::ListOptions;
use super::{Object, Registry};
use crate::apiserver::status::Refusal;

/// Something that happened to an object.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// What happened.
    pub(crate) kind: EventKind,
    /// The object as it is now; of a deletion, as it was last; of a bookmark, nothing but its
    /// `metadata.resourceVersion`.
    pub(crate) object: Object,
}

/// What can happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EventKind {
    /// It is new, or new to the selector.
    Added,
    /// It changed.
    Modified,
    /// It is gone, or gone from the selector.
    Deleted,
    /// Nothing: everything up to this revision has been told.
    Bookmark,
}

impl EventKind {
    /// As in the API: `ADDED`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Bookmark => "BOOKMARK",
        }
    }
}

/// Events of one kind. It keeps nothing but where it is: who reads too slowly finds what it has not
/// read forgotten, and is cut off with 410.
pub(crate) struct Watch {
    registry: Registry,
    kind: usize,
    namespace: Option<String>,
    /// Everything up to here was told.
    revision: u64,
    news: Receiver<()>,
    ready: VecDeque<Event>,
    ended: bool,
}

impl Watch {
    pub(super) fn new(
        registry: Registry,
        kind: usize,
        namespace: Option<&str>,
        _options: &ListOptions,
    ) -> Result<Self, Refusal> {
        let (news, revision, ready) = registry.read(|state| {
            let of = &state.kinds[kind];
            let objects = of.objects.values();
            let ready = objects
                .filter(|object| namespace.is_none_or(|namespace| object.namespace() == namespace))
                .map(|object| Event { kind: EventKind::Added, object: object.clone() })
                .collect();
            (of.subscribe(), state.revision, ready)
        });
        let namespace = namespace.map(str::to_owned);
        Ok(Self { registry, kind, namespace, revision, news, ready, ended: false })
    }

    /// The next event, as soon as there is one; none when the watch is over. An error is the last
    /// thing that a watch tells (`ERROR`).
    pub(crate) async fn next(&mut self) -> Option<Result<Event, Refusal>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if self.ended {
                return None;
            }
            self.news.mark_unchanged();
            if let Err(refusal) = self.read() {
                self.ended = true;
                return Some(Err(refusal));
            }
            if self.ready.is_empty() && self.news.changed().await.is_err() {
                return None;
            }
        }
    }

    /// As a stream.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<Event, Refusal>> + Send {
        futures::stream::unfold(self, async |mut watch| {
            let event = watch.next().await?;
            Some((event, watch))
        })
    }

    fn read(&mut self) -> Result<(), Refusal> {
        let registry = self.registry.clone();
        registry.read(|state| {
            let changes = state.kinds[self.kind]
                .since(self.revision)
                .ok_or_else(|| Refusal::expired("too old resource version"))?;
            for change in changes {
                if self.namespace.as_ref().is_none_or(|each| change.object.namespace() == each) {
                    let kind = match (&change.before, change.deleted) {
                        (_, true) => EventKind::Deleted,
                        (None, false) => EventKind::Added,
                        (Some(_), false) => EventKind::Modified,
                    };
                    self.ready.push_back(Event { kind, object: change.object.clone() });
                }
            }
            self.revision = state.revision;
            Ok(())
        })
    }
}
