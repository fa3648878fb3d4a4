//! What the node knows: addresses of clients, Services and Pods, and the snapshot made of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use maglane_dataplane::service::{
    Backend, ForwardingTable, Frontend, NextHop, Service, ServiceTable, Snapshot,
};
use maglane_dataplane::wire::{Endpoint, Protocol};

use super::WorldConfig;

const PODS: u32 = 250;
/// Linux picks even ports: so many a client.
const FLOWS_PER_CLIENT: u32 = 14_000;

/// An address of one of three networks: clients, Services, Pods.
fn address(network: u8, number: u32, ipv6: bool) -> IpAddr {
    match ipv6 {
        true => Ipv6Addr::from_bits(
            (0xfd00 << 112) | (u128::from(network) << 64) | (u128::from(number) + 1),
        )
        .into(),
        false => Ipv4Addr::from_bits(u32::from_be_bytes([10, network, 0, 1]) + number).into(),
    }
}

/// Where a flow comes from.
pub(super) fn client(flow: u32, ipv6: bool) -> Endpoint {
    let (host, port) = (flow / FLOWS_PER_CLIENT, flow % FLOWS_PER_CLIENT);
    Endpoint { address: address(128, host, ipv6).into(), port: 32_768 + 2 * port as u16 }
}

/// Where a Service is reached.
pub(super) fn service(number: u32, ipv6: bool) -> Endpoint {
    Endpoint { address: address(96, number, ipv6).into(), port: 80 }
}

fn pod(number: u32, ipv6: bool) -> IpAddr {
    address(244, number % PODS, ipv6)
}

/// All Services, and the ways to all Pods and clients.
pub(super) fn snapshot(config: &WorldConfig) -> Snapshot {
    let WorldConfig { flows, services, backends, ipv6, .. } = *config;
    let frontends = (0..services).map(|number| {
        let backends = (0..backends).map(|backend| {
            let place = number * backends + backend;
            let port = 8_080 + (place / PODS % 50_000) as u16;
            Backend { endpoint: Endpoint { address: pod(place, ipv6).into(), port }, weight: 1 }
        });
        let frontend = Frontend { endpoint: service(number, ipv6), protocol: Protocol::Tcp };
        (frontend, Service::new(backends.collect(), Vec::new()))
    });
    let hop = |interface| NextHop::Pod { interface, mac: [2; 6], mtu: 1500 };
    let pods = (0..PODS).map(|number| (pod(number, ipv6).into(), hop(number + 10)));
    let clients = (0..PODS.max(flows / FLOWS_PER_CLIENT + 1))
        .map(|number| (address(128, number, ipv6).into(), hop(number + 300)));
    Snapshot {
        generation: 1,
        services: ServiceTable::new(frontends),
        forwarding: ForwardingTable::new(pods.chain(clients)),
        ..Snapshot::default()
    }
}
