//! What there is to do: one name for each object that a controller looks after.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::change::Change;

/// Namespace and name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Key {
    /// Empty for objects outside of namespaces.
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Key {
    /// Of these two.
    pub(super) fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// One controller's work on one object. Nothing is done for the same task twice at a time.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Task {
    /// EndpointSlices of a Service.
    Slices(Key),
    /// Endpoints of a Service.
    Endpoints(Key),
    /// EndpointSlices that repeat hand-written Endpoints.
    Mirror(Key),
    /// Pods of a ReplicaSet.
    ReplicaSet(Key),
    /// ReplicaSets of a Deployment.
    Deployment(Key),
    /// The object of a uid, which may have lost its owner, or may wait for its dependents.
    Garbage(String),
    /// A namespace, which may be about to end.
    Namespace(String),
    /// The Service `kubernetes`.
    Kubernetes,
    /// A ServiceCIDR, which may be about to end.
    ServiceCidr(String),
    /// Events that are old, or too many.
    OldEvents,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slices(key) => write!(f, "EndpointSlices of Service {key}"),
            Self::Endpoints(key) => write!(f, "Endpoints of Service {key}"),
            Self::Mirror(key) => write!(f, "EndpointSlices of Endpoints {key}"),
            Self::ReplicaSet(key) => write!(f, "ReplicaSet {key}"),
            Self::Deployment(key) => write!(f, "Deployment {key}"),
            Self::Garbage(uid) => write!(f, "garbage collection of {uid}"),
            Self::Namespace(name) => write!(f, "Namespace {name}"),
            Self::Kubernetes => f.write_str("Service default/kubernetes"),
            Self::ServiceCidr(name) => write!(f, "ServiceCIDR {name}"),
            Self::OldEvents => f.write_str("old Events"),
        }
    }
}

/// What is to be done for a task now.
#[derive(Default, Debug)]
pub(super) struct Plan {
    /// In this order; the first that fails ends it.
    pub(super) changes: Vec<Change>,
    /// When to look again though nothing changed.
    pub(super) again_after: Option<Duration>,
}

impl Plan {
    /// Nothing to do.
    pub(super) fn none() -> Self {
        Self::default()
    }
}

impl From<Vec<Change>> for Plan {
    fn from(changes: Vec<Change>) -> Self {
        Self { changes, again_after: None }
    }
}

/// What a plan depends on beside the objects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment<'a> {
    pub(super) now: Timestamp,
    /// Why the last attempt at the same task failed, if it did.
    pub(super) failure: Option<&'a Failure>,
    /// When what made the task necessary happened, where that is written down.
    pub(super) trigger: Option<Timestamp>,
}

/// Why a change was not made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Failure {
    /// In the server's words.
    pub(super) message: String,
    /// What was attempted.
    pub(super) attempt: Attempt,
}

/// What a failed change was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Attempt {
    Create,
    Change,
    Delete,
}
