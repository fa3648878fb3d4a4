//! The Node object.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use futures::StreamExt;
use ipnet::IpNet;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Api, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Error};
use tokio::sync::watch;

use crate::lab::node::NODE_NAME;
use crate::lab::options::LabOptions;

/// Until the API is asked again when it refuses.
const RETRY: Duration = Duration::from_secs(1);

/// Makes the Node object, or brings it up to date, however long it takes.
pub(super) async fn register(client: &Client, options: &LabOptions) -> Node {
    loop {
        match try_register(client, options).await {
            Ok(node) => return node,
            Err(error) => tracing::warn!("the Node cannot be registered, trying again: {error}"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Tells what becomes of the Node, and makes it again when somebody has deleted it.
pub(super) async fn follow(client: Client, options: LabOptions, seen: watch::Sender<Node>) {
    let api: Api<Node> = Api::all(client.clone());
    let own = watcher::Config::default().fields(&format!("metadata.name={NODE_NAME}"));
    let mut events = std::pin::pin!(watcher(api, own).default_backoff());
    let mut listed = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed = false,
            Ok(Event::InitApply(node) | Event::Apply(node)) => {
                listed = true;
                seen.send_replace(node);
            }
            Ok(Event::InitDone) if listed => {}
            Ok(Event::InitDone | Event::Delete(_)) => {
                tracing::warn!("the Node was deleted: registering it again");
                seen.send_replace(register(&client, &options).await);
            }
            Err(error) => tracing::warn!("the Node cannot be watched, trying again: {error}"),
        }
    }
}

async fn try_register(client: &Client, options: &LabOptions) -> kube::Result<Node> {
    let api: Api<Node> = Api::all(client.clone());
    let wanted = node(options, super::seconds(Timestamp::now()));
    let there = match api.create(&PostParams::default(), &wanted).await {
        Err(Error::Api(status)) if status.is_already_exists() => api.get(NODE_NAME).await?,
        result => result?,
    };
    let mut node = there.clone();
    node.spec =
        Some(NodeSpec { pod_cidr: None, pod_cidrs: None, ..there.spec.unwrap_or_default() });
    if let Some(spec) = &mut node.spec {
        spec.pod_cidr = wanted.spec.as_ref().and_then(|spec| spec.pod_cidr.clone());
        spec.pod_cidrs = wanted.spec.as_ref().and_then(|spec| spec.pod_cidrs.clone());
    }
    let labels = wanted.metadata.labels.iter().flatten();
    let labels = labels.map(|(key, value)| (key.clone(), value.clone()));
    node.metadata.labels.get_or_insert_default().extend(labels);
    let mut node = api.replace(NODE_NAME, &PostParams::default(), &node).await?;
    node.status = wanted.status;
    api.replace_status(NODE_NAME, &PostParams::default(), &node).await
}

fn node(options: &LabOptions, now: Timestamp) -> Node {
    let cidrs: Vec<String> = options.pod_cidrs.iter().map(ToString::to_string).collect();
    let architecture = architecture();
    let labels = [
        ("kubernetes.io/hostname", NODE_NAME),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", architecture),
    ];
    Node {
        metadata: ObjectMeta {
            name: Some(NODE_NAME.to_owned()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            pod_cidr: cidrs.first().cloned(),
            pod_cidrs: Some(cidrs),
            ..NodeSpec::default()
        }),
        status: Some(status(options, now)),
    }
}

fn status(options: &LabOptions, now: Timestamp) -> NodeStatus {
    let address = |type_: &str, address: String| NodeAddress { address, type_: type_.to_owned() };
    let internal = options.node_ips.iter().map(|ip| address("InternalIP", ip.to_string()));
    let hostname = address("Hostname", NODE_NAME.to_owned());
    let resources = resources(&options.pod_cidrs);
    let condition = |type_: &str, holds: bool, reason: &str, message: &str| NodeCondition {
        type_: type_.to_owned(),
        status: if holds { "True" } else { "False" }.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_heartbeat_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    };
    NodeStatus {
        addresses: Some(internal.chain([hostname]).collect()),
        capacity: Some(resources.clone()),
        allocatable: Some(resources),
        conditions: Some(vec![condition(
            "Ready",
            true,
            "KubeletReady",
            "the lab runs Pods as network namespaces and processes of this machine",
        )]),
        node_info: Some(system_info()),
        ..NodeStatus::default()
    }
}

fn resources(pod_cidrs: &[IpNet]) -> BTreeMap<String, Quantity> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = memory.and_then(|rest| rest.split_whitespace().next()).unwrap_or("0");
    // One address of each family a Pod: the smaller range says how many there can be.
    let pods = pod_cidrs.iter().map(|cidr| {
        let bits = cidr.max_prefix_len() - cidr.prefix_len();
        1_u64.checked_shl(u32::from(bits)).map_or(u64::MAX, |count| count.saturating_sub(2).max(1))
    });
    let pods = pods.min().unwrap_or(0).min(65_534);
    BTreeMap::from([
        ("cpu".to_owned(), Quantity(cpus.to_string())),
        ("memory".to_owned(), Quantity(format!("{kibibytes}Ki"))),
        ("pods".to_owned(), Quantity(pods.to_string())),
    ])
}

fn system_info() -> NodeSystemInfo {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let release = read("/etc/os-release");
    let os_image = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    NodeSystemInfo {
        architecture: architecture().to_owned(),
        boot_id: read("/proc/sys/kernel/random/boot_id"),
        container_runtime_version: concat!("maglane://", env!("CARGO_PKG_VERSION")).to_owned(),
        kernel_version: read("/proc/sys/kernel/osrelease"),
        kubelet_version: concat!("v1.34.0+maglane-", env!("CARGO_PKG_VERSION")).to_owned(),
        machine_id: read("/etc/machine-id"),
        operating_system: "linux".to_owned(),
        os_image: os_image.unwrap_or("Linux").trim_matches('"').to_owned(),
        ..NodeSystemInfo::default()
    }
}

/// As Go calls it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
