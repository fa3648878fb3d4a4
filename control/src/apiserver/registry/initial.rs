//! What every cluster has: made at the first start.

use serde_json::{Value, json};

use super::options::WriteOptions;
use super::{Registry, Settings, namespaces};
use crate::apiserver::resource::Resource;
use crate::apiserver::service_ips::DEFAULT_CIDR;

/// Namespaces that every cluster has.
const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// Makes what is not there yet.
pub(super) fn make(registry: &Registry, settings: &Settings) {
    let kinds = settings.kinds.iter();
    let service_cidrs =
        kinds.clone().find(|of| (of.group, of.kind) == ("networking.k8s.io", "ServiceCIDR"));
    if let Some(of) = service_cidrs
        && !settings.service_cidrs.is_empty()
    {
        make_one(registry, of, DEFAULT_CIDR, json!({"cidrs": settings.service_cidrs}));
    }
    if let Some(of) = kinds.clone().find(|of| namespaces::is_namespace(of)) {
        for name in NAMESPACES {
            make_one(registry, of, name, json!({}));
        }
    }
}

/// The server is of use without it too, so a refusal is only logged.
fn make_one(registry: &Registry, of: &'static Resource, name: &str, spec: Value) {
    if registry.get(of, "", name).is_ok() {
        return;
    }
    let body = json!({"metadata": {"name": name}, "spec": spec});
    if let Err(refusal) = registry.create(of, "", body, &WriteOptions::default()) {
        tracing::error!("cannot make {} {name}: {}", of.kind, refusal.message);
    }
}
