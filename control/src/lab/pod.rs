//! A Pod: a network namespace with one link to the node, addressed as a routed CNI does it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::time::Duration;

use ipnet::IpNet;
use rtnetlink::Handle;

use super::node::usable;
use super::{Result, Site};
use crate::net::address::{self, Scope, Via};
use crate::net::link::{self, Mac, VethEnd};
use crate::net::{NetError, namespace, netlink, processes};

/// How long a Pod's processes get between SIGTERM and SIGKILL.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// What every Pod calls its interface.
const POD_END: &str = "eth0";
/// The next hop of every Pod; each of the node's ends owns it.
const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// All of the node's ends have the same MAC: no two of them share a link.
const NODE_MAC: Mac = [0xee; 6];

/// The node's end of a Pod's link: `mlp` and eleven digits that tell Pods apart.
pub(super) fn interface_name(pod: &str) -> String {
    format!("mlp{:011x}", hash(pod) & 0xfff_ffff_ffff)
}

/// Makes the Pod's namespace and its link. After an error nothing of it is left.
pub(super) fn create(
    site: &Site,
    network_namespace: &str,
    pod: &str,
    addresses: &[IpAddr],
    mtu: u32,
) -> Result<()> {
    namespace::create(network_namespace)?;
    let made = connect(site, network_namespace, pod, addresses, mtu);
    if made.is_err() {
        // With the namespace goes the link, if it came to that.
        let _ = namespace::delete(network_namespace);
    }
    made
}

/// Ends the Pod's processes, and removes its link and its namespace. What is gone is fine.
pub(super) fn remove(site: &Site, network_namespace: &str, interface: &str) -> Result<()> {
    processes::end_all(&[network_namespace.to_owned()], GRACE)?;
    let node = site.node_namespace();
    if namespace::exists(&node) {
        // The kernel would do it, but later: here it is done when this returns.
        namespace::run_in(&node, || {
            netlink::block_on(async |handle| link::delete(&handle, interface).await)
        })??;
    }
    namespace::delete(network_namespace)?;
    Ok(())
}

fn connect(
    site: &Site,
    network_namespace: &str,
    pod: &str,
    addresses: &[IpAddr],
    mtu: u32,
) -> Result<()> {
    let addresses: Vec<IpAddr> = usable(addresses).collect();
    let name = interface_name(pod);
    let [_, _, mac @ ..] = hash(pod).to_be_bytes();
    // Locally administered, and nobody's group address.
    let mac: Mac = [(mac[0] & 0xfc) | 0x02, mac[1], mac[2], mac[3], mac[4], mac[5]];
    let pod_file = namespace::open(network_namespace)?;
    namespace::run_in(&site.node_namespace(), || {
        netlink::block_on(async |handle| {
            let end = VethEnd { name: &name, mac: Some(NODE_MAC), namespace: None };
            let peer = VethEnd { name: POD_END, mac: Some(mac), namespace: Some(pod_file.as_fd()) };
            link::add_veth(&handle, end, peer, 1, mtu).await
        })
    })??;
    namespace::run_in(network_namespace, || {
        netlink::block_on(async |handle| pod_end(&handle, &addresses, mac).await)
    })??;
    namespace::run_in(&site.node_namespace(), || {
        netlink::block_on(async |handle| node_end(&handle, &name, &addresses, mac).await)
    })??;
    Ok(())
}

async fn pod_end(
    handle: &Handle,
    addresses: &[IpAddr],
    mac: Mac,
) -> std::result::Result<(), NetError> {
    link::set_loopback_up(handle).await?;
    let interface = link::by_name(handle, POD_END).await?;
    link::set_up(handle, &interface, true).await?;
    for ip in addresses {
        let own = IpNet::from(*ip);
        address::add(handle, &interface, *ip, own.prefix_len(), Scope::Global).await?;
    }
    if addresses.iter().any(IpAddr::is_ipv6) {
        address::add(handle, &interface, link_local(mac), 64, Scope::Link).await?;
    }
    for ip in addresses {
        let (everywhere, gateway): (IpNet, IpAddr) = match ip {
            IpAddr::V4(_) => (IpNet::V4(ipnet::Ipv4Net::default()), GATEWAY_V4.into()),
            IpAddr::V6(_) => (IpNet::V6(ipnet::Ipv6Net::default()), GATEWAY_V6.into()),
        };
        let via = Via { interface: &interface, gateway: Some(gateway), source: None, mtu: None };
        address::add_route(handle, everywhere, via).await?;
    }
    Ok(())
}

async fn node_end(
    handle: &Handle,
    name: &str,
    addresses: &[IpAddr],
    mac: Mac,
) -> std::result::Result<(), NetError> {
    let interface = link::by_name(handle, name).await?;
    link::set_up(handle, &interface, true).await?;
    if addresses.iter().any(IpAddr::is_ipv4) {
        address::add(handle, &interface, GATEWAY_V4.into(), 32, Scope::Link).await?;
    }
    if addresses.iter().any(IpAddr::is_ipv6) {
        address::add(handle, &interface, GATEWAY_V6.into(), 64, Scope::Link).await?;
    }
    for ip in addresses {
        let via = Via { interface: &interface, gateway: None, source: None, mtu: None };
        address::add_route(handle, IpNet::from(*ip), via).await?;
        // The first packet needs to wait for nobody.
        address::add_neighbour(handle, &interface, *ip, mac).await?;
    }
    Ok(())
}

/// The link-local address that belongs to a MAC: EUI-64, RFC 4291, appendix A.
fn link_local(mac: Mac) -> IpAddr {
    let [a, b, c, d, e, f] = mac;
    let word = |high, low| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(0xfe80, 0, 0, 0, word(a ^ 2, b), word(c, 0xff), word(0xfe, d), word(e, f)).into()
}

/// FNV-1a: the same for the same name, in every version of the program.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names_fit_and_differ() {
        let [one, two] = ["default/web-1", "default/web-2"].map(interface_name);
        assert_eq!(one.len(), 14);
        assert_ne!(one, two);
    }

    #[test]
    fn link_local_is_eui64() {
        let address = link_local([0x02, 0x11, 0x22, 0x33, 0x44, 0x55]);
        assert_eq!(address.to_string(), "fe80::11:22ff:fe33:4455");
    }
}
