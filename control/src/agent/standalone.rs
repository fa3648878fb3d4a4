//! An API server of the agent's own, and what follows from its objects.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use kube::Client;
use tokio::sync::mpsc;

use super::options::RunPods;
use super::own_node;
use super::{AgentError, StandaloneOptions};
use crate::apiserver::http::listeners::Listen;
use crate::apiserver::pods::PodRequest;
use crate::apiserver::registry;
use crate::apiserver::server::{ApiServer, ApiServerOptions, Inside};
use crate::controllers;

/// Starts the API server with its controllers, on a thread of its own. `node_addresses` are those
/// that others know this node by.
///
/// # Errors
/// Objects that cannot be read, an address that cannot be listened on.
pub(super) fn start(
    options: &StandaloneOptions,
    service_cidrs: Vec<IpNet>,
    node_addresses: Vec<IpAddr>,
) -> Result<ApiServer, AgentError> {
    let listen = Listen { address: options.listen, beyond_loopback: options.beyond_loopback };
    let listeners = listen.open()?;
    let api = listeners.first().and_then(|listener| listener.local_addr().ok());
    let settings = registry::Settings { service_cidrs, ..registry::Settings::default() };
    let data_directory = options.data_dir.clone();
    let (node_name, run_pods) = (options.node_name.clone(), options.pods);
    let server = ApiServer::start(
        ApiServerOptions { data_directory, listeners, settings },
        move |inside| beside(inside, api, node_name, node_addresses, run_pods),
    )?;
    Ok(server)
}

/// What runs on the API server's thread.
async fn beside(
    inside: Inside,
    api: Option<SocketAddr>,
    node_name: String,
    node_addresses: Vec<IpAddr>,
    run_pods: Option<RunPods>,
) {
    let Inside { client, pods, mut stop } = inside;
    let stopped = async move { drop(stop.wait_for(|stop| *stop).await) };
    let controllers = controllers::run(client.clone(), controllers::Settings { api }, stopped);
    tokio::select! {
        () = controllers => {}
        () = follow_node(client, pods, node_name, node_addresses, run_pods) => {}
    }
}

/// Makes the Node of this machine known; who runs its Pods does that himself.
async fn follow_node(
    client: Client,
    pods: mpsc::Receiver<PodRequest>,
    name: String,
    addresses: Vec<IpAddr>,
    run_pods: Option<RunPods>,
) {
    if let Some(run_pods) = run_pods {
        run_pods(client, pods).await;
    } else {
        // Nobody here runs Pods, and who asks for their logs is told so.
        drop(pods);
        own_node::register(client, &name, &addresses).await;
    }
    std::future::pending().await
}
