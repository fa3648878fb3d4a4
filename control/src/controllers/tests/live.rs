//! Controllers as they run: beside the server, through its HTTP, and over TLS while it restarts.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{Config, watcher};
use kube::runtime::{WatchStreamExt, conditions, wait::await_condition};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{deployment, service};
use crate::apiserver::http::listeners::Listen;
use crate::apiserver::registry::Settings as RegistrySettings;
use crate::apiserver::server::{ApiServer, ApiServerOptions, Inside};
use crate::controllers::{Settings, run};

/// What takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

fn start<F: Future<Output = ()> + 'static>(
    directory: &Path,
    address: SocketAddr,
    beside: impl FnOnce(Inside) -> F + Send + 'static,
) -> ApiServer {
    let listen = Listen { address, beyond_loopback: false };
    let options = ApiServerOptions {
        data_directory: directory.to_owned(),
        listeners: listen.open().unwrap(),
        settings: RegistrySettings::default(),
    };
    ApiServer::start(options, beside).unwrap()
}

async fn controllers(inside: Inside) {
    let mut stop = inside.stop;
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    run(inside.client, Settings::default(), stopped).await;
}

async fn client(server: &ApiServer) -> Client {
    let file = kube::config::Kubeconfig::read_from(server.kubeconfig()).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(file, &options).await.unwrap();
    Client::try_from(config).unwrap()
}

fn parsed<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// Runs every Pod and lets every Pod go that is about to.
async fn kubelet(client: Client) {
    let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(client.clone());
    let node = parsed(json!({"metadata": {"name": "node"}}));
    nodes.create(&PostParams::default(), &node).await.unwrap();
    let mut changes = watcher(Api::<Pod>::all(client.clone()), Config::default())
        .default_backoff()
        .applied_objects()
        .boxed();
    let mut next_ip = 0;
    while let Some(pod) = changes.next().await {
        let Ok(pod) = pod else { continue };
        let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap());
        let name = pod.name_any();
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        if pod.metadata.deletion_timestamp.is_some() {
            let _ = pods.delete(&name, &DeleteParams::default().grace_period(0)).await;
        } else if phase != Some("Running") {
            next_ip += 1;
            let ip = format!("10.244.0.{next_ip}");
            let node = json!({"spec": {"nodeName": "node"}});
            let status = json!({"status": {
                "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
                "conditions": [{"type": "Ready", "status": "True",
                    "lastTransitionTime": jiff::Timestamp::now().to_string()}],
            }});
            let params = PatchParams::default();
            // It may have gone meanwhile.
            let _ = pods.patch(&name, &params, &Patch::Merge(&node)).await;
            let _ = pods.patch_status(&name, &params, &Patch::Merge(&status)).await;
        }
    }
}

/// Looks until it is so.
async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let looking = async {
        while !is_so().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(PATIENCE, looking).await.is_ok(), "not within {PATIENCE:?}: {what}");
}

/// Ready endpoints of the Service `web`.
async fn ready(slices: &Api<EndpointSlice>) -> usize {
    let of_web = kube::api::ListParams::default().labels("kubernetes.io/service-name=web");
    let list = slices.list(&of_web).await.unwrap();
    let endpoints = list.items.iter().flat_map(|slice| &slice.endpoints);
    let is_ready = |of: &&k8s_openapi::api::discovery::v1::Endpoint| {
        of.conditions.as_ref().is_some_and(|of| of.ready == Some(true))
    };
    endpoints.filter(is_ready).count()
}

