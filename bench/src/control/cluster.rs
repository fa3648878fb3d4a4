//! A cluster's objects, as its API server would write them: with all that nobody here reads.

use std::fmt::Write;
use std::net::Ipv4Addr;

/// Nodes that endpoints are spread over.
const NODES: usize = 500;
const ZONES: [&str; 3] = ["zone-a", "zone-b", "zone-c"];
/// Services that share a namespace.
const SERVICES_OF_NAMESPACE: usize = 100;
/// Where ClusterIPs are from, and where endpoints are.
const SERVICE_NETWORK: u32 = u32::from_be_bytes([10, 96, 0, 0]);
const POD_NETWORK: u32 = u32::from_be_bytes([10, 128, 0, 0]);

/// Services, each with one EndpointSlice.
pub(super) struct Cluster {
    /// Addresses of each Service's endpoints.
    endpoints: Vec<Vec<Ipv4Addr>>,
    /// The next address that no endpoint has had.
    unused: u32,
    /// Of the newest object.
    version: u64,
}

impl Cluster {
    pub(super) fn new(services: usize, endpoints: usize) -> Self {
        let mut cluster = Self { endpoints: Vec::new(), unused: POD_NETWORK + 1, version: 1000 };
        for _ in 0..services {
            let addresses = (0..endpoints).map(|_| cluster.unused_address()).collect();
            cluster.endpoints.push(addresses);
        }
        cluster
    }

    pub(super) fn services(&self) -> usize {
        self.endpoints.len()
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Moves one endpoint of a Service to an address where there was none. Returns the slice.
    pub(super) fn move_endpoint(&mut self, service: usize, endpoint: usize) -> String {
        let address = self.unused_address();
        self.version += 1;
        self.endpoints[service][endpoint] = address;
        self.slice(service)
    }

    /// What must be in force now: ClusterIP and endpoints, Service by Service.
    pub(super) fn in_force(&self) -> impl Iterator<Item = (String, Vec<Ipv4Addr>)> + '_ {
        self.endpoints.iter().enumerate().map(|(index, endpoints)| {
            let mut endpoints = endpoints.clone();
            endpoints.sort();
            (name(index), endpoints)
        })
    }

    /// A Service as JSON.
    pub(super) fn service(&self, index: usize) -> String {
        let (name, namespace, ip) = (name(index), namespace(index), cluster_ip(index));
        let metadata = metadata(&name, &namespace, "", self.version, "kubectl-client-side-apply");
        format!(
            r#"{{"metadata":{{{metadata},"labels":{{"app":"{name}","team":"a"}},"annotations":{{"kubectl.kubernetes.io/last-applied-configuration":"{{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{{\"name\":\"{name}\",\"namespace\":\"{namespace}\"}},\"spec\":{{\"ports\":[{{\"name\":\"http\",\"port\":80,\"targetPort\":8080}}]}}}}"}}}},"spec":{{"ports":[{{"name":"http","protocol":"TCP","port":80,"targetPort":8080}}],"selector":{{"app":"{name}"}},"clusterIP":"{ip}","clusterIPs":["{ip}"],"type":"ClusterIP","sessionAffinity":"None","ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack","internalTrafficPolicy":"Cluster"}},"status":{{"loadBalancer":{{}}}}}}"#
        )
    }

    /// A Service's EndpointSlice as JSON.
    pub(super) fn slice(&self, index: usize) -> String {
        let (name, namespace) = (name(index), namespace(index));
        let metadata =
            metadata(&name, &namespace, "-x7f2k", self.version, "kube-controller-manager");
        let mut text = format!(
            r#"{{"metadata":{{{metadata},"generateName":"{name}-","labels":{{"app":"{name}","endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io","kubernetes.io/service-name":"{name}"}},"ownerReferences":[{{"apiVersion":"v1","kind":"Service","name":"{name}","uid":"0f3c5a52-9a6f-4f0c-9d0e-{index:012x}","controller":true,"blockOwnerDeletion":true}}]}},"addressType":"IPv4","ports":[{{"name":"http","protocol":"TCP","port":8080}}],"endpoints":["#
        );
        for (place, address) in self.endpoints[index].iter().enumerate() {
            let node = (index + place * 7) % NODES;
            let zone = ZONES[node % ZONES.len()];
            let comma = if place == 0 { "" } else { "," };
            let _ = write!(
                text,
                r#"{comma}{{"addresses":["{address}"],"conditions":{{"ready":true,"serving":true,"terminating":false}},"targetRef":{{"kind":"Pod","namespace":"{namespace}","name":"{name}-5d8c7b6f4-{place:05}","uid":"5b1f9a52-1b6f-4c0c-8d0e-{place:012x}"}},"nodeName":"node-{node:03}","zone":"{zone}","hints":{{"forZones":[{{"name":"{zone}"}}]}}}}"#
            );
        }
        text.push_str("]}");
        text
    }

