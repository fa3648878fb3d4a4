//! The API without HTTP: create, read, watch, change and delete objects, by the rules of the real
//! API server.

mod object;
pub(crate) mod options;
mod state;
pub(crate) mod watch;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde_json::Value;

pub(crate) use self::object::Object;
use self::options::{DeleteOptions, ListOptions, Patch, WriteOptions};
use self::state::{Change, State, key};
use self::watch::Watch;
use super::kinds;
use super::resource::{Resource, Subresource};
use super::status::Refusal;
use super::store::StoreError;

/// All objects. Cheap to clone. A write returns once it is durable, so whoever must not wait for
/// the disk writes on a thread where waiting is allowed (`spawn_blocking`); writes of several
/// threads share one wait. Reads do not wait.
#[derive(Clone)]
pub(crate) struct Registry(Arc<Inner>);

struct Inner {
    state: RwLock<State>,
    /// Held by whoever writes.
    writing: Mutex<()>,
}

/// How the registry behaves.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    /// What is served.
    pub(crate) kinds: &'static [Resource],
}

impl Default for Settings {
    fn default() -> Self {
        Self { kinds: kinds::all() }
    }
}

/// What a create, an update or a patch did.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// As it is now; of the scale subresource, the `autoscaling/v1 Scale`.
    pub(crate) object: Object,
    /// Whether it was not there before.
    pub(crate) created: bool,
    /// For the `Warning` header.
    pub(crate) warnings: Vec<String>,
}

/// What a delete did.
#[derive(Clone, Debug)]
pub(crate) struct Deleted {
    /// As it was last, or as it is while it ends.
    pub(crate) object: Object,
    /// Whether it is gone; else it has a `deletionTimestamp` and waits for its grace period or its
    /// finalizers.
    pub(crate) gone: bool,
}

/// A page of objects.
#[derive(Clone, Debug)]
pub(crate) struct List {
    /// In the order of their namespaces and names.
    pub(crate) items: Vec<Object>,
    /// `metadata.resourceVersion`: watches go on from here.
    pub(crate) revision: u64,
    /// `metadata.continue`; empty on the last page.
    pub(crate) continue_token: String,
    /// `metadata.remainingItemCount`, where it is known.
    pub(crate) remaining: Option<u64>,
}

impl Registry {
    /// Opens the objects of a directory; makes it, and what every cluster has, when they are not
    /// there.
    ///
    /// # Errors
    /// When the directory cannot be used: it is damaged, foreign, or somebody else's.
    pub(crate) fn open(_directory: &Path, settings: Settings) -> Result<Self, StoreError> {
        let state = RwLock::new(State::new(settings.kinds, 1));
        Ok(Self(Arc::new(Inner { state, writing: Mutex::new(()) })))
    }

    /// Makes a new object.
    pub(crate) fn create(
        &self,
        of: &'static Resource,
        namespace: &str,
        body: Value,
        options: &WriteOptions,
    ) -> Result<Written, Refusal> {
        let _writing = self.0.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = (of.decode)(body).map_err(|e| Refusal::bad_request(e.message))?.object;
        (of.default)(&mut new);
        (of.prepare)(&mut new, None);
        let revision = self.read(|state| state.revision) + 1;
        new["metadata"]["resourceVersion"] = revision.to_string().into();
        let object = Object::new(of, &new);
        let warnings = (of.warnings)(&new, None);
        if !options.dry_run {
            let kind = self.kind(of)?;
            let key = key(namespace, object.name());
            let change = Change { kind, key, before: None, object: object.clone(), deleted: false };
            self.0.state.write().unwrap_or_else(PoisonError::into_inner).apply(change);
        }
        Ok(Written { object, created: true, warnings })
    }

    /// One object.
    pub(crate) fn get(
        &self,
        of: &'static Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Object, Refusal> {
        let kind = self.kind(of)?;
        self.read(|state| state.kinds[kind].objects.get(&key(namespace, name)).cloned())
            .ok_or_else(|| Refusal::not_found(of, name))
    }

    /// The `autoscaling/v1 Scale` of an object.
    pub(crate) fn get_scale(
        &self,
        of: &'static Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Object, Refusal> {
        self.get(of, namespace, name)
    }

    /// The objects of a namespace, or all of them.
    pub(crate) fn list(
        &self,
        of: &'static Resource,
        namespace: Option<&str>,
        _options: &ListOptions,
    ) -> Result<List, Refusal> {
        let kind = self.kind(of)?;
        Ok(self.read(|state| List {
            items: state.kinds[kind]
                .objects
                .values()
                .filter(|object| namespace.is_none_or(|namespace| object.namespace() == namespace))
                .cloned()
                .collect(),
            revision: state.revision,
            continue_token: String::new(),
            remaining: None,
        }))
    }

    /// What happens to the objects of a namespace, or to all of them. To be called, and the watch to
    /// be polled, within a tokio runtime.
    pub(crate) fn watch(
        &self,
        of: &'static Resource,
        namespace: Option<&str>,
        options: &ListOptions,
    ) -> Result<Watch, Refusal> {
        Watch::new(self.clone(), self.kind(of)?, namespace, options)
    }

    /// Replaces an object, or one side of it.
    pub(crate) fn update(
        &self,
        of: &'static Resource,
        namespace: &str,
        name: &str,
        _subresource: Option<Subresource>,
        _body: Value,
        _options: &WriteOptions,
    ) -> Result<Written, Refusal> {
        self.get(of, namespace, name)?;
        Err(Refusal::new(501, "", "updates are not served yet"))
    }

    /// Changes an object, or one side of it.
    pub(crate) fn patch(
        &self,
        of: &'static Resource,
        namespace: &str,
        name: &str,
        _subresource: Option<Subresource>,
        _patch: &Patch,
        _options: &WriteOptions,
    ) -> Result<Written, Refusal> {
        self.get(of, namespace, name)?;
        Err(Refusal::new(501, "", "patches are not served yet"))
    }

    /// Deletes an object, or has it end.
    pub(crate) fn delete(
        &self,
        of: &'static Resource,
        namespace: &str,
        name: &str,
        _options: &DeleteOptions,
    ) -> Result<Deleted, Refusal> {
        self.get(of, namespace, name)?;
        Err(Refusal::new(501, "", "deletions are not served yet"))
    }

    /// Deletes all objects of a namespace that are selected, and says which.
    pub(crate) fn delete_collection(
        &self,
        of: &'static Resource,
        namespace: Option<&str>,
        options: &DeleteOptions,
        selected: &ListOptions,
    ) -> Result<List, Refusal> {
        let list = self.list(of, namespace, selected)?;
        for object in &list.items {
            self.delete(of, object.namespace(), object.name(), options)?;
        }
        Ok(list)
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.0.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn kind(&self, of: &'static Resource) -> Result<usize, Refusal> {
        self.read(|state| state.kinds.iter().position(|kind| std::ptr::eq(kind.of, of))).ok_or_else(
            || Refusal::new(404, "NotFound", "the server could not find the requested resource"),
        )
    }
}
