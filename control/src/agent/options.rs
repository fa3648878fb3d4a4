use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::ValueEnum;
use futures::future::LocalBoxFuture;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use kube::Client;
use maglane_dataplane::engine::{EngineConfig, PollMode, XdpMode};
use maglane_dataplane::service::{Deliver, Masquerade};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::controller::Policy;
use crate::apiserver::pods::PodRequest;
use crate::model::{Settings, is_link_local};
use crate::net::host_port::HostPortOptions;
use crate::source::cluster::{ClusterOptions, Followed};

/// All that an agent is told at start.
#[derive(Clone, Debug)]
pub(crate) struct AgentOptions {
    /// Where Services and endpoints come from.
    pub(crate) source: SourceOptions,
    /// Where to listen for requests.
    pub(crate) socket: PathBuf,
    /// Where virtual IPs come from; none when nobody said.
    pub(crate) service_cidrs: Vec<IpNet>,
    /// The node's addresses; found out when there is none of a family.
    pub(crate) node_ips: Vec<IpAddr>,
    /// How packets get into Pods.
    pub(crate) deliver: Deliver,
    /// NICs, or what plays one.
    pub(crate) xdp_ports: Vec<XdpPort>,
    /// Stand-in client addresses.
    pub(crate) masquerade: Masquerade,
    /// Of the host port, in bytes.
    pub(crate) mtu: u32,
    /// Limits of the dataplane.
    pub(crate) engine: EngineConfig,
}

/// Where Services and endpoints come from.
#[derive(Clone, Debug)]
pub(crate) enum SourceOptions {
    /// Files and directories.
    Manifests(Vec<PathBuf>),
    /// An API server.
    Cluster(ClusterOptions),
    /// An API server of the agent's own.
    Standalone(StandaloneOptions),
}

/// An API server in the agent's own process.
#[derive(Clone, Debug)]
pub(crate) struct StandaloneOptions {
    /// Objects, certificates, the kubeconfig.
    pub(crate) data_dir: PathBuf,
    /// Where to listen, unless the process was passed a socket.
    pub(crate) listen: SocketAddr,
    /// Whether others than this machine may reach it.
    pub(crate) beyond_loopback: bool,
    /// Of this machine, which is the cluster's node.
    pub(crate) node_name: String,
    /// As in [`ClusterOptions`].
    pub(crate) service_proxy_name: Option<String>,
    /// Who runs the Pods that are bound to the node; nobody outside of a lab.
    pub(crate) pods: Option<RunPods>,
}

/// Runs Pods, for as long as it is polled: with a client of the API, and with what is asked of them.
pub(crate) type RunPods = fn(Client, mpsc::Receiver<PodRequest>) -> LocalBoxFuture<'static, ()>;

impl StandaloneOptions {
    /// What is followed of the API.
    pub(super) fn followed(&self) -> Followed {
        Followed {
            node_name: self.node_name.clone(),
            service_proxy_name: self.service_proxy_name.clone(),
        }
    }
}

/// kubeadm's, and its like of IPv6.
fn default_service_cidrs() -> Vec<IpNet> {
    let ipv4 = Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 12);
    let ipv6 = Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, 0), 112);
    vec![ipv4.into(), ipv6.into()]
}

/// How workers wait for packets, as people choose it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Poll {
    /// Never sleep: the lowest latency, one whole core a worker
    Busy,
    /// Sleep in the kernel when there is nothing to do
    #[default]
    Adaptive,
}

impl Poll {
    /// As `--poll` takes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Adaptive => "adaptive",
        }
    }
}

impl From<Poll> for PollMode {
    fn from(poll: Poll) -> Self {
        match poll {
            Poll::Busy => Self::Busy,
            Poll::Adaptive => Self::Adaptive,
        }
    }
}

/// An interface with sockets of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct XdpPort {
    /// Its name.
    pub(crate) interface: String,
    /// How XDP is attached.
    pub(crate) mode: XdpMode,
}

