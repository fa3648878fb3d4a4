//! The Node object of a machine that has an API of its own and nobody who runs Pods.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, Error};
use serde_json::{Value, json};

/// Until the API is asked again when it refuses.
const RETRY: Duration = Duration::from_secs(1);

/// Makes the Node, or brings its addresses up to date. Tries again until that has worked.
pub(super) async fn register(client: Client, name: &str, addresses: &[IpAddr]) {
    let api: Api<Node> = Api::all(client);
    while let Err(error) = try_to_register(&api, name, addresses).await {
        tracing::warn!("the Node {name} cannot be written, trying again: {error}");
        tokio::time::sleep(RETRY).await;
    }
}

async fn try_to_register(api: &Api<Node>, name: &str, addresses: &[IpAddr]) -> kube::Result<()> {
    let object = |error| Error::SerdeError(error);
    let node = serde_json::from_value(node(name)).map_err(object)?;
    match api.create(&PostParams::default(), &node).await {
        Ok(_) => {}
        Err(Error::Api(status)) if status.is_already_exists() => {}
        Err(error) => return Err(error),
    }
    let status = json!({"status": status(name, addresses, Timestamp::now())});
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.map(drop)
}

fn node(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
        }},
        // Pods that are made here wait for somebody who runs them.
        "spec": {"unschedulable": true},
    })
}

fn status(name: &str, addresses: &[IpAddr], now: Timestamp) -> Value {
    let internal = addresses.iter().map(|ip| json!({"type": "InternalIP", "address": ip}));
    let hostname = json!({"type": "Hostname", "address": name});
    json!({
        "addresses": internal.chain([hostname]).collect::<Vec<_>>(),
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "ServicesAreForwarded",
            "message": "Services are forwarded on this machine; nobody here runs Pods",
            "lastHeartbeatTime": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }],
    })
}
