//! What controllers know of the cluster: its objects, as watched, with the indexes that make each
//! question cheap. No I/O and no clock.

mod labels;
mod owners;
pub(super) mod record;
mod shelf;
pub(super) mod steps;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Endpoints, Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::runtime::watcher::Event;

pub(super) use self::labels::{LabelIndex, SelectorIndex};
use self::owners::Owners;
use self::record::{Bare, EventRecord, NodeRecord, PodRecord};
pub(super) use self::shelf::{Kept, Shelf};
use super::kind::Kind;
use super::task::{Key, Task};

/// All objects.
#[derive(Default, Debug)]
pub(super) struct World {
    pub(super) deployments: Shelf<Deployment>,
    pub(super) endpoints: Shelf<Endpoints>,
    pub(super) events: Shelf<EventRecord>,
    pub(super) namespaces: Shelf<Namespace>,
    pub(super) nodes: Shelf<NodeRecord>,
    pub(super) pods: Shelf<PodRecord>,
    pub(super) replica_sets: Shelf<ReplicaSet>,
    pub(super) service_cidrs: Shelf<ServiceCIDR>,
    pub(super) services: Shelf<Service>,
    pub(super) slices: Shelf<EndpointSlice>,
    /// [`Kind::KEPT_ONLY`].
    pub(super) others: BTreeMap<Kind, Shelf<Bare>>,
    pub(super) owners: Owners,
    /// Uids of objects that have gone, or began to, until somebody asks.
    departed: Vec<String>,
    /// When what made a task necessary happened, of the two that write it down.
    triggers: HashMap<Task, Timestamp>,
    /// How many objects each namespace has, without Events.
    contents: HashMap<String, usize>,
    /// ReplicaSets that nobody controls.
    lone_replica_sets: BTreeSet<Key>,
    pod_labels: LabelIndex,
    service_selectors: SelectorIndex,
    replica_set_selectors: SelectorIndex,
    /// Names of EndpointSlices by namespace and label `kubernetes.io/service-name`.
    slices_of: HashMap<Key, BTreeSet<String>>,
}

/// What a watch says.
#[derive(Debug)]
pub(super) enum Observed {
    Deployment(Event<Deployment>),
    Endpoints(Event<Endpoints>),
    Event(Event<EventRecord>),
    Namespace(Event<Namespace>),
    Node(Event<NodeRecord>),
    Pod(Event<PodRecord>),
    ReplicaSet(Event<ReplicaSet>),
    ServiceCidr(Event<ServiceCIDR>),
    Service(Event<Service>),
    Slice(Event<EndpointSlice>),
    Other(Kind, Event<Bare>),
}

impl Observed {
    /// Of which kind.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Deployment(_) => Kind::Deployment,
            Self::Endpoints(_) => Kind::Endpoints,
            Self::Event(_) => Kind::Event,
            Self::Namespace(_) => Kind::Namespace,
            Self::Node(_) => Kind::Node,
            Self::Pod(_) => Kind::Pod,
            Self::ReplicaSet(_) => Kind::ReplicaSet,
            Self::ServiceCidr(_) => Kind::ServiceCidr,
            Self::Service(_) => Kind::Service,
            Self::Slice(_) => Kind::EndpointSlice,
            Self::Other(kind, _) => *kind,
        }
    }
}

