//! Packets that reach a worker which does not own their flow.

use maglane_dataplane::wire::Endpoint;

use crate::node::{KEYS, Node, Services, Setup, endpoint};

const SERVICES: Services<'_> = &[
    ("tcp 10.96.0.72:80", &["10.72.0.2:8080"]),
    ("udp 10.96.0.72:53", &["10.72.0.2:5353"]),
    ("tcp 10.96.0.20:80", &[]),
];

fn worker(number: u32) -> Node {
    Node::with(Setup { worker: number, workers: 3, host_port: false, ..Setup::default() }, SERVICES)
}

/// A client port whose flows are this worker's.
fn port_of(worker: u32) -> u16 {
    let owner = |port| KEYS.worker_of(&Endpoint { port, ..endpoint("10.71.0.2:0") }, 3);
    (40_000..).find(|port| owner(*port) == worker).expect("a port")
}

#[test]
fn a_packet_goes_to_the_worker_that_owns_its_client() {
    let mut node = worker(1);
    for owner in [0, 2] {
        let port = port_of(owner);
        let to_owner = format!("hand over to {owner}");
        for (description, packet) in [
            ("a new flow", format!("port 4: tcp 10.71.0.2:{port} > 10.96.0.72:80 S")),
            ("its middle", format!("port 4: tcp 10.71.0.2:{port} > 10.96.0.72:80 A len 9")),
            ("what will be refused", format!("port 4: tcp 10.71.0.2:{port} > 10.96.0.20:80 S")),
            ("an unknown port", format!("port 4: udp 10.71.0.2:{port} > 10.96.0.72:80")),
            ("a reply", format!("port 5: tcp 10.72.0.2:8080 > 10.71.0.2:{port} SA")),
            (
                "an error from the backend",
                format!(
                    "port 5: icmp 10.72.0.2 > 10.71.0.2 3/3 \
                     {{ udp 10.71.0.2:{port} > 10.72.0.2:5353 }}"
                ),
            ),
            (
                "an error from the client",
                format!(
                    "port 4: icmp 10.71.0.2 > 10.96.0.72 3/3 \
                     {{ udp 10.96.0.72:53 > 10.71.0.2:{port} }}"
                ),
            ),
        ] {
            node.check(description, &packet, &to_owner);
        }
    }
    assert_eq!(node.counter("handed_over"), 14);
    assert!(node.flows().is_empty());
    let port = port_of(1);
    node.check(
        "one of its own",
        &format!("port 4: tcp 10.71.0.2:{port} > 10.96.0.72:80 S"),
        &format!("forward to port 5: tcp 10.71.0.2:{port} > 10.72.0.2:8080 S ttl 63"),
    );
    node.check(
        "and its reply",
        &format!("port 5: tcp 10.72.0.2:8080 > 10.71.0.2:{port} SA"),
        &format!("forward to port 4: tcp 10.96.0.72:80 > 10.71.0.2:{port} SA ttl 63"),
    );
}

#[test]
fn what_was_handed_over_is_decided() {
    let mut node = worker(1);
    let port = port_of(1);
    let client = format!("10.71.0.2:{port}");
    assert_eq!(
        node.give_handed_over(&format!("port 4: tcp {client} > 10.96.0.72:80 S")),
        format!("forward to port 5: tcp {client} > 10.72.0.2:8080 S ttl 63"),
    );
    assert_eq!(
        node.give_handed_over(&format!("port 5: tcp 10.72.0.2:8080 > {client} SA")),
        format!("forward to port 4: tcp 10.96.0.72:80 > {client} SA ttl 63"),
    );
    // Not even one that is another's goes on: it would go round.
    let foreign = port_of(2);
    assert_eq!(
        node.give_handed_over(&format!("port 4: tcp 10.71.0.2:{foreign} > 10.96.0.20:80 S")),
        format!(
            "answer to port 4: tcp 10.96.0.20:80 > 10.71.0.2:{foreign} RA seq 0 ack 1001 ttl 63"
        ),
    );
    assert_eq!(
        node.give_handed_over(&format!("port 5: tcp 10.72.0.2:9 > 10.71.0.2:{foreign} A")),
        "drop NoHostPort",
    );
    assert_eq!(node.counter("handed_over"), 0);
}

#[test]
fn a_translated_port_leads_replies_to_the_same_worker() {
    let mut node = worker(2);
    for port in (40_000..)
        .filter(|port| KEYS.worker_of(&Endpoint { port: *port, ..endpoint("10.72.0.2:0") }, 3) == 2)
        .take(40)
    {
        // A backend that reaches itself, by a stand-in whose hash is another.
        let sent = node.give(&format!("port 5: tcp 10.72.0.2:{port} > 10.96.0.72:80 S"));
        let flows = node.flows();
        let flow = flows.iter().find(|flow| flow.client.port == port).expect("the flow");
        assert_eq!(KEYS.worker_of(&flow.translated, 3), 2);
        let stand_in = format!("169.254.77.1:{}", flow.translated.port);
        assert_eq!(sent, format!("forward to port 5: tcp {stand_in} > 10.72.0.2:8080 S ttl 63"));
        node.check(
            "its reply",
            &format!("port 5: tcp 10.72.0.2:8080 > {stand_in} SA"),
            &format!("forward to port 5: tcp 10.96.0.72:80 > 10.72.0.2:{port} SA ttl 63"),
        );
    }
}
