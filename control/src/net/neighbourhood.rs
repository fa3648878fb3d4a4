//! The neighbourhood: which address is behind which interface, with which MAC.
//!
//! Read whole from the kernel each time: a few dumps of a few hundred entries, which are true at
//! once, where a copy kept up to date message by message could drift.

use std::net::IpAddr;

use futures::TryStreamExt;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType,
};
use rtnetlink::{Handle, RouteMessageBuilder};

use super::error::{NetError, Result};
use super::host_port::{KERNEL_END, SOCKET_END};
use super::link::{self, Interface, Mac};

/// Interfaces of our own, which no Pod is behind.
const OWN_PREFIX: &str = "mlg";

/// A Pod's interface, seen from the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodInterface {
    /// Of the node's end.
    pub(crate) index: u32,
    /// Of the node's end.
    pub(crate) name: String,
    /// In bytes; the Pod's own is taken to be the same.
    pub(crate) mtu: u32,
    /// The Pod's MAC, once the kernel has learned it.
    pub(crate) mac: Option<Mac>,
    /// The MAC of the node's end.
    pub(crate) node_mac: Option<Mac>,
    /// The Pod's addresses: host routes point at its interface. Sorted.
    pub(crate) addresses: Vec<IpAddr>,
}

/// Somebody on the link behind an interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Neighbour {
    /// Its address.
    pub(crate) address: IpAddr,
    /// The interface it is behind.
    pub(crate) interface_index: u32,
    /// Its MAC.
    pub(crate) mac: Mac,
}

/// Everything about the node's surroundings that forwarding needs to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Neighbourhood {
    /// The Pods on this node, by interface index.
    pub(crate) pods: Vec<PodInterface>,
    /// What leads to other machines: every other interface that is up and no veth, by index.
    pub(crate) uplinks: Vec<Interface>,
    /// The XDP ports that were asked for, in that order; those that exist.
    pub(crate) ports: Vec<Interface>,
    /// The node's own addresses, loopback's excepted. Sorted.
    pub(crate) node_addresses: Vec<IpAddr>,
    /// Who is known behind the XDP ports. Sorted.
    pub(crate) neighbours: Vec<Neighbour>,
    /// The host port.
    pub(crate) host_port: HostPortState,
}

/// What is there of the host port, which anybody with enough rights may take down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HostPortState {
    /// Indices of its ends, the sockets' and the kernel's.
    pub(crate) ends: [Option<u32>; 2],
    /// Whether both are up.
    pub(crate) up: bool,
    /// Where routes lead into the kernel's end. Sorted.
    pub(crate) routes: Vec<(IpAddr, u8)>,
}

/// Reads the neighbourhood of the namespace in which `handle` was opened.
/// `ports` are the names of the XDP ports.
pub(crate) async fn read(handle: &Handle, ports: &[String]) -> Result<Neighbourhood> {
    let interfaces = link::list(handle).await?;
    let mut host_port = host_port(&interfaces);
    let routes = routes(handle, &host_port).await?;
    let into_host_port = routes.iter().filter(|route| leads_into(route, &host_port));
    host_port.routes = into_host_port.filter_map(destination).collect();
    host_port.routes.sort();
    let routes: Vec<_> = routes.iter().filter_map(host_route).collect();
    let known = neighbours(handle).await?;
    let node_addresses = node_addresses(handle).await?;
    let pods = interfaces
        .iter()
        .filter(|interface| is_pod(interface) && !ports.contains(&interface.name))
        .map(|interface| pod(interface, &routes, &known))
        .collect();
    let uplinks = interfaces
        .iter()
        .filter(|interface| is_uplink(interface) && !ports.contains(&interface.name))
        .cloned()
        .collect();
    let ports: Vec<Interface> = ports
        .iter()
        .filter_map(|name| interfaces.iter().find(|interface| interface.name == *name).cloned())
        .collect();
    let mut neighbours: Vec<Neighbour> = known
        .into_iter()
        .filter(|entry| ports.iter().any(|port| port.index == entry.interface_index))
        .collect();
    neighbours.sort();
    Ok(Neighbourhood { pods, uplinks, ports, node_addresses, neighbours, host_port })
}

/// Without its routes.
fn host_port(interfaces: &[Interface]) -> HostPortState {
    let find = |name| interfaces.iter().find(|interface| interface.name == name);
    let ends = [find(SOCKET_END), find(KERNEL_END)];
    HostPortState {
        ends: ends.map(|end| end.map(|end| end.index)),
        up: ends.iter().flatten().all(|end| end.up),
        routes: Vec::new(),
    }
}

/// A Pod's veth: its other end is in another network namespace.
fn is_pod(interface: &Interface) -> bool {
    interface.veth && interface.peer_elsewhere && !interface.name.starts_with(OWN_PREFIX)
}

fn is_uplink(interface: &Interface) -> bool {
    interface.up && !interface.veth && interface.mac.is_some_and(|mac| mac != Mac::default())
}

