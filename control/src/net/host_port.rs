//! The host port: a veth pair of ours on the node, through which Service traffic enters and
//! leaves user space.
//!
//! ```text
//!   AF_XDP sockets ── mlg0 ═══ veth ═══ mlg1 ── the kernel: routes, tc
//! ```
//!
//! Both ends are NOARP: a VIP is on no machine, so nobody would answer for it, and whatever the
//! kernel sends into `mlg1` is for the worker behind `mlg0` alone. `mlg0` has no IPv6: with the
//! agent dead nothing must answer there, or frames would go round in circles.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use maglane_dataplane::xsk;
use rtnetlink::Handle;

use super::address::{self, Via};
use super::error::{NetError, Result};
use super::link::{self, Interface, Mac, VethEnd};
use super::sysctl;

/// The end that Maglane's AF_XDP sockets are bound to.
pub(crate) const SOCKET_END: &str = "mlg0";
/// The end that the kernel routes and redirects to.
pub(crate) const KERNEL_END: &str = "mlg1";
/// What the kernel would pick may begin as a message between the steering programs and the workers
/// does, and the node's own packets carry the kernel's end's: one pair in 64 lost all of them.
const SOCKET_END_MAC: Mac = [0x02, b'm', b'a', b'g', b'l', 0];
const KERNEL_END_MAC: Mac = [0x02, b'm', b'a', b'g', b'l', 1];
/// The largest MTU of the host port, in bytes: what native XDP takes on a veth, less the frame
/// check sequence (4) and the VLAN tag (4) that drivers of NICs count as well.
pub(crate) const MAX_MTU: u32 = xsk::MAX_MTU as u32 - 8;
/// The smallest MTU that carries IPv6, in bytes (RFC 8200, section 5).
pub(crate) const MIN_MTU: u32 = 1_280;
/// What links take unless somebody says otherwise, in bytes.
const ETHERNET_MTU: u32 = 1_500;
/// How long a dead agent's sockets may take to let go of the pair.
const RELEASE: Duration = Duration::from_secs(2);

/// What the host port shall be.
#[derive(Debug, Clone)]
pub(crate) struct HostPortOptions {
    /// One queue for each worker.
    pub(crate) workers: u32,
    /// In bytes, without the Ethernet header; [`MAX_MTU`] unless there is a reason.
    pub(crate) mtu: u32,
    /// Where ClusterIPs come from: routed to Maglane.
    pub(crate) service_cidrs: Vec<IpNet>,
    /// The node's addresses; the first of each family is the source of the node's own packets.
    pub(crate) node_addresses: Vec<IpAddr>,
    /// Addresses that Maglane masquerades with: routed to it, assigned nowhere.
    pub(crate) masquerade_addresses: Vec<IpAddr>,
}

/// The pair as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostPort {
    /// `mlg0`, for the sockets.
    pub(crate) socket_end: Interface,
    /// `mlg1`, for the kernel.
    pub(crate) kernel_end: Interface,
}

/// Makes the host port in the namespace of `handle` and of the calling thread, which must be the
/// same. A pair that a crash left behind is replaced.
///
/// # Errors
/// [`NetError::ForeignInterface`] and [`NetError::InterfaceInUse`] when the names are taken by
/// somebody else; then nothing was changed. After any other error nothing of the pair is left.
pub(crate) async fn create(handle: &Handle, options: &HostPortOptions) -> Result<HostPort> {
    let mtu = options.mtu;
    if !(MIN_MTU..=MAX_MTU).contains(&mtu) {
        return Err(NetError::Mtu { mtu, min: MIN_MTU, max: MAX_MTU });
    }
    delete_leftover(handle).await?;
    let made = set_up(handle, options).await;
    if made.is_err() {
        // The first error says why; a second one would hide it.
        let _ = remove(handle).await;
    }
    made
}

/// Removes the pair, and with it its routes. False when there was none.
pub(crate) async fn remove(handle: &Handle) -> Result<bool> {
    let first = link::delete(handle, SOCKET_END).await?;
    let second = link::delete(handle, KERNEL_END).await?;
    Ok(first || second)
}

/// Brings the pair up again if somebody took it down, and puts the routes back that the kernel has
/// taken away, as it does then and when the address goes that is their source. What is there stays.
///
/// # Errors
/// [`NetError::NotOurAddress`] while that address is gone.
pub(crate) async fn restore(handle: &Handle, options: &HostPortOptions) -> Result<()> {
    for name in [SOCKET_END, KERNEL_END] {
        let interface = link::by_name(handle, name).await?;
        if !interface.up {
            link::set_up(handle, &interface, false).await?;
        }
    }
    let interface = link::by_name(handle, KERNEL_END).await?;
    add_routes(handle, &interface, options).await
}

/// Takes the routes to these addresses away. One that is not there is no error.
pub(crate) async fn remove_routes(handle: &Handle, cidrs: &[IpNet]) -> Result<()> {
    if cidrs.is_empty() {
        return Ok(());
    }
    let interface = link::by_name(handle, KERNEL_END).await?;
    for cidr in cidrs {
        address::delete_route(handle, *cidr, &interface).await?;
    }
    Ok(())
}

async fn set_up(handle: &Handle, options: &HostPortOptions) -> Result<HostPort> {
    let [end, peer] = [(SOCKET_END, SOCKET_END_MAC), (KERNEL_END, KERNEL_END_MAC)]
        .map(|(name, mac)| VethEnd { name, mac: Some(mac), namespace: None });
    link::add_veth(handle, end, peer, options.workers, options.mtu).await?;
    if sysctl::has_ipv6() {
        sysctl::set(&format!("ipv6/conf/{SOCKET_END}/disable_ipv6"), "1")?;
    }
    for name in [SOCKET_END, KERNEL_END] {
        let interface = link::by_name(handle, name).await?;
        link::set_up(handle, &interface, false).await?;
    }
    let port = HostPort {
        socket_end: link::by_name(handle, SOCKET_END).await?,
        kernel_end: link::by_name(handle, KERNEL_END).await?,
    };
    add_routes(handle, &port.kernel_end, options).await?;
    Ok(port)
}

async fn add_routes(
    handle: &Handle,
    interface: &Interface,
    options: &HostPortOptions,
) -> Result<()> {
    for cidr in &options.service_cidrs {
        let source = options
            .node_addresses
            .iter()
            .copied()
            .find(|address| address.is_ipv4() == cidr.addr().is_ipv4());
        // What the host port takes is more than most links behind it do: the node's own packets
        // are to fit these.
        let mtu = Some(ETHERNET_MTU.min(options.mtu));
        let via = Via { interface, gateway: None, source, mtu };
        address::add_route(handle, *cidr, via).await?;
    }
    for masquerade in &options.masquerade_addresses {
        let via = Via { interface, gateway: None, source: None, mtu: None };
        address::add_route(handle, IpNet::from(*masquerade), via).await?;
    }
    Ok(())
}

/// Deletes what a crash left. A pair with an XDP program belongs to an agent that runs, or that
/// was killed a moment ago: then its program goes with its sockets.
async fn delete_leftover(handle: &Handle) -> Result<()> {
    let deadline = Instant::now() + RELEASE;
    for name in [SOCKET_END, KERNEL_END] {
        while let Some(interface) = link::find(handle, name).await? {
            if !interface.veth {
                let found = "not a veth".to_owned();
                return Err(NetError::ForeignInterface { name, found });
            }
            if interface.xdp && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(50)).await;
            } else if interface.xdp {
                return Err(NetError::InterfaceInUse(name));
            } else {
                link::delete(handle, name).await?;
            }
        }
    }
    Ok(())
}
