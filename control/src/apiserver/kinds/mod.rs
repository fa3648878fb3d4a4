//! The kinds that are served: one file each.
//!
//! A new one has its file here and a place in [`all`], a name in `controllers::kind`, so that it
//! goes with its namespace and its owner, and its message in `http/protobuf/schema.txt`; keys of its
//! lists of objects are in [`merge_keys`]. Tests miss whatever is forgotten.

mod cells;
pub(crate) mod checks;
mod config_map;
mod daemon_set;
pub(crate) mod decoding;
mod deployment;
mod endpoint_slice;
mod endpoints;
mod event;
mod generation;
mod lease;
pub(crate) mod merge_keys;
mod namespace;
mod node;
mod pod;
mod quantity;
mod rbac;
mod replica_set;
mod secret;
pub(crate) mod selectors;
pub(crate) mod service;
mod service_account;
mod service_cidr;
mod workload;

use super::resource::Resource;

/// Every kind, in the order in which discovery lists them: by group, then by name.
pub(crate) fn all() -> &'static [Resource] {
    &ALL
}

/// The kind at `/api/v1/<plural>` or `/apis/<group>/<version>/<plural>`.
pub(crate) fn by_plural(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    all().iter().find(|of| of.group == group && of.version == version && of.plural == plural)
}

static ALL: [Resource; 20] = [
    config_map::CONFIG_MAP,
    endpoints::ENDPOINTS,
    event::EVENT,
    namespace::NAMESPACE,
    node::NODE,
    pod::POD,
    secret::SECRET,
    service_account::SERVICE_ACCOUNT,
    service::SERVICE,
    daemon_set::DAEMON_SET,
    deployment::DEPLOYMENT,
    replica_set::REPLICA_SET,
    lease::LEASE,
    endpoint_slice::ENDPOINT_SLICE,
    event::NEW_EVENT,
    service_cidr::SERVICE_CIDR,
    rbac::CLUSTER_ROLE_BINDING,
    rbac::CLUSTER_ROLE,
    rbac::ROLE_BINDING,
    rbac::ROLE,
];
