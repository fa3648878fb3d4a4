//! From a Service's address to a backend, and back.

use std::collections::HashSet;

use crate::node::Node;

#[test]
fn a_service_with_one_backend() {
    let mut node = Node::new(&[
        ("tcp 10.96.0.10:80", &["10.244.1.7:80"]),
        ("tcp 10.96.0.10:443", &["10.244.1.7:8443"]),
        ("udp 10.96.0.10:53", &["10.244.1.8:5353"]),
        ("tcp [fd00:96::a]:80", &["[fd00:244::7]:8080"]),
        ("udp [fd00:96::a]:53", &["[fd00:244::8]:5353"]),
    ]);
    for (description, packet, expected) in [
        (
            "the same port",
            "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 S",
            "forward to pod 12: tcp 10.244.1.2:40000 > 10.244.1.7:80 S ttl 63",
        ),
        (
            "the reply comes from the Service",
            "pod 12: tcp 10.244.1.7:80 > 10.244.1.2:40000 SA",
            "forward to pod 11: tcp 10.96.0.10:80 > 10.244.1.2:40000 SA ttl 63",
        ),
        (
            "data",
            "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 A len 1001",
            "forward to pod 12: tcp 10.244.1.2:40000 > 10.244.1.7:80 A len 1001 ttl 63",
        ),
        (
            "another target port",
            "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:443 S",
            "forward to pod 12: tcp 10.244.1.2:40000 > 10.244.1.7:8443 S ttl 63",
        ),
        (
            "its reply",
            "pod 12: tcp 10.244.1.7:8443 > 10.244.1.2:40000 SA len 3",
            "forward to pod 11: tcp 10.96.0.10:443 > 10.244.1.2:40000 SA len 3 ttl 63",
        ),
        (
            "UDP",
            "pod 11: udp 10.244.1.2:40000 > 10.96.0.10:53 len 31",
            "forward to pod 13: udp 10.244.1.2:40000 > 10.244.1.8:5353 len 31 ttl 63",
        ),
        (
            "a UDP reply",
            "pod 13: udp 10.244.1.8:5353 > 10.244.1.2:40000 len 1200",
            "forward to pod 11: udp 10.96.0.10:53 > 10.244.1.2:40000 len 1200 ttl 63",
        ),
        (
            "IPv6",
            "pod 11: tcp [fd00:244::2]:40000 > [fd00:96::a]:80 S",
            "forward to pod 12: tcp [fd00:244::2]:40000 > [fd00:244::7]:8080 S ttl 63",
        ),
        (
            "an IPv6 reply",
            "pod 12: tcp [fd00:244::7]:8080 > [fd00:244::2]:40000 SA",
            "forward to pod 11: tcp [fd00:96::a]:80 > [fd00:244::2]:40000 SA ttl 63",
        ),
        (
            "UDP over IPv6",
            "pod 11: udp [fd00:244::2]:40000 > [fd00:96::a]:53 len 31",
            "forward to pod 13: udp [fd00:244::2]:40000 > [fd00:244::8]:5353 len 31 ttl 63",
        ),
        (
            "its reply",
            "pod 13: udp [fd00:244::8]:5353 > [fd00:244::2]:40000 len 8",
            "forward to pod 11: udp [fd00:96::a]:53 > [fd00:244::2]:40000 len 8 ttl 63",
        ),
    ] {
        node.check(description, packet, expected);
    }
    assert_eq!((node.counter("flows_opened"), node.counter("forwarded")), (5, 11));
}

#[test]
fn headers_that_are_longer_than_usual() {
    let mut node = Node::new(&[
        ("tcp 10.96.0.10:80", &["10.244.1.7:8080"]),
        ("udp [fd00:96::a]:53", &["[fd00:244::7]:5353"]),
    ]);
    for (description, packet, expected) in [
        (
            "a VLAN tag stays",
            "pod 11: vlan 7 tcp 10.244.1.2:40000 > 10.96.0.10:80 S",
            "forward to pod 12: vlan 7 tcp 10.244.1.2:40000 > 10.244.1.7:8080 S ttl 63",
        ),
        (
            "IPv4 options",
            "pod 11: tcp 10.244.1.2:40001 > 10.96.0.10:80 S options",
            "forward to pod 12: tcp 10.244.1.2:40001 > 10.244.1.7:8080 S ttl 63 options",
        ),
        (
            "both, on the way back",
            "pod 12: vlan 9 tcp 10.244.1.7:8080 > 10.244.1.2:40001 SA len 5 options",
            "forward to pod 11: vlan 9 tcp 10.96.0.10:80 > 10.244.1.2:40001 SA len 5 ttl 63 options",
        ),
        (
            "IPv6 extension headers",
            "pod 11: udp [fd00:244::2]:40000 > [fd00:96::a]:53 len 9 options",
            "forward to pod 12: udp [fd00:244::2]:40000 > [fd00:244::7]:5353 len 9 ttl 63 options",
        ),
        (
            "and a tag",
            "pod 12: vlan 1 udp [fd00:244::7]:5353 > [fd00:244::2]:40000 options",
            "forward to pod 11: vlan 1 udp [fd00:96::a]:53 > [fd00:244::2]:40000 ttl 63 options",
        ),
    ] {
        node.check(description, packet, expected);
    }
}

