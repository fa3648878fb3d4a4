//! The lab's kubelet, and its scheduler: Pods of the API become network namespaces and processes.
//!
//! ```text
//!   API ── watch ──> dispatcher ── a task a Pod: worker ── plan: what is to be done
//!    ^                                  │                    containers, probes, sandbox: do it
//!    └────────── status, Events ────────┘                    record: write it down
//! ```
//!
//! It runs beside the API server, on its runtime, and talks to it as any client does. What blocks
//! (namespaces, links, starting processes) happens on threads for that.
//!
//! Processes and networks outlive it: what it needs to find them again is written down before they
//! are made or anybody is told of them.

mod containers;
mod events;
mod exec;
mod hooks;
mod logs;
mod node;
mod plan;
mod probes;
mod process;
pub(crate) mod record;
mod sandbox;
mod schedule;
mod status;
mod target;
mod tell;
mod termination;
#[cfg(test)]
mod tests;
mod worker;

pub(crate) use process::listening_ports;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::StreamExt;
use futures::future::LocalBoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::Api;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher::watcher};
use kube::{Client, ResourceExt};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use self::events::Events;
use self::record::PodRecord;
use self::sandbox::Places;
use self::worker::{Seen, Worker};
use super::addresses::POD_IPS_ANNOTATION;
use super::options::LabOptions;
use super::state::State;
use super::{Result, Site};
use crate::apiserver::pods::PodRequest;
use crate::controllers::recorder::Recorder;

/// How many networks are made or removed at once: more would only wait for the kernel's locks.
const BUILDING: usize = 8;

/// What all Pods' tasks share.
struct Context {
    site: Site,
    options: LabOptions,
    client: Client,
    events: Events,
    places: Places,
    /// The Node, as it is now.
    node: watch::Receiver<Node>,
    /// Networks that are made or removed at once.
    building: Semaphore,
}

/// Runs the Pods of this machine's lab, as [`run`] does, and says so if it cannot.
pub(crate) fn run_here(
    client: Client,
    requests: mpsc::Receiver<PodRequest>,
) -> LocalBoxFuture<'static, ()> {
    Box::pin(async {
        let ran = match Site::of_this_machine() {
            Ok(site) => run(client, site, requests).await,
            Err(error) => Err(error),
        };
        if let Err(error) = ran {
            tracing::error!("the lab's Pods are not run: {error}");
        }
    })
}

/// Runs the lab's Pods for as long as it is polled. What runs goes on when it is dropped.
///
/// # Errors
/// When what was written down of Pods cannot be read: nothing has been touched.
pub(crate) async fn run(
    client: Client,
    site: Site,
    requests: mpsc::Receiver<PodRequest>,
) -> Result<()> {
    let options = State::load(&site)?.options;
    let records = PodRecord::load_all(&site)?;
    let places = Places::load(&site, options.clone())?;
    for record in &records {
        places.keep(record);
    }
    let node = node::register(&client, &options).await;
    let (node, seen) = watch::channel(node);
    tokio::spawn(node::follow(client.clone(), options.clone(), node));
    let (recorder, writing) = Recorder::new(client.clone(), "kubelet");
    tokio::spawn(writing);
    let context = Arc::new(Context {
        events: Events::new(&recorder),
        building: Semaphore::new(BUILDING),
        node: seen,
        site,
        options,
        client,
        places,
    });
    tokio::spawn(answer(context.clone(), requests));
    let records = records.into_iter().map(|record| (record.uid.clone(), record)).collect();
    Dispatcher { context, records, pods: HashMap::new(), tasks: JoinSet::new() }.run().await;
    Ok(())
}

/// Logs and exec.
async fn answer(context: Arc<Context>, mut requests: mpsc::Receiver<PodRequest>) {
    while let Some(request) = requests.recv().await {
        let context = context.clone();
        tokio::spawn(async move {
            match request {
                PodRequest::Logs(request) => logs::answer(&context, request).await,
                PodRequest::Exec(request) => exec::answer(&context, request).await,
            }
        });
    }
}

