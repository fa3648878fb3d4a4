//! The API without HTTP: create, read, watch, change and delete objects, by the rules of the real
//! API server (k8s.io/apiserver/pkg/registry). What differs between kinds stands in their
//! [`Resource`]; here is what does not.
//!
//! | module | what |
//! |---|---|
//! | [`object`], [`state`] | what is kept in memory: objects, and what happened to them lately |
//! | [`writing`] | how writes become durable, and then visible |
//! | [`body`], [`metadata`], [`namespaces`] | what is asked of every object |
//! | [`create`], [`update`], [`patch`], [`scale`], [`delete`] | writes |
//! | [`list`], [`watch`], [`selector`] | reads |
//! | [`initial`] | what every cluster has |

mod body;
mod create;
mod delete;
mod initial;
mod list;
mod metadata;
mod namespaces;
mod object;
pub(crate) mod options;
mod patch;
mod scale;
mod selector;
mod state;
#[cfg(test)]
mod tests;
mod update;
pub(crate) mod watch;
mod writing;

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use ipnet::IpNet;
use serde_json::Value;

pub(crate) use self::object::Object;
use self::options::{DeleteOptions, ListOptions, Patch, WriteOptions};
use self::state::{State, key};
use self::watch::Watch;
use self::writing::{Transaction, Writer};
use super::kinds;
use super::resource::{Resource, Subresource};
use super::status::Refusal;
use super::store::{Store, StoreError};

/// All objects. Cheap to clone. A write returns once it is durable, so whoever must not wait for
/// the disk writes on a thread where waiting is allowed (`spawn_blocking`); writes of several
/// threads share one wait. Reads do not wait.
#[derive(Clone)]
pub(crate) struct Registry(Arc<Inner>);

struct Inner {
    state: RwLock<State>,
    writer: Writer,
}

/// How the registry behaves.
#[derive(Clone)]
pub(crate) struct Settings {
    /// What is served.
    pub(crate) kinds: &'static [Resource],
    /// How much JSON all objects may be together; all of it is in memory.
    pub(crate) most_bytes: usize,
    /// How many changes of each kind are remembered for watches and for pages of lists.
    pub(crate) history_changes: usize,
    /// What the ServiceCIDR `kubernetes` is made of, where there is none.
    pub(crate) service_cidrs: Vec<IpNet>,
    /// How many bytes of JSON that is otherwise gone they may keep.
    pub(crate) history_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let cidr = IpNet::new_assert(Ipv4Addr::new(10, 96, 0, 0).into(), 16);
        Self {
            kinds: kinds::all(),
            service_cidrs: vec![cidr],
            most_bytes: 512 << 20,
            history_changes: 16_384,
            history_bytes: 32 << 20,
        }
    }
}

/// Why there is no registry.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// What is stored cannot be read.
    #[error("cannot open the objects of the API")]
    Store(#[from] StoreError),
    /// The Service CIDRs that were given are none.
    #[error("no Service can get an address of --service-cidr: {0}")]
    ServiceCidrs(String),
}

