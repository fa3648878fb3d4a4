//! Packets that are answered, and those that are neither answered nor forwarded.

use maglane_dataplane::pipeline::Ingress;

use crate::node::{Node, Services, Setup, arrive};
use crate::text;

const SERVICES: Services<'_> = &[
    ("tcp 10.96.0.10:80", &["10.244.1.7:8080"]),
    ("tcp 10.96.0.10:81", &["10.244.1.8:8080"]),
    ("udp 10.96.0.10:53", &["10.244.1.8:5353"]),
    ("tcp 10.96.0.20:80", &[]),
    ("udp 10.96.0.20:53", &[]),
    ("tcp [fd00:96::a]:80", &["[fd00:244::8]:8080"]),
    ("tcp [fd00:96::b]:80", &[]),
    ("udp [fd00:96::b]:53", &[]),
];

#[track_caller]
fn check_all(node: &mut Node, cases: &[(&str, &str, &str)]) {
    for (description, packet, expected) in cases {
        node.check(description, packet, expected);
    }
}

#[test]
fn what_nobody_serves_is_rejected() {
    let mut node = Node::new(SERVICES);
    check_all(
        &mut node,
        &[
            (
                "an unknown TCP port",
                "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:82 S",
                "answer to pod 11: tcp 10.96.0.10:82 > 10.244.1.2:40000 RA seq 0 ack 1001 ttl 63",
            ),
            (
                "UDP to a TCP port",
                "pod 11: udp 10.244.1.2:40000 > 10.96.0.10:80 len 20",
                "answer to pod 11: icmp 10.96.0.10 > 10.244.1.2 3/3 ttl 63 \
                 { udp 10.244.1.2:40000 > 10.96.0.10:80 len 20 }",
            ),
            (
                "TCP to a UDP port",
                "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:53 S",
                "answer to pod 11: tcp 10.96.0.10:53 > 10.244.1.2:40000 RA seq 0 ack 1001 ttl 63",
            ),
            (
                "a Service without endpoints",
                "pod 11: tcp 10.244.1.2:40000 > 10.96.0.20:80 S",
                "answer to pod 11: tcp 10.96.0.20:80 > 10.244.1.2:40000 RA seq 0 ack 1001 ttl 63",
            ),
            (
                "data to it, which is acknowledged by nobody",
                "pod 11: tcp 10.244.1.2:40000 > 10.96.0.20:80 A len 50",
                "answer to pod 11: tcp 10.96.0.20:80 > 10.244.1.2:40000 R seq 2000 ack 0 ttl 63",
            ),
            (
                "UDP without endpoints",
                "pod 11: udp 10.244.1.2:40000 > 10.96.0.20:53 len 20",
                "answer to pod 11: icmp 10.96.0.20 > 10.244.1.2 3/3 ttl 63 \
                 { udp 10.244.1.2:40000 > 10.96.0.20:53 len 20 }",
            ),
            (
                "a long datagram is quoted in part",
                "pod 11: udp 10.244.1.2:40000 > 10.96.0.20:53 len 1400",
                "answer to pod 11: icmp 10.96.0.20 > 10.244.1.2 3/3 ttl 63 \
                 { udp 10.244.1.2:40000 > 10.96.0.20:53 cut }",
            ),
            (
                "IPv6 TCP without endpoints",
                "pod 11: tcp [fd00:244::2]:40000 > [fd00:96::b]:80 S",
                "answer to pod 11: tcp [fd00:96::b]:80 > [fd00:244::2]:40000 \
                 RA seq 0 ack 1001 ttl 63",
            ),
            (
                "IPv6 UDP without endpoints, behind extension headers",
                "pod 11: udp [fd00:244::2]:40000 > [fd00:96::b]:53 len 20 options",
                "answer to pod 11: icmp fd00:96::b > fd00:244::2 1/4 ttl 63 \
                 { udp [fd00:244::2]:40000 > [fd00:96::b]:53 len 20 options }",
            ),
            (
                "behind IPv4 options and a tag",
                "pod 11: vlan 3 tcp 10.244.1.2:40000 > 10.96.0.20:80 S options",
                "answer to pod 11: vlan 3 tcp 10.96.0.20:80 > 10.244.1.2:40000 \
                 RA seq 0 ack 1001 ttl 63",
            ),
            (
                "the node is answered through the kernel",
                "node: tcp 192.168.0.1:40000 > 10.96.0.20:80 S",
                "answer to host: tcp 10.96.0.20:80 > 192.168.0.1:40000 RA seq 0 ack 1001",
            ),
            (
                "an address that nobody told us of: to where it came from",
                "pod 14: tcp 10.244.1.99:40000 > 10.96.0.20:80 S",
                "answer to pod 14 (address unknown): tcp 10.96.0.20:80 > 10.244.1.99:40000 \
                 RA seq 0 ack 1001 ttl 63",
            ),
            (
                "a neighbour on an XDP port",
                "port 4: tcp 10.71.0.2:40000 > 10.96.0.20:80 S",
                "answer to port 4: tcp 10.96.0.20:80 > 10.71.0.2:40000 RA seq 0 ack 1001 ttl 63",
            ),
            (
                "somebody behind that neighbour",
                "port 4: tcp 10.9.9.9:40000 > 10.96.0.20:80 S",
                "answer to port 4: tcp 10.96.0.20:80 > 10.9.9.9:40000 RA seq 0 ack 1001",
            ),
            (
                "a reset is not answered",
                "pod 11: tcp 10.244.1.2:40000 > 10.96.0.20:80 R",
                "drop Unanswerable",
            ),
            (
                "nobody answers a multicast sender",
                "pod 11: udp 224.0.0.1:40000 > 10.96.0.20:53",
                "drop Unanswerable",
            ),
        ],
    );
    assert_eq!(node.counter("flows_opened"), 0);
}