impl AgentOptions {
    /// What the model needs to know.
    pub(super) fn settings(&self) -> Settings {
        let service_proxy_name = match &self.source {
            SourceOptions::Manifests(_) => None,
            SourceOptions::Cluster(of) => of.followed.service_proxy_name.clone(),
            SourceOptions::Standalone(of) => of.service_proxy_name.clone(),
        };
        Settings {
            service_cidrs: self.known_cidrs(),
            service_proxy_name,
            allocated_elsewhere: !self.is_of_manifests(),
        }
    }

    /// Where nobody else allocates: what was told, or else what is usual.
    pub(super) fn cidrs_to_allocate_from(&self) -> Vec<IpNet> {
        if self.service_cidrs.is_empty() {
            default_service_cidrs()
        } else {
            self.service_cidrs.clone()
        }
    }

    /// The Service CIDRs as far as they are known before anybody was asked.
    fn known_cidrs(&self) -> Vec<IpNet> {
        if self.is_of_manifests() {
            self.cidrs_to_allocate_from()
        } else {
            self.service_cidrs.clone()
        }
    }

    fn is_of_manifests(&self) -> bool {
        matches!(self.source, SourceOptions::Manifests(_))
    }

    /// What every snapshot holds.
    pub(super) fn policy(&self) -> Policy {
        Policy { masquerade: self.masquerade, deliver: self.deliver, mtu_limit: self.mtu }
    }

    /// What others know the node by, one address of each family at most: what was told, else the
    /// first of those that were found.
    pub(super) fn node_addresses(&self, found: &[IpAddr]) -> Vec<IpAddr> {
        let mut addresses = self.node_ips.clone();
        for address in found.iter().filter(|address| !is_link_local(**address)) {
            if addresses.iter().all(|known| known.is_ipv4() != address.is_ipv4()) {
                addresses.push(*address);
            }
        }
        addresses
    }

    /// The host port, on a node with these addresses. Without IPv6, nothing of it is routed: the
    /// kernel would refuse.
    pub(super) fn host_port(&self, found: &[IpAddr], ipv6: bool) -> HostPortOptions {
        let cidrs = self.known_cidrs().into_iter();
        let masquerade = [self.masquerade.ipv4.to_ip(), self.masquerade.ipv6.to_ip()];
        HostPortOptions {
            workers: self.engine.workers,
            mtu: self.mtu,
            service_cidrs: cidrs.filter(|cidr| ipv6 || cidr.addr().is_ipv4()).collect(),
            node_addresses: self.node_addresses(found),
            masquerade_addresses: masquerade
                .into_iter()
                .filter(|ip| ipv6 || ip.is_ipv4())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_addresses_are_found_out_family_by_family() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an IP address");
        let options = AgentOptions {
            source: SourceOptions::Manifests(Vec::new()),
            socket: PathBuf::new(),
            service_cidrs: vec!["10.96.0.0/12", "fd00:10::/112"]
                .into_iter()
                .map(|cidr| cidr.parse().expect("a CIDR"))
                .collect(),
            node_ips: vec![ip("10.0.0.1")],
            deliver: Deliver::Peer,
            xdp_ports: Vec::new(),
            masquerade: Masquerade::default(),
            mtu: 1500,
            engine: EngineConfig::default(),
        };
        let found = ["10.0.0.2", "169.254.1.1", "fe80::1", "fd00::2", "fd00::3"].map(ip);
        let port = options.host_port(&found, true);
        assert_eq!(port.service_cidrs.len(), 2);
        assert_eq!(port.node_addresses, [ip("10.0.0.1"), ip("fd00::2")]);
        assert_eq!(port.masquerade_addresses, [ip("169.254.77.1"), ip("fd00:6d61:676c::1")]);
        let port = options.host_port(&found, false);
        assert_eq!(port.service_cidrs, options.service_cidrs[..1]);
        assert_eq!(port.masquerade_addresses, [ip("169.254.77.1")]);
    }
}