fn pod(interface: &Interface, routes: &[(IpAddr, u32)], known: &[Neighbour]) -> PodInterface {
    let mut addresses: Vec<IpAddr> = routes
        .iter()
        .filter(|(_, index)| *index == interface.index)
        .map(|(address, _)| *address)
        .collect();
    addresses.sort();
    addresses.dedup();
    let mac = known
        .iter()
        .find(|entry| {
            entry.interface_index == interface.index && addresses.contains(&entry.address)
        })
        .map(|entry| entry.mac);
    PodInterface {
        index: interface.index,
        name: interface.name.clone(),
        mtu: interface.mtu,
        mac,
        node_mac: interface.mac,
        addresses,
    }
}

/// Those that matter here, of all tables.
async fn routes(handle: &Handle, host_port: &HostPortState) -> Result<Vec<RouteMessage>> {
    let mut found = Vec::new();
    let all = [
        RouteMessageBuilder::<std::net::Ipv4Addr>::new().build(),
        RouteMessageBuilder::<std::net::Ipv6Addr>::new().build(),
    ];
    for request in all {
        let routes: Vec<RouteMessage> =
            handle
                .route()
                .get(request)
                .execute()
                .try_collect()
                .await
                .map_err(|error| NetError::netlink("list", "routes", error))?;
        found.extend(routes.into_iter().filter(|route| concerns(route, host_port)));
    }
    Ok(found)
}

/// Whether a route may matter here: it is for one address, or leads into the host port.
pub(super) fn concerns(route: &RouteMessage, host_port: &HostPortState) -> bool {
    is_host_route(route) || leads_into(route, host_port)
}

fn leads_into(route: &RouteMessage, host_port: &HostPortState) -> bool {
    let [_, kernel_end] = host_port.ends;
    kernel_end.is_some() && leaves_by(route) == kernel_end
}

fn is_host_route(route: &RouteMessage) -> bool {
    let full = if route.header.address_family == AddressFamily::Inet { 32 } else { 128 };
    route.header.destination_prefix_length == full && route.header.kind == RouteType::Unicast
}

/// A /32 or /128 unicast route of the main table that leads straight out of an interface.
fn host_route(route: &RouteMessage) -> Option<(IpAddr, u32)> {
    let gateway = |attribute: &RouteAttribute| {
        matches!(attribute, RouteAttribute::Gateway(_) | RouteAttribute::Via(_))
    };
    if !is_host_route(route) || route.attributes.iter().any(gateway) {
        return None;
    }
    destination(route).map(|(address, _)| address).zip(leaves_by(route))
}

/// Of a route of the main table.
fn destination(route: &RouteMessage) -> Option<(IpAddr, u8)> {
    let address = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(v4)) => Some(IpAddr::from(*v4)),
        RouteAttribute::Destination(RouteAddress::Inet6(v6)) => Some(IpAddr::from(*v6)),
        _ => None,
    })?;
    let is_main = route.header.table == RouteHeader::RT_TABLE_MAIN;
    is_main.then_some((address, route.header.destination_prefix_length))
}

fn leaves_by(route: &RouteMessage) -> Option<u32> {
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(oif) => Some(*oif),
        _ => None,
    })
}

async fn node_addresses(handle: &Handle) -> Result<Vec<IpAddr>> {
    let messages: Vec<_> = handle
        .address()
        .get()
        .execute()
        .try_collect()
        .await
        .map_err(|error| NetError::netlink("list", "addresses", error))?;
    let mut addresses: Vec<IpAddr> = messages
        .iter()
        .filter_map(|message| {
            // On a point-to-point link Address is the peer's, and Local is ours.
            let of = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| {
                message.attributes.iter().find_map(wanted)
            };
            of(|attribute| match attribute {
                AddressAttribute::Local(address) => Some(*address),
                _ => None,
            })
            .or_else(|| {
                of(|attribute| match attribute {
                    AddressAttribute::Address(address) => Some(*address),
                    _ => None,
                })
            })
        })
        .filter(|address| !address.is_loopback())
        .collect();
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}

async fn neighbours(handle: &Handle) -> Result<Vec<Neighbour>> {
    let messages: Vec<NeighbourMessage> =
        handle
            .neighbours()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|error| NetError::netlink("list", "neighbours", error))?;
    Ok(messages.iter().filter_map(neighbour).collect())
}

fn neighbour(message: &NeighbourMessage) -> Option<Neighbour> {
    use NeighbourState::{Failed, Incomplete, Noarp, None as NoState};
    // NOARP entries are the kernel's own, for multicast and for interfaces without MACs.
    if matches!(message.header.state, Failed | Incomplete | Noarp | NoState) {
        return None;
    }
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => {
                address = Some(IpAddr::from(*v4));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => {
                address = Some(IpAddr::from(*v6));
            }
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok(),
            _ => {}
        }
    }
    Some(Neighbour { address: address?, interface_index: message.header.ifindex, mac: mac? })
}
