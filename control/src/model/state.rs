use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use maglane_dataplane::service::ServiceTable;

use super::build::{Built, Sources, build};
use super::claims::Claims;
use super::group::{EndpointGroup, SliceRecord, read_endpoints};
use super::info::{ServiceInfo, service_info};
use super::pod::PodRecord;
use super::problem::Reporter;
use super::service::ServiceRecord;
use super::{Kind, Object, ObjectId, ObjectKey, Problem};

/// What the model needs to know of the cluster.
#[derive(Clone, Default, Debug)]
pub(crate) struct Settings {
    /// Where virtual IPs come from; empty allows any address.
    pub(crate) service_cidrs: Vec<IpNet>,
}

/// All objects that matter, in compact form, and what was built of them.
#[derive(Default)]
pub(crate) struct Model {
    settings: Settings,
    services: BTreeMap<ObjectKey, ServiceEntry>,
    slices: BTreeMap<ObjectKey, SliceRecord>,
    /// Names of the slices of a Service.
    slices_of: BTreeMap<ObjectKey, BTreeSet<String>>,
    endpoints: BTreeMap<ObjectKey, Vec<EndpointGroup>>,
    pods: BTreeMap<ObjectKey, PodRecord>,
    claims: Claims,
    problems: BTreeMap<ObjectId, Vec<Problem>>,
    dirty: BTreeSet<ObjectKey>,
    built: BTreeMap<ObjectKey, Built>,
}

struct ServiceEntry {
    origin: Arc<str>,
    record: ServiceRecord,
}

impl Model {
    /// An empty model.
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Takes an object, new or changed. `origin` says where it came from, for people.
    pub(crate) fn apply(&mut self, object: &Object, origin: &Arc<str>) {
        let id = object.id();
        let mut reporter = Reporter::new(origin.clone(), &id);
        let cidrs = self.settings.service_cidrs.as_slice();
        match object {
            Object::Service(service) => {
                let record = ServiceRecord::read(service, cidrs, &mut reporter);
                let origin = origin.clone();
                self.set_service(&id.key, record.map(|record| ServiceEntry { origin, record }));
            }
            Object::EndpointSlice(slice) => {
                let record = SliceRecord::read(slice, cidrs, &mut reporter);
                self.set_slice(&id.key, record);
            }
            Object::Endpoints(endpoints) => {
                let groups = read_endpoints(endpoints, cidrs, &mut reporter);
                self.set_endpoints(&id.key, Some(groups));
            }
            Object::Pod(pod) => {
                let record = PodRecord::read(pod, cidrs, &mut reporter);
                self.set_pod(&id.key, record);
            }
        }
        let problems = reporter.into_problems();
        if problems.is_empty() {
            self.problems.remove(&id);
        } else {
            self.problems.insert(id, problems);
        }
    }

    /// Forgets an object.
    pub(crate) fn delete(&mut self, id: &ObjectId) {
        self.problems.remove(id);
        match id.kind {
            Kind::Service => self.set_service(&id.key, None),
            Kind::EndpointSlice => self.set_slice(&id.key, None),
            Kind::Endpoints => self.set_endpoints(&id.key, None),
            Kind::Pod => self.set_pod(&id.key, None),
        }
    }

    /// Builds what was touched since the last call. True when packets would notice: then
    /// [`Model::table`] is to be published.
    pub(crate) fn update(&mut self) -> bool {
        let mut changed = false;
        for key in std::mem::take(&mut self.dirty) {
            let previous = self.built.remove(&key).unwrap_or_default();
            let built = self.build(&key, &previous);
            changed |= !built.as_ref().unwrap_or(&Built::default()).same_to_packets(&previous);
            self.built.extend(built.map(|built| (key, built)));
        }
        changed
    }

    /// Every frontend and virtual IP as of the last [`Model::update`].
    pub(crate) fn table(&self) -> ServiceTable {
        let frontends = self.built.values().flat_map(|built| &built.frontends);
        let mut table =
            ServiceTable::new(frontends.map(|of| (of.frontend, Arc::clone(&of.service))));
        let vips = self.built.values().flat_map(|built| &built.vips);
        vips.for_each(|vip| table.insert_address(*vip));
        table
    }

