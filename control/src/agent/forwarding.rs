use std::net::IpAddr;

use maglane_dataplane::service::{ForwardingTable, NextHop};
use maglane_dataplane::wire::Address;

use crate::net::neighbourhood::{Neighbourhood, PodInterface};

/// Who is behind which interface, as packets need it. Pods that `served` refuses are left to the
/// kernel. An address that is in two places is a Pod's first, then a neighbour's, then the node's.
pub(super) fn forwarding_table(
    neighbourhood: &Neighbourhood,
    served: impl Fn(&PodInterface) -> bool,
) -> ForwardingTable {
    let pods = neighbourhood.pods.iter().filter(|pod| served(pod)).flat_map(|pod| {
        let hop = NextHop::Pod {
            interface: pod.index,
            mac: pod.mac.unwrap_or_default(),
            mtu: packet_limit(pod.mtu),
        };
        pod.addresses.iter().map(move |address| entry(*address, hop))
    });
    let neighbours = neighbourhood.neighbours.iter().filter_map(|neighbour| {
        let index = neighbour.interface_index;
        let port = neighbourhood.ports.iter().find(|port| port.index == index)?;
        let hop = NextHop::Port {
            interface: port.index,
            mac: neighbour.mac,
            source_mac: port.mac?,
            mtu: packet_limit(port.mtu),
        };
        Some(entry(neighbour.address, hop))
    });
    let node = neighbourhood.node_addresses.iter();
    let node = node.map(|address| entry(*address, NextHop::Node));
    ForwardingTable::new(pods.chain(neighbours).chain(node))
}

fn entry(address: IpAddr, hop: NextHop) -> (Address, NextHop) {
    (address.to_canonical().into(), hop)
}

/// No IP packet is longer than 65,535 bytes, whatever the link would take.
fn packet_limit(mtu: u32) -> u16 {
    u16::try_from(mtu).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::link::Interface;
    use crate::net::neighbourhood::Neighbour;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an IP address")
    }

    fn pod(index: u32, mtu: u32, addresses: &[&str]) -> PodInterface {
        PodInterface {
            index,
            name: format!("veth{index}"),
            mtu,
            mac: Some([2, 0, 0, 0, 0, 1]),
            node_mac: None,
            addresses: addresses.iter().map(|text| address(text)).collect(),
        }
    }

    fn lookup(table: &ForwardingTable, text: &str) -> Option<NextHop> {
        table.lookup(&address(text).into()).copied()
    }

    #[test]
    fn pods_of_both_families_are_behind_their_veth() {
        let pods = vec![pod(7, 1500, &["10.1.0.7", "fd00::7"]), pod(8, 70_000, &["10.1.0.8"])];
        let table = forwarding_table(&Neighbourhood { pods, ..Default::default() }, |_| true);
        let hop = NextHop::Pod { interface: 7, mac: [2, 0, 0, 0, 0, 1], mtu: 1500 };
        assert_eq!(lookup(&table, "10.1.0.7"), Some(hop));
        assert_eq!(lookup(&table, "fd00::7"), Some(hop));
        let huge = NextHop::Pod { interface: 8, mac: [2, 0, 0, 0, 0, 1], mtu: u16::MAX };
        assert_eq!(lookup(&table, "10.1.0.8"), Some(huge));
        assert_eq!(lookup(&table, "10.1.0.9"), None);
    }

    #[test]
    fn a_refused_pod_is_the_kernels() {
        let pods = vec![pod(7, 9000, &["10.1.0.7"]), pod(8, 1500, &["10.1.0.8"])];
        let neighbourhood = Neighbourhood { pods, ..Default::default() };
        let table = forwarding_table(&neighbourhood, |pod| pod.mtu <= 3498);
        assert_eq!(lookup(&table, "10.1.0.7"), None);
        assert!(lookup(&table, "10.1.0.8").is_some());
    }

    #[test]
    fn a_pod_beats_the_node_for_the_same_address() {
        let neighbourhood = Neighbourhood {
            pods: vec![pod(7, 1500, &["10.1.0.7"])],
            node_addresses: vec![address("10.1.0.7"), address("192.168.0.2")],
            ..Default::default()
        };
        let table = forwarding_table(&neighbourhood, |_| true);
        assert!(matches!(lookup(&table, "10.1.0.7"), Some(NextHop::Pod { .. })));
        assert_eq!(lookup(&table, "192.168.0.2"), Some(NextHop::Node));
    }

    #[test]
    fn neighbours_are_behind_their_port() {
        let neighbour = |interface_index, text| Neighbour {
            address: address(text),
            interface_index,
            mac: [6; 6],
        };
        let neighbourhood = Neighbourhood {
            ports: vec![Interface {
                index: 3,
                name: "rig0".into(),
                mtu: 1500,
                mac: Some([3; 6]),
                rx_queues: 1,
                up: true,
                veth: true,
                peer_elsewhere: false,
                xdp: false,
            }],
            neighbours: vec![neighbour(3, "10.2.0.1"), neighbour(4, "10.2.0.2")],
            ..Default::default()
        };
        let table = forwarding_table(&neighbourhood, |_| true);
        let hop = NextHop::Port { interface: 3, mac: [6; 6], source_mac: [3; 6], mtu: 1500 };
        assert_eq!(lookup(&table, "10.2.0.1"), Some(hop));
        assert_eq!(lookup(&table, "10.2.0.2"), None);
    }
}
