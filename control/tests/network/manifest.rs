//! Manifests with addresses that tests can name.

use std::net::{IpAddr, SocketAddr};

/// Both families, for tests that go through each.
pub(crate) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// The node's addresses in every lab.
pub(crate) const NODE_IPS: [&str; 2] = ["192.168.0.2", "fd00:192:168::2"];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    fn address(self, v4: &str, v6: &str, number: u8) -> IpAddr {
        let text = match self {
            Self::V4 => format!("{v4}.{number}"),
            Self::V6 => format!("{v6}::{number}"),
        };
        text.parse().expect("an address")
    }

    /// The ClusterIP of [`service`] with this number.
    pub(crate) fn vip(self, number: u8) -> IpAddr {
        self.address("10.96.0", "fd00:10:96", number)
    }

    /// A port of it.
    pub(crate) fn service(self, number: u8, port: u16) -> SocketAddr {
        (self.vip(number), port).into()
    }

    /// The address of [`pod`] with this number.
    pub(crate) fn pod(self, number: u8) -> IpAddr {
        self.address("10.244.0", "fd00:10:244", number)
    }

    pub(crate) fn node(self) -> IpAddr {
        NODE_IPS[self as usize].parse().expect("an address")
    }
}

/// A Service for Pods of the app with its name; `ports` in YAML.
pub(crate) fn service(name: &str, number: u8, ports: &str) -> String {
    spec(name, number, &format!("selector: {{app: {name}}}, ports: {ports}"))
}

/// A Service that takes its endpoints from slices alone.
pub(crate) fn bare_service(name: &str, number: u8, ports: &str) -> String {
    spec(name, number, &format!("ports: {ports}"))
}

fn spec(name: &str, number: u8, rest: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{clusterIP: \
         10.96.0.{number}, clusterIPs: [10.96.0.{number}, \"fd00:10:96::{number}\"], ipFamilyPolicy: RequireDualStack, {rest}}}}}\n"
    )
}

/// A Pod without a command; `ports` in YAML.
pub(crate) fn pod_with_ports(name: &str, number: u8, app: &str, ports: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: {app}}}, \
         annotations: {{maglane.io/pod-ips: \"10.244.0.{number},fd00:10:244::{number}\"}}}}, \
         spec: {{containers: [{{name: main, image: none, ports: {ports}}}]}}}}\n"
    )
}

pub(crate) fn pod(name: &str, number: u8, app: &str) -> String {
    pod_with_ports(name, number, app, "[]")
}

/// `client`, number 1.
pub(crate) fn client() -> String {
    pod("client", 1, "client")
}

/// A slice of a Service's with one unnamed port.
pub(crate) fn slice(
    service: &str,
    family: Family,
    protocol: &str,
    port: u16,
    addresses: impl IntoIterator<Item = IpAddr>,
) -> String {
    let endpoints: Vec<String> = addresses
        .into_iter()
        .map(|ip| format!("{{addresses: [\"{ip}\"], conditions: {{ready: true}}}}"))
        .collect();
    let (type_, suffix) = match family {
        Family::V4 => ("IPv4", "v4"),
        Family::V6 => ("IPv6", "v6"),
    };
    format!(
        "---\n{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: \
         {service}-{suffix}, labels: {{kubernetes.io/service-name: {service}}}}}, addressType: \
         {type_}, ports: [{{port: {port}, protocol: {protocol}}}], endpoints: [{}]}}\n",
        endpoints.join(", ")
    )
}
