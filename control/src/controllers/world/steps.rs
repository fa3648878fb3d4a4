//! What a change of an object means for others: the tasks that it makes.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Endpoints, Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{Selector, SelectorExt};

use super::record::{NodeRecord, PodRecord};
use super::shelf::{Kept, Step};
use super::{World, controller, has_labels, label};
use crate::controllers::change::key_of;
use crate::controllers::kind::Kind;
use crate::controllers::task::{Key, Task};
use crate::model::labels::SERVICE_NAME_LABEL;

impl World {
    /// What all kinds have in common: owners, dependents, and the end of their namespace.
    pub(super) fn object_changed<T: Kept>(
        &mut self,
        kind: Kind,
        step: &Step<T>,
        tasks: &mut BTreeSet<Task>,
    ) {
        let before = step.before.as_deref().map(Kept::metadata);
        let after = step.after.as_deref().map(Kept::metadata);
        self.owners.follow(kind, before, after);
        if after.is_none_or(|of| of.deletion_timestamp.is_some()) {
            self.departed.extend(before.and_then(|of| of.uid.clone()));
        }
        let both = || before.into_iter().chain(after);
        for uid in both().filter_map(|of| of.uid.as_deref()) {
            let ends = after.is_none_or(|of| of.deletion_timestamp.is_some());
            if after.is_some_and(|of| of.owner_references.is_some() || ends) {
                tasks.insert(Task::Garbage(uid.to_owned()));
            }
            if ends {
                let dependents = self.owners.dependents(uid).cloned().map(Task::Garbage);
                tasks.extend(dependents);
            }
        }
        // An owner that waits for its dependents, when one of these is gone or no longer its own.
        for owner in both().flat_map(|of| of.owner_references.iter().flatten()) {
            let waits = self.owners.place(&owner.uid).and_then(|(kind, key)| {
                self.metadata(*kind, key).filter(|of| of.deletion_timestamp.is_some())
            });
            if waits.is_some() {
                tasks.insert(Task::Garbage(owner.uid.clone()));
            }
        }
        self.note_content(kind, before, after, tasks);
    }

    /// A namespace that ends waits for its last object; what comes meanwhile goes too.
    fn note_content(
        &mut self,
        kind: Kind,
        before: Option<&ObjectMeta>,
        after: Option<&ObjectMeta>,
        tasks: &mut BTreeSet<Task>,
    ) {
        let Some(namespace) = before.or(after).and_then(|of| of.namespace.as_ref()) else { return };
        let count = self.contents.entry(namespace.clone()).or_default();
        if kind != Kind::Event {
            match (before.is_some(), after.is_some()) {
                (false, true) => *count += 1,
                (true, false) => *count = count.saturating_sub(1),
                _ => {}
            }
        }
        let comes = before.is_none() && kind != Kind::Event;
        let is_last = *count == 0;
        if is_last {
            self.contents.remove(namespace);
        }
        let place = Key::new("", namespace);
        let ends =
            self.namespaces.get(&place).is_some_and(|of| of.metadata.deletion_timestamp.is_some());
        if ends && (comes || is_last) {
            tasks.insert(Task::Namespace(namespace.clone()));
        }
    }

    pub(super) fn pod_changed(&mut self, step: &Step<PodRecord>, tasks: &mut BTreeSet<Task>) {
        self.object_changed(Kind::Pod, step, tasks);
        let nothing = BTreeMap::new();
        let before = step.before.as_deref().map(|pod| &pod.metadata);
        let after = step.after.as_deref().map(|pod| &pod.metadata);
        let of = |metadata: &ObjectMeta| metadata.labels.clone().unwrap_or_default();
        if before.map(of) != after.map(of) {
            if let Some(before) = before {
                let key = key_of(before);
                let labels = before.labels.as_ref().unwrap_or(&nothing);
                self.pod_labels.remove(&key.namespace, &key.name, labels);
            }
            if let Some(after) = after {
                let key = key_of(after);
                let labels = after.labels.as_ref().unwrap_or(&nothing);
                self.pod_labels.insert(&key.namespace, &key.name, labels);
            }
        }
        let mut services = BTreeSet::new();
        for metadata in before.into_iter().chain(after) {
            services.extend(self.services_of(metadata));
            self.note_replica_sets(metadata, tasks);
        }
        let ready_changed = |pod: &PodRecord| pod.ready_changed;
        let changed = step.after.as_deref().and_then(ready_changed);
        let trigger = changed.filter(|_| changed != step.before.as_deref().and_then(ready_changed));
        for service in services {
            for task in [Task::Slices(service.clone()), Task::Endpoints(service)] {
                self.note_trigger(task.clone(), trigger);
                tasks.insert(task);
            }
        }
    }

