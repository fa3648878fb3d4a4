//! The end of ServiceCIDRs (KEP-1880): one that Services have addresses of stays until they are
//! gone, or until another one covers them.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{ServiceCIDR, ServiceCIDRStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::json;

use super::change::Change;
use super::kind::Kind;
use super::task::{Key, Plan};
use super::world::World;

/// As the real controller's.
const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";
const READY: &str = "Ready";

/// What a ServiceCIDR needs: to be held, or to be let go.
pub(super) fn plan(world: &World, name: &str, now: Timestamp) -> Plan {
    let Some(cidr) = world.service_cidrs.get(&Key::new("", name)) else { return Plan::none() };
    let metadata = &cidr.metadata;
    let finalizers = || metadata.finalizers.iter().flatten();
    let is_held = finalizers().any(|of| of == FINALIZER);
    let ends = metadata.deletion_timestamp.is_some();
    let change = match (ends, is_held) {
        (false, false) => {
            let more: Vec<_> = finalizers().map(String::as_str).chain([FINALIZER]).collect();
            Change::patch_metadata(Kind::ServiceCidr, metadata, json!({"finalizers": more}))
        }
        (true, true) if is_needed(world, cidr) => {
            if is_ending(cidr) {
                return Plan::none();
            }
            Change::status(Kind::ServiceCidr, metadata, &ending(cidr, now))
        }
        (true, true) => {
            let fewer: Vec<_> = finalizers().filter(|of| *of != FINALIZER).collect();
            Change::patch_metadata(Kind::ServiceCidr, metadata, json!({"finalizers": fewer}))
        }
        (false, true) | (true, false) => return Plan::none(),
    };
    vec![change].into()
}

/// Whether a Service has an address of it that no other ServiceCIDR covers.
fn is_needed(world: &World, cidr: &ServiceCIDR) -> bool {
    let all = || world.service_cidrs.iter().map(|(_, of)| of);
    let others: Vec<IpNet> = all()
        .filter(|of| of.metadata.name != cidr.metadata.name)
        .filter(|of| of.metadata.deletion_timestamp.is_none())
        .flat_map(|of| networks(of))
        .collect();
    let own: Vec<IpNet> = networks(cidr).collect();
    let specs = world.services.iter().filter_map(|(_, service)| service.spec.as_ref());
    let mut ips = specs.flat_map(|spec| spec.cluster_ips.iter().flatten());
    ips.any(|ip| {
        // `None` of a headless Service is no address.
        let is_in = |networks: &[IpNet]| {
            ip.parse::<IpAddr>().is_ok_and(|ip| networks.iter().any(|of| of.contains(&ip)))
        };
        is_in(&own) && !is_in(&others)
    })
}

fn networks(cidr: &ServiceCIDR) -> impl Iterator<Item = IpNet> {
    let texts = cidr.spec.iter().flat_map(|spec| spec.cidrs.iter().flatten());
    texts.filter_map(|text| text.parse().ok())
}

fn conditions(cidr: &ServiceCIDR) -> impl Iterator<Item = &Condition> {
    cidr.status.iter().flat_map(|status| status.conditions.iter().flatten())
}

/// Whether it says already why it stays.
fn is_ending(cidr: &ServiceCIDR) -> bool {
    conditions(cidr).any(|of| of.type_ == READY && of.status == "False")
}

fn ending(cidr: &ServiceCIDR, now: Timestamp) -> ServiceCIDR {
    let message = "There are still IPAddresses referencing the ServiceCIDR, please remove them or \
                   create a new ServiceCIDR";
    let ready = Condition {
        type_: READY.to_owned(),
        status: "False".to_owned(),
        reason: "Terminating".to_owned(),
        message: message.to_owned(),
        last_transition_time: Time(now),
        observed_generation: None,
    };
    let others = conditions(cidr).filter(|of| of.type_ != READY).cloned();
    let conditions = Some(others.chain([ready]).collect());
    ServiceCIDR { status: Some(ServiceCIDRStatus { conditions }), ..cidr.clone() }
}
