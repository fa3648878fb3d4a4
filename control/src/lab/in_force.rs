//! Whether the agent serves what the API says. It follows within milliseconds, but not at once, and
//! a command that returns has promised that its changes are in force.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::time::{Instant, sleep};

use super::api::Api;
use super::report::Report;
use super::{Result, Site, settle};
use crate::admin::Client;
use crate::model::labels::{HEADLESS_LABEL, PROXY_NAME_LABEL, SERVICE_NAME_LABEL};
use crate::model::{BackendState, Problem, ServiceInfo, is_headless};

const LOOK: Duration = Duration::from_millis(10);
/// How long the agent may take. What it does not take at all, it complains about.
const PATIENCE: Duration = Duration::from_secs(2);

/// Waits until slices say what Pods do, and the agent serves the API's Services, and no others.
pub(super) async fn wait(site: &Site, api: &Api, report: &mut Report) -> Result<()> {
    settle::slices(api, report).await?;
    let services: Vec<Service> = api.all("").await?;
    let slices: Vec<EndpointSlice> = api.all("").await?;
    let wanted = wanted(&services, &slices);
    let agent = Client::new(site.agent_socket());
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        // One that does not answer is told about by whoever asks it next.
        if agent.services().await.is_ok_and(|infos| served(&infos) == wanted) {
            return Ok(());
        }
        sleep(LOOK).await;
    }
    report.warnings.push(Problem::new(format_args!(
        "the agent does not serve all that the API says after {} s: compare `maglane services` with \
         `kubectl get services,endpointslices -A`",
        PATIENCE.as_secs()
    )));
    Ok(())
}

/// By `namespace/name`: virtual addresses, and those who may be sent new connections.
type Serving = BTreeMap<String, (BTreeSet<IpAddr>, BTreeSet<IpAddr>)>;

/// What the API says.
fn wanted(services: &[Service], slices: &[EndpointSlice]) -> Serving {
    let mut wanted = Serving::new();
    let mut ports: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for service in services {
        let Some(spec) = &service.spec else { continue };
        let labels = service.metadata.labels.as_ref();
        let has = |label| labels.is_some_and(|labels| labels.contains_key(label));
        if is_headless(spec) || spec.type_.as_deref() == Some("ExternalName") {
            continue;
        }
        if has(HEADLESS_LABEL) || has(PROXY_NAME_LABEL) {
            // A lab's agent serves those that no other proxy is named for.
            continue;
        }
        let addresses = spec.cluster_ips.iter().flatten().filter_map(|ip| ip.parse().ok());
        let key = key(&service.metadata.namespace, &service.metadata.name);
        let names = spec.ports.iter().flatten().map(|port| port.name.as_deref().unwrap_or(""));
        ports.insert(key.clone(), names.collect());
        wanted.insert(key, (addresses.collect(), BTreeSet::new()));
    }
    for slice in slices {
        let labels = slice.metadata.labels.as_ref();
        let service = labels.and_then(|labels| labels.get(SERVICE_NAME_LABEL)).cloned();
        let key = key(&slice.metadata.namespace, &service);
        let Some((vips, ready)) = wanted.get_mut(&key) else { continue };
        if !ports.get(&key).is_some_and(|ports| offers_any(slice, ports)) {
            continue;
        }
        let is_ready = |endpoint: &&k8s_openapi::api::discovery::v1::Endpoint| {
            endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) != Some(false)
        };
        let addresses = slice.endpoints.iter().filter(is_ready).filter_map(|endpoint| {
            endpoint.addresses.first().and_then(|address| address.parse::<IpAddr>().ok())
        });
        // Each family is served by itself.
        let has_family = |ip: &IpAddr| vips.iter().any(|vip| vip.is_ipv4() == ip.is_ipv4());
        ready.extend(addresses.filter(has_family));
    }
    wanted
}

/// Whether a slice has any of a Service's ports, by name: a Pod need not have the one that a
/// Service sends to.
fn offers_any(slice: &EndpointSlice, names: &BTreeSet<&str>) -> bool {
    let ports = slice.ports.iter().flatten().filter(|port| port.port.is_some());
    ports.map(|port| port.name.as_deref().unwrap_or("")).any(|name| names.contains(name))
}

/// What the agent says.
fn served(infos: &[ServiceInfo]) -> Serving {
    let serving = infos.iter().map(|info| {
        let ready = info.backends.iter().filter(|backend| backend.state == BackendState::Ready);
        let value = (
            info.cluster_ips.iter().copied().collect(),
            ready.map(|backend| backend.address).collect(),
        );
        (format!("{}/{}", info.namespace, info.name), value)
    });
    serving.collect()
}

fn key(namespace: &Option<String>, name: &Option<String>) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    format!("{}/{}", text(namespace), text(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_and_the_agent_are_compared() {
        let services: Vec<Service> = serde_yaml_ng::from_str(
            "[{metadata: {name: web, namespace: n}, spec: {clusterIPs: [10.96.0.1],
               ports: [{name: http, port: 80}]}},
              {metadata: {name: none, namespace: n}, spec: {clusterIPs: [None], clusterIP: None}},
              {metadata: {name: out, namespace: n}, spec: {type: ExternalName, externalName: a.b}}]",
        )
        .unwrap();
        let slices: Vec<EndpointSlice> = serde_yaml_ng::from_str(
            "[{metadata: {namespace: n, labels: {kubernetes.io/service-name: web}}, addressType: IPv4,
               ports: [{name: http, port: 8080}],
               endpoints: [{addresses: [10.244.0.1]}, {addresses: [10.244.0.2], conditions: {ready: false}}]},
              {metadata: {namespace: n, labels: {kubernetes.io/service-name: web}}, addressType: IPv4,
               ports: [{name: other, port: 9}, {name: http}], endpoints: [{addresses: [10.244.0.3]}]},
              {metadata: {namespace: n, labels: {kubernetes.io/service-name: web}}, addressType: IPv6,
               ports: [{name: http, port: 8080}], endpoints: [{addresses: ['fd00::1']}]},
              {metadata: {namespace: n}, addressType: IPv4, endpoints: [{addresses: [10.244.0.9]}]}]",
        )
        .unwrap();
        let info = |addresses: &[&str]| -> ServiceInfo {
            let backends: Vec<_> = addresses
                .iter()
                .map(|address| {
                    serde_json::json!({"service_port": 80, "protocol": "TCP", "address": address,
                                       "port": 8080, "state": "ready"})
                })
                .collect();
            let info = serde_json::json!({"namespace": "n", "name": "web",
                "cluster_ips": ["10.96.0.1"], "ports": [], "backends": backends});
            serde_json::from_value(info).unwrap()
        };
        let wanted = wanted(&services, &slices);
        assert_eq!(served(&[info(&["10.244.0.1"])]), wanted);
        assert_ne!(served(&[]), wanted);
        assert_ne!(served(&[info(&["10.244.0.1", "10.244.0.2"])]), wanted, "one too many");
        assert_ne!(served(&[info(&[])]), wanted, "nobody yet");
    }
}
