//! Which way a packet leaves: as received, through the kernel, through an XDP port.

use etherparse::checksum::Sum16BitWords;
use maglane_dataplane::pipeline::Ingress;
use maglane_dataplane::service::Deliver;

use crate::node::{Node, Services, Setup, arrive};
use crate::text;

const SERVICES: Services<'_> = &[
    ("tcp 10.96.0.10:80", &["10.244.1.7:8080"]),
    ("tcp 10.96.0.72:80", &["10.72.0.2:8080"]),
    ("udp 10.96.0.72:53", &["10.72.0.2:5353"]),
    ("tcp [fd00:96::72]:80", &["[fd00:72::2]:8080"]),
    ("tcp 10.96.0.1:443", &["192.168.0.1:6443"]),
    ("tcp 10.96.0.20:80", &[]),
];

#[track_caller]
fn check_all(node: &mut Node, cases: &[(&str, &str, &str)]) {
    for (description, packet, expected) in cases {
        node.check(description, packet, expected);
    }
}

#[test]
fn what_a_false_match_brought_goes_back_unchanged() {
    let mut node = Node::new(SERVICES);
    check_all(
        &mut node,
        &[
            (
                "from a Pod",
                "pod 12: tcp 10.244.1.7:5000 > 10.244.1.2:6000 A len 7",
                "kernel to received 12: tcp 10.244.1.7:5000 > 10.244.1.2:6000 A len 7",
            ),
            (
                "on its last step to a Pod",
                "egress 11: tcp 10.244.1.7:5000 > 10.244.1.2:6000 A len 7 ttl 1",
                "kernel to pod 11: tcp 10.244.1.7:5000 > 10.244.1.2:6000 A len 7 ttl 1",
            ),
            (
                "to a Pod that is not in the table",
                "egress 19: tcp 10.244.1.7:5000 > 10.244.1.2:6000 A",
                "kernel to pod 19 (address unknown): tcp 10.244.1.7:5000 > 10.244.1.2:6000 A",
            ),
            (
                "from an XDP port",
                "port 4: udp 10.71.0.2:5000 > 10.244.1.2:6000 len 7",
                "kernel to received 4: udp 10.71.0.2:5000 > 10.244.1.2:6000 len 7",
            ),
            (
                "not from the node, to which it would come again",
                "node: tcp 192.168.0.1:5000 > 10.96.0.99:80 S",
                "drop UnknownFlow",
            ),
            (
                "a reset, too",
                "pod 12: tcp 10.244.1.7:5000 > 10.244.1.2:6000 R",
                "kernel to received 12: tcp 10.244.1.7:5000 > 10.244.1.2:6000 R",
            ),
        ],
    );
    assert_eq!(node.counter("to_kernel"), 5);
}

#[test]
fn through_the_kernel_packets_come_from_where_their_source_is_routed() {
    let setup = Setup { deliver: Deliver::Kernel, ..Setup::default() };
    let mut node = Node::with(setup, SERVICES);
    check_all(
        &mut node,
        &[
            (
                "from a Pod to a Pod: as received",
                "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 S ttl 1",
                "forward to received 11: tcp 10.244.1.2:40000 > 10.244.1.7:8080 S ttl 1",
            ),
            (
                "the kernel minds lengths itself",
                "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 A len 3000",
                "forward to received 11: tcp 10.244.1.2:40000 > 10.244.1.7:8080 A len 3000",
            ),
            (
                "the reply has the Service's address, which is routed at the host port",
                "pod 12: tcp 10.244.1.7:8080 > 10.244.1.2:40000 SA",
                "forward to host: tcp 10.96.0.10:80 > 10.244.1.2:40000 SA",
            ),
            (
                "so has a stand-in",
                "pod 12: tcp 10.244.1.7:40000 > 10.96.0.10:80 S",
                "forward to host: tcp 169.254.77.1:40000 > 10.244.1.7:8080 S",
            ),
            (
                "the node's own address comes from nowhere",
                "node: tcp 192.168.0.1:40000 > 10.96.0.10:80 S",
                "forward to routed: tcp 192.168.0.1:40000 > 10.244.1.7:8080 S",
            ),
            (
                "an answer",
                "pod 11: tcp 10.244.1.2:40000 > 10.96.0.20:80 S",
                "answer to host: tcp 10.96.0.20:80 > 10.244.1.2:40000 RA seq 0 ack 1001",
            ),
            (
                "an answer to an address that nobody told us of",
                "pod 14: tcp 10.244.1.99:40000 > 10.96.0.20:80 S",
                "answer to host: tcp 10.96.0.20:80 > 10.244.1.99:40000 RA seq 0 ack 1001",
            ),
            (
                "an XDP port is none of the kernel's",
                "pod 11: tcp 10.244.1.2:40001 > 10.96.0.72:80 S",
                "forward to port 5: tcp 10.244.1.2:40001 > 10.72.0.2:8080 S ttl 63",
            ),
        ],
    );
}

