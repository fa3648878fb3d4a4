//! The agent: follows an API server or manifests, and the node's network, and has the dataplane
//! follow.
//!
//! ```text
//!   API server, ── source ── feed ──┐                      ┌─ model ─ services ──┐
//!   manifests                       ├─ event loop ─ controller                  snapshot ─ engine
//!   netlink ──────── net ───────────┤                      └─ pods ─ forwarding ─┘
//!   requests ─────── admin ─────────┘
//! ```
//!
//! One thread does all this; engine calls are short and made in place. Whatever comes, the loop
//! takes it in, then settles: so a burst of changes makes one snapshot. With `--standalone` the API
//! server is one of its own, on a thread beside it ([`standalone`]).

#[cfg(test)]
mod cluster_tests;
mod controller;
mod dataplane;
mod error;
mod event_loop;
mod exclusive;
mod feed;
mod forwarding;
mod options;
mod own_node;
mod pods;
mod standalone;
#[cfg(test)]
mod tests;
mod uplinks;

use std::net::IpAddr;

use maglane_dataplane::engine::Engine;
use nix::sched::sched_getaffinity;
use nix::unistd::Pid;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::admin::Listener;
use crate::apiserver::server::ApiServer;
use crate::net::address::default_source;
use crate::net::host_port;
use crate::net::netlink;
use crate::net::sysctl;
use crate::net::watch::Watch;
use crate::source::cluster::Cluster;
use crate::source::files::Files;
use crate::source::watch::FileWatch;

use controller::Controller;
pub(crate) use error::AgentError;
use event_loop::{EventLoop, Routes, Waiting};
use feed::{ClusterFeed, Feed};
pub(crate) use options::{AgentOptions, Poll, RunPods, SourceOptions, StandaloneOptions, XdpPort};

/// Runs an agent in the calling thread's network namespace until SIGTERM or SIGINT. Needs a
/// current-thread runtime.
///
/// # Errors
/// One line that says what is wrong and what to do. Nothing is left behind in any case.
pub(crate) async fn run(options: AgentOptions) -> Result<(), AgentError> {
    let mut stop = Stop::listen()?;
    options.engine.check()?;
    check_cores(&options.engine.cores)?;
    exclusive::check_privileges()?;
    let _alone = exclusive::only_agent_here()?;
    let mut listener = Listener::bind(&options.socket)?;
    let ports = options.xdp_ports.iter().map(|port| port.interface.clone()).collect();
    let net_watch = Watch::start(ports).await?;
    let handle = netlink::connect()?;
    // Of several addresses, the one that others know the node by.
    let known_by = [true, false].into_iter().filter_map(default_source);
    let addresses: Vec<_> = known_by.chain(net_watch.current().node_addresses.clone()).collect();
    let (feed, api_server) = feed(&options, &addresses).await?;
    let ipv6 = sysctl::new_links_have_ipv6();
    let host_port = options.host_port(&addresses, ipv6);
    let port = host_port::create(&handle, &host_port).await?;
    let ends = [port.socket_end.index, port.kernel_end.index];
    let routes = Routes { handle: handle.clone(), host_port, ends, ipv6, problem: None };
    let served = async {
        let engine = start_engine(&options)?;
        let controller = Controller::new(engine, options.settings(), options.policy());
        let event_loop =
            EventLoop { controller, feed, net_watch, routes, waiting: Waiting::default() };
        let (ended, engine) = event_loop.run(&mut listener, stop.wait()).await;
        let stopped = engine.stop().map_err(AgentError::from);
        ended.and(stopped)
    }
    .await;
    // Nobody follows it any more; requests of others end, and so do their watches.
    drop(api_server);
    let removed = host_port::remove(&handle).await;
    served?;
    removed?;
    tracing::info!("stopped");
    Ok(())
}

/// Begins to follow what was asked for; starts the API server that is followed, if it is our own.
/// `found` are the node's addresses, the first of each family the one that others know it by.
async fn feed(
    options: &AgentOptions,
    found: &[IpAddr],
) -> Result<(Feed, Option<ApiServer>), AgentError> {
    match &options.source {
        SourceOptions::Manifests(paths) => {
            let files = Files::new(paths.clone());
            files.check().map_err(|(path, cause)| AgentError::Manifests { path, cause })?;
            let watch = FileWatch::start(files.paths())?;
            Ok((Feed::Manifests { files, watch }, None))
        }
        SourceOptions::Cluster(of) => {
            let cluster = Cluster::start(of).await?;
            let feed = ClusterFeed::new(cluster, options.service_cidrs.clone(), None);
            Ok((Feed::Cluster(Box::new(feed)), None))
        }
        SourceOptions::Standalone(of) => {
            let cidrs = options.cidrs_to_allocate_from();
            let server = standalone::start(of, cidrs, options.node_addresses(found))?;
            let cluster = Cluster::in_process(&of.followed(), server.client(), &server.url());
            let kubeconfig = Some(server.kubeconfig().to_owned());
            let feed = ClusterFeed::new(cluster, options.service_cidrs.clone(), kubeconfig);
            Ok((Feed::Cluster(Box::new(feed)), Some(server)))
        }
    }
}

/// A worker on a core that is not there would run anywhere, and nobody would know.
fn check_cores(cores: &[u32]) -> Result<(), AgentError> {
    let ours = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    let may_run = |core: &u32| ours.is_set(*core as usize).unwrap_or(false);
    cores.iter().find(|core| !may_run(core)).map_or(Ok(()), |core| Err(AgentError::Core(*core)))
}

/// Starts the workers and attaches the XDP ports.
fn start_engine(options: &AgentOptions) -> Result<Engine, AgentError> {
    let mut engine = Engine::start(&options.engine)?;
    for XdpPort { interface, mode } in &options.xdp_ports {
        match engine.attach_port(interface, *mode) {
            Ok(queues) => {
                let copy = queues.first().map_or("", |queue| queue.copy);
                tracing::info!(port = %interface, ?mode, copy, "port attached");
            }
            Err(cause) => {
                // The first error says why; a second one would hide it.
                let _ = engine.stop();
                return Err(AgentError::Port {
                    interface: interface.clone(),
                    cause: Box::new(cause),
                });
            }
        }
    }
    Ok(engine)
}

/// The signals that end the agent in an orderly way.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> Result<Self, AgentError> {
        let listen = |kind| signal(kind).map_err(AgentError::Signals);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => tracing::info!("SIGTERM"),
            _ = self.interrupt.recv() => tracing::info!("SIGINT"),
        }
    }
}