    pub(super) fn service_changed(&mut self, step: &Step<Service>, tasks: &mut BTreeSet<Task>) {
        self.object_changed(Kind::Service, step, tasks);
        let Some(service) = step.after.as_deref().or(step.before.as_deref()) else { return };
        let key = key_of(&service.metadata);
        match step.after.as_deref().and_then(selector) {
            Some(wanted) => self.service_selectors.insert(&key.namespace, &key.name, wanted),
            None => self.service_selectors.remove(&key.namespace, &key.name),
        }
        let made = service.metadata.creation_timestamp.as_ref().map(|time| time.0);
        for task in [Task::Slices(key.clone()), Task::Endpoints(key.clone())] {
            self.note_trigger(task.clone(), made.filter(|_| step.before.is_none()));
            tasks.insert(task);
        }
        if key.namespace == "default" && key.name == "kubernetes" {
            tasks.insert(Task::Kubernetes);
        }
        tasks.insert(Task::Mirror(key));
        self.note_ending_cidrs(tasks);
    }

    pub(super) fn slice_changed(&mut self, step: &Step<EndpointSlice>, tasks: &mut BTreeSet<Task>) {
        self.object_changed(Kind::EndpointSlice, step, tasks);
        let service = |slice: &EndpointSlice| {
            let service = label(&slice.metadata, SERVICE_NAME_LABEL)?;
            Some(Key::new(slice.metadata.namespace.as_deref()?, service))
        };
        if let Some(before) = step.before.as_deref()
            && let Some(service) = service(before)
            && let Some(names) = self.slices_of.get_mut(&service)
        {
            names.remove(&key_of(&before.metadata).name);
            if names.is_empty() {
                self.slices_of.remove(&service);
            }
        }
        if let Some(after) = step.after.as_deref()
            && let Some(service) = service(after)
        {
            self.slices_of.entry(service).or_default().insert(key_of(&after.metadata).name);
        }
        let both = step.before.as_deref().into_iter().chain(step.after.as_deref());
        for service in both.filter_map(service) {
            if service.namespace == "default" && service.name == "kubernetes" {
                tasks.insert(Task::Kubernetes);
            }
            tasks.insert(Task::Slices(service.clone()));
            tasks.insert(Task::Mirror(service));
        }
    }

    pub(super) fn endpoints_changed(&mut self, step: &Step<Endpoints>, tasks: &mut BTreeSet<Task>) {
        self.object_changed(Kind::Endpoints, step, tasks);
        let both = step.before.as_deref().or(step.after.as_deref());
        let Some(key) = both.map(|endpoints| key_of(&endpoints.metadata)) else { return };
        if key.namespace == "default" && key.name == "kubernetes" {
            tasks.insert(Task::Kubernetes);
        }
        // Endpoints may be there before their Service is. Without one they are deleted only when
        // the Service was.
        let ours = both.is_some_and(super::super::endpoints::is_ours);
        if ours || self.services.get(&key).is_some() {
            tasks.insert(Task::Endpoints(key.clone()));
        }
        tasks.insert(Task::Mirror(key));
    }

    pub(super) fn node_changed(&mut self, step: &Step<NodeRecord>, tasks: &mut BTreeSet<Task>) {
        self.object_changed(Kind::Node, step, tasks);
        let zone = |node: &NodeRecord| node.zone.clone();
        if step.before.as_deref().map(zone) == step.after.as_deref().map(zone) {
            return;
        }
        let Some(node) = step.after.as_deref().or(step.before.as_deref()) else { return };
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let pods = self.pods.iter().filter(|(_, pod)| pod.node == name);
        let services = pods.flat_map(|(_, pod)| self.services_of(&pod.metadata));
        tasks.extend(services.map(Task::Slices));
    }

