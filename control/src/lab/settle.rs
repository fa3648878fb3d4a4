//! Waits until what was applied is there: Pods ready or clearly failed, Services in force.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::api::Api;
use super::kubelet::record::PodRecord;
use super::objects::Name;
use super::report::Report;
use super::standing::{self, Standing};
use super::{Result, Site};
use crate::model::{Problem, container_ports};

/// How often one looks: at first, and when it takes long.
const LOOK: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(250)];
/// What is long, and worth a line.
const LONG: Duration = Duration::from_secs(3);
/// How long Pods may take to become ready, unless their probes ask for more.
const READY: Duration = Duration::from_secs(10);
/// How long slices may take to follow.
const FOLLOW: Duration = Duration::from_secs(10);

/// Something applied whose Pods are waited for, and the file it is from.
pub(super) type Applied = (Name, std::sync::Arc<str>);

/// Waits for all Pods that were applied, directly or through what makes them. What is wrong with
/// them goes into the report.
pub(super) async fn pods(
    site: &Site,
    api: &Api,
    applied: &[Applied],
    report: &mut Report,
) -> Result<()> {
    let namespaces: BTreeSet<&str> = applied
        .iter()
        .filter(|(name, _)| makes_pods(name))
        .map(|(name, _)| &*name.namespace)
        .collect();
    if namespaces.is_empty() {
        return Ok(());
    }
    let begun = Instant::now();
    let mut told = false;
    loop {
        let mut open = Vec::new();
        for namespace in &namespaces {
            let view = View::of(api, namespace).await?;
            for one in applied.iter().filter(|(name, _)| name.namespace == *namespace) {
                open.extend(view.open(one));
            }
        }
        let patience = open.iter().map(|one| one.patience).max().unwrap_or_default();
        let waits = open.iter().any(|one| one.standing == Standing::Coming);
        if !waits || begun.elapsed() > patience {
            for one in open {
                one.report(site, report);
            }
            return Ok(());
        }
        if begun.elapsed() > LONG && !told {
            told = true;
            for one in open.iter().filter(|one| one.standing == Standing::Coming) {
                report.step(&format!("waiting for {}", one.label));
            }
        }
        sleep(LOOK[usize::from(begun.elapsed() > LONG)]).await;
    }
}

/// Waits until all slices say what Pods and Services say.
pub(super) async fn slices(api: &Api, report: &mut Report) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < FOLLOW {
        let services: Vec<Service> = api.all("").await?;
        let pods: Vec<Pod> = api.all("").await?;
        let slices: Vec<EndpointSlice> = api.all("").await?;
        let mut by_namespace: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
        for pod in &pods {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            by_namespace.entry(namespace).or_default().push(pod);
        }
        let agree = services.iter().all(|service| {
            let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
            let pods = by_namespace.get(namespace).map_or(&[][..], Vec::as_slice);
            standing::agrees(service, pods, &slices)
        });
        if agree {
            return Ok(());
        }
        sleep(LOOK[usize::from(begun.elapsed() > LONG)]).await;
    }
    report.warnings.push(Problem::new(format_args!(
        "EndpointSlices do not say what Pods do after {} s: `kubectl get pods,endpointslices -A`",
        FOLLOW.as_secs()
    )));
    Ok(())
}

fn makes_pods(name: &Name) -> bool {
    matches!(name.resource.kind, "Pod" | "ReplicaSet" | "Deployment")
}

/// A namespace's Pods and who makes some of them.
struct View {
    pods: Vec<Pod>,
    replica_sets: Vec<Value>,
    deployments: Vec<Value>,
}

/// A Pod, or what makes some, that is not settled.
struct Open {
    label: String,
    origin: std::sync::Arc<str>,
    standing: Standing,
    patience: Duration,
    pod: Option<Pod>,
}

impl View {
    async fn of(api: &Api, namespace: &str) -> Result<Self> {
        Ok(Self {
            pods: api.all(namespace).await?,
            replica_sets: api.values::<ReplicaSet>(namespace).await?,
            deployments: api.values::<Deployment>(namespace).await?,
        })
    }