/// Where objects of a kind are.
#[derive(Clone, Copy)]
struct Place<'a> {
    of: &'static Resource,
    /// Its index.
    kind: usize,
    /// Empty for all of them, and for kinds outside of namespaces.
    namespace: &'a str,
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
    /// When the directory cannot be used: it is damaged, foreign, or somebody else's; and when no
    /// Service could get an address.
    pub(crate) fn open(directory: &Path, settings: &Settings) -> Result<Self, OpenError> {
        let store = Store::open(directory)?;
        let mut state = State::new(settings);
        let revision = store.load(|path, json| state.load(path, json))?;
        state.begin(revision);
        let writer = Writer::new(store, &state);
        let registry = Self(Arc::new(Inner { state: RwLock::new(state), writer }));
        initial::make(&registry, settings)
            .map_err(|refusal| OpenError::ServiceCidrs(refusal.message))?;
        Ok(registry)
    }

    /// The networks of the first ServiceCIDR, which the settings gave when it was made.
    pub(crate) fn service_cidrs(&self, settings: &Settings) -> Vec<IpNet> {
        initial::service_cidrs(self, settings)
    }

    /// Makes a new object.
    pub(crate) fn create(
        &self,
        of: &'static Resource,
        namespace: &str,
        body: Value,
        options: &WriteOptions,
    ) -> Result<Written, Refusal> {
        create::create(self, self.place(of, namespace)?, body, options)
    }

    /// One object.
    pub(crate) fn get(
        &self,
        of: &'static Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Object, Refusal> {
        let place = self.place(of, namespace)?;
        let key = key(place.namespace, name);
        self.read(|state| state.kinds[place.kind].objects.get(&key).cloned())
            .ok_or_else(|| Refusal::not_found(of, name))
    }

    /// The `autoscaling/v1 Scale` of an object.
    pub(crate) fn get_scale(
        &self,
        of: &'static Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Object, Refusal> {
        let object = self.get(of, namespace, name)?;
        Ok(scale::scale_of(self.place(of, namespace)?, &object))
    }

    /// The objects of a namespace, or all of them.
    pub(crate) fn list(
        &self,
        of: &'static Resource,
        namespace: Option<&str>,
        options: &ListOptions,
    ) -> Result<List, Refusal> {
        list::list(self, self.place(of, namespace.unwrap_or_default())?, options)
    }

    /// What happens to the objects of a namespace, or to all of them. The watch is polled within a
    /// tokio runtime.
    pub(crate) fn watch(
        &self,
        of: &'static Resource,
        namespace: Option<&str>,
        options: &ListOptions,
    ) -> Result<Watch, Refusal> {
        Watch::new(self, self.place(of, namespace.unwrap_or_default())?, options)
    }

    /// Replaces an object, or the side of it that a subresource is.
    pub(crate) fn update(
        &self,
        of: &'static Resource,
        namespace: &str,
        name: &str,
        subresource: Option<Subresource>,
        body: Value,
        options: &WriteOptions,
    ) -> Result<Written, Refusal> {
        update::update(self, self.place(of, namespace)?, name, subresource, body, options)
    }

    /// Changes an object, or the side of it that a subresource is.
    pub(crate) fn patch(
        &self,
        of: &'static Resource,
        namespace: &str,
        name: &str,
        subresource: Option<Subresource>,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<Written, Refusal> {
        patch::patch(self, self.place(of, namespace)?, name, subresource, patch, options)
    }

    /// Deletes an object, or has it end.
    pub(crate) fn delete(
        &self,
        of: &'static Resource,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, Refusal> {
        delete::delete(self, self.place(of, namespace)?, name, options)
    }

    /// Deletes all objects of a namespace that are selected, and says which.
    pub(crate) fn delete_collection(
        &self,
        of: &'static Resource,
        namespace: Option<&str>,
        options: &DeleteOptions,
        selected: &ListOptions,
    ) -> Result<List, Refusal> {
        let place = self.place(of, namespace.unwrap_or_default())?;
        delete::delete_collection(self, place, options, selected)
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.0.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(
        &self,
        dry_run: bool,
        decide: impl FnOnce(&mut Transaction<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.0.writer.write(&self.0.state, dry_run, decide)
    }

    fn place<'a>(&self, of: &'static Resource, namespace: &'a str) -> Result<Place<'a>, Refusal> {
        let is_it = |each: &Resource| each.group == of.group && each.plural == of.plural;
        let kind = self.read(|state| state.kinds.iter().position(|kind| is_it(kind.of)));
        let namespace = if of.namespaced { namespace } else { "" };
        match kind {
            Some(kind) => Ok(Place { of, kind, namespace }),
            None => {
                let message = "the server could not find the requested resource";
                Err(Refusal::new(404, "NotFound", message))
            }
        }
    }
}
