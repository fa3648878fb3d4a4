//! Objects come, change and go: the work behind `up`, `apply` and `delete`.
//!
//! In this order, so that no packet is sent to a Pod that is not there: a Pod's network first, its
//! object next, its processes last; and backwards when it goes. Between them the agent is told.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Service};

use super::admission::{addresses_of, admit, is_host_network};
use super::interrupt::Interrupt;
use super::objects::{Kind, Located, Object, ObjectKey};
use super::report::{Change, Report};
use super::state::{PodState, State, load_stored, store, unstore};
use super::{Problem, Result, Site, containers, listening, pod};

/// How long declared ports may take to open.
const PORTS_OPEN: Duration = Duration::from_secs(10);

/// A lab while a command changes it.
pub(super) struct Work<'a> {
    pub(super) site: &'a Site,
    pub(super) state: State,
    pub(super) interrupt: &'a Interrupt,
    pub(super) report: &'a mut Report,
    stored: BTreeMap<ObjectKey, Object>,
    /// Pods whose network stands and whose processes do not run yet.
    waiting: Vec<ObjectKey>,
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
        Self { site, state, interrupt, report, stored, waiting: Vec::new() }
    }

    /// Admits objects, makes what they need and gives them to the agent's directory. The agent is
    /// still to be told, and the processes are still to be [started](Self::start_processes).
    pub(super) fn bring_in(&mut self, objects: Vec<Located>) -> Result<()> {
        for (mut located, live) in self.in_order(objects) {
            self.interrupt.check()?;
            let key = located.object.key();
            let exists = self.stored.contains_key(&key);
            let admitted = admit(&mut located.object, exists, &mut self.state, &live)
                .and_then(|()| self.bring_in_one(&key, located.object));
            match admitted {
                Ok(change) => self.report.changes.push((key, change)),
                Err(problem) => self.report.problems.push(problem.file(&located.file)),
            }
            self.state.save(self.site)?;
        }
        Ok(())
    }

    /// Starts the processes of the Pods that are waiting, and waits for the ports they declare.
    pub(super) fn start_processes(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        self.report.step("starting processes");
        let mut expected = Vec::new();
        for key in &waiting {
            self.interrupt.check()?;
            let services = services_of(&self.stored, &key.namespace);
            let Some(Object::Pod(pod)) = self.stored.get(key) else { continue };
            let Some(pod_state) = self.state.pods.get_mut(&key.path()) else { continue };
            let problems = &mut self.report.problems;
            let label = key.to_string();
            expected.extend(containers::start(pod, &label, pod_state, &services, problems)?);
            self.state.save(self.site)?;
        }
        for missing in listening::wait(expected, PORTS_OPEN, self.interrupt)? {
            let ended = if missing.process.runs() { "" } else { ", and its process has ended" };
            let message = format!("nobody listens on port {}{ended}", missing.port);
            self.report.warnings.push(Problem::with_object(missing.container, message));
        }
        Ok(())
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

    /// The last of each key; Services before Pods, and who asks for an address before who takes
    /// any. Each comes with the live owners of its kind.
    fn in_order(&self, objects: Vec<Located>) -> Vec<(Located, HashSet<String>)> {
        let mut last: BTreeMap<(Kind, bool, ObjectKey), Located> = BTreeMap::new();
        for located in objects {
            let key = located.object.key();
            last.retain(|(_, _, other), _| *other != key);
            last.insert((key.kind, !asks_for_address(&located.object), key), located);
        }
        let keys: Vec<ObjectKey> = last.keys().map(|(_, _, key)| key.clone()).collect();
        let live = |kind: Kind| -> HashSet<String> {
            let all = self.stored.keys().chain(&keys);
            all.filter(|key| key.kind == kind).map(ObjectKey::path).collect()
        };
        last.into_iter().map(|((kind, _, _), located)| (located, live(kind))).collect()
    }

    fn bring_in_one(
        &mut self,
        key: &ObjectKey,
        object: Object,
    ) -> std::result::Result<Change, Problem> {
        let problem = |error: super::LabError| Problem::with_object(key, error);
        let change = match self.stored.get(key) {
            Some(old) if *old == object => return Ok(Change::Unchanged),
            Some(_) => Change::Configured,
            None => Change::Created,
        };
        if let Object::Pod(pod) = &object {
            self.make_pod(key, pod).map_err(|error| Problem::with_object(key, error))?;
        }
        store(self.site, &object).map_err(problem)?;
        self.stored.insert(key.clone(), object);
        Ok(change)
    }

    /// Makes the Pod's network, unless it stands and the Pod's specification is the same.
    fn make_pod(&mut self, key: &ObjectKey, pod: &Pod) -> std::result::Result<(), String> {
        let path = key.path();
        let addresses = addresses_of(pod);
        if let Some(old) = self.state.pods.get(&path) {
            let same_spec = matches!(self.stored.get(key), Some(Object::Pod(stored)) if stored.spec == pod.spec);
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
            let mtu = self.state.options.mtu;
            pod::create(self.site, &network_namespace, &path, &addresses, mtu)
                .map_err(|error| error.to_string())?;
            interface = Some(pod::interface_name(&path));
        }
        let containers = containers::declared(self.site, pod, &path);
        let pod_state = PodState { network_namespace, interface, addresses, containers };
        self.state.pods.insert(path, pod_state);
        self.waiting.push(key.clone());
        if pod.spec.as_ref().is_some_and(|spec| spec.init_containers.iter().flatten().count() > 0) {
            let warning = Problem::with_object(key, "init containers are not run in a lab");
            self.report.warnings.push(warning.field("spec.initContainers"));
        }
        Ok(())
    }
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
            service.spec.as_ref().is_some_and(|spec| spec.cluster_ip.is_some())
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
