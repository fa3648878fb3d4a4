//! The lab's node: a network namespace that forwards, with its addresses on its loopback.

use super::{Result, Site};
use crate::net::address::{self, Scope};
use crate::net::{link, namespace, netlink, sysctl};
use std::net::IpAddr;

/// What `spec.nodeName` and every reference to the node say.
pub(super) const NODE_NAME: &str = "maglane-node";

/// Makes the node's namespace.
pub(super) fn create(site: &Site, node_ips: &[IpAddr]) -> Result<()> {
    let name = site.node_namespace();
    namespace::create(&name)?;
    namespace::run_in(&name, || {
        sysctl::set("ipv4/ip_forward", "1")?;
        if sysctl::has_ipv6() {
            sysctl::set("ipv6/conf/all/forwarding", "1")?;
        }
        netlink::block_on(async |handle| {
            let loopback = link::set_loopback_up(&handle).await?;
            for ip in usable(node_ips) {
                let length = if ip.is_ipv4() { 32 } else { 128 };
                address::add(&handle, &loopback, ip, length, Scope::Global).await?;
            }
            Ok(())
        })
    })??;
    Ok(())
}

/// Those addresses that this kernel can have.
pub(super) fn usable(addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let ipv6 = sysctl::has_ipv6();
    addresses.iter().copied().filter(move |address| ipv6 || address.is_ipv4())
}