impl World {
    /// Takes in what a watch says, and notes what may have to be done about it.
    pub(super) fn observe(&mut self, observed: Observed, tasks: &mut BTreeSet<Task>) {
        match observed {
            Observed::Deployment(event) => {
                let steps = self.deployments.take(event);
                steps.iter().for_each(|step| self.deployment_changed(step, tasks));
            }
            Observed::Endpoints(event) => {
                let steps = self.endpoints.take(event);
                steps.iter().for_each(|step| self.endpoints_changed(step, tasks));
            }
            Observed::Event(event) => {
                let steps = self.events.take(event);
                steps.iter().for_each(|step| self.object_changed(Kind::Event, step, tasks));
                tasks.insert(Task::OldEvents);
            }
            Observed::Namespace(event) => {
                let steps = self.namespaces.take(event);
                steps.iter().for_each(|step| self.namespace_changed(step, tasks));
            }
            Observed::Node(event) => {
                let steps = self.nodes.take(event);
                steps.iter().for_each(|step| self.node_changed(step, tasks));
            }
            Observed::Pod(event) => {
                let steps = self.pods.take(event);
                steps.iter().for_each(|step| self.pod_changed(step, tasks));
            }
            Observed::ReplicaSet(event) => {
                let steps = self.replica_sets.take(event);
                steps.iter().for_each(|step| self.replica_set_changed(step, tasks));
            }
            Observed::ServiceCidr(event) => {
                let steps = self.service_cidrs.take(event);
                steps.iter().for_each(|step| self.service_cidr_changed(step, tasks));
                tasks.insert(Task::Kubernetes);
            }
            Observed::Service(event) => {
                let steps = self.services.take(event);
                steps.iter().for_each(|step| self.service_changed(step, tasks));
            }
            Observed::Slice(event) => {
                let steps = self.slices.take(event);
                steps.iter().for_each(|step| self.slice_changed(step, tasks));
            }
            Observed::Other(kind, event) => {
                let steps = self.others.entry(kind).or_default().take(event);
                steps.iter().for_each(|step| self.object_changed(kind, step, tasks));
            }
        }
    }

    /// Whether it is known what there is, of all kinds.
    pub(super) fn is_synced(&self) -> bool {
        Kind::ALL.into_iter().all(|kind| self.synced_and_revision(kind).0)
    }

    /// The latest revision of a kind that was seen.
    pub(super) fn revision(&self, kind: Kind) -> u64 {
        self.synced_and_revision(kind).1
    }

