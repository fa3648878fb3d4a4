//! Links: veth pairs, their flags, and what is known of an interface.

use std::os::fd::{AsRawFd, BorrowedFd};

use futures::TryStreamExt;
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute,
    LinkFlags, LinkInfo, LinkMessage, LinkXdp, XdpAttached,
};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth};

use super::error::{NetError, Result, io_error};

/// An Ethernet address.
pub(crate) type Mac = [u8; 6];

/// What is known of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    /// Its number in its namespace.
    pub(crate) index: u32,
    /// Its name, at most 15 bytes.
    pub(crate) name: String,
    /// Its own Ethernet address, if it has one.
    pub(crate) mac: Option<Mac>,
    /// Its MTU in bytes, without the Ethernet header.
    pub(crate) mtu: u32,
    /// How many receive queues it has.
    pub(crate) rx_queues: u32,
    /// Whether it is administratively up.
    pub(crate) up: bool,
    /// Whether it is a veth.
    pub(crate) veth: bool,
    /// Whether its peer (or the device below it) is in another network namespace.
    pub(crate) peer_elsewhere: bool,
    /// Whether an XDP program is attached.
    pub(crate) xdp: bool,
}

/// One end of a veth pair to be made.
#[derive(Debug, Default)]
pub(crate) struct VethEnd<'a> {
    /// The interface's name, at most 15 bytes.
    pub(crate) name: &'a str,
    /// Its Ethernet address; the kernel picks one if there is none.
    pub(crate) mac: Option<Mac>,
    /// The namespace to put it into; that of the netlink socket if there is none.
    pub(crate) namespace: Option<BorrowedFd<'a>>,
}

/// Makes a veth pair. Both ends are down, and form no IPv6 address of their own accord.
///
/// `queues` is the number of transmit and of receive queues on each end, `mtu` in bytes.
pub(crate) async fn add_veth(
    handle: &Handle,
    end: VethEnd<'_>,
    peer: VethEnd<'_>,
    queues: u32,
    mtu: u32,
) -> Result<()> {
    let peer_message =
        veth_end(LinkMessageBuilder::<LinkUnspec>::default(), &peer, queues, mtu).build();
    let builder = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer_message)));
    let message = veth_end(builder, &end, queues, mtu).build();
    handle
        .link()
        .add(message)
        .execute()
        .await
        .map_err(|error| NetError::netlink("create veth pair", pair(&end, &peer), error))
}

/// Brings an interface up, without any IPv6 address that the kernel would make up.
/// `arp: false` sets NOARP: nobody is asked for a MAC, and nobody answers.
pub(crate) async fn set_up(handle: &Handle, interface: &Interface, arp: bool) -> Result<()> {
    let fail = |error| NetError::netlink("bring up interface", &interface.name, error);
    let message = LinkUnspec::new_with_index(interface.index)
        .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![
            AfSpecInet6::AddrGenMode(In6AddrGenMode::None),
        ])]))
        .build();
    if super::sysctl::has_ipv6() {
        handle.link().set(message).execute().await.map_err(fail)?;
    }
    let message = LinkUnspec::new_with_index(interface.index).up().arp(arp).build();
    handle.link().set(message).execute().await.map_err(fail)
}

/// Brings the namespace's loopback up.
pub(crate) async fn set_loopback_up(handle: &Handle) -> Result<Interface> {
    let loopback = by_name(handle, "lo").await?;
    let message = LinkUnspec::new_with_index(loopback.index).up().build();
    let set = handle.link().set(message).execute().await;
    set.map_err(|error| NetError::netlink("bring up interface", "lo", error))?;
    Ok(loopback)
}

/// The interface of that name.
///
/// # Errors
/// [`NetError::NoSuchInterface`] when the socket's namespace has none.
pub(crate) async fn by_name(handle: &Handle, name: &str) -> Result<Interface> {
    find(handle, name).await?.ok_or_else(|| NetError::NoSuchInterface(name.to_owned()))
}