    pub(super) fn replica_set_changed(
        &mut self,
        step: &Step<ReplicaSet>,
        tasks: &mut BTreeSet<Task>,
    ) {
        self.object_changed(Kind::ReplicaSet, step, tasks);
        let both = step.before.as_deref().into_iter().chain(step.after.as_deref());
        for metadata in both.map(|set| &set.metadata) {
            let key = key_of(metadata);
            if let Some(owner) = controller(metadata) {
                if owner.kind == Kind::Deployment.kind() {
                    tasks.insert(Task::Deployment(Key::new(&key.namespace, &owner.name)));
                }
            } else {
                let deployments = self.deployments.in_namespace(&key.namespace);
                let meaning = deployments.filter(|deployment| {
                    let selector = deployment.spec.as_ref().map(|spec| spec.selector.clone());
                    selector.and_then(|of| Selector::try_from(of).ok()).is_some_and(|of| {
                        of.matches(metadata.labels.as_ref().unwrap_or(&BTreeMap::new()))
                    })
                });
                tasks.extend(meaning.map(|of| Task::Deployment(key_of(&of.metadata))));
            }
            tasks.insert(Task::ReplicaSet(key));
        }
        let Some(set) = step.after.as_deref().or(step.before.as_deref()) else { return };
        let key = key_of(&set.metadata);
        if step.after.as_deref().is_some_and(|set| controller(&set.metadata).is_none()) {
            self.lone_replica_sets.insert(key.clone());
        } else {
            self.lone_replica_sets.remove(&key);
        }
        match step.after.as_deref().and_then(|set| set.spec.as_ref()) {
            Some(spec) => {
                let wanted = spec.selector.match_labels.clone().unwrap_or_default();
                self.replica_set_selectors.insert(&key.namespace, &key.name, &wanted);
            }
            None => self.replica_set_selectors.remove(&key.namespace, &key.name),
        }
    }

    pub(super) fn deployment_changed(
        &mut self,
        step: &Step<Deployment>,
        tasks: &mut BTreeSet<Task>,
    ) {
        self.object_changed(Kind::Deployment, step, tasks);
        let both = step.before.as_deref().or(step.after.as_deref());
        tasks.extend(both.map(|of| Task::Deployment(key_of(&of.metadata))));
    }

    pub(super) fn namespace_changed(&mut self, step: &Step<Namespace>, tasks: &mut BTreeSet<Task>) {
        self.object_changed(Kind::Namespace, step, tasks);
        let name = step.after.as_deref().and_then(|of| of.metadata.name.clone());
        tasks.extend(name.map(Task::Namespace));
    }

    pub(super) fn service_cidr_changed(
        &mut self,
        step: &Step<ServiceCIDR>,
        tasks: &mut BTreeSet<Task>,
    ) {
        self.object_changed(Kind::ServiceCidr, step, tasks);
        let name = step.after.as_deref().and_then(|of| of.metadata.name.clone());
        tasks.extend(name.map(Task::ServiceCidr));
        // One that ends may be covered by one that came, and the other way round.
        self.note_ending_cidrs(tasks);
    }

    /// A ServiceCIDR that ends may have waited for just this.
    fn note_ending_cidrs(&self, tasks: &mut BTreeSet<Task>) {
        let all = self.service_cidrs.iter().map(|(_, cidr)| &cidr.metadata);
        let ending = all.filter(|of| of.deletion_timestamp.is_some());
        tasks.extend(ending.filter_map(|of| of.name.clone()).map(Task::ServiceCidr));
    }

    /// The Services that mean a Pod.
    fn services_of(&self, pod: &ObjectMeta) -> Vec<Key> {
        let (Some(namespace), Some(labels)) = (&pod.namespace, &pod.labels) else {
            return Vec::new();
        };
        let names = self.service_selectors.candidates(namespace, labels);
        let keys = names.map(|name| Key::new(namespace, name));
        let means = |key: &Key| {
            self.services
                .get(key)
                .and_then(|service| selector(service))
                .is_some_and(|selector| has_labels(pod, selector))
        };
        keys.filter(means).collect()
    }

    /// The ReplicaSet of a Pod, or those that may want it when it has none; and the Deployment
    /// above, which may wait for the last Pod of an old ReplicaSet.
    fn note_replica_sets(&self, pod: &ObjectMeta, tasks: &mut BTreeSet<Task>) {
        let namespace = pod.namespace.as_deref().unwrap_or_default();
        if let Some(owner) = controller(pod) {
            if owner.kind != Kind::ReplicaSet.kind() {
                return;
            }
            let key = Key::new(namespace, &owner.name);
            let set = self.replica_sets.get(&key);
            if let Some(above) = set.and_then(|set| controller(&set.metadata)) {
                tasks.insert(Task::Deployment(Key::new(namespace, &above.name)));
            }
            tasks.insert(Task::ReplicaSet(key));
        } else {
            let nothing = BTreeMap::new();
            let labels = pod.labels.as_ref().unwrap_or(&nothing);
            let names = self.replica_set_selectors.candidates(namespace, labels);
            tasks.extend(names.map(|name| Task::ReplicaSet(Key::new(namespace, name))));
        }
    }
}

/// What a Service wants of its Pods; none when somebody else looks after its endpoints.
pub(in super::super) fn selector(service: &Service) -> Option<&BTreeMap<String, String>> {
    let spec = service.spec.as_ref()?;
    let selector = spec.selector.as_ref()?;
    (!selector.is_empty() && spec.type_.as_deref() != Some("ExternalName")).then_some(selector)
}
