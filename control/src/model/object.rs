use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

/// The kinds of object that the model reads. Services sort first, Pods last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Kind {
    /// `v1 Service`.
    Service,
    /// `discovery.k8s.io/v1 EndpointSlice`.
    EndpointSlice,
    /// `v1 Endpoints`.
    Endpoints,
    /// `v1 Pod`.
    Pod,
}

impl Kind {
    /// As it stands in an object's `kind` field.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Endpoints => "Endpoints",
            Self::Pod => "Pod",
        }
    }
}

/// What tells objects of one kind apart. Shown as `namespace/name`. Copies share their text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct ObjectKey {
    /// `default` where the object names none.
    pub(crate) namespace: Arc<str>,
    /// `metadata.name`.
    pub(crate) name: Arc<str>,
}

impl ObjectKey {
    /// The key of `namespace/name`.
    pub(crate) fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    fn of(metadata: &ObjectMeta) -> Self {
        let namespace = metadata.namespace.as_deref().filter(|namespace| !namespace.is_empty());
        Self::new(namespace.unwrap_or("default"), metadata.name.as_deref().unwrap_or_default())
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One object among all kinds. Shown as `Service default/web`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct ObjectId {
    /// Its kind.
    pub(crate) kind: Kind,
    /// Its namespace and name.
    pub(crate) key: ObjectKey,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.key)
    }
}

/// An object as the API server or a manifest has it, and as it is written to one.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Object {
    /// A Service.
    Service(Box<Service>),
    /// A part of a Service's endpoints.
    EndpointSlice(Box<EndpointSlice>),
    /// A Service's endpoints in the older form.
    Endpoints(Box<Endpoints>),
    /// A Pod.
    Pod(Box<Pod>),
}

impl Object {
    /// What it is called.
    pub(crate) fn id(&self) -> ObjectId {
        let (kind, metadata) = match self {
            Self::Service(object) => (Kind::Service, &object.metadata),
            Self::EndpointSlice(object) => (Kind::EndpointSlice, &object.metadata),
            Self::Endpoints(object) => (Kind::Endpoints, &object.metadata),
            Self::Pod(object) => (Kind::Pod, &object.metadata),
        };
        ObjectId { kind, key: ObjectKey::of(metadata) }
    }
}

impl From<Service> for Object {
    fn from(object: Service) -> Self {
        Self::Service(Box::new(object))
    }
}

impl From<EndpointSlice> for Object {
    fn from(object: EndpointSlice) -> Self {
        Self::EndpointSlice(Box::new(object))
    }
}

impl From<Endpoints> for Object {
    fn from(object: Endpoints) -> Self {
        Self::Endpoints(Box::new(object))
    }
}

impl From<Pod> for Object {
    fn from(object: Pod) -> Self {
        Self::Pod(Box::new(object))
    }
}
