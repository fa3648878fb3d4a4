//! Three namespaces that nobody else sees, and two veth pairs. They are gone with the process,
//! however it ends.
//!
//! ```text
//!   client: c0 ═══ n0 :node: n1 ═══ s0 :server
//!   10.244.1.2                      10.244.2.2 .3 .4, the backends of every Service
//! ```
//!
//! Addressed as routed Pods are: a /32 each, a default route to 169.254.1.1, neighbours known.

use std::fs;
use std::net::Ipv4Addr;

use crate::error::{BenchError, Result};
use crate::interrupt::Interrupt;
use crate::namespace::Namespace;
use crate::pktgen::{Interface, InterfaceName};
use crate::rig::ip;

/// The client's address.
pub(super) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 2);
/// Behind every Service.
pub(super) const BACKENDS: [Ipv4Addr; 3] =
    [Ipv4Addr::new(10, 244, 2, 2), Ipv4Addr::new(10, 244, 2, 3), Ipv4Addr::new(10, 244, 2, 4)];
/// Where backends take datagrams.
pub(super) const UDP_PORT: u16 = 9_000;
/// Where backends take connections.
pub(super) const TCP_PORT: u16 = 8_080;
/// Of every Service.
pub(super) const SERVICE_PORT: u16 = 80;
/// The node's ends: the client's, the server's.
pub(super) const NODE_ENDS: [&str; 2] = ["n0", "n1"];
/// The Pods' ends.
const POD_ENDS: [&str; 2] = ["c0", "s0"];
const GATEWAY: &str = "169.254.1.1";
/// Of c0, n0, n1, s0.
pub(super) const MACS: [&str; 4] =
    ["02:6c:61:62:00:01", "02:6c:61:62:00:02", "02:6c:61:62:00:03", "02:6c:61:62:00:04"];

/// The address of a Service.
pub(super) fn service(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from_be_bytes([10, 96, 0, 1]) + number)
}

/// The namespaces.
pub(super) struct Place {
    /// Who sends.
    pub(super) client: Namespace,
    /// Who forwards.
    pub(super) node: Namespace,
    /// Who receives.
    pub(super) server: Namespace,
    /// What stops the programs that run there.
    pub(super) interrupt: Interrupt,
}

impl Place {
    /// Makes them.
    ///
    /// # Errors
    /// Without root, or iproute2.
    pub(super) fn make(interrupt: &Interrupt) -> Result<Self> {
        if !nix::unistd::geteuid().is_root() {
            return Err(BenchError::NeedsRoot);
        }
        let place = Self {
            client: Namespace::private()?,
            node: Namespace::private()?,
            server: Namespace::private()?,
            interrupt: interrupt.clone(),
        };
        let pods = [&place.client, &place.server];
        for (number, pod) in pods.into_iter().enumerate() {
            place.link(number, pod)?;
        }
        place.client.run(|| {
            // A connection that nobody answers fails after seconds, not after two minutes.
            sysctl("tcp_syn_retries", "2")?;
            give(POD_ENDS[0], &[CLIENT], MACS[1])
        })?;
        place.server.run(|| give(POD_ENDS[1], &BACKENDS, MACS[2]))?;
        place.node.run(|| {
            ip("link set lo up")?;
            route(CLIENT, NODE_ENDS[0], MACS[0])?;
            BACKENDS.iter().try_for_each(|backend| route(*backend, NODE_ENDS[1], MACS[3]))?;
            sysctl("ip_forward", "1")?;
            sysctl("conf/all/rp_filter", "0")?;
            sysctl("conf/default/rp_filter", "0")
        })?;
        Ok(place)
    }

    fn link(&self, number: usize, pod: &Namespace) -> Result<()> {
        let (ours, theirs) = (NODE_ENDS[number], POD_ENDS[number]);
        let macs = if number == 0 { [MACS[1], MACS[0]] } else { [MACS[2], MACS[3]] };
        let path = pod.path();
        self.node.run(|| {
            ip(&format!(
                "link add {ours} address {} type veth peer name {theirs} address {} netns {path}",
                macs[0], macs[1]
            ))?;
            ip(&format!("link set {ours} addrgenmode none"))?;
            ip(&format!("link set {ours} up"))
        })?;
        pod.run(|| {
            ip("link set lo up")?;
            ip(&format!("link set {theirs} addrgenmode none"))?;
            ip(&format!("link set {theirs} up"))
        })
    }

    /// The generator's interfaces.
    pub(super) fn ends(&self) -> Result<[Interface; 2]> {
        let find = |namespace: &Namespace, name: &str| {
            let named = InterfaceName { namespace: None, name: name.to_owned() };
            namespace.run(|| Interface::find("lab", &named))
        };
        Ok([find(&self.client, POD_ENDS[0])?, find(&self.server, POD_ENDS[1])?])
    }
}

/// Addresses and a way out for a Pod.
fn give(interface: &str, addresses: &[Ipv4Addr], gateway_mac: &str) -> Result<()> {
    for address in addresses {
        ip(&format!("address add {address}/32 dev {interface}"))?;
    }
    ip(&format!("neighbour add {GATEWAY} lladdr {gateway_mac} dev {interface} nud permanent"))?;
    ip(&format!("route add {GATEWAY} dev {interface} scope link"))?;
    ip(&format!("route add default via {GATEWAY} dev {interface}"))
}

/// Of IPv4, in the calling thread's namespace.
fn sysctl(name: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/net/ipv4/{name}");
    fs::write(&path, value).map_err(BenchError::kernel("set a sysctl", &path))
}

/// The way to a Pod.
fn route(address: Ipv4Addr, interface: &str, mac: &str) -> Result<()> {
    ip(&format!("route add {address} dev {interface}"))?;
    ip(&format!("neighbour add {address} lladdr {mac} dev {interface} nud permanent"))
}