#[test]
fn between_xdp_ports_without_a_host_port() {
    let setup = Setup { host_port: false, ..Setup::default() };
    let mut node = Node::with(setup, SERVICES);
    check_all(
        &mut node,
        &[
            (
                "in by one port, out by another",
                "port 4: tcp 10.71.0.2:40000 > 10.96.0.72:80 S",
                "forward to port 5: tcp 10.71.0.2:40000 > 10.72.0.2:8080 S ttl 63",
            ),
            (
                "and back",
                "port 5: tcp 10.72.0.2:8080 > 10.71.0.2:40000 SA",
                "forward to port 4: tcp 10.96.0.72:80 > 10.71.0.2:40000 SA ttl 63",
            ),
            (
                "IPv6",
                "port 4: tcp [fd00:71::2]:40000 > [fd00:96::72]:80 S",
                "forward to port 5: tcp [fd00:71::2]:40000 > [fd00:72::2]:8080 S ttl 63",
            ),
            (
                "too long for the other",
                "port 4: tcp 10.71.0.2:40000 > 10.96.0.72:80 A len 1361",
                "answer to port 4: icmp 10.96.0.72 > 10.71.0.2 3/4 mtu 1400 ttl 63 \
                 { tcp 10.71.0.2:40000 > 10.96.0.72:80 cut }",
            ),
            (
                "the last hop",
                "port 5: tcp 10.72.0.2:8080 > 10.71.0.2:40000 A ttl 1",
                "answer to port 5: icmp 10.71.0.2 > 10.72.0.2 11/0 ttl 63 \
                 { tcp 10.72.0.2:8080 > 10.71.0.2:40000 A ttl 1 }",
            ),
            (
                "a backend reaches itself",
                "port 5: tcp 10.72.0.2:40000 > 10.96.0.72:80 S",
                "forward to port 5: tcp 169.254.77.1:40000 > 10.72.0.2:8080 S ttl 63",
            ),
            (
                "its reply",
                "port 5: tcp 10.72.0.2:8080 > 169.254.77.1:40000 SA",
                "forward to port 5: tcp 10.96.0.72:80 > 10.72.0.2:40000 SA ttl 63",
            ),
            (
                "a Pod is out of reach",
                "port 4: tcp 10.71.0.2:40001 > 10.96.0.10:80 S",
                "drop NoHostPort",
            ),
            ("so is the kernel", "port 4: udp 10.71.0.2:1 > 10.72.0.2:2", "drop NoHostPort"),
        ],
    );
}

/// What a kernel leaves in the checksum's field for hardware to complete: the folded sum of the
/// pseudo-header.
fn unfinished(packet: &str) -> (Ingress, Vec<u8>) {
    let (ingress, mut frame) = arrive("port 4", text::build(packet));
    let (addresses, offset) = match frame[12..14] {
        [0x08, 0x00] => (26..34, 34),
        _ => (22..54, 54),
    };
    let protocol = if packet.starts_with("tcp") { 6 } else { 17 };
    let bytes = (frame.len() - offset) as u16;
    let sum = Sum16BitWords::new()
        .add_slice(&frame[addresses])
        .add_2bytes([0, protocol])
        .add_2bytes(bytes.to_be_bytes());
    let field = offset + if protocol == 6 { 16 } else { 6 };
    frame[field..field + 2].copy_from_slice(&(!sum.ones_complement()).to_ne_bytes());
    (ingress, frame)
}

#[test]
fn a_checksum_that_was_left_to_hardware_is_finished() {
    let mut node = Node::new(SERVICES);
    for (packet, expected) in [
        (
            "tcp 10.71.0.2:40000 > 10.96.0.72:80 A len 33",
            "forward to port 5: tcp 10.71.0.2:40000 > 10.72.0.2:8080 A len 33 ttl 63",
        ),
        (
            "tcp [fd00:71::2]:40000 > [fd00:96::72]:80 S",
            "forward to port 5: tcp [fd00:71::2]:40000 > [fd00:72::2]:8080 S ttl 63",
        ),
        (
            "udp 10.71.0.2:40000 > 10.96.0.72:53 len 8",
            "forward to port 5: udp 10.71.0.2:40000 > 10.72.0.2:5353 len 8 ttl 63",
        ),
    ] {
        let (ingress, frame) = unfinished(packet);
        assert!(frame != arrive("port 4", text::build(packet)).1, "it is unfinished");
        assert_eq!(node.process(ingress, &frame, false), expected);
    }
}

#[test]
fn between_an_xdp_port_and_the_host_port() {
    let mut node = Node::new(SERVICES);
    check_all(
        &mut node,
        &[
            (
                "a neighbour to a Pod",
                "port 4: tcp 10.71.0.2:40000 > 10.96.0.10:80 S",
                "forward to pod 12: tcp 10.71.0.2:40000 > 10.244.1.7:8080 S ttl 63",
            ),
            (
                "its reply",
                "pod 12: tcp 10.244.1.7:8080 > 10.71.0.2:40000 SA",
                "forward to port 4: tcp 10.96.0.10:80 > 10.71.0.2:40000 SA ttl 63",
            ),
            (
                "a Pod to a neighbour",
                "pod 11: tcp 10.244.1.2:40000 > 10.96.0.72:80 S",
                "forward to port 5: tcp 10.244.1.2:40000 > 10.72.0.2:8080 S ttl 63",
            ),
            (
                "its reply",
                "port 5: tcp 10.72.0.2:8080 > 10.244.1.2:40000 SA",
                "forward to pod 11: tcp 10.96.0.72:80 > 10.244.1.2:40000 SA ttl 63",
            ),
        ],
    );
}
