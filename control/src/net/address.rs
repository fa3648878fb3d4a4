//! Addresses, routes and neighbour entries.

use std::net::{IpAddr, UdpSocket};

use ipnet::IpNet;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressScope,
};
use rtnetlink::packet_route::neighbour::NeighbourState;
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage, RouteMetric, RouteScope};
use rtnetlink::{Handle, RouteMessageBuilder};

use super::error::{NetError, Result, io_error};
use super::link::{Interface, Mac};

/// How far an address reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Anywhere: `scope global`.
    Global,
    /// This link only: `scope link`.
    Link,
}

/// Gives an interface an address. IPv6 skips duplicate address detection, so that it is usable
/// at once.
pub(crate) async fn add(
    handle: &Handle,
    interface: &Interface,
    address: IpAddr,
    prefix_length: u8,
    scope: Scope,
) -> Result<()> {
    let mut request = handle.address().add(interface.index, address, prefix_length);
    let message = request.message_mut();
    if scope == Scope::Link {
        message.header.scope = AddressScope::Link;
    }
    if address.is_ipv6() {
        message.header.flags |= AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    request.execute().await.map_err(|error| {
        let device = format!("{address}/{prefix_length} to {}", interface.name);
        NetError::netlink("add address", device, error)
    })
}

/// Where a route leads: an interface, and what else is said about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Via<'a> {
    /// The interface that packets leave by.
    pub(crate) interface: &'a Interface,
    /// The next hop, taken to be on the link whatever the addresses say.
    pub(crate) gateway: Option<IpAddr>,
    /// The source address for packets of the node's own.
    pub(crate) source: Option<IpAddr>,
    /// The longest packets of the node's own, in bytes; the interface's MTU if none is given.
    pub(crate) mtu: Option<u32>,
}

/// The source address that the kernel gives to packets for anywhere else, if there is a way.
pub(crate) fn default_source(ipv4: bool) -> Option<IpAddr> {
    // Addresses for documentation (RFC 5737, RFC 3849): connecting sends nothing.
    let (any, elsewhere) =
        if ipv4 { ("0.0.0.0:0", "192.0.2.1:9") } else { ("[::]:0", "[2001:db8::1]:9") };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(elsewhere).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

/// Adds a route to the main table, or replaces the one to the same destination.
pub(crate) async fn add_route(handle: &Handle, to: IpNet, via: Via<'_>) -> Result<()> {
    let device = || {
        let source = via.source.map(|source| format!(" src {source}")).unwrap_or_default();
        format!("{to} dev {}{source}", via.interface.name)
    };
    let message = route(to, via).map_err(|cause| NetError::Netlink {
        operation: "build route",
        device: device(),
        cause,
    })?;
    let added = handle.route().add(message).replace().execute().await;
    added.map_err(|error| match (io_error(error), via.source) {
        (cause, Some(source)) if cause.raw_os_error() == Some(nix::libc::EINVAL) => {
            NetError::NotOurAddress { route: device(), source_address: source, cause }
        }
        (cause, _) => NetError::Netlink { operation: "add route", device: device(), cause },
    })
}

/// Deletes the route of the main table to a destination by an interface. False when there is none.
pub(crate) async fn delete_route(
    handle: &Handle,
    to: IpNet,
    interface: &Interface,
) -> Result<bool> {
    let device = || format!("{to} dev {}", interface.name);
    let via = Via { interface, gateway: None, source: None, mtu: None };
    let message = route(to, via).map_err(|cause| NetError::Netlink {
        operation: "build route",
        device: device(),
        cause,
    })?;
    match handle.route().del(message).execute().await.map_err(io_error) {
        Ok(()) => Ok(true),
        Err(cause) if cause.raw_os_error() == Some(nix::libc::ESRCH) => Ok(false),
        Err(cause) => Err(NetError::Netlink { operation: "delete route", device: device(), cause }),
    }
}

/// Fixes the Ethernet address behind an IP address: a permanent neighbour entry.
pub(crate) async fn add_neighbour(
    handle: &Handle,
    interface: &Interface,
    address: IpAddr,
    mac: Mac,
) -> Result<()> {
    let request = handle
        .neighbours()
        .add(interface.index, address)
        .state(NeighbourState::Permanent)
        .link_layer_address(&mac)
        .replace();
    request.execute().await.map_err(|error| {
        NetError::netlink("add neighbour", format!("{address} dev {}", interface.name), error)
    })
}

/// Fails when an address of `via` is of another family than `to`.
fn route(to: IpNet, via: Via<'_>) -> std::io::Result<RouteMessage> {
    let mut builder = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(to.network(), to.prefix_len())
        .map_err(std::io::Error::other)?
        .output_interface(via.interface.index);
    if let Some(gateway) = via.gateway {
        builder = builder.gateway(gateway).map_err(std::io::Error::other)?.onlink();
    } else if to.addr().is_ipv4() {
        builder = builder.scope(RouteScope::Link);
    }
    if let Some(source) = via.source {
        builder = builder.pref_source(source).map_err(std::io::Error::other)?;
    }
    let mut message = builder.build();
    if let Some(mtu) = via.mtu {
        message.attributes.push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)]));
    }
    Ok(message)
}
