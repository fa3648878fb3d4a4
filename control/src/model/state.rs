use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use maglane_dataplane::service::ServiceTable;

use super::build::{Built, Sources, build};
use super::claims::Claims;
use super::group::{EndpointGroup, SliceRecord, read_endpoints};
use super::info::{ServiceInfo, service_info};
use super::place::Places;
use super::pod::PodRecord;
use super::problem::Reporter;
use super::service::ServiceRecord;
use super::{Kind, Object, ObjectId, ObjectKey, Problem};

/// What the model needs to know of the cluster.
#[derive(Clone, Default, Debug)]
pub(crate) struct Settings {
    /// Where virtual IPs come from; empty allows any address.
    pub(crate) service_cidrs: Vec<IpNet>,
    /// Which Services are ours: those labelled so, or those without the label.
    pub(crate) service_proxy_name: Option<String>,
    /// Whether somebody else gives virtual IPs away and answers for them. Then one outside the
    /// CIDRs is a problem that is told, and served.
    pub(crate) allocated_elsewhere: bool,
}

/// All objects that matter, in compact form, and what was built of them.
#[derive(Default)]
pub(crate) struct Model {
    settings: Settings,
    services: BTreeMap<ObjectKey, ServiceEntry>,
    slices: BTreeMap<ObjectKey, SliceRecord>,
    /// Names of the slices of a Service, sorted.
    slices_of: BTreeMap<ObjectKey, Vec<Arc<str>>>,
    endpoints: BTreeMap<ObjectKey, Vec<EndpointGroup>>,
    pods: BTreeMap<ObjectKey, PodRecord>,
    claims: Claims,
    places: Places,
    problems: BTreeMap<ObjectId, Vec<Problem>>,
    /// Those of `built` that have problems.
    troubled: BTreeSet<ObjectKey>,
    /// Counts changes of problems.
    problem_revision: u64,
    dirty: BTreeSet<ObjectKey>,
    built: BTreeMap<ObjectKey, Built>,
    /// What `built` comes to.
    table: ServiceTable,
    served: usize,
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

    /// Where virtual IPs come from now. What was read by other CIDRs is to be applied again.
    pub(crate) fn set_service_cidrs(&mut self, service_cidrs: Vec<IpNet>) {
        self.settings.service_cidrs = service_cidrs;
    }

    /// Takes an object, new or changed. `origin` says where it came from, for people.
    pub(crate) fn apply(&mut self, object: &Object, origin: &Arc<str>) {
        let id = object.id();
        let mut reporter = Reporter::new(origin.clone(), &id);
        match object {
            Object::Service(service) => {
                let record = ServiceRecord::read(service, &self.settings, &mut reporter);
                let origin = origin.clone();
                self.set_service(&id.key, record.map(|record| ServiceEntry { origin, record }));
            }
            Object::EndpointSlice(slice) => {
                let cidrs = &self.settings.service_cidrs;
                let record = SliceRecord::read(slice, cidrs, &mut self.places, &mut reporter);
                self.set_slice(&id.key, record);
            }
            Object::Endpoints(endpoints) => {
                let groups = read_endpoints(endpoints, &self.settings.service_cidrs, &mut reporter);
                self.set_endpoints(&id.key, Some(groups));
            }
            Object::Pod(pod) => {
                let record = PodRecord::read(pod, &self.settings.service_cidrs, &mut reporter);
                self.set_pod(&id.key, record);
            }
        }
        self.set_problems(id, reporter.into_problems());
    }

    /// Takes note of an object that cannot be read. What was read of it before stays in force.
    pub(crate) fn refuse(&mut self, id: ObjectId, problem: Problem) {
        self.set_problems(id, vec![problem]);
    }

    /// Forgets an object.
    pub(crate) fn delete(&mut self, id: &ObjectId) {
        self.set_problems(id.clone(), Vec::new());
        match id.kind {
            Kind::Service => self.set_service(&id.key, None),
            Kind::EndpointSlice => self.set_slice(&id.key, None),
            Kind::Endpoints => self.set_endpoints(&id.key, None),
            Kind::Pod => self.set_pod(&id.key, None),
        }
    }