#[test]
fn many_backends_share_flows_and_each_flow_stays() {
    let backends = ["10.244.1.7:8080", "10.244.1.8:8080", "10.244.2.9:8080"];
    let mut node = Node::with(
        crate::node::Setup { capacity_flows: 1_024, ..Default::default() },
        &[("tcp 10.96.0.10:80", &backends)],
    );
    let mut counts = [0; 3];
    for port in 40_000..40_300 {
        let packet = format!("pod 11: tcp 10.244.1.2:{port} > 10.96.0.10:80 S");
        let chosen = node.give(&packet);
        let at = backends.iter().position(|backend| chosen.contains(backend)).expect("one of ours");
        counts[at] += 1;
        assert_eq!(node.give(&packet), chosen, "a retransmission");
    }
    assert!(counts.iter().all(|count| (60..140).contains(count)), "{counts:?}");
    let clients: HashSet<_> = node.flows().iter().map(|flow| flow.client.port).collect();
    assert_eq!(clients.len(), 300);
}

#[test]
fn the_same_port_of_tcp_and_udp_are_two_services() {
    let mut node = Node::new(&[
        ("tcp 10.96.0.10:53", &["10.244.1.7:5353"]),
        ("udp 10.96.0.10:53", &["10.244.1.8:5353"]),
    ]);
    node.check(
        "53/TCP",
        "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:53 S",
        "forward to pod 12: tcp 10.244.1.2:40000 > 10.244.1.7:5353 S ttl 63",
    );
    node.check(
        "53/UDP from the same port",
        "pod 11: udp 10.244.1.2:40000 > 10.96.0.10:53",
        "forward to pod 13: udp 10.244.1.2:40000 > 10.244.1.8:5353 ttl 63",
    );
    node.check(
        "a reply by the other protocol is none",
        "pod 12: udp 10.244.1.7:5353 > 10.244.1.2:40000",
        "kernel to received 12: udp 10.244.1.7:5353 > 10.244.1.2:40000",
    );
}

#[test]
fn two_services_with_the_same_backend_and_client_port_stay_apart() {
    let mut node = Node::new(&[
        ("tcp 10.96.0.10:80", &["10.244.1.7:8080"]),
        ("tcp 10.96.0.11:80", &["10.244.1.7:8080"]),
    ]);
    node.check(
        "the first",
        "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 S",
        "forward to pod 12: tcp 10.244.1.2:40000 > 10.244.1.7:8080 S ttl 63",
    );
    let second = node.give("pod 11: tcp 10.244.1.2:40000 > 10.96.0.11:80 S");
    let flows = node.flows();
    let flow =
        flows.iter().find(|flow| flow.service.address == crate::text::ip("10.96.0.11").into());
    let port = flow.expect("the second").translated.port;
    assert!(port != 40_000 && !(32_768..61_000).contains(&port), "{port}");
    let expected = format!("tcp 10.244.1.2:{port} > 10.244.1.7:8080 S ttl 63");
    assert_eq!(second, format!("forward to pod 12: {expected}"));
    node.check(
        "each reply finds its own Service: the first",
        "pod 12: tcp 10.244.1.7:8080 > 10.244.1.2:40000 SA",
        "forward to pod 11: tcp 10.96.0.10:80 > 10.244.1.2:40000 SA ttl 63",
    );
    node.check(
        "the second",
        &format!("pod 12: tcp 10.244.1.7:8080 > 10.244.1.2:{port} SA"),
        "forward to pod 11: tcp 10.96.0.11:80 > 10.244.1.2:40000 SA ttl 63",
    );
}