    /// `metadata` of any object.
    pub(super) fn metadata(&self, kind: Kind, key: &Key) -> Option<&ObjectMeta> {
        fn of<'a, T: Kept>(shelf: &'a Shelf<T>, key: &Key) -> Option<&'a ObjectMeta> {
            shelf.get(key).map(|object| object.metadata())
        }
        match kind {
            Kind::Deployment => of(&self.deployments, key),
            Kind::Endpoints => of(&self.endpoints, key),
            Kind::EndpointSlice => of(&self.slices, key),
            Kind::Event => of(&self.events, key),
            Kind::Namespace => of(&self.namespaces, key),
            Kind::Node => of(&self.nodes, key),
            Kind::Pod => of(&self.pods, key),
            Kind::ReplicaSet => of(&self.replica_sets, key),
            Kind::Service => of(&self.services, key),
            Kind::ServiceCidr => of(&self.service_cidrs, key),
            kept => of(self.others.get(&kept)?, key),
        }
    }

    /// `metadata` of all objects of a kind in a namespace.
    pub(super) fn metadata_in<'a>(&'a self, kind: Kind, namespace: &'a str) -> Vec<&'a ObjectMeta> {
        fn of<'a, T: Kept>(shelf: &'a Shelf<T>, namespace: &'a str) -> Vec<&'a ObjectMeta> {
            shelf.in_namespace(namespace).map(|object| object.metadata()).collect()
        }
        match kind {
            Kind::Deployment => of(&self.deployments, namespace),
            Kind::Endpoints => of(&self.endpoints, namespace),
            Kind::EndpointSlice => of(&self.slices, namespace),
            Kind::Event => of(&self.events, namespace),
            Kind::Pod => of(&self.pods, namespace),
            Kind::ReplicaSet => of(&self.replica_sets, namespace),
            Kind::Service => of(&self.services, namespace),
            Kind::Namespace | Kind::Node | Kind::ServiceCidr => Vec::new(),
            kept => self.others.get(&kept).map_or_else(Vec::new, |shelf| of(shelf, namespace)),
        }
    }

    /// The Pods that have all these labels; none when there are no labels.
    pub(super) fn pods_with<'a>(
        &'a self,
        namespace: &'a str,
        labels: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = &'a Arc<PodRecord>> + 'a {
        let names = self.pod_labels.candidates(namespace, labels);
        let pods = names.filter_map(move |name| self.pods.get(&Key::new(namespace, name)));
        pods.filter(move |pod| has_labels(&pod.metadata, labels))
    }

    /// The Pods that this object controls.
    pub(super) fn pods_of<'a>(
        &'a self,
        owner: &'a ObjectMeta,
    ) -> impl Iterator<Item = &'a Arc<PodRecord>> + 'a {
        let uid = owner.uid.as_deref().unwrap_or_default();
        let places = self.owners.dependents(uid).filter_map(|uid| self.owners.place(uid));
        let pods = places.filter(|(kind, _)| *kind == Kind::Pod);
        pods.filter_map(|(_, key)| self.pods.get(key))
            .filter(move |pod| controller_uid(&pod.metadata) == Some(uid))
    }

    /// The ReplicaSets that the object with that uid controls.
    pub(super) fn replica_sets_of<'a>(
        &'a self,
        uid: &'a str,
    ) -> impl Iterator<Item = &'a Arc<ReplicaSet>> + 'a {
        let places = self.owners.dependents(uid).filter_map(|uid| self.owners.place(uid));
        let sets = places.filter(|(kind, _)| *kind == Kind::ReplicaSet);
        sets.filter_map(|(_, key)| self.replica_sets.get(key))
            .filter(move |set| controller_uid(&set.metadata) == Some(uid))
    }

    /// The ReplicaSets of a namespace that nobody controls.
    pub(super) fn lone_replica_sets<'a>(
        &'a self,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Arc<ReplicaSet>> + 'a {
        let keys = self.lone_replica_sets.range(Key::new(namespace, "")..);
        let keys = keys.take_while(move |key| key.namespace == namespace);
        keys.filter_map(|key| self.replica_sets.get(key))
    }

    /// The EndpointSlices that carry a Service's name.
    pub(super) fn slices_of<'a>(
        &'a self,
        service: &'a Key,
    ) -> impl Iterator<Item = &'a Arc<EndpointSlice>> + 'a {
        let names = self.slices_of.get(service).into_iter().flatten();
        names.filter_map(|name| self.slices.get(&Key::new(&service.namespace, name)))
    }

    /// Whether there is an object with that uid, and nobody has deleted it.
    pub(super) fn is_staying(&self, uid: &str) -> bool {
        let place = self.owners.place(uid);
        let metadata = place.and_then(|(kind, key)| self.metadata(*kind, key));
        metadata.is_some_and(|of| of.deletion_timestamp.is_none())
    }

    /// Uids of objects that have gone, or began to, since this was last asked.
    pub(super) fn take_departed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.departed)
    }

    /// When what made a task necessary happened; it is forgotten with that.
    pub(super) fn take_trigger(&mut self, task: &Task) -> Option<Timestamp> {
        self.triggers.remove(task)
    }

    /// Remembers the earliest cause of a task.
    pub(super) fn note_trigger(&mut self, task: Task, at: Option<Timestamp>) {
        if let Some(at) = at {
            let known = self.triggers.entry(task).or_insert(at);
            *known = at.min(*known);
        }
    }

    fn synced_and_revision(&self, kind: Kind) -> (bool, u64) {
        fn of<T: Kept>(shelf: &Shelf<T>) -> (bool, u64) {
            (shelf.is_synced(), shelf.revision())
        }
        match kind {
            Kind::Deployment => of(&self.deployments),
            Kind::Endpoints => of(&self.endpoints),
            Kind::EndpointSlice => of(&self.slices),
            Kind::Event => of(&self.events),
            Kind::Namespace => of(&self.namespaces),
            Kind::Node => of(&self.nodes),
            Kind::Pod => of(&self.pods),
            Kind::ReplicaSet => of(&self.replica_sets),
            Kind::Service => of(&self.services),
            Kind::ServiceCidr => of(&self.service_cidrs),
            kept => self.others.get(&kept).map_or((false, 0), of),
        }
    }
}

/// The owner that looks after an object.
pub(super) fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// Its uid.
pub(super) fn controller_uid(metadata: &ObjectMeta) -> Option<&str> {
    controller(metadata).map(|owner| owner.uid.as_str())
}

/// Whether an object has all of some labels.
pub(super) fn has_labels(metadata: &ObjectMeta, wanted: &BTreeMap<String, String>) -> bool {
    let labels = metadata.labels.as_ref();
    wanted.iter().all(|(label, value)| labels.and_then(|of| of.get(label)) == Some(value))
}

/// The value of a label.
pub(super) fn label<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    metadata.labels.as_ref()?.get(name).map(String::as_str)
}

/// The value of an annotation.
pub(super) fn annotation<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(name).map(String::as_str)
}