#[test]
fn a_virtual_ip_answers_ping() {
    let mut node = Node::new(SERVICES);
    check_all(
        &mut node,
        &[
            (
                "IPv4",
                "pod 11: icmp 10.244.1.2 > 10.96.0.10 8/0 len 56",
                "answer to pod 11: icmp 10.96.0.10 > 10.244.1.2 0/0 len 56 ttl 63",
            ),
            (
                "IPv6",
                "pod 11: icmp fd00:244::2 > fd00:96::a 128/0 len 57",
                "answer to pod 11: icmp fd00:96::a > fd00:244::2 129/0 len 57 ttl 63",
            ),
            (
                "the node",
                "node: icmp 192.168.0.1 > 10.96.0.20 8/0 len 8",
                "answer to host: icmp 10.96.0.20 > 192.168.0.1 0/0 len 8",
            ),
            (
                "a neighbour",
                "port 5: icmp fd00:72::2 > fd00:96::b 128/0",
                "answer to port 5: icmp fd00:96::b > fd00:72::2 129/0 ttl 63",
            ),
            (
                "not for somebody else",
                "pod 11: icmp 10.244.1.2 > 10.96.0.99 8/0 len 56",
                "kernel to received 11: icmp 10.244.1.2 > 10.96.0.99 8/0 len 56",
            ),
            (
                "an echo reply",
                "pod 11: icmp 10.244.1.2 > 10.96.0.10 0/0",
                "drop UnsupportedProtocol",
            ),
        ],
    );
}

#[test]
fn a_hop_that_is_counted_here_can_be_the_last() {
    let mut node = Node::new(SERVICES);
    check_all(
        &mut node,
        &[
            (
                "two are enough",
                "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 S ttl 2",
                "forward to pod 12: tcp 10.244.1.2:40000 > 10.244.1.7:8080 S ttl 1",
            ),
            (
                "one is not: the Service reports, about what the client sent",
                "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 A len 4 ttl 1",
                "answer to pod 11: icmp 10.96.0.10 > 10.244.1.2 11/0 ttl 63 \
                 { tcp 10.244.1.2:40000 > 10.96.0.10:80 A len 4 ttl 1 }",
            ),
            (
                "none, on the way back",
                "pod 12: tcp 10.244.1.7:8080 > 10.244.1.2:40000 SA ttl 0",
                "answer to pod 12: icmp 10.244.1.2 > 10.244.1.7 11/0 ttl 63 \
                 { tcp 10.244.1.7:8080 > 10.244.1.2:40000 SA ttl 0 }",
            ),
            (
                "IPv6",
                "pod 11: tcp [fd00:244::2]:40000 > [fd00:96::a]:80 S ttl 1",
                "answer to pod 11: icmp fd00:96::a > fd00:244::2 3/0 ttl 63 \
                 { tcp [fd00:244::2]:40000 > [fd00:96::a]:80 S ttl 1 }",
            ),
        ],
    );
}