/// Hands each Pod to a task of its own.
struct Dispatcher {
    context: Arc<Context>,
    /// Of Pods that were there before and have not been seen since.
    records: HashMap<String, PodRecord>,
    /// Tasks by `metadata.uid`.
    pods: HashMap<String, watch::Sender<Seen>>,
    tasks: JoinSet<String>,
}

impl Dispatcher {
    async fn run(mut self) {
        let api: Api<Pod> = Api::all(self.context.client.clone());
        let stream = watcher(api, watcher::Config::default()).default_backoff();
        let mut stream = std::pin::pin!(stream);
        let mut listed = Vec::new();
        loop {
            tokio::select! {
                event = stream.next() => match event {
                    Some(Ok(Event::Init)) => listed.clear(),
                    Some(Ok(Event::InitApply(pod))) => listed.push(pod),
                    Some(Ok(Event::InitDone)) => self.take_all(std::mem::take(&mut listed)),
                    Some(Ok(Event::Apply(pod))) => self.take(pod),
                    Some(Ok(Event::Delete(pod))) => self.lose(&pod.uid().unwrap_or_default()),
                    Some(Err(error)) => tracing::warn!("Pods cannot be watched, trying again: {error}"),
                    None => return,
                },
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    self.forget(ended);
                }
            }
        }
    }

    /// All Pods that there are. Who asks for an address is served before who takes any.
    fn take_all(&mut self, mut pods: Vec<Pod>) {
        let uids: HashSet<String> = pods.iter().filter_map(ResourceExt::uid).collect();
        let gone: Vec<String> =
            self.pods.keys().filter(|uid| !uids.contains(*uid)).cloned().collect();
        for uid in gone {
            self.lose(&uid);
        }
        pods.sort_by_key(|pod| {
            let known = pod.uid().is_some_and(|uid| self.records.contains_key(&uid));
            (!known, !pod.annotations().contains_key(POD_IPS_ANNOTATION))
        });
        for pod in pods {
            self.take(pod);
        }
        // Those that went while nobody looked.
        for (uid, record) in std::mem::take(&mut self.records) {
            let metadata = kube::core::ObjectMeta {
                name: Some(record.name.clone()),
                namespace: Some(record.namespace.clone()),
                uid: Some(uid.clone()),
                ..kube::core::ObjectMeta::default()
            };
            let pod = Arc::new(Pod { metadata, ..Pod::default() });
            self.begin(uid.clone(), pod, record);
            self.lose(&uid);
        }
    }

    fn take(&mut self, pod: Pod) {
        let Some(uid) = pod.uid() else { return };
        let pod = Arc::new(pod);
        if let Some(task) = self.pods.get(&uid) {
            task.send_replace(Some(pod));
            return;
        }
        let record = self.records.remove(&uid).unwrap_or_else(|| {
            let record = PodRecord::new(&pod, seconds(Timestamp::now()));
            // In the order in which Pods come; what is wrong is told by the Pod's task.
            let _ = self.context.places.addresses(&pod, &record);
            record
        });
        self.begin(uid, pod, record);
    }

    fn begin(&mut self, uid: String, pod: Arc<Pod>, record: PodRecord) {
        let (sender, seen) = watch::channel(Some(pod.clone()));
        let worker = Worker::new(self.context.clone(), seen, pod, record);
        self.pods.insert(uid.clone(), sender);
        self.tasks.spawn(async move {
            worker.run().await;
            uid
        });
    }

    fn lose(&mut self, uid: &str) {
        if let Some(task) = self.pods.get(uid) {
            task.send_replace(None);
        }
    }

    fn forget(&mut self, ended: std::result::Result<String, tokio::task::JoinError>) {
        match ended {
            Ok(uid) => drop(self.pods.remove(&uid)),
            Err(error) => tracing::error!("a Pod's task failed: {error}"),
        }
    }
}

/// In whole seconds, as the API writes times.
fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
