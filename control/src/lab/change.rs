//! Objects come, change and go: the work behind `up`, `apply` and `delete`.
//!
//! In this order, so that no packet is sent to a Pod that is not there: a Pod's network first, its
//! object next, its processes then, and last the word that it is ready; and backwards when it goes.
//! Between them the agent is told.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Service};

use super::admission::{addresses_of, admit, is_host_network};
use super::interrupt::Interrupt;
use super::listening::Expected;
use super::manifests::{load_stored, store, unstore};
use super::report::{Change, Report};
use super::state::{PodState, Process, State};
use super::{Result, Site, agent, containers, listening, pod};
use crate::model::{Kind, Object, ObjectId, Problem};
use crate::net::namespace;
use crate::source::manifest::Located;

/// How long declared ports may take to open.
const PORTS_OPEN: Duration = Duration::from_secs(10);

/// A lab while a command changes it.
pub(super) struct Work<'a> {
    pub(super) site: &'a Site,
    pub(super) state: State,
    pub(super) interrupt: &'a Interrupt,
    pub(super) report: &'a mut Report,
    stored: BTreeMap<ObjectId, Object>,
    /// The manifests of the objects that came in, by the file that the agent reads instead.
    manifests: BTreeMap<String, Arc<str>>,
    /// Pods whose network stands and whose processes do not run yet, with their manifests.
    waiting: Vec<(ObjectId, Arc<str>)>,
}

impl<'a> Work<'a> {
    /// Reads the lab's objects.
    pub(super) fn new(
        site: &'a Site,
        state: State,
        interrupt: &'a Interrupt,
        report: &'a mut Report,
    ) -> Self {
        let stored = load_stored(site);
        let (manifests, waiting) = Default::default();
        Self { site, state, interrupt, report, stored, manifests, waiting }
    }

    /// Admits objects, makes what they need and gives them to the agent's directory. The agent is
    /// still to be told, and the processes are still to be [started](Self::start_processes).
    pub(super) fn bring_in(&mut self, objects: Vec<Located>) -> Result<()> {
        let objects = in_order(objects);
        let services = self.live(Kind::Service, &objects);
        let pods = self.live(Kind::Pod, &objects);
        let result = self.bring_in_all(objects, &services, &pods);
        self.state.save(self.site)?;
        result
    }

    fn bring_in_all(
        &mut self,
        objects: Vec<Located>,
        services: &HashSet<String>,
        pods: &HashSet<String>,
    ) -> Result<()> {
        for mut located in objects {
            self.interrupt.check()?;
            let id = located.object.id();
            let copy = self.site.object(&id).display().to_string();
            self.manifests.insert(copy, located.origin.clone());
            let exists = self.stored.contains_key(&id);
            let live = if id.kind == Kind::Pod { pods } else { services };
            let admitted = admit(&mut located.object, exists, &mut self.state, live)
                .and_then(|()| self.bring_in_one(&id, located.object, &located.origin));
            match admitted {
                Ok(change) => self.report.changes.push((id, change)),
                Err(problem) => self.report.problems.push(problem.origin(located.origin)),
            }
        }
        Ok(())
    }

    /// Has the agent follow, and starts one if the lab's has ended. Returns what it finds wrong.
    pub(super) fn tell_agent(&mut self) -> Result<Vec<String>> {
        if self.state.agent.is_some_and(Process::runs) {
            return agent::sync(self.site, self.interrupt);
        }
        self.report.step("starting the agent again");
        self.start_agent()
    }

    /// Starts the agent; returns once it serves, with what it finds wrong.
    pub(super) fn start_agent(&mut self) -> Result<Vec<String>> {
        let mut child = agent::start(self.site, &self.state.options)?;
        self.state.agent = Process::of(child.id());
        self.state.save(self.site)?;
        agent::wait_until_serves(self.site, &mut child, self.interrupt)
    }

    /// Takes what the agent finds wrong with the objects that came in, and with none of the others:
    /// they were complained about when they came. Their manifests are named, not the lab's copies.
    pub(super) fn hear(&mut self, problems: Vec<String>) {
        let copies = self.site.objects().display().to_string();
        for problem in problems {
            let (place, rest) = problem.split_once(": ").unwrap_or(("", &problem));
            let heard = match self.manifests.get(place) {
                Some(file) => Problem::new(rest).origin(file.clone()),
                None if place.starts_with(&copies) => continue,
                None => Problem::new(&problem),
            };
            // It says so each time that it is told something.
            if !self.report.problems.contains(&heard) {
                self.report.problems.push(heard);
            }
        }
    }