    fn unused_address(&mut self) -> Ipv4Addr {
        let address = self.unused;
        self.unused += 1;
        address.into()
    }
}

/// The one ServiceCIDR.
pub(super) const SERVICE_CIDR: &str = r#"{"metadata":{"name":"kubernetes","uid":"1","resourceVersion":"2"},"spec":{"cidrs":["10.96.0.0/16"]},"status":{}}"#;
/// The agent's Node.
pub(super) const NODE_NAME: &str = "node-000";

/// The agent's Node as JSON.
pub(super) fn node() -> String {
    format!(
        r#"{{"metadata":{{"name":"{NODE_NAME}","uid":"2","resourceVersion":"3","labels":{{"topology.kubernetes.io/zone":"zone-a"}}}},"spec":{{}},"status":{{"addresses":[{{"type":"InternalIP","address":"192.168.77.2"}}]}}}}"#
    )
}

fn name(index: usize) -> String {
    format!("service-{index:05}")
}

fn namespace(index: usize) -> String {
    format!("team-{:03}", index / SERVICES_OF_NAMESPACE)
}

fn cluster_ip(index: usize) -> Ipv4Addr {
    (SERVICE_NETWORK + 10 + index as u32).into()
}

/// What all objects have, `managedFields` above all.
fn metadata(name: &str, namespace: &str, suffix: &str, version: u64, manager: &str) -> String {
    format!(
        r#""name":"{name}{suffix}","namespace":"{namespace}","uid":"9c1d4ffe-7a30-4b1c-b5a5-{version:012x}","resourceVersion":"{version}","creationTimestamp":"2026-01-01T00:00:00Z","managedFields":[{{"manager":"{manager}","operation":"Update","apiVersion":"v1","time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{{"f:metadata":{{"f:annotations":{{".":{{}},"f:kubectl.kubernetes.io/last-applied-configuration":{{}}}},"f:labels":{{".":{{}},"f:app":{{}},"f:team":{{}}}}}},"f:spec":{{"f:internalTrafficPolicy":{{}},"f:ports":{{".":{{}},"k:{{\"port\":80,\"protocol\":\"TCP\"}}":{{".":{{}},"f:name":{{}},"f:port":{{}},"f:protocol":{{}},"f:targetPort":{{}}}}}},"f:selector":{{}},"f:sessionAffinity":{{}},"f:type":{{}}}}}}}}]"#
    )
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn objects_are_json_and_change_as_told() {
        let mut cluster = Cluster::new(3, 25);
        let parse = |text: String| serde_json::from_str::<Value>(&text).expect("JSON");
        let service = parse(cluster.service(2));
        assert_eq!(service["spec"]["clusterIP"], "10.96.0.12");
        let before = parse(cluster.slice(2));
        assert_eq!(before["endpoints"].as_array().map(Vec::len), Some(25));
        let after = parse(cluster.move_endpoint(2, 4));
        let differing = (0..25).filter(|place| {
            before["endpoints"][*place]["addresses"] != after["endpoints"][*place]["addresses"]
        });
        assert_eq!(differing.collect::<Vec<_>>(), [4]);
        assert_ne!(before["metadata"]["resourceVersion"], after["metadata"]["resourceVersion"]);
        parse(node());
        parse(SERVICE_CIDR.to_owned());
    }
}