#[test]
fn a_deployment_behind_a_service_lives_and_goes() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path(), "127.0.0.1:0".parse().unwrap(), controllers);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = client(&server).await;
        tokio::spawn(kubelet(client.clone()));
        let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
        let services: Api<Service> = Api::default_namespaced(client.clone());
        let slices: Api<EndpointSlice> = Api::default_namespaced(client.clone());
        let pods: Api<Pod> = Api::default_namespaced(client.clone());
        let events: Api<Event> = Api::default_namespaced(client.clone());
        let post = PostParams::default();
        until("Service kubernetes", || async {
            services.get_opt("kubernetes").await.unwrap().is_some()
        })
        .await;
        deployments.create(&post, &parsed(deployment(3, "one"))).await.unwrap();
        services.create(&post, &parsed(service())).await.unwrap();
        until("three ready endpoints", || async { ready(&slices).await == 3 }).await;
        let available =
            await_condition(deployments.clone(), "web", conditions::is_deployment_completed());
        timeout(PATIENCE, available).await.unwrap().unwrap();

        let scale = Patch::Merge(json!({"spec": {"replicas": 1}}));
        deployments.patch_scale("web", &PatchParams::default(), &scale).await.unwrap();
        until("one ready endpoint", || async { ready(&slices).await == 1 }).await;

        until("Events", || async {
            let list = events.list(&Default::default()).await.unwrap();
            let has = |reason: &str, kind: &str| {
                list.items.iter().any(|event| {
                    event.reason.as_deref() == Some(reason)
                        && event.involved_object.kind.as_deref() == Some(kind)
                })
            };
            has("ScalingReplicaSet", "Deployment")
                && has("SuccessfulCreate", "ReplicaSet")
                && has("SuccessfulDelete", "ReplicaSet")
        })
        .await;

        deployments.delete("web", &DeleteParams::foreground()).await.unwrap();
        until("no Deployment", || async { deployments.get_opt("web").await.unwrap().is_none() })
            .await;
        assert!(pods.list(&Default::default()).await.unwrap().items.is_empty());
        until("no ready endpoint", || async { ready(&slices).await == 0 }).await;
    });
}

#[test]
fn a_namespace_goes_with_everything_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path(), "127.0.0.1:0".parse().unwrap(), controllers);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = client(&server).await;
        tokio::spawn(kubelet(client.clone()));
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let shop = parsed(json!({"metadata": {"name": "shop"}}));
        namespaces.create(&PostParams::default(), &shop).await.unwrap();
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), "shop");
        let pods: Api<Pod> = Api::namespaced(client.clone(), "shop");
        let kept: Api<ConfigMap> = Api::namespaced(client.clone(), "shop");
        let config = parsed(json!({"metadata": {"name": "settings"}}));
        kept.create(&PostParams::default(), &config).await.unwrap();
        deployments.create(&PostParams::default(), &parsed(deployment(2, "one"))).await.unwrap();
        until("two Pods", || async {
            pods.list(&Default::default()).await.unwrap().items.len() == 2
        })
        .await;
        namespaces.delete("shop", &DeleteParams::default()).await.unwrap();
        until("no namespace", || async { namespaces.get_opt("shop").await.unwrap().is_none() })
            .await;
        assert!(kept.list(&Default::default()).await.unwrap().items.is_empty());
    });
}

#[test]
fn controllers_outlive_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let nothing = |_: Inside| std::future::ready(());
    let server = start(directory.path(), "127.0.0.1:0".parse().unwrap(), nothing);
    let address = server.addresses()[0];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = runtime.block_on(async {
        let client = client(&server).await;
        tokio::spawn(run(client.clone(), Settings::default(), std::future::pending()));
        tokio::spawn(kubelet(client.clone()));
        let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
        let post = PostParams::default();
        deployments.create(&post, &parsed(deployment(1, "one"))).await.unwrap();
        let pods: Api<Pod> = Api::default_namespaced(client.clone());
        until("one Pod", || async {
            pods.list(&Default::default()).await.unwrap().items.len() == 1
        })
        .await;
        client
    });
    server.stop();
    let server = start(directory.path(), address, nothing);
    runtime.block_on(async {
        let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
        let pods: Api<Pod> = Api::default_namespaced(client.clone());
        let scale = Patch::Merge(json!({"spec": {"replicas": 4}}));
        until("the server", || async {
            deployments.patch("web", &PatchParams::default(), &scale).await.is_ok()
        })
        .await;
        until("four Pods", || async {
            pods.list(&Default::default()).await.is_ok_and(|list| list.items.len() == 4)
        })
        .await;
    });
    drop(server);
}
