//! ICMP errors about flows: what they quote is what their receiver sent.

use crate::node::{Node, Services};

const SERVICES: Services<'_> = &[
    ("udp 10.96.0.10:53", &["10.244.1.7:5353"]),
    ("tcp 10.96.0.10:80", &["10.244.2.9:8080"]),
    ("udp [fd00:96::a]:53", &["[fd00:244::7]:5353"]),
    ("tcp 10.96.0.1:443", &["192.168.0.1:6443"]),
];

#[test]
fn errors_from_the_backends_side() {
    let mut node = Node::new(SERVICES);
    for (description, packet, expected) in [
        (
            "before the flow is known",
            "pod 12: icmp 10.244.1.7 > 10.244.1.2 3/3 \
             { udp 10.244.1.2:40000 > 10.244.1.7:5353 len 9 }",
            "kernel to received 12: icmp 10.244.1.7 > 10.244.1.2 3/3 \
             { udp 10.244.1.2:40000 > 10.244.1.7:5353 len 9 }",
        ),
        (
            "a flow",
            "pod 11: udp 10.244.1.2:40000 > 10.96.0.10:53 len 9",
            "forward to pod 12: udp 10.244.1.2:40000 > 10.244.1.7:5353 len 9 ttl 63",
        ),
        (
            "nobody listens: the Service itself says so",
            "pod 12: icmp 10.244.1.7 > 10.244.1.2 3/3 \
             { udp 10.244.1.2:40000 > 10.244.1.7:5353 len 9 ttl 63 }",
            "forward to pod 11: icmp 10.96.0.10 > 10.244.1.2 3/3 ttl 63 \
             { udp 10.244.1.2:40000 > 10.96.0.10:53 len 9 ttl 63 }",
        ),
        (
            "as little as may be quoted, behind a tag and options",
            "pod 12: vlan 2 icmp 10.244.1.7 > 10.244.1.2 3/3 options \
             { udp 10.244.1.2:40000 > 10.244.1.7:5353 len 9 cut }",
            "forward to pod 11: vlan 2 icmp 10.96.0.10 > 10.244.1.2 3/3 ttl 63 options \
             { udp 10.244.1.2:40000 > 10.96.0.10:53 cut }",
        ),
        (
            "its hops are used up",
            "pod 12: icmp 10.244.1.7 > 10.244.1.2 3/3 ttl 1 \
             { udp 10.244.1.2:40000 > 10.244.1.7:5353 len 9 }",
            "drop Unanswerable",
        ),
        (
            "a flow to another node",
            "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 S",
            "forward to received 11: tcp 10.244.1.2:40000 > 10.244.2.9:8080 S",
        ),
        (
            "a router in between, which is nobody's stand-in: too long",
            "egress 11: icmp 10.0.0.254 > 10.244.1.2 3/4 mtu 1300 \
             { tcp 10.244.1.2:40000 > 10.244.2.9:8080 A len 1400 }",
            "forward to pod 11: icmp 10.0.0.254 > 10.244.1.2 3/4 mtu 1300 ttl 63 \
             { tcp 10.244.1.2:40000 > 10.96.0.10:80 A len 1400 }",
        ),
        (
            "too many hops",
            "egress 11: icmp 10.0.0.254 > 10.244.1.2 11/0 \
             { tcp 10.244.1.2:40000 > 10.244.2.9:8080 S ttl 1 cut }",
            "forward to pod 11: icmp 10.0.0.254 > 10.244.1.2 11/0 ttl 63 \
             { tcp 10.244.1.2:40000 > 10.96.0.10:80 cut }",
        ),
        (
            "an IPv6 flow",
            "pod 11: udp [fd00:244::2]:40000 > [fd00:96::a]:53 len 9",
            "forward to pod 12: udp [fd00:244::2]:40000 > [fd00:244::7]:5353 len 9 ttl 63",
        ),
        (
            "nobody listens",
            "pod 12: icmp fd00:244::7 > fd00:244::2 1/4 \
             { udp [fd00:244::2]:40000 > [fd00:244::7]:5353 len 9 ttl 63 }",
            "forward to pod 11: icmp fd00:96::a > fd00:244::2 1/4 ttl 63 \
             { udp [fd00:244::2]:40000 > [fd00:96::a]:53 len 9 ttl 63 }",
        ),
        (
            "too long, from a router",
            "pod 12: icmp fd00::fe > fd00:244::2 2/0 mtu 1280 \
             { udp [fd00:244::2]:40000 > [fd00:244::7]:5353 len 1300 cut }",
            "forward to pod 11: icmp fd00::fe > fd00:244::2 2/0 mtu 1280 ttl 63 \
             { udp [fd00:244::2]:40000 > [fd00:96::a]:53 cut }",
        ),
        (
            "a masqueraded flow",
            "node: tcp 192.168.0.1:40000 > 10.96.0.1:443 S",
            "forward to host: tcp 169.254.77.1:40000 > 192.168.0.1:6443 S",
        ),
        (
            "its client is found behind the stand-in",
            "node: icmp 192.168.0.1 > 169.254.77.1 3/1 \
             { tcp 169.254.77.1:40000 > 192.168.0.1:6443 S }",
            "forward to host: icmp 10.96.0.1 > 192.168.0.1 3/1 \
             { tcp 192.168.0.1:40000 > 10.96.0.1:443 S }",
        ),
    ] {
        node.check(description, packet, expected);
    }
}