    /// All that is wrong as of the last [`Model::update`], object by object.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let built = self.built.values().flat_map(|built| &built.problems);
        let mut problems: Vec<_> = self.problems.values().flatten().chain(built).cloned().collect();
        problems.sort();
        problems
    }

    /// The Services that have an address in force, by namespace and name.
    pub(crate) fn services(&self) -> Vec<ServiceInfo> {
        let served = self.built.iter().filter(|(_, built)| !built.vips.is_empty());
        served
            .filter_map(|(key, built)| {
                Some(service_info(key, &self.services.get(key)?.record, built))
            })
            .collect()
    }

    /// How many Services have an address in force.
    pub(crate) fn served(&self) -> usize {
        self.built.values().filter(|built| !built.vips.is_empty()).count()
    }

    fn set_service(&mut self, key: &ObjectKey, entry: Option<ServiceEntry>) {
        let record = entry.as_ref().map(|entry| &entry.record);
        let known = self.services.get(key);
        if known.map(|known| &known.record) == record {
            if let Some(entry) = entry {
                self.set_origin(key, entry.origin);
            }
            return;
        }
        if let Some(old) = self.services.remove(key) {
            for vip in &old.record.vips {
                self.claims.release(vip.address, old.record.created, key);
                self.dirty.extend(self.claims.claimants(&vip.address).cloned());
            }
        }
        if let Some(entry) = entry {
            for vip in &entry.record.vips {
                self.claims.claim(vip.address, entry.record.created, key);
                self.dirty.extend(self.claims.claimants(&vip.address).cloned());
            }
            self.services.insert(key.clone(), entry);
        }
        self.dirty.insert(key.clone());
    }

    /// A file may be renamed: then only problems read differently.
    fn set_origin(&mut self, key: &ObjectKey, origin: Arc<str>) {
        if let Some(known) = self.services.get_mut(key)
            && known.origin != origin
        {
            known.origin = origin;
            self.dirty.insert(key.clone());
        }
    }

    fn set_slice(&mut self, key: &ObjectKey, record: Option<SliceRecord>) {
        if self.slices.get(key) == record.as_ref() {
            return;
        }
        let service_of =
            |record: &SliceRecord| ObjectKey::new(key.namespace.as_str(), record.service.as_str());
        if let Some(old) = self.slices.remove(key) {
            let service = service_of(&old);
            if let Some(names) = self.slices_of.get_mut(&service) {
                names.remove(&key.name);
                if names.is_empty() {
                    self.slices_of.remove(&service);
                }
            }
            self.dirty.insert(service);
        }
        if let Some(record) = record {
            let service = service_of(&record);
            self.slices_of.entry(service.clone()).or_default().insert(key.name.clone());
            self.slices.insert(key.clone(), record);
            self.dirty.insert(service);
        }
    }

    fn set_endpoints(&mut self, key: &ObjectKey, groups: Option<Vec<EndpointGroup>>) {
        if self.endpoints.get(key) == groups.as_ref() {
            return;
        }
        match groups {
            Some(groups) => self.endpoints.insert(key.clone(), groups),
            None => self.endpoints.remove(key),
        };
        self.dirty.insert(key.clone());
    }

    fn set_pod(&mut self, key: &ObjectKey, record: Option<PodRecord>) {
        let old = self.pods.get(key);
        if old == record.as_ref() {
            return;
        }
        let first = ObjectKey::new(key.namespace.as_str(), "");
        for (service, entry) in self.services.range(first..) {
            if service.namespace != key.namespace {
                break;
            }
            let pods = old.into_iter().chain(record.as_ref());
            if pods.into_iter().any(|pod| pod.matches(&entry.record.selector)) {
                self.dirty.insert(service.clone());
            }
        }
        match record {
            Some(record) => self.pods.insert(key.clone(), record),
            None => self.pods.remove(key),
        };
    }

    fn build(&self, key: &ObjectKey, previous: &Built) -> Option<Built> {
        let entry = self.services.get(key)?;
        let id = ObjectId { kind: Kind::Service, key: key.clone() };
        let reporter = Reporter::new(entry.origin.clone(), &id);
        let sources = self.sources(key, &entry.record);
        let owner = |address: &_| self.claims.owner(address);
        Some(build(key, &entry.record, &sources, owner, previous, reporter))
    }

    fn sources(&self, key: &ObjectKey, record: &ServiceRecord) -> Sources<'_> {
        if let Some(names) = self.slices_of.get(key) {
            let slice =
                |name: &String| self.slices.get(&ObjectKey::new(key.namespace.as_str(), name));
            return Sources::Groups(names.iter().filter_map(slice).map(|of| &of.group).collect());
        }
        if let Some(groups) = self.endpoints.get(key) {
            return Sources::Groups(groups.iter().collect());
        }
        let first = ObjectKey::new(key.namespace.as_str(), "");
        let pods = self.pods.range(first..);
        let pods = pods.take_while(|(pod, _)| pod.namespace == key.namespace);
        let selected = pods.filter(|(_, pod)| pod.matches(&record.selector));
        Sources::Pods(selected.map(|(_, pod)| pod).collect())
    }
}
