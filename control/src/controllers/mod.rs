//! What makes objects follow from others, as `kube-controller-manager` does in a cluster, for the
//! kinds that the small API server serves.
//!
//! | module | what it looks after |
//! |---|---|
//! | [`endpoint_slices`], [`endpoints`] | endpoints of Services with a selector |
//! | [`mirroring`] | EndpointSlices that repeat hand-written Endpoints |
//! | [`kubernetes_service`] | the Service `kubernetes` |
//! | [`replica_set`], [`deployment`] | Pods of ReplicaSets, ReplicaSets of Deployments |
//! | [`garbage`], [`namespaces`] | objects without owners, and what ends with its namespace |
//! | [`service_cidrs`] | ServiceCIDRs that end while they are in use |
//! | [`old_events`] | Events that are old, or too many |
//!
//! ```text
//!   watches --> World (objects, indexes) --tasks--> Queue --> plan() --changes--> API server
//!      ^                                                       pure                   |
//!      '------------------------------------------------------------------------------'
//! ```
//!
//! One loop owns the [`World`](world::World) and the [`Queue`](queue::Queue), so there are no locks.
//! A controller is a pure function from the World to changes, and holds no state: whatever it missed
//! it sees the next time. A task that has written waits until the watches have shown what it wrote,
//! which is what the real controllers' expectations are for.

mod change;
mod deployment;
mod endpoint_slices;
mod endpoints;
mod execute;
mod garbage;
mod kind;
mod kubernetes_service;
mod manager;
mod mirroring;
mod namespaces;
mod old_events;
mod queue;
pub(crate) mod recorder;
mod replica_set;
mod service_cidrs;
mod task;
#[cfg(test)]
mod tests;
mod watching;
mod world;

use std::future::Future;
use std::net::SocketAddr;

use kube::Client;

/// What controllers have to be told.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Settings {
    /// At which address Pods reach the API server, if they do: see [`kubernetes_service`].
    pub(crate) api: Option<SocketAddr>,
}

/// Runs all controllers until `stop` is ready. Errors are retried; what a watch missed while the
/// server was away is made up for.
pub(crate) async fn run(client: Client, settings: Settings, stop: impl Future<Output = ()>) {
    let (recorder, writing) = recorder::Recorder::new(client.clone(), "kube-controller-manager");
    tokio::select! {
        () = manager::run(client, settings, recorder) => {}
        () = writing => {}
        () = stop => {}
    }
}