#[test]
fn a_client_whose_reply_would_not_come_back_is_masqueraded() {
    let mut node = Node::new(&[
        ("tcp 10.96.0.10:80", &["10.244.1.7:8080"]),
        ("udp 10.96.0.10:53", &["10.244.2.9:5353"]),
        ("tcp 10.96.0.1:443", &["192.168.0.1:6443"]),
        ("tcp [fd00:96::1]:443", &["[fd00:192::1]:6443"]),
        ("tcp [fd00:96::a]:80", &["[fd00:244::7]:8080"]),
    ]);
    let stand_in = "169.254.77.1";
    let stand_in_v6 = "fd00:6d61:676c::1";
    for (description, packet, expected) in [
        (
            "a Pod that reaches itself",
            "pod 12: tcp 10.244.1.7:40000 > 10.96.0.10:80 S",
            &*format!("forward to pod 12: tcp {stand_in}:40000 > 10.244.1.7:8080 S ttl 63"),
        ),
        (
            "its reply",
            &format!("pod 12: tcp 10.244.1.7:8080 > {stand_in}:40000 SA"),
            "forward to pod 12: tcp 10.96.0.10:80 > 10.244.1.7:40000 SA ttl 63",
        ),
        (
            "a Pod that reaches itself by IPv6",
            "pod 12: tcp [fd00:244::7]:40000 > [fd00:96::a]:80 S",
            &format!("forward to pod 12: tcp [{stand_in_v6}]:40000 > [fd00:244::7]:8080 S ttl 63"),
        ),
        (
            "its reply",
            &format!("pod 12: tcp [fd00:244::7]:8080 > [{stand_in_v6}]:40000 SA"),
            "forward to pod 12: tcp [fd00:96::a]:80 > [fd00:244::7]:40000 SA ttl 63",
        ),
        (
            "the node to itself",
            "node: tcp 192.168.0.1:40000 > 10.96.0.1:443 S",
            &format!("forward to host: tcp {stand_in}:40000 > 192.168.0.1:6443 S"),
        ),
        (
            "its reply",
            &format!("node: tcp 192.168.0.1:6443 > {stand_in}:40000 SA"),
            "forward to host: tcp 10.96.0.1:443 > 192.168.0.1:40000 SA",
        ),
        (
            "the node to itself by IPv6",
            "node: tcp [fd00:192::1]:40000 > [fd00:96::1]:443 S",
            &format!("forward to host: tcp [{stand_in_v6}]:40000 > [fd00:192::1]:6443 S"),
        ),
        (
            "a neighbour on an XDP port to the node",
            "port 4: tcp 10.71.0.2:40000 > 10.96.0.1:443 S",
            &format!("forward to host: tcp {stand_in}:{{}} > 192.168.0.1:6443 S"),
        ),
        (
            "not a Pod to the node: its reply leaves by the Pod's veth",
            "pod 11: tcp 10.244.1.2:40000 > 10.96.0.1:443 S",
            "forward to received 11: tcp 10.244.1.2:40000 > 192.168.0.1:6443 S",
        ),
        (
            "that reply",
            "egress 11: tcp 192.168.0.1:6443 > 10.244.1.2:40000 SA",
            "forward to pod 11: tcp 10.96.0.1:443 > 10.244.1.2:40000 SA ttl 63",
        ),
        (
            "not the node to a Pod",
            "node: tcp 192.168.0.1:40000 > 10.96.0.10:80 S",
            "forward to pod 12: tcp 192.168.0.1:40000 > 10.244.1.7:8080 S ttl 63",
        ),
        (
            "that reply",
            "pod 12: tcp 10.244.1.7:8080 > 192.168.0.1:40000 SA",
            "forward to host: tcp 10.96.0.10:80 > 192.168.0.1:40000 SA",
        ),
        (
            "not the node to another node's Pod",
            "node: udp 192.168.0.1:40000 > 10.96.0.10:53",
            "forward to routed: udp 192.168.0.1:40000 > 10.244.2.9:5353",
        ),
        (
            "that reply, from the uplink",
            "pod 2: udp 10.244.2.9:5353 > 192.168.0.1:40000 ttl 62",
            "forward to host: udp 10.96.0.10:53 > 192.168.0.1:40000 ttl 62",
        ),
        (
            "not a Pod to another node's Pod",
            "pod 11: udp 10.244.1.2:40000 > 10.96.0.10:53",
            "forward to received 11: udp 10.244.1.2:40000 > 10.244.2.9:5353",
        ),
        (
            "that reply, on its way to the client",
            "egress 11: udp 10.244.2.9:5353 > 10.244.1.2:40000 ttl 61",
            "forward to pod 11: udp 10.96.0.10:53 > 10.244.1.2:40000 ttl 60",
        ),
    ] {
        let outcome = node.give(packet);
        // Port 40000 of the stand-in address is the node's own: another one is chosen.
        match expected.split_once("{}") {
            Some((before, after)) => {
                let fits = outcome.starts_with(before) && outcome.ends_with(after);
                assert!(fits && !outcome.contains(":40000 >"), "{description}: {outcome}");
            }
            None => assert_eq!(outcome, expected, "{description}: {packet}"),
        }
    }
}
