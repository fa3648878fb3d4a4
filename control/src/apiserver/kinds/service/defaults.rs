use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ClientIPConfig, Service, ServiceSpec, SessionAffinityConfig};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use super::families::{cluster_ips, ip_families};
use super::{has_cluster_ip, has_health_check, has_node_ports, is_external, kind};
use crate::apiserver::kinds::decoding::{change, read};

/// Three hours, in seconds.
const AFFINITY_TIMEOUT: i32 = 10_800;

/// `SetDefaults_Service`.
pub(super) fn default(object: &mut Value) {
    change(object, |service: &mut Service| {
        let spec = service.spec.get_or_insert_default();
        drop_empty(spec);
        let affinity = spec.session_affinity.get_or_insert_with(|| "None".to_owned());
        match affinity.as_str() {
            "None" => spec.session_affinity_config = None,
            "ClientIP" => {
                let config = spec.session_affinity_config.get_or_insert_default();
                let config: &mut SessionAffinityConfig = config;
                let client: &mut ClientIPConfig = config.client_ip.get_or_insert_default();
                client.timeout_seconds.get_or_insert(AFFINITY_TIMEOUT);
            }
            _ => {}
        }
        spec.type_.get_or_insert_with(|| "ClusterIP".to_owned());
        for port in spec.ports.iter_mut().flatten() {
            port.protocol.get_or_insert_with(|| "TCP".to_owned());
            let unset = match &port.target_port {
                None | Some(IntOrString::Int(0)) => true,
                Some(IntOrString::String(name)) => name.is_empty(),
                Some(IntOrString::Int(_)) => false,
            };
            if unset {
                port.target_port = Some(IntOrString::Int(port.port));
            }
        }
        if is_external(spec) {
            spec.external_traffic_policy.get_or_insert_with(|| "Cluster".to_owned());
        }
        if has_cluster_ip(spec) {
            spec.internal_traffic_policy.get_or_insert_with(|| "Cluster".to_owned());
        }
        if kind(spec) == "LoadBalancer" {
            spec.allocate_load_balancer_node_ports.get_or_insert(true);
        }
        let ingress = service.status.iter_mut().flat_map(|status| &mut status.load_balancer);
        for ingress in ingress.flat_map(|balancer| balancer.ingress.iter_mut().flatten()) {
            if ingress.ip.as_ref().is_some_and(|ip| !ip.is_empty()) {
                ingress.ip_mode.get_or_insert_with(|| "VIP".to_owned());
            }
        }
    });
}

/// What the Go types leave out when it is empty, and what would otherwise read back as something
/// that was said.
fn drop_empty(spec: &mut ServiceSpec) {
    for text in [
        &mut spec.cluster_ip,
        &mut spec.external_name,
        &mut spec.external_traffic_policy,
        &mut spec.load_balancer_ip,
        &mut spec.session_affinity,
        &mut spec.type_,
    ] {
        text.take_if(|text| text.is_empty());
    }
    for list in [&mut spec.cluster_ips, &mut spec.external_ips, &mut spec.ip_families] {
        list.take_if(|list| list.is_empty());
    }
    spec.load_balancer_source_ranges.take_if(|list| list.is_empty());
    spec.ports.take_if(|list| list.is_empty());
    spec.selector.take_if(|selector| selector.is_empty());
    spec.health_check_node_port.take_if(|port| *port == 0);
    spec.publish_not_ready_addresses.take_if(|publish| !*publish);
    for port in spec.ports.iter_mut().flatten() {
        port.name.take_if(|name| name.is_empty());
        port.protocol.take_if(|protocol| protocol.is_empty());
        port.node_port.take_if(|number| *number == 0);
    }
}

