//! On which device, and how, a packet leaves.

use super::{Context, DropReason, Origin, Packet, Pipeline, Verdict, Via};
use crate::flow::Direction;
use crate::service::{Deliver, NextHop};
use crate::wire::{
    Address, MacAddress, WayIn, WayOut, decrement_time_to_live, set_ethernet_addresses,
    write_message,
};

/// The way out of one packet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Route<'a> {
    /// Through the host port, straight into a Pod.
    Pod { interface: u32, mac: &'a MacAddress, mtu: u16 },
    /// Through an XDP port, to a neighbour.
    Port { interface: u32, mac: &'a MacAddress, source_mac: &'a MacAddress, mtu: u16 },
    /// Through the host port, to the kernel, which routes, counts hops and minds lengths itself.
    Kernel(WayOut),
}

impl<'a> Route<'a> {
    /// The longest IP packet that fits, in bytes, as far as it is ours to mind.
    pub(super) fn mtu(&self) -> Option<u16> {
        match self {
            Self::Pod { mtu, .. } | Self::Port { mtu, .. } => Some(*mtu),
            Self::Kernel(_) => None,
        }
    }

    /// By how many hops the packet's TTL is lowered here: not where a kernel will do it.
    #[inline(always)]
    pub(super) fn hops(&self) -> u8 {
        match self {
            Self::Pod { .. } | Self::Port { .. } => 1,
            Self::Kernel(_) => 0,
        }
    }

    /// The way of a translated packet to `destination`.
    ///
    /// Handed to the kernel, a packet must come from where the kernel would route its source to,
    /// or strict reverse path filtering drops it: one that still has its client as source comes
    /// as received from that client; one from a Service or a stand-in address comes from the host
    /// port, where these are routed.
    #[inline(always)]
    pub(super) fn to(
        destination: &Address,
        direction: Direction,
        masqueraded: bool,
        context: &Context<'a>,
    ) -> Self {
        let snapshot = context.snapshot;
        match snapshot.forwarding.lookup(destination) {
            Some(NextHop::Pod { interface, mac, mtu }) if snapshot.deliver == Deliver::Peer => {
                Self::Pod { interface: *interface, mac, mtu: *mtu }
            }
            Some(NextHop::Port { interface, mac, source_mac, mtu }) => {
                Self::Port { interface: *interface, mac, source_mac, mtu: *mtu }
            }
            _ if direction == Direction::Reply || masqueraded => Self::Kernel(WayOut::Node),
            _ => Self::Kernel(as_received(context.origin).unwrap_or(WayOut::Routed)),
        }
    }

    /// The way of an answer to the packet's sender.
    pub(super) fn back(client: &Address, context: &Context<'a>) -> Self {
        let known = Self::to(client, Direction::Reply, false, context);
        match (known, context.origin) {
            // An address that nobody told us of: to where it came from.
            (Self::Kernel(_), Origin::Host(WayIn::PodIngress(interface)))
                if context.snapshot.deliver == Deliver::Peer =>
            {
                Self::Pod { interface, mac: &[0; 6], mtu: u16::MAX }
            }
            (Self::Kernel(_), Origin::Host(WayIn::Uplink(_))) => Self::Kernel(WayOut::Routed),
            _ => known,
        }
    }

    /// The way of an ICMP error whose source is neither the Service nor the client but a router in
    /// between, which the kernel only expects where it came from.
    pub(super) fn sent_by_router(self, context: &Context<'_>) -> Self {
        match self {
            Self::Kernel(WayOut::Node) => {
                Self::Kernel(as_received(context.origin).unwrap_or(WayOut::Node))
            }
            other => other,
        }
    }
}

/// Back to the interface on which the packet was received, if there is one beside our own.
fn as_received(origin: Origin) -> Option<WayOut> {
    match origin {
        Origin::Host(WayIn::PodIngress(interface) | WayIn::Uplink(interface))
        | Origin::Port(interface) => Some(WayOut::AsReceived(interface)),
        Origin::Host(WayIn::Node | WayIn::PodEgress(_)) => None,
    }
}

impl Pipeline {
    /// As [`Self::send`], of a packet whose translation has not counted the hop.
    #[cold]
    pub(super) fn count_hop_and_send(
        &self,
        packet: &mut Packet<'_>,
        route: Route<'_>,
        network_offset: u16,
    ) -> Result<Via, DropReason> {
        if route.hops() > 0 {
            decrement_time_to_live(packet.bytes_mut(), network_offset);
        }
        self.send(packet, route)
    }

    /// Writes the Ethernet header, which is the message on the host port.
    #[inline(always)]
    pub(super) fn send(
        &self,
        packet: &mut Packet<'_>,
        route: Route<'_>,
    ) -> Result<Via, DropReason> {
        let bytes = packet.bytes_mut();
        match route {
            Route::Port { interface, mac, source_mac, .. } => {
                set_ethernet_addresses(bytes, *mac, *source_mac);
                return Ok(Via::port(interface));
            }
            _ if !self.config.host_port => return Err(DropReason::NoHostPort),
            Route::Pod { interface, mac, .. } => {
                write_message(bytes, WayOut::Pod { interface, mac: *mac });
            }
            Route::Kernel(way) => write_message(bytes, way),
        }
        Ok(Via::HostPort)
    }

    /// Gives a packet that is not ours back to the kernel as it came: the steering programs sent
    /// it here because of a fingerprint that is another flow's, or has just been cleared.
    #[cold]
    pub(super) fn give_back(&self, packet: &mut Packet<'_>, context: &Context<'_>) -> Verdict {
        let way = match (as_received(context.origin), context.origin) {
            (Some(way), _) => way,
            // It was on its last step already.
            (None, Origin::Host(WayIn::PodEgress(interface))) => {
                WayOut::Pod { interface, mac: context.snapshot.forwarding.mac_behind(interface) }
            }
            (None, _) => return Verdict::Drop(DropReason::UnknownFlow),
        };
        if !self.config.host_port {
            return Verdict::Drop(DropReason::NoHostPort);
        }
        write_message(packet.bytes_mut(), way);
        Verdict::Kernel(Via::HostPort)
    }
}
