//! A cluster without sockets and without waiting: the real registry and the real controllers, and a
//! node whose Pods run and end when a test says so.
//!
//! What a watch would say is kept until it is delivered, so a test can have controllers look at
//! what is stale.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::Event;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::apiserver::kinds::by_plural;
use crate::apiserver::registry::options::{
    DeleteOptions, ListOptions, Patch, Propagation as Policy, WriteOptions,
};
use crate::apiserver::registry::{Registry, Settings as RegistrySettings};
use crate::apiserver::resource::{Resource, Subresource};
use crate::apiserver::status::Refusal;
use crate::controllers::Settings;
use crate::controllers::change::{Change, Propagation, Verb};
use crate::controllers::execute::{End, Outcome};
use crate::controllers::kind::Kind;
use crate::controllers::manager::{Clock, Manager};
use crate::controllers::task::{Attempt, Failure, Key};
use crate::controllers::world::Observed;
use crate::controllers::world::record::{self, Bare, EventRecord, NodeRecord, PodRecord};

/// More changes than any test needs: controllers that never come to rest fail it.
const CHANGES_MAX: usize = 20_000;

pub(super) struct Cluster {
    pub(super) registry: Registry,
    pub(super) manager: Manager,
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    /// What watches have not said yet.
    pub(super) unsaid: VecDeque<Observed>,
    /// Reasons and messages of Events.
    pub(super) events: Vec<String>,
    /// All changes that controllers made.
    pub(super) changes: usize,
    next_ip: u8,
    _directory: TempDir,
}

