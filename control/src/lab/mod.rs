//! A lab: a Kubernetes node on one Linux machine, made of network namespaces.
//!
//! ```text
//!   maglane-default-web-1     maglane-default-web-2          one namespace a Pod
//!   eth0 10.244.0.1/32        eth0 10.244.0.2/32
//!      │ default via 169.254.1.1, fe80::1
//!   ───┼──────────────────────────┼────────────────────── maglane-node, the node
//!   mlp1c9…  169.254.1.1        mlp77a…  169.254.1.1
//!   lo 192.168.0.2              agent: mlg0 ═ mlg1
//! ```
//!
//! Not containers: a Pod's `command` runs as a process of this machine in the Pod's network
//! namespace, with the machine's files; images are ignored. Nothing in the machine's own network
//! namespace changes.
//!
//! The state directory holds what later commands need; what is *there* (namespaces by their
//! prefix) is what `down` believes, so a lab that was killed half way up can be put away.

pub(crate) mod addresses;
mod admission;
mod agent;
mod allocation;
pub(crate) mod apply;
mod change;
mod containers;
pub(crate) mod down;
mod environment;
mod error;
pub(crate) mod exec;
pub(crate) mod interrupt;
mod listening;
pub(crate) mod listing;
mod lock;
mod manifests;
mod node;
pub(crate) mod options;
mod pod;
pub(crate) mod report;
mod site;
mod state;
pub(crate) mod up;

#[cfg(test)]
mod tests;

pub(crate) use error::LabError;
pub(crate) use site::Site;

/// The result of everything in [`lab`](self).
pub(crate) type Result<T> = std::result::Result<T, LabError>;