/// The interface of that name, if there is one.
pub(crate) async fn find(handle: &Handle, name: &str) -> Result<Option<Interface>> {
    let mut found = handle.link().get().match_name(name).execute();
    match found.try_next().await {
        Ok(message) => Ok(message.as_ref().map(Interface::from_message)),
        Err(error) => match io_error(error) {
            cause if cause.raw_os_error() == Some(nix::libc::ENODEV) => Ok(None),
            cause => Err(NetError::Netlink {
                operation: "look up interface",
                device: name.into(),
                cause,
            }),
        },
    }
}

/// All interfaces of the socket's namespace.
pub(crate) async fn list(handle: &Handle) -> Result<Vec<Interface>> {
    let messages: Vec<LinkMessage> = handle
        .link()
        .get()
        .execute()
        .try_collect()
        .await
        .map_err(|error| NetError::netlink("list", "interfaces", error))?;
    Ok(messages.iter().map(Interface::from_message).collect())
}

/// Packets that the kernel dropped at an interface since it was made: received, and to be sent.
pub(crate) async fn dropped(handle: &Handle, name: &str) -> Result<Option<(u64, u64)>> {
    let Some(interface) = find(handle, name).await? else { return Ok(None) };
    let mut request = handle.link().get().match_index(interface.index).execute();
    let answer = request.try_next().await;
    let message = answer.map_err(|error| NetError::netlink("look at interface", name, error))?;
    let attributes = message.map(|message| message.attributes).unwrap_or_default();
    Ok(attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Stats64(stats) => Some((stats.rx_dropped, stats.tx_dropped)),
        _ => None,
    }))
}

/// Deletes an interface, and with it a veth's other end. One that does not exist is fine.
pub(crate) async fn delete(handle: &Handle, name: &str) -> Result<bool> {
    let Some(interface) = find(handle, name).await? else { return Ok(false) };
    match handle.link().del(interface.index).execute().await {
        Ok(()) => Ok(true),
        Err(error) => match io_error(error) {
            cause if cause.raw_os_error() == Some(nix::libc::ENODEV) => Ok(false),
            cause => {
                Err(NetError::Netlink { operation: "delete interface", device: name.into(), cause })
            }
        },
    }
}

impl Interface {
    /// Reads a link message of the kernel's.
    pub(crate) fn from_message(message: &LinkMessage) -> Self {
        let mut interface = Self {
            index: message.header.index,
            name: String::new(),
            mac: None,
            mtu: 0,
            rx_queues: 1,
            up: message.header.flags.contains(LinkFlags::Up),
            veth: false,
            peer_elsewhere: false,
            xdp: false,
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => interface.name.clone_from(name),
                LinkAttribute::Address(bytes) => interface.mac = bytes.as_slice().try_into().ok(),
                LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
                LinkAttribute::NumRxQueues(queues) => interface.rx_queues = *queues,
                LinkAttribute::LinkNetNsId(_) => interface.peer_elsewhere = true,
                LinkAttribute::LinkInfo(infos) => {
                    interface.veth = infos.contains(&LinkInfo::Kind(InfoKind::Veth));
                }
                LinkAttribute::Xdp(xdp) => {
                    interface.xdp = xdp.iter().any(|entry| {
                        matches!(entry, LinkXdp::Attached(how) if *how != XdpAttached::None)
                    });
                }
                _ => {}
            }
        }
        interface
    }
}

fn veth_end<T>(
    mut builder: LinkMessageBuilder<T>,
    end: &VethEnd<'_>,
    queues: u32,
    mtu: u32,
) -> LinkMessageBuilder<T> {
    builder = builder
        .name(end.name)
        .mtu(mtu)
        .append_extra_attribute(LinkAttribute::NumTxQueues(queues))
        .append_extra_attribute(LinkAttribute::NumRxQueues(queues));
    if let Some(mac) = end.mac {
        builder = builder.address(mac.to_vec());
    }
    match end.namespace {
        Some(fd) => builder.setns_by_fd(fd.as_raw_fd()),
        None => builder,
    }
}

fn pair(end: &VethEnd<'_>, peer: &VethEnd<'_>) -> String {
    format!("{}/{}", end.name, peer.name)
}
