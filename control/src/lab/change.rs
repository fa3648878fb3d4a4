//! Objects come, change and go: the work behind `up`, `apply` and `delete`.
//!
//! In this order, so that no packet is sent to a Pod that is not there: a Pod's network first, its
//! object next, its processes last; and backwards when it goes. Between them the agent is told.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Service};

use super::admission::{addresses_of, admit, is_host_network};
use super::interrupt::Interrupt;
use super::listening::Expected;
use super::objects::{Kind, Located, Object, ObjectKey};
use super::report::{Change, Report};
use super::state::{PodState, Process, State, load_stored, store, unstore};
use super::{Problem, Result, Site, agent, containers, listening, pod};
use crate::net::namespace;

/// How long declared ports may take to open.
const PORTS_OPEN: Duration = Duration::from_secs(10);

/// A lab while a command changes it.
pub(super) struct Work<'a> {
    pub(super) site: &'a Site,
    pub(super) state: State,
    pub(super) interrupt: &'a Interrupt,
    pub(super) report: &'a mut Report,
    stored: BTreeMap<ObjectKey, Object>,
    /// The manifests of the objects that came in, by the file that the agent reads instead.
    manifests: BTreeMap<String, String>,
    /// Pods whose network stands and whose processes do not run yet, with their manifests.
    waiting: Vec<(ObjectKey, String)>,
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
            let key = located.object.key();
            let copy = self.site.objects().join(key.file_name()).display().to_string();
            self.manifests.insert(copy, located.file.clone());
            let exists = self.stored.contains_key(&key);
            let live = if key.kind == Kind::Pod { pods } else { services };
            let admitted = admit(&mut located.object, exists, &mut self.state, live)
                .and_then(|()| self.bring_in_one(&key, located.object, &located.file));
            match admitted {
                Ok(change) => self.report.changes.push((key, change)),
                Err(problem) => self.report.problems.push(problem.file(&located.file)),
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
            match self.manifests.get(place) {
                Some(file) => self.report.problems.push(Problem::with_file(file, rest)),
                None if place.starts_with(&copies) => {}
                None => self.report.problems.push(Problem::plain(problem)),
            }
        }
    }

    /// Starts the processes of the Pods that are waiting, and waits for the ports they declare.
    pub(super) fn start_processes(&mut self) -> Result<()> {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|(key, _)| {
            let containers = self.state.pods.get(&key.path()).map(|pod| pod.containers.iter());
            containers.into_iter().flatten().any(|one| one.has_command && one.process.is_none())
        });
        if waiting.is_empty() {
            return Ok(());
        }
        self.report.step("starting processes");
        let started = self.start_all(&waiting);
        self.state.save(self.site)?;
        for missing in listening::wait(started?, PORTS_OPEN, self.interrupt)? {
            let ended = if missing.process.runs() { "" } else { ", and its process has ended" };
            let message = format!("nobody listens on port {}{ended}", missing.port);
            self.report.warnings.push(Problem::with_object(missing.container, message));
        }
        Ok(())
    }

    fn start_all(&mut self, waiting: &[(ObjectKey, String)]) -> Result<Vec<Expected>> {
        let mut expected = Vec::new();
        for (key, file) in waiting {
            self.interrupt.check()?;
            let services = services_of(&self.stored, &key.namespace);
            let Some(Object::Pod(pod)) = self.stored.get(key) else { continue };
            let Some(pod_state) = self.state.pods.get_mut(&key.path()) else { continue };
            let mut problems = Vec::new();
            let label = key.to_string();
            expected.extend(containers::start(pod, &label, pod_state, &services, &mut problems)?);
            self.report.problems.extend(problems.into_iter().map(|problem| problem.file(file)));
        }
        Ok(expected)
    }

    /// Takes objects away from the agent. Their Pods are still to be [removed](Self::remove_pods),
    /// once the agent was told.
    pub(super) fn take_out(&mut self, objects: Vec<Located>) -> Result<Vec<ObjectKey>> {
        let mut gone = Vec::new();
        for located in objects {
            let key = located.object.key();
            if self.stored.remove(&key).is_none() {
                let problem = Problem::with_object(&key, "not found").file(&located.file);
                self.report.problems.push(problem);
                continue;
            }
            unstore(self.site, &key)?;
            self.report.changes.push((key.clone(), Change::Deleted));
            gone.push(key);
        }
        Ok(gone)
    }

    /// Ends the processes of Pods and removes their networks.
    pub(super) fn remove_pods(&mut self, keys: &[ObjectKey]) -> Result<()> {
        for key in keys.iter().filter(|key| key.kind == Kind::Pod) {
            if let Some(pod_state) = self.state.pods.get(&key.path()) {
                remove_pod(self.site, pod_state)?;
                self.state.pods.remove(&key.path());
                self.state.save(self.site)?;
            }
        }
        Ok(())
    }

    /// The owners of addresses that are there or about to be, as `namespace/name`.
    fn live(&self, kind: Kind, objects: &[Located]) -> HashSet<String> {
        let coming = objects.iter().map(|located| located.object.key());
        let all = self.stored.keys().cloned().chain(coming);
        all.filter(|key| key.kind == kind).map(|key| key.path()).collect()
    }

    fn bring_in_one(
        &mut self,
        key: &ObjectKey,
        object: Object,
        file: &str,
    ) -> std::result::Result<Change, Problem> {
        let problem = |error: super::LabError| Problem::with_object(key, error);
        let change = match self.stored.get(key) {
            Some(old) if *old == object && self.stands(key) => {
                if key.kind == Kind::Pod {
                    // An earlier command may have been interrupted before this.
                    self.waiting.push((key.clone(), file.to_owned()));
                }
                return Ok(Change::Unchanged);
            }
            Some(_) => Change::Configured,
            None => Change::Created,
        };
        if let Object::Pod(pod) = &object {
            self.waiting.push((key.clone(), file.to_owned()));
            self.make_pod(key, pod).map_err(|error| Problem::with_object(key, error))?;
        }
        store(self.site, &object).map_err(problem)?;
        self.stored.insert(key.clone(), object);
        Ok(change)
    }

    /// Whether what the object needs is there; a Pod's network may have failed to come back.
    fn stands(&self, key: &ObjectKey) -> bool {
        key.kind != Kind::Pod || self.state.pods.contains_key(&key.path())
    }

    /// Makes the Pod's network, unless it stands and the Pod's specification is the same.
    fn make_pod(&mut self, key: &ObjectKey, pod: &Pod) -> std::result::Result<(), String> {
        let path = key.path();
        let addresses = addresses_of(pod);
        if let Some(old) = self.state.pods.get(&path) {
            let stored = self.stored.get(key);
            let same_spec = matches!(stored, Some(Object::Pod(stored)) if stored.spec == pod.spec);
            if same_spec && old.addresses == addresses {
                return Ok(());
            }
            remove_pod(self.site, old).map_err(|error| error.to_string())?;
            self.state.pods.remove(&path);
        }
        let mut network_namespace = self.site.pod_namespace(key);
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
            let warning = Problem::with_object(key, "init containers are not run in a lab");
            self.report.warnings.push(warning.field("spec.initContainers"));
        }
        Ok(())
    }
}

/// The last of each key; Services before Pods, who asks for an address before who takes any, and
/// else as they stand in the manifests.
fn in_order(objects: Vec<Located>) -> Vec<Located> {
    let placed = objects.into_iter().enumerate();
    let last: BTreeMap<ObjectKey, (usize, Located)> =
        placed.map(|(place, located)| (located.object.key(), (place, located))).collect();
    let mut ordered: Vec<(ObjectKey, (usize, Located))> = last.into_iter().collect();
    ordered.sort_by_key(|(key, (place, located))| {
        (key.kind, !asks_for_address(&located.object), *place)
    });
    ordered.into_iter().map(|(_, (_, located))| located).collect()
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
fn services_of<'o>(stored: &'o BTreeMap<ObjectKey, Object>, namespace: &str) -> Vec<&'o Service> {
    stored
        .iter()
        .filter(|(key, _)| key.namespace == namespace)
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
