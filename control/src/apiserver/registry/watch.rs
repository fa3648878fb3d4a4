//! What happens to objects, told as it happens.
//!
//! A watch keeps no events of its own but the few that it is about to give: it remembers how far it
//! is, and reads on in the history that all watches of the kind share. Thousands of them cost next
//! to nothing, and one that reads too slowly finds what it has not read forgotten and is cut off.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until};

use super::list::{key_after, page, parse_version, refuse};
use super::object::Object;
use super::options::ListOptions;
use super::selector::Selector;
use super::state::{Change, State, prefix};
use super::{Place, Registry};
use crate::apiserver::resource::{FieldError, Resource};
use crate::apiserver::status::Refusal;

/// How often a watch tells how far it is.
const BETWEEN_BOOKMARKS: Duration = Duration::from_secs(60);

/// How many events a watch holds at most.
const AHEAD: usize = 64;

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

/// Events of one kind.
pub(crate) struct Watch {
    registry: Registry,
    of: &'static Resource,
    kind: usize,
    prefix: String,
    selector: Selector,
    /// Everything up to here was told.
    revision: u64,
    /// From which key on the objects that were there at the beginning are still to be told.
    initial: Option<String>,
    /// Whether their end is marked.
    mark_initial_end: bool,
    ready: VecDeque<Event>,
    news: Receiver<()>,
    ends: Option<Instant>,
    /// None when it gives no bookmarks.
    next_bookmark: Option<Instant>,
    ended: bool,
}

impl Watch {
    pub(super) fn new(
        registry: &Registry,
        place: Place<'_>,
        options: &ListOptions,
    ) -> Result<Self, Refusal> {
        validate(options)?;
        let selector = Selector::parse(place.of, &options.label_selector, &options.field_selector)?;
        let version = parse_version(&options.resource_version)?;
        let initial = options.send_initial_events.unwrap_or(version == 0);
        let prefix = prefix(Some(place.namespace));
        let now = Instant::now();
        let bookmarks = options.allow_watch_bookmarks;
        let (latest, news) =
            registry.read(|state| (state.revision, state.kinds[place.kind].subscribe()));
        Ok(Self {
            registry: registry.clone(),
            of: place.of,
            kind: place.kind,
            selector,
            revision: if initial || version == 0 { latest } else { version },
            initial: initial.then(|| prefix.clone()),
            prefix,
            mark_initial_end: bookmarks && options.send_initial_events == Some(true),
            ready: VecDeque::new(),
            news,
            ends: options.timeout.map(|timeout| now + timeout),
            next_bookmark: bookmarks.then(|| now + BETWEEN_BOOKMARKS),
            ended: false,
        })
    }

    /// The next event, as soon as there is one; none when the watch is over. An error is the last
    /// thing that a watch tells (`ERROR`). Whoever stops waiting for it loses nothing.
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
            if !self.ready.is_empty() {
                continue;
            }
            let wake = [self.ends, self.next_bookmark].into_iter().flatten().min();
            tokio::select! {
                changed = self.news.changed() => self.ended |= changed.is_err(),
                () = at(wake) => self.on_time(),
            }
        }
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        self.ended = self.ends.is_some_and(|ends| ends <= now);
        if let Some(next) = &mut self.next_bookmark
            && (*next <= now || self.ended)
        {
            *next = now + BETWEEN_BOOKMARKS;
            self.ready.push_back(bookmark(self.of, self.revision, false));
        }
    }

    /// Reads some events, if there are any.
    fn read(&mut self) -> Result<(), Refusal> {
        let registry = self.registry.clone();
        registry.read(|state| match self.initial.take() {
            Some(from) => self.read_initial(state, &from),
            None => self.read_changes(state),
        })
    }

    fn read_initial(&mut self, state: &State, from: &str) -> Result<(), Refusal> {
        let kind = &state.kinds[self.kind];
        let (items, rest) = page(kind, self.revision, from, &self.prefix, &self.selector, AHEAD)
            .ok_or_else(|| too_old(self.revision, kind.forgotten))?;
        self.initial = rest.and_then(|_| items.last()).map(key_after);
        let added = |object| Event { kind: EventKind::Added, object };
        self.ready.extend(items.into_iter().map(added));
        if self.initial.is_none() && self.mark_initial_end {
            self.ready.push_back(bookmark(self.of, self.revision, true));
        }
        if self.ready.is_empty() { self.read_changes(state) } else { Ok(()) }
    }

    fn read_changes(&mut self, state: &State) -> Result<(), Refusal> {
        let kind = &state.kinds[self.kind];
        // From before the start, or from another server.
        let known = self.revision <= state.revision;
        let changes = kind
            .since(self.revision)
            .filter(|_| known)
            .ok_or_else(|| too_old(self.revision, kind.forgotten))?;
        for change in changes {
            if self.ready.len() >= AHEAD {
                return Ok(());
            }
            self.revision = change.object.revision();
            if change.key.starts_with(&self.prefix) {
                self.ready.extend(self.event(change));
            }
        }
        self.revision = state.revision;
        Ok(())
    }

    /// What a change is to somebody who sees only what is selected.
    fn event(&self, change: &Change) -> Option<Event> {
        let before = change.before.as_ref().filter(|before| self.selector.matches(before));
        let after = (!change.deleted && self.selector.matches(&change.object))
            .then(|| change.object.clone());
        let (kind, object) = match (before, after) {
            (None, None) => return None,
            (None, Some(object)) => (EventKind::Added, object),
            (Some(_), Some(object)) => (EventKind::Modified, object),
            (Some(_), None) if change.deleted => (EventKind::Deleted, change.object.clone()),
            (Some(before), None) => {
                let mut value = before.value();
                value["metadata"]["resourceVersion"] = change.object.revision().to_string().into();
                (EventKind::Deleted, Object::new(self.of, &value))
            }
        };
        Some(Event { kind, object })
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

fn too_old(revision: u64, forgotten: u64) -> Refusal {
    Refusal::expired(format!("too old resource version: {revision} ({forgotten})"))
}

fn bookmark(of: &'static Resource, revision: u64, initial_end: bool) -> Event {
    let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
    if initial_end {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    let object = json!({"apiVersion": of.api_version(), "kind": of.kind, "metadata": metadata});
    Event { kind: EventKind::Bookmark, object: Object::new(of, &object) }
}

/// Refuses what cannot be asked of a watch.
fn validate(options: &ListOptions) -> Result<(), Refusal> {
    let wanted = options.resource_version_match.as_str();
    let field = "resourceVersionMatch";
    let mut errors = Vec::new();
    if options.send_initial_events.is_some() && wanted != "NotOlderThan" {
        let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        errors.push(FieldError::forbidden(field, detail));
    }
    if !wanted.is_empty() {
        if options.send_initial_events.is_none() {
            let detail =
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(FieldError::forbidden(field, detail));
        }
        if wanted != "NotOlderThan" {
            errors.push(FieldError::not_supported(field, &json!(wanted), &["NotOlderThan"]));
        }
        if !options.continue_token.is_empty() {
            let detail = "resourceVersionMatch is forbidden when continue is provided";
            errors.push(FieldError::forbidden(field, detail));
        }
    }
    refuse(&errors)
}