#[test]
fn what_is_too_long_for_the_way_out_is_reported_with_its_mtu() {
    let mut node = Node::new(SERVICES);
    check_all(
        &mut node,
        &[
            (
                "as long as the link takes: 20 + 20 + 1360",
                "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:81 A len 1360",
                "forward to pod 13: tcp 10.244.1.2:40000 > 10.244.1.8:8080 A len 1360 ttl 63",
            ),
            (
                "one more",
                "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:81 A len 1361",
                "answer to pod 11: icmp 10.96.0.10 > 10.244.1.2 3/4 mtu 1400 ttl 63 \
                 { tcp 10.244.1.2:40000 > 10.96.0.10:81 cut }",
            ),
            (
                "one more of the first packet of a flow",
                "pod 11: udp 10.244.1.2:40000 > 10.96.0.10:53 len 1373",
                "answer to pod 11: icmp 10.96.0.10 > 10.244.1.2 3/4 mtu 1400 ttl 63 \
                 { udp 10.244.1.2:40000 > 10.96.0.10:53 cut }",
            ),
            (
                "a longer link on the way back",
                "pod 13: tcp 10.244.1.8:8080 > 10.244.1.2:40000 A len 1460",
                "forward to pod 11: tcp 10.96.0.10:81 > 10.244.1.2:40000 A len 1460 ttl 63",
            ),
            (
                "too long on the way back",
                "pod 13: tcp 10.244.1.8:8080 > 10.244.1.2:40000 A len 1461",
                "answer to pod 13: icmp 10.244.1.2 > 10.244.1.8 3/4 mtu 1500 ttl 63 \
                 { tcp 10.244.1.8:8080 > 10.244.1.2:40000 cut }",
            ),
            (
                "IPv6: 40 + 20 + 1340",
                "pod 11: tcp [fd00:244::2]:40000 > [fd00:96::a]:80 A len 1340",
                "forward to pod 13: tcp [fd00:244::2]:40000 > [fd00:244::8]:8080 A len 1340 ttl 63",
            ),
            (
                "one more",
                "pod 11: tcp [fd00:244::2]:40000 > [fd00:96::a]:80 A len 1341",
                "answer to pod 11: icmp fd00:96::a > fd00:244::2 2/0 mtu 1400 ttl 63 \
                 { tcp [fd00:244::2]:40000 > [fd00:96::a]:80 cut }",
            ),
            (
                "its sender may not be told",
                "pod 11: tcp 224.0.0.9:40000 > 10.96.0.10:81 A len 1361",
                "drop TooBig",
            ),
        ],
    );
}

#[test]
fn what_is_no_business_of_a_service() {
    let mut node = Node::new(SERVICES);
    check_all(
        &mut node,
        &[
            (
                "a reset of no connection",
                "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 R",
                "drop UnknownReset",
            ),
            (
                "nor one with an acknowledgment",
                "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 RA",
                "drop UnknownReset",
            ),
            (
                "a later fragment",
                "pod 11: udp 10.244.1.2:40000 > 10.96.0.10:53 len 80 later",
                "drop LaterFragment",
            ),
            (
                "an IPv6 one",
                "pod 11: tcp [fd00:244::2]:40000 > [fd00:96::a]:80 A len 80 later",
                "drop LaterFragment",
            ),
            ("SCTP", "pod 11: sctp 10.244.1.2 > 10.96.0.10", "drop UnsupportedProtocol"),
            (
                "a frame without a message",
                "silent: tcp 10.244.1.2:40000 > 10.96.0.10:80 S",
                "drop NoMessage",
            ),
        ],
    );
    assert_eq!(node.counter("flows_opened"), 0);
    let (ingress, mut frame) =
        arrive("pod 11", text::build("udp 10.244.1.2:40000 > 10.96.0.10:53"));
    frame[13] = 6;
    assert_eq!(node.process(ingress, &frame, false), "drop NotIp", "ARP");
    frame[13] = 0;
    frame[14] = 0x41;
    assert_eq!(node.process(ingress, &frame, false), "drop Malformed(HeaderLength)");
    assert_eq!(node.process(ingress, &[], false), "drop Malformed(TruncatedEthernet)");
    let port = Ingress::Port { interface: 4 };
    assert_eq!(node.process(port, &frame[..20], false), "drop Malformed(TruncatedIp)");
}

#[test]
fn answers_are_limited() {
    let mut node = Node::with(Setup { host_port: true, ..Setup::default() }, SERVICES);
    let refused = "pod 11: tcp 10.244.1.2:40000 > 10.96.0.20:80 S";
    let answered = |node: &mut Node, packets: u32| {
        (0..packets).filter(|_| node.give(refused).starts_with("answer")).count()
    };
    assert_eq!(answered(&mut node, 1_200), 1_000, "so many at once");
    assert_eq!(node.counter("drop_answer_limit"), 200);
    node.check("a limit of answers only", "pod 11: udp 10.244.1.2:5 > 10.96.0.10:53", {
        "forward to pod 13: udp 10.244.1.2:5 > 10.244.1.8:5353 ttl 63"
    });
    node.now_ms += 7;
    assert_eq!(answered(&mut node, 100), 70, "ten more a millisecond");
    node.now_ms += 10_000;
    assert_eq!(answered(&mut node, 1_100), 1_000, "no more than the bucket holds");
}

#[test]
fn what_cannot_be_answered_takes_no_answer_from_others() {
    let mut node = Node::new(SERVICES);
    for _ in 0..1_000 {
        node.give("pod 11: tcp 10.244.1.2:40000 > 10.96.0.20:80 R");
    }
    assert_eq!(node.counter("drop_unanswerable"), 1_000);
    node.check(
        "after a flood of resets",
        "pod 11: tcp 10.244.1.2:40000 > 10.96.0.20:80 S",
        "answer to pod 11: tcp 10.96.0.20:80 > 10.244.1.2:40000 RA seq 0 ack 1001 ttl 63",
    );
}