    /// What of an object is not settled.
    fn open(&self, (name, origin): &Applied) -> Vec<Open> {
        let open = |pod: &Pod, label: String| {
            let standing = standing::of(pod);
            let origin = origin.clone();
            let patience = patience(pod);
            (standing != Standing::Settled).then(|| Open {
                label,
                origin,
                standing,
                patience,
                pod: Some(pod.clone()),
            })
        };
        if name.resource.kind == "Pod" {
            let found = self.pods.iter().find(|pod| pod.metadata.name.as_ref() == Some(&name.name));
            return found.and_then(|pod| open(pod, name.to_string())).into_iter().collect();
        }
        let list = match name.resource.kind {
            "Deployment" => &self.deployments,
            "ReplicaSet" => &self.replica_sets,
            _ => return Vec::new(),
        };
        let Some(maker) = list.iter().find(|one| one["metadata"]["name"] == name.name) else {
            return Vec::new();
        };
        if has_all(maker) {
            return Vec::new();
        }
        let pods: Vec<&Pod> = self.made_by(maker).collect();
        let unsettled: Vec<Open> = pods
            .iter()
            .filter_map(|pod| {
                let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
                open(pod, format!("Pod {}/{pod_name}", name.namespace))
            })
            .collect();
        let wanted = maker["spec"]["replicas"].as_u64().unwrap_or(1);
        let known = u64::try_from(pods.len()).is_ok_and(|known| known >= wanted);
        if known && !unsettled.is_empty() {
            return unsettled;
        }
        vec![Open {
            label: name.to_string(),
            origin: origin.clone(),
            standing: Standing::Coming,
            patience: READY,
            pod: None,
        }]
    }

    /// The Pods that a ReplicaSet, or a Deployment through its ReplicaSets, has.
    fn made_by(&self, maker: &Value) -> impl Iterator<Item = &Pod> {
        let uid = |value: &Value| value["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let mut makers = BTreeSet::from([uid(maker)]);
        for set in &self.replica_sets {
            let owners = set["metadata"]["ownerReferences"].as_array();
            if owners.into_iter().flatten().any(|owner| owner["uid"] == maker["metadata"]["uid"]) {
                makers.insert(uid(set));
            }
        }
        self.pods.iter().filter(move |pod| {
            pod.metadata.deletion_timestamp.is_none()
                && pod.metadata.owner_references.iter().flatten().any(|of| makers.contains(&of.uid))
        })
    }
}

/// Whether a ReplicaSet or a Deployment has all Pods it wants, of the newest kind, available.
fn has_all(maker: &Value) -> bool {
    let number = |value: &Value, default| value.as_u64().unwrap_or(default);
    let status = &maker["status"];
    let wanted = number(&maker["spec"]["replicas"], 1);
    let seen =
        number(&status["observedGeneration"], 0) >= number(&maker["metadata"]["generation"], 0);
    let updated = maker["kind"] != "Deployment" || number(&status["updatedReplicas"], 0) == wanted;
    seen && updated
        && number(&status["replicas"], 0) == wanted
        && number(&status["availableReplicas"], 0) == wanted
}

/// As long as its probes may take to succeed for the first time.
fn patience(pod: &Pod) -> Duration {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let probes =
        containers.flat_map(|container| [&container.startup_probe, &container.readiness_probe]);
    let longest = probes.flatten().map(|probe| {
        let number = |value: Option<i32>, default| value.unwrap_or(default).max(0).unsigned_abs();
        let period = number(probe.period_seconds, 10) * number(probe.failure_threshold, 3);
        u64::from(number(probe.initial_delay_seconds, 0) + period)
    });
    READY + Duration::from_secs(longest.max().unwrap_or(0))
}

impl Open {
    fn report(self, site: &Site, report: &mut Report) {
        let located = |problem: Problem| problem.object(&self.label).origin(self.origin.clone());
        match &self.standing {
            Standing::Settled => {}
            Standing::Failed(problem) => report.problems.push(located(problem.clone())),
            Standing::Ends(message) => report.warnings.push(located(Problem::new(message))),
            Standing::Coming => {
                let missing = self.pod.as_ref().map(|pod| closed_ports(site, pod));
                let missing = missing.unwrap_or_default();
                if missing.is_empty() {
                    report.warnings.push(located(Problem::new("is not ready yet")));
                }
                report.warnings.extend(missing.into_iter().map(located));
            }
        }
    }
}

/// The ports that a Pod's containers declare and that nobody listens on.
fn closed_ports(site: &Site, pod: &Pod) -> Vec<Problem> {
    let records = PodRecord::load_all(site).unwrap_or_default();
    let record = records.iter().find(|record| Some(&record.uid) == pod.metadata.uid.as_ref());
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut problems = Vec::new();
    for container in containers {
        let found = record.into_iter().flat_map(|record| &record.containers);
        let process = found
            .filter(|one| one.name == container.name && !one.started)
            .find_map(|one| one.process());
        let Some(process) = process else { continue };
        let open = super::kubelet::listening_ports(process);
        let tcp = container_ports(container)
            .filter(|(_, protocol, _)| *protocol == maglane_dataplane::wire::Protocol::Tcp);
        for (_, _, port) in tcp.filter(|(_, _, port)| !open.contains(port)) {
            let message = format!("container {}: nobody listens on port {port}", container.name);
            problems.push(Problem::new(message));
        }
    }
    problems
}