    /// Starts the processes of the Pods that are waiting, and waits for the ports they declare. Only
    /// then is the agent told that these Pods are ready: nobody is sent to a port that is not open.
    pub(super) fn start_processes(&mut self) -> Result<()> {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|(id, _)| self.is_to_start(id));
        if waiting.is_empty() {
            return Ok(());
        }
        self.report.step("starting processes");
        let started = self.start_all(&waiting);
        self.state.save(self.site)?;
        for missing in listening::wait(started?, PORTS_OPEN, self.interrupt)? {
            let ended = if missing.process.runs() { "" } else { ", and its process has ended" };
            let message = format!("nobody listens on port {}{ended}", missing.port);
            self.report.warnings.push(Problem::new(message).object(missing.container));
        }
        for (id, _) in &waiting {
            if let Some(pod) = self.stored.get(id) {
                store(self.site, pod)?;
            }
        }
        let problems = self.tell_agent()?;
        self.hear(problems);
        Ok(())
    }

    /// Whether a Pod has processes that do not run yet.
    fn is_to_start(&self, id: &ObjectId) -> bool {
        let containers = self.state.pods.get(&path(id)).map(|pod| pod.containers.iter());
        containers.into_iter().flatten().any(|one| one.has_command && one.process.is_none())
    }

    fn start_all(&mut self, waiting: &[(ObjectId, Arc<str>)]) -> Result<Vec<Expected>> {
        let mut expected = Vec::new();
        for (id, origin) in waiting {
            self.interrupt.check()?;
            let services = services_of(&self.stored, &id.key.namespace);
            let Some(Object::Pod(pod)) = self.stored.get(id) else { continue };
            let Some(pod_state) = self.state.pods.get_mut(&path(id)) else { continue };
            let mut problems = Vec::new();
            let label = id.to_string();
            expected.extend(containers::start(pod, &label, pod_state, &services, &mut problems)?);
            let located = problems.into_iter().map(|problem| problem.origin(origin.clone()));
            self.report.problems.extend(located);
        }
        Ok(expected)
    }

    /// Takes objects away from the agent. Their Pods are still to be [removed](Self::remove_pods),
    /// once the agent was told.
    pub(super) fn take_out(&mut self, objects: Vec<Located>) -> Result<Vec<ObjectId>> {
        let mut gone = Vec::new();
        for located in objects {
            let id = located.object.id();
            if self.stored.remove(&id).is_none() {
                let problem = Problem::new("not found").object(&id).origin(located.origin);
                self.report.problems.push(problem);
                continue;
            }
            unstore(self.site, &id)?;
            self.report.changes.push((id.clone(), Change::Deleted));
            gone.push(id);
        }
        Ok(gone)
    }

    /// Ends the processes of Pods and removes their networks.
    pub(super) fn remove_pods(&mut self, ids: &[ObjectId]) -> Result<()> {
        for id in ids.iter().filter(|id| id.kind == Kind::Pod) {
            if let Some(pod_state) = self.state.pods.get(&path(id)) {
                remove_pod(self.site, pod_state)?;
                self.state.pods.remove(&path(id));
                self.state.save(self.site)?;
            }
        }
        Ok(())
    }

    /// The owners of addresses that are there or about to be, as `namespace/name`.
    fn live(&self, kind: Kind, objects: &[Located]) -> HashSet<String> {
        let coming = objects.iter().map(|located| located.object.id());
        let all = self.stored.keys().cloned().chain(coming);
        all.filter(|id| id.kind == kind).map(|id| path(&id)).collect()
    }

    fn bring_in_one(
        &mut self,
        id: &ObjectId,
        object: Object,
        origin: &Arc<str>,
    ) -> std::result::Result<Change, Problem> {
        let change = match self.stored.get(id) {
            Some(old) if *old == object && self.stands(id) => {
                if id.kind == Kind::Pod {
                    // An earlier command may have been interrupted before this.
                    self.waiting.push((id.clone(), origin.clone()));
                }
                return Ok(Change::Unchanged);
            }
            Some(_) => Change::Configured,
            None => Change::Created,
        };
        if let Object::Pod(pod) = &object {
            self.waiting.push((id.clone(), origin.clone()));
            self.make_pod(id, pod).map_err(|error| Problem::new(error).object(id))?;
        }
        let told = match &object {
            Object::Pod(pod) if self.is_to_start(id) => Object::from(not_ready(pod)),
            _ => object.clone(),
        };
        store(self.site, &told).map_err(|error| Problem::new(error).object(id))?;
        self.stored.insert(id.clone(), object);
        Ok(change)
    }

    /// Whether what the object needs is there; a Pod's network may have failed to come back.
    fn stands(&self, id: &ObjectId) -> bool {
        id.kind != Kind::Pod || self.state.pods.contains_key(&path(id))
    }

    /// Makes the Pod's network, unless it stands and the Pod's specification is the same.
    fn make_pod(&mut self, id: &ObjectId, pod: &Pod) -> std::result::Result<(), String> {
        let path = path(id);
        let addresses = addresses_of(pod);
        if let Some(old) = self.state.pods.get(&path) {
            let stored = self.stored.get(id);
            let same_spec = matches!(stored, Some(Object::Pod(stored)) if stored.spec == pod.spec);
            if same_spec && old.addresses == addresses {
                return Ok(());
            }
            remove_pod(self.site, old).map_err(|error| error.to_string())?;
            self.state.pods.remove(&path);
        }
        let mut network_namespace = self.site.pod_namespace(&id.key);
        let mut interface = None;
        if is_host_network(pod) {
            network_namespace = self.site.node_namespace();
        } else {
            let namesake = self
                .state
                .pods
                .iter()
                .find(|(_, other)| other.network_namespace == network_namespace);
            if let Some((other, _)) = namesake {
                return Err(format!("its network namespace {network_namespace} is Pod {other}'s"));
            }
            if namespace::exists(&network_namespace) {
                // A command was killed after making it, and before it could say so.
                let interface = pod::interface_name(&path);
                pod::remove(self.site, &network_namespace, &interface)
                    .map_err(|error| error.to_string())?;
            }
            let mtu = self.state.options.mtu;
            pod::create(self.site, &network_namespace, &path, &addresses, mtu)
                .map_err(|error| error.to_string())?;
            interface = Some(pod::interface_name(&path));
        }
        let containers = containers::declared(self.site, pod, &path);
        let pod_state = PodState { network_namespace, interface, addresses, containers };
        self.state.pods.insert(path, pod_state);
        if pod.spec.as_ref().is_some_and(|spec| spec.init_containers.iter().flatten().count() > 0) {
            let warning = Problem::new("init containers are not run in a lab");
            self.report.warnings.push(warning.object(id).field("spec.initContainers"));
        }
        Ok(())
    }
}