    /// Forgets the objects of a kind that `stays` refuses.
    pub(crate) fn retain(&mut self, kind: Kind, stays: impl Fn(&ObjectKey) -> bool) {
        let known: Box<dyn Iterator<Item = &ObjectKey>> = match kind {
            Kind::Service => Box::new(self.services.keys()),
            Kind::EndpointSlice => Box::new(self.slices.keys()),
            Kind::Endpoints => Box::new(self.endpoints.keys()),
            Kind::Pod => Box::new(self.pods.keys()),
        };
        let unread = self.problems.keys().filter(|id| id.kind == kind).map(|id| &id.key);
        let gone: BTreeSet<_> = known.chain(unread).filter(|key| !stays(key)).cloned().collect();
        gone.into_iter().for_each(|key| self.delete(&ObjectId { kind, key }));
    }

    /// Builds what was touched since the last call. True when packets would notice: then
    /// [`Model::table`] is to be published.
    pub(crate) fn update(&mut self) -> bool {
        let mut rebuilt = Vec::new();
        for key in std::mem::take(&mut self.dirty) {
            let previous = self.built.remove(&key).unwrap_or_default();
            let built = self.build(&key, &previous).unwrap_or_default();
            rebuilt.push((key, previous, built));
        }
        // What one Service has lost another may have got: everything is taken out before anything
        // is put in.
        let mut changed = false;
        for (_, previous, built) in &rebuilt {
            changed |= !built.same_to_packets(previous);
            previous.take_out_of(&mut self.table, built);
        }
        for (key, previous, built) in rebuilt {
            built.put_into(&mut self.table, &previous);
            self.keep(key, &previous, built);
        }
        changed
    }

    /// Every frontend and virtual IP as of the last [`Model::update`].
    pub(crate) fn table(&self) -> ServiceTable {
        self.table.clone()
    }

    /// The memory that the Services of [`Model::table`] take, in bytes. Looks at each.
    pub(crate) fn table_bytes(&self) -> usize {
        self.table.frontends().map(|(_, service)| service.memory_bytes()).sum()
    }

    /// All that is wrong as of the last [`Model::update`], object by object.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let built = self.troubled.iter().filter_map(|key| self.built.get(key));
        let built = built.flat_map(|built| &built.problems);
        let mut problems: Vec<_> = self.problems.values().flatten().chain(built).cloned().collect();
        problems.sort();
        problems
    }

    /// Another number whenever [`Model::problems`] may be others.
    pub(crate) fn problem_revision(&self) -> u64 {
        self.problem_revision
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
        self.served
    }

    /// Puts a Service's result where the one before was.
    fn keep(&mut self, key: ObjectKey, previous: &Built, built: Built) {
        self.served -= usize::from(!previous.vips.is_empty());
        self.served += usize::from(!built.vips.is_empty());
        if previous.problems != built.problems {
            self.problem_revision += 1;
            if built.problems.is_empty() {
                self.troubled.remove(&key);
            } else {
                self.troubled.insert(key.clone());
            }
        }
        if self.services.contains_key(&key) {
            self.built.insert(key, built);
        }
    }

    fn set_problems(&mut self, id: ObjectId, problems: Vec<Problem>) {
        if problems.is_empty() {
            self.problem_revision += u64::from(self.problems.remove(&id).is_some());
        } else if self.problems.get(&id) != Some(&problems) {
            self.problem_revision += 1;
            self.problems.insert(id, problems);
        }
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
            |record: &SliceRecord| ObjectKey::new(key.namespace.clone(), record.service.clone());
        if let Some(old) = self.slices.remove(key) {
            let service = service_of(&old);
            if let Some(names) = self.slices_of.get_mut(&service) {
                names.retain(|name| *name != key.name);
                if names.is_empty() {
                    self.slices_of.remove(&service);
                }
            }
            self.dirty.insert(service);
        }
        if let Some(record) = record {
            let service = service_of(&record);
            let names = self.slices_of.entry(service.clone()).or_default();
            if let Err(place) = names.binary_search(&key.name) {
                names.insert(place, key.name.clone());
            }
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
        let first = ObjectKey::new(key.namespace.clone(), "");
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
            let slice = |name: &Arc<str>| {
                self.slices.get(&ObjectKey::new(key.namespace.clone(), name.clone()))
            };
            return Sources::Groups(names.iter().filter_map(slice).map(|of| &of.group).collect());
        }
        if let Some(groups) = self.endpoints.get(key) {
            return Sources::Groups(groups.iter().collect());
        }
        let first = ObjectKey::new(key.namespace.clone(), "");
        let pods = self.pods.range(first..);
        let pods = pods.take_while(|(pod, _)| pod.namespace == key.namespace);
        let selected = pods.filter(|(_, pod)| pod.matches(&record.selector));
        Sources::Pods(selected.map(|(_, pod)| pod).collect())
    }
}