impl Cluster {
    /// With the namespaces and the ServiceCIDR that every cluster has, and a node in a zone.
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = RegistrySettings::default();
        let registry = Registry::open(&directory.path().join("data"), &settings).unwrap();
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
        let mut cluster = Self {
            registry,
            manager: Manager::default(),
            settings: Settings::default(),
            clock: Clock { time: now, instant: Instant::now() },
            unsaid: VecDeque::new(),
            events: Vec::new(),
            changes: 0,
            next_ip: 0,
            _directory: directory,
        };
        for kind in Kind::ALL {
            cluster.relist(kind);
        }
        let cidr = json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/16"]}});
        if cluster.get(Kind::ServiceCidr, "", "kubernetes").is_none() {
            cluster.create(Kind::ServiceCidr, "", cidr);
        }
        let labels = json!({"topology.kubernetes.io/zone": "here"});
        let node = json!({"metadata": {"name": "node", "labels": labels}});
        cluster.create(Kind::Node, "", node);
        cluster.settle();
        cluster
    }

    /// Lists a kind, as a watch does at first and when it has missed something.
    pub(super) fn relist(&mut self, kind: Kind) {
        self.unsaid.push_back(observed(kind, Event::Init));
        let list = self.registry.list(resource(kind), None, &ListOptions::default()).unwrap();
        for object in list.items {
            self.unsaid.push_back(observed(kind, Event::InitApply(object.value())));
        }
        self.unsaid.push_back(observed(kind, Event::InitDone));
    }

    /// Delivers what has happened and has controllers work until there is nothing left to do now.
    pub(super) fn settle(&mut self) {
        loop {
            while self.deliver() {}
            if !self.work() {
                break;
            }
        }
        assert!(self.unsaid.is_empty());
    }

    /// Delivers the oldest thing that has happened; false when everything has been said.
    pub(super) fn deliver(&mut self) -> bool {
        let Some(observed) = self.unsaid.pop_front() else { return false };
        self.manager.observe(observed);
        true
    }

    /// Does one task, if there is one.
    pub(super) fn work(&mut self) -> bool {
        let Some(mut work) = self.manager.next(&self.settings, self.clock) else { return false };
        let mut outcome = Outcome::default();
        for change in std::mem::take(&mut work.plan.changes) {
            self.changes += 1;
            assert!(self.changes < CHANGES_MAX, "never at rest: {change:?}");
            self.perform(&change, &mut outcome);
            if outcome.end != End::Done {
                break;
            }
        }
        self.manager.finish(work, outcome, self.clock);
        true
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, seconds: u64) {
        self.clock.instant += Duration::from_secs(seconds);
        self.clock.time += SignedDuration::from_secs(i64::try_from(seconds).unwrap());
        self.settle();
    }

    /// As a user.
    pub(super) fn create(&mut self, kind: Kind, namespace: &str, body: Value) -> Value {
        let options = WriteOptions::default();
        let written = self.registry.create(resource(kind), namespace, body, &options).unwrap();
        let object = written.object.value();
        self.unsaid.push_back(observed(kind, Event::Apply(object.clone())));
        object
    }

    /// As a user.
    pub(super) fn patch(&mut self, kind: Kind, name: &str, patch: Value) -> Value {
        self.try_patch(kind, &Key::new("default", name), None, patch).unwrap()
    }

    /// As a user.
    pub(super) fn delete(&mut self, kind: Kind, name: &str, policy: Policy) {
        let namespace = if kind.is_namespaced() { "default" } else { "" };
        self.try_delete(kind, &Key::new(namespace, name), None, policy).unwrap();
    }

    pub(super) fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Value> {
        self.registry.get(resource(kind), namespace, name).ok().map(|object| object.value())
    }

    /// All objects of a kind in the namespace `default`.
    pub(super) fn list(&self, kind: Kind) -> Vec<Value> {
        let namespace = kind.is_namespaced().then_some("default");
        let list = self.registry.list(resource(kind), namespace, &ListOptions::default()).unwrap();
        list.items.iter().map(|object| object.value()).collect()
    }

    /// As the node's kubelet: every Pod that is waiting runs and is ready, and every Pod that is
    /// about to go goes. Returns how many did either.
    pub(super) fn run_pods(&mut self) -> usize {
        let pods = self.list(Kind::Pod);
        pods.iter().filter(|pod| self.run_pod(pod)).count()
    }

    pub(super) fn run_pod(&mut self, pod: &Value) -> bool {
        let name = pod["metadata"]["name"].as_str().unwrap();
        let key = Key::new("default", name);
        if !pod["metadata"]["deletionTimestamp"].is_null() {
            let options = DeleteOptions { grace_period_seconds: Some(0), ..Default::default() };
            let gone = self.registry.delete(resource(Kind::Pod), "default", name, &options);
            let gone = gone.unwrap();
            if gone.gone {
                self.unsaid.push_back(observed(Kind::Pod, Event::Delete(gone.object.value())));
            }
            return true;
        }
        if pod["status"]["phase"] == "Running" {
            return false;
        }
        self.next_ip += 1;
        let ip = format!("10.244.0.{}", self.next_ip);
        self.try_patch(Kind::Pod, &key, None, json!({"spec": {"nodeName": "node"}})).unwrap();
        self.set_ready(name, true, &ip);
        true
    }

    /// A Pod runs at an address.
    pub(super) fn set_ready(&mut self, name: &str, ready: bool, ip: &str) {
        let condition = json!({
            "type": "Ready",
            "status": if ready { "True" } else { "False" },
            "lastTransitionTime": self.clock.time.to_string(),
        });
        let status = json!({
            "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [condition],
        });
        self.set_status(Kind::Pod, name, status);
    }

    pub(super) fn set_status(&mut self, kind: Kind, name: &str, status: Value) {
        let key = Key::new("default", name);
        let patch = json!({ "status": status });
        self.try_patch(kind, &key, Some(Subresource::Status), patch).unwrap();
    }

    fn perform(&mut self, change: &Change, outcome: &mut Outcome) {
        let result = self.request(change);
        let told = change.told.as_ref();
        match result {
            Ok(name) => {
                if let Some((reason, message)) = told.and_then(|told| told.done.as_ref()) {
                    self.events.push(format!("{reason}: {}", message.replace("{name}", &name)));
                }
                match &change.verb {
                    Verb::Delete { uid, .. } => {
                        outcome.awaited.departures.insert(uid.clone());
                    }
                    Verb::Confirm { .. } => {}
                    _ => {
                        let newest = self.get(change.kind, &change.key.namespace, &name);
                        let revision = newest.map(|of| revision(&of)).unwrap_or_default();
                        outcome.awaited.written(change.kind, revision);
                    }
                }
            }
            Err(refusal) if matches!(refusal.code, 404 | 409) => {
                if !matches!(change.verb, Verb::Delete { .. }) {
                    outcome.end = End::Stale;
                }
            }
            Err(refusal) => {
                if let Some((reason, message)) = told.and_then(|told| told.failed.as_ref()) {
                    let message = message.replace("{error}", &refusal.message);
                    self.events.push(format!("{reason}: {message}"));
                }
                let attempt = match change.verb {
                    Verb::Create(_) => Attempt::Create,
                    Verb::Delete { .. } => Attempt::Delete,
                    _ => Attempt::Change,
                };
                outcome.end = End::Failed(Failure { message: refusal.message, attempt });
            }
        }
    }

    /// The name of the object.
    fn request(&mut self, change: &Change) -> Result<String, Refusal> {
        let Change { kind, key, verb, .. } = change;
        let options = WriteOptions::default();
        let subresource = match verb {
            Verb::ReplaceStatus(_) => Some(Subresource::Status),
            Verb::Finalize(_) => Some(Subresource::Finalize),
            _ => None,
        };
        match verb {
            Verb::Create(body) => {
                let of = resource(*kind);
                let body = body.clone();
                let written = self.registry.create(of, &key.namespace, body, &options)?;
                let object = written.object.value();
                self.unsaid.push_back(observed(*kind, Event::Apply(object.clone())));
                return Ok(object["metadata"]["name"].as_str().unwrap().to_owned());
            }
            Verb::Replace(body) | Verb::ReplaceStatus(body) | Verb::Finalize(body) => {
                let (of, body) = (resource(*kind), body.clone());
                let (namespace, name) = (&key.namespace, &key.name);
                self.registry.update(of, namespace, name, subresource, body, &options)?;
                self.say(*kind, key);
            }
            Verb::Patch(patch) => {
                self.try_patch(*kind, key, None, patch.clone())?;
            }
            Verb::Delete { uid, propagation } => {
                let policy = match propagation {
                    Propagation::Background => Policy::Background,
                    Propagation::Foreground => Policy::Foreground,
                    Propagation::Orphan => Policy::Orphan,
                };
                self.try_delete(*kind, key, Some(uid.clone()), policy)?;
            }
            Verb::Confirm { uid, exists } => {
                let found = self.get(*kind, &key.namespace, &key.name);
                let found = found.is_some_and(|of| of["metadata"]["uid"] == uid.as_str());
                if found != *exists {
                    return Err(Refusal::new(409, "", "not so"));
                }
            }
        }
        Ok(key.name.clone())
    }

    pub(super) fn try_patch(
        &mut self,
        kind: Kind,
        key: &Key,
        subresource: Option<Subresource>,
        patch: Value,
    ) -> Result<Value, Refusal> {
        let (of, patch) = (resource(kind), Patch::Merge(patch));
        let (namespace, name) = (&key.namespace, &key.name);
        let options = WriteOptions::default();
        let written = self.registry.patch(of, namespace, name, subresource, &patch, &options)?;
        self.say(kind, key);
        Ok(written.object.value())
    }

    fn try_delete(
        &mut self,
        kind: Kind,
        key: &Key,
        uid: Option<String>,
        policy: Policy,
    ) -> Result<(), Refusal> {
        let options = DeleteOptions { uid, propagation: Some(policy), ..Default::default() };
        let before = self.get(kind, &key.namespace, &key.name);
        let (namespace, name) = (&key.namespace, &key.name);
        let deleted = self.registry.delete(resource(kind), namespace, name, &options)?;
        if deleted.gone {
            let gone = before.unwrap_or_else(|| deleted.object.value());
            self.unsaid.push_back(observed(kind, Event::Delete(gone)));
        } else {
            self.say(kind, key);
        }
        Ok(())
    }

    /// What a watch says after a change.
    fn say(&mut self, kind: Kind, key: &Key) {
        let event = match self.get(kind, &key.namespace, &key.name) {
            Some(object) => Event::Apply(object),
            None => Event::Delete(json!({
                "metadata": {"namespace": key.namespace, "name": key.name},
            })),
        };
        self.unsaid.push_back(observed(kind, event));
    }
}

fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default().parse().unwrap_or_default()
}

pub(super) fn resource(kind: Kind) -> &'static Resource {
    let api = kind.api_resource();
    by_plural(&api.group, "v1", &api.plural).unwrap()
}

/// What a watch of a kind says.
pub(super) fn observed(kind: Kind, event: Event<Value>) -> Observed {
    match kind {
        Kind::Deployment => Observed::Deployment(typed(event, |of| of)),
        Kind::Endpoints => Observed::Endpoints(typed(event, |of| of)),
        Kind::EndpointSlice => Observed::Slice(typed(event, |of| of)),
        Kind::Event => Observed::Event(typed(event, EventRecord::read)),
        Kind::Namespace => Observed::Namespace(typed(event, |of| of)),
        Kind::Node => Observed::Node(typed(event, NodeRecord::read)),
        Kind::Pod => Observed::Pod(typed(event, PodRecord::read)),
        Kind::ReplicaSet => Observed::ReplicaSet(typed(event, |of| of)),
        Kind::Service => Observed::Service(typed(event, record::service)),
        Kind::ServiceCidr => Observed::ServiceCidr(typed(event, |of| of)),
        kept => {
            let metadata = |of: Value| {
                Bare::read(serde_json::from_value::<ObjectMeta>(of["metadata"].clone()).unwrap())
            };
            Observed::Other(kept, typed(event, metadata))
        }
    }
}

fn typed<K: DeserializeOwned, T>(event: Event<Value>, read: impl Fn(K) -> T) -> Event<T> {
    let read = |value| read(serde_json::from_value(value).unwrap());
    match event {
        Event::Apply(value) => Event::Apply(read(value)),
        Event::Delete(value) => Event::Delete(read(value)),
        Event::Init => Event::Init,
        Event::InitApply(value) => Event::InitApply(read(value)),
        Event::InitDone => Event::InitDone,
    }
}