/// Services before Pods, who asks for an address before who takes any, and else as they stand in
/// the manifests: a Pod's environment knows the Services that were there before it.
fn in_order(mut objects: Vec<Located>) -> Vec<Located> {
    objects.sort_by_cached_key(|located| {
        (located.object.id().kind, !asks_for_address(&located.object))
    });
    objects
}

/// The Pod as long as its processes do not run.
fn not_ready(pod: &Pod) -> Pod {
    let mut pod = pod.clone();
    let conditions = pod.status.get_or_insert_default().conditions.get_or_insert_default();
    for condition in conditions.iter_mut().filter(|condition| condition.type_ == "Ready") {
        condition.status = "False".to_owned();
    }
    pod
}

/// A Pod's or a Service's name in the lab's state: `namespace/name`.
fn path(id: &ObjectId) -> String {
    id.key.to_string()
}

fn remove_pod(site: &Site, pod_state: &PodState) -> Result<()> {
    match &pod_state.interface {
        Some(interface) => pod::remove(site, &pod_state.network_namespace, interface),
        None => {
            containers::end(pod_state);
            Ok(())
        }
    }
}

/// The Services that a Pod of this namespace has variables for.
fn services_of<'o>(stored: &'o BTreeMap<ObjectId, Object>, namespace: &str) -> Vec<&'o Service> {
    stored
        .iter()
        .filter(|(id, _)| &*id.key.namespace == namespace)
        .filter_map(|(_, object)| match object {
            Object::Service(service) => Some(&**service),
            _ => None,
        })
        .collect()
}

fn asks_for_address(object: &Object) -> bool {
    match object {
        Object::Service(service) => {
            let spec = service.spec.as_ref();
            spec.is_some_and(|spec| spec.cluster_ip.is_some() || spec.cluster_ips.is_some())
        }
        Object::Pod(pod) => {
            let annotations = pod.metadata.annotations.as_ref();
            annotations.is_some_and(|all| all.contains_key(super::addresses::POD_IPS_ANNOTATION))
                || pod
                    .status
                    .as_ref()
                    .is_some_and(|status| status.pod_ip.is_some() || status.pod_ips.is_some())
        }
        Object::Endpoints(_) | Object::EndpointSlice(_) => false,
    }
}