#[test]
fn errors_from_the_clients_side() {
    let mut node = Node::new(SERVICES);
    for (description, packet, expected) in [
        (
            "about no flow",
            "pod 11: icmp 10.244.1.2 > 10.96.0.10 3/3 { udp 10.96.0.10:53 > 10.244.1.2:40000 }",
            "drop UnknownIcmpError",
        ),
        (
            "a flow",
            "pod 11: udp 10.244.1.2:40000 > 10.96.0.10:53 len 9",
            "forward to pod 12: udp 10.244.1.2:40000 > 10.244.1.7:5353 len 9 ttl 63",
        ),
        (
            "its reply",
            "pod 12: udp 10.244.1.7:5353 > 10.244.1.2:40000 len 70",
            "forward to pod 11: udp 10.96.0.10:53 > 10.244.1.2:40000 len 70 ttl 63",
        ),
        (
            "the client has gone: the backend learns of it, about what it sent",
            "pod 11: icmp 10.244.1.2 > 10.96.0.10 3/3 \
             { udp 10.96.0.10:53 > 10.244.1.2:40000 len 70 ttl 63 }",
            "forward to pod 12: icmp 10.244.1.2 > 10.244.1.7 3/3 ttl 63 \
             { udp 10.244.1.7:5353 > 10.244.1.2:40000 len 70 ttl 63 }",
        ),
        (
            "too long for a router before the client",
            "pod 2: icmp 10.0.0.254 > 10.96.0.10 3/4 mtu 1300 \
             { udp 10.96.0.10:53 > 10.244.1.2:40000 len 1400 }",
            "forward to pod 12: icmp 10.0.0.254 > 10.244.1.7 3/4 mtu 1300 ttl 63 \
             { udp 10.244.1.7:5353 > 10.244.1.2:40000 len 1400 }",
        ),
        (
            "a masqueraded flow",
            "pod 12: udp 10.244.1.7:40000 > 10.96.0.10:53",
            "forward to pod 12: udp 169.254.77.1:40000 > 10.244.1.7:5353 ttl 63",
        ),
        (
            "the backend hears of it from the stand-in",
            "pod 12: icmp 10.244.1.7 > 10.96.0.10 3/3 { udp 10.96.0.10:53 > 10.244.1.7:40000 }",
            "forward to pod 12: icmp 169.254.77.1 > 10.244.1.7 3/3 ttl 63 \
             { udp 10.244.1.7:5353 > 169.254.77.1:40000 }",
        ),
        (
            "an error about another protocol of a Service",
            "pod 11: icmp 10.244.1.2 > 10.96.0.10 3/3 { sctp 10.96.0.10 > 10.244.1.2 }",
            "drop UnsupportedProtocol",
        ),
    ] {
        node.check(description, packet, expected);
    }
    assert_eq!(node.flows().len(), 2, "errors open no flow");
}