/// `PrepareForCreate` and `PrepareForUpdate`.
pub(super) fn prepare(new: &mut Value, old: Option<&Value>) {
    let status = old.map_or(Value::Null, |old| old["status"].clone());
    new["status"] = if status.is_null() { json!({"loadBalancer": {}}) } else { status };
    let old: Option<Service> = old.map(read);
    change(new, |service: &mut Service| {
        let spec = service.spec.get_or_insert_default();
        let Some(old) = old.and_then(|old| old.spec) else {
            // Clients from before there were two addresses name one.
            if let (Some(ip), None) = (&spec.cluster_ip, &spec.cluster_ips) {
                spec.cluster_ips = Some(vec![ip.clone()]);
            }
            return;
        };
        carry_over(spec, &old);
        synchronize(spec, &old);
        drop_what_no_longer_applies(spec, &old);
    });
}

/// What was allocated and was left out stays (`patchAllocatedValues`).
fn carry_over(spec: &mut ServiceSpec, old: &ServiceSpec) {
    if has_cluster_ip(old) && has_cluster_ip(spec) {
        if spec.cluster_ip.is_none() {
            spec.cluster_ip = old.cluster_ip.clone();
        }
        if spec.cluster_ips.is_none() && spec.cluster_ip == old.cluster_ip {
            spec.cluster_ips = old.cluster_ips.clone();
        }
    }
    if has_node_ports(old) && has_node_ports(spec) {
        let numbers = |spec: &ServiceSpec| -> BTreeSet<i32> {
            spec.ports.iter().flatten().filter_map(|port| port.node_port).collect()
        };
        let used = &numbers(old) & &numbers(spec);
        let by_name: BTreeMap<_, _> =
            old.ports.iter().flatten().map(|port| (&port.name, port.node_port)).collect();
        for port in spec.ports.iter_mut().flatten().filter(|port| port.node_port.is_none()) {
            let number = by_name.get(&port.name).copied().flatten();
            port.node_port = number.filter(|number| !used.contains(number));
        }
    }
    if has_health_check(old) && has_health_check(spec) && spec.health_check_node_port.is_none() {
        spec.health_check_node_port = old.health_check_node_port;
    }
}

/// `clusterIP` and `clusterIPs` say the same, also when a client knows only one of them
/// (`normalizeClusterIPs`).
fn synchronize(spec: &mut ServiceSpec, old: &ServiceSpec) {
    let same_list = cluster_ips(spec) == cluster_ips(old);
    if spec.cluster_ip == old.cluster_ip {
        if cluster_ips(spec).is_empty() {
            spec.cluster_ips = old.cluster_ips.clone();
        }
    } else if same_list {
        spec.cluster_ips = spec.cluster_ip.clone().map(|ip| vec![ip]);
    }
}

/// What a Service of another type no longer has goes, unless the client said something new about it
/// (`dropTypeDependentFields`).
fn drop_what_no_longer_applies(spec: &mut ServiceSpec, old: &ServiceSpec) {
    if has_cluster_ip(old) && !has_cluster_ip(spec) {
        if spec.cluster_ip == old.cluster_ip && cluster_ips(spec) == cluster_ips(old) {
            spec.cluster_ip = None;
            spec.cluster_ips = None;
        }
        if ip_families(spec) == ip_families(old) {
            spec.ip_families = None;
        }
        if spec.ip_family_policy == old.ip_family_policy {
            spec.ip_family_policy = None;
        }
    }
    let numbers = |spec: &ServiceSpec| -> Vec<Option<i32>> {
        spec.ports.iter().flatten().map(|port| port.node_port).collect()
    };
    if has_node_ports(old) && !has_node_ports(spec) && numbers(spec) == numbers(old) {
        for port in spec.ports.iter_mut().flatten() {
            port.node_port = None;
        }
    }
    if has_health_check(old)
        && !has_health_check(spec)
        && spec.health_check_node_port == old.health_check_node_port
    {
        spec.health_check_node_port = None;
    }
    if kind(old) == "LoadBalancer" && kind(spec) != "LoadBalancer" {
        if spec.allocate_load_balancer_node_ports == old.allocate_load_balancer_node_ports {
            spec.allocate_load_balancer_node_ports = None;
        }
        if spec.load_balancer_class == old.load_balancer_class {
            spec.load_balancer_class = None;
        }
    }
    if is_external(old)
        && !is_external(spec)
        && spec.external_traffic_policy == old.external_traffic_policy
    {
        spec.external_traffic_policy = None;
    }
}
