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
//! namespace changes, but that the lab's Kubernetes API listens on its loopback.
//!
//! | module | what |
//! |---|---|
//! | [`up`], [`down`], [`apply`], [`exec`], [`listing`] | the commands |
//! | [`options`], [`report`], [`error`], [`interrupt`] | what they are told, and tell |
//! | [`objects`], [`merge`], [`api`] | what is applied: manifests, what becomes of them, who is told |
//! | [`settle`], [`standing`], [`in_force`] | waiting until that is in force |
//! | [`kubelet`] | in the agent's process: has Pods of the API run |
//! | [`agent`], [`log_file`] | its process; what containers write |
//! | [`node`], [`pod`], [`addresses`], [`allocation`], [`environment`] | what a node and a Pod are made of |
//! | [`site`], [`state`], [`lock`] | where all that is kept, and for whom |
//!
//! The commands talk to the API as any client does, so what they make and what kubectl makes is the
//! same. The directory holds what later commands need; what is *there* (namespaces by their prefix)
//! is what `down` believes, so a lab that was killed half way up can be put away.

mod addresses;
mod agent;
mod allocation;
mod api;
pub(crate) mod apply;
pub(crate) mod down;
mod environment;
mod error;
pub(crate) mod exec;
mod in_force;
pub(crate) mod interrupt;
pub(crate) mod kubelet;
pub(crate) mod listing;
mod lock;
pub(crate) mod log_file;
mod merge;
mod node;
pub(crate) mod objects;
pub(crate) mod options;
mod pod;
pub(crate) mod report;
mod settle;
mod site;
mod standing;
mod state;
pub(crate) mod up;

#[cfg(test)]
mod tests;

pub(crate) use error::LabError;
pub(crate) use site::Site;

/// The result of everything in [`lab`](self).
pub(crate) type Result<T> = std::result::Result<T, LabError>;
