//! What every cluster has: made at a start where it is not there.

use ipnet::IpNet;
use serde_json::{Value, json};

use super::options::WriteOptions;
use super::{Registry, Settings, namespaces};
use crate::apiserver::resource::Resource;
use crate::apiserver::service_ips::DEFAULT_CIDR;
use crate::apiserver::status::Refusal;

/// Makes what is not there yet.
///
/// # Errors
/// Why no ServiceCIDR can be made of the settings: no Service would get an address.
pub(super) fn make(registry: &Registry, settings: &Settings) -> Result<(), Refusal> {
    if let Some(of) = kind_of_service_cidrs(settings)
        && !settings.service_cidrs.is_empty()
    {
        let made = make_one(registry, of, DEFAULT_CIDR, json!({"cidrs": settings.service_cidrs}));
        made.or_else(|refusal| if refusal.code == 422 { Err(refusal) } else { Ok(()) })?;
    }
    if let Some(of) = settings.kinds.iter().find(|of| namespaces::is_namespace(of)) {
        for name in namespaces::ALWAYS {
            // The server is of use without it too: a refusal was logged.
            let _ = make_one(registry, of, name, json!({}));
        }
    }
    Ok(())
}

/// The networks of the first ServiceCIDR, as they are stored.
pub(super) fn service_cidrs(registry: &Registry, settings: &Settings) -> Vec<IpNet> {
    let of = kind_of_service_cidrs(settings);
    let stored = of.and_then(|of| registry.get(of, "", DEFAULT_CIDR).ok()).map(|of| of.value());
    let cidrs = stored.as_ref().and_then(|stored| stored["spec"]["cidrs"].as_array());
    cidrs.into_iter().flatten().filter_map(|cidr| cidr.as_str()?.parse().ok()).collect()
}

fn kind_of_service_cidrs(settings: &Settings) -> Option<&'static Resource> {
    settings.kinds.iter().find(|of| (of.group, of.kind) == ("networking.k8s.io", "ServiceCIDR"))
}

fn make_one(
    registry: &Registry,
    of: &'static Resource,
    name: &str,
    spec: Value,
) -> Result<(), Refusal> {
    if registry.get(of, "", name).is_ok() {
        return Ok(());
    }
    let body = json!({"metadata": {"name": name}, "spec": spec});
    registry.create(of, "", body, &WriteOptions::default()).map(drop).inspect_err(|refusal| {
        tracing::error!("cannot make {} {name}: {}", of.kind, refusal.message);
    })
}
