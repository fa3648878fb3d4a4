//! Kubernetes objects in, what packets need out. Pure: no I/O, no clock.
//!
//! [`Model`] keeps a compact record of every object that matters, not the objects. A change marks
//! only the Services that it touches; [`Model::update`] rebuilds those, keeps the lookup tables of
//! all others, and tells whether packets would notice. Manifest files and a cluster's watch feed it
//! in the same way.
//!
//! Nothing that stands in an object can make it panic: what is wrong becomes a [`Problem`], and what
//! is right beside it keeps working.

mod address;
mod backends;
mod build;
mod claims;
mod group;
mod info;
pub(crate) mod labels;
mod object;
mod place;
mod pod;
mod problem;
mod service;
mod state;
#[cfg(test)]
mod tests;
pub(crate) mod typed;

pub(crate) use address::{is_link_local, one_of_each_family, parse_ip};
#[cfg(test)]
pub(crate) use info::{BackendInfo, PortInfo};
pub(crate) use info::{BackendState, ServiceInfo, protocol_name};
pub(crate) use object::{Kind, Object, ObjectId, ObjectKey};
pub(crate) use pod::{container_ports, pod_ips};
pub(crate) use problem::Problem;
pub(crate) use service::is_headless;
pub(crate) use state::{Model, Settings};
