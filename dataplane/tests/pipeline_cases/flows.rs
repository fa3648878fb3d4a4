//! When a flow begins, which backend it keeps, and when it ends.

use maglane_dataplane::service::Lookup;
use maglane_dataplane::wire::{HashKeys, Protocol, Tuple};

use crate::node::{Node, Services, Setup, arrive, endpoint, frontend_of};
use crate::text;

const BOTH: Services<'_> = &[
    ("tcp 10.96.0.10:80", &["10.244.1.7:8080", "10.244.1.8:8080"]),
    ("udp 10.96.0.10:53", &["10.244.1.7:5353", "10.244.1.8:5353"]),
];
const ONLY_7: Services<'_> =
    &[("tcp 10.96.0.10:80", &["10.244.1.7:8080"]), ("udp 10.96.0.10:53", &["10.244.1.7:5353"])];
const ONLY_8: Services<'_> =
    &[("tcp 10.96.0.10:80", &["10.244.1.8:8080"]), ("udp 10.96.0.10:53", &["10.244.1.8:5353"])];
const NEITHER: Services<'_> = &[("tcp 10.96.0.10:80", &[]), ("udp 10.96.0.10:53", &[])];
const DRAINING_7: Services<'_> = &[
    ("tcp 10.96.0.10:80", &["-10.244.1.7:8080", "10.244.1.8:8080"]),
    ("udp 10.96.0.10:53", &["-10.244.1.7:5353", "10.244.1.8:5353"]),
];

const SYN: &str = "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 S";
const SYN_TO_7: &str = "forward to pod 12: tcp 10.244.1.2:40000 > 10.244.1.7:8080 S ttl 63";
const SYN_TO_8: &str = "forward to pod 13: tcp 10.244.1.2:40000 > 10.244.1.8:8080 S ttl 63";
const SYN_ACK_OF_7: &str = "pod 12: tcp 10.244.1.7:8080 > 10.244.1.2:40000 SA";
const DATA: &str = "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 A len 10";
const DATA_TO_7: &str = "forward to pod 12: tcp 10.244.1.2:40000 > 10.244.1.7:8080 A len 10 ttl 63";
const QUERY: &str = "pod 11: udp 10.244.1.2:40000 > 10.96.0.10:53";
const QUERY_TO_7: &str = "forward to pod 12: udp 10.244.1.2:40000 > 10.244.1.7:5353 ttl 63";
const QUERY_TO_8: &str = "forward to pod 13: udp 10.244.1.2:40000 > 10.244.1.8:5353 ttl 63";
const ANSWER_OF_7: &str = "pod 12: udp 10.244.1.7:5353 > 10.244.1.2:40000";

/// How a connection ends, and the packets that say so.
const ENDINGS: [(&str, &[&str]); 3] = [
    (
        "both have finished",
        &[
            "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 FA",
            "pod 12: tcp 10.244.1.7:8080 > 10.244.1.2:40000 FA",
            "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 A",
        ],
    ),
    ("the client reset it", &["pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 R"]),
    ("the backend reset it", &["pod 12: tcp 10.244.1.7:8080 > 10.244.1.2:40000 RA"]),
];

/// A node with an established connection to 10.244.1.7.
fn connected() -> Node {
    let mut node = Node::new(ONLY_7);
    node.check("SYN", SYN, SYN_TO_7);
    assert!(node.give(SYN_ACK_OF_7).starts_with("forward"));
    node.check("data", DATA, DATA_TO_7);
    node
}

#[test]
fn an_established_connection_keeps_its_backend_whatever_comes_or_goes() {
    let mut node = connected();
    for (change, services) in [
        ("another comes", BOTH),
        ("its own drains", DRAINING_7),
        ("its own goes", ONLY_8),
        ("all go", NEITHER),
        ("the Service goes", &[]),
        ("all is as before", ONLY_7),
    ] {
        node.publish(services);
        node.check(change, DATA, DATA_TO_7);
        node.check(
            change,
            "pod 12: tcp 10.244.1.7:8080 > 10.244.1.2:40000 A len 3",
            "forward to pod 11: tcp 10.96.0.10:80 > 10.244.1.2:40000 A len 3 ttl 63",
        );
        // A SYN out of order neither.
        node.check(change, SYN, SYN_TO_7);
    }
    assert_eq!(node.counter("flows_opened"), 1);
}

#[test]
fn a_client_that_forgot_its_connection_is_not_kept_from_the_service() {
    let mut node = connected();
    node.publish(ONLY_8);
    node.now_ms += 60_000;
    node.check("its backend is gone, too", SYN, SYN_TO_8);
    assert_eq!(node.counter("flows_opened"), 2);
}

#[test]
fn nobody_sends_from_a_service_or_a_stand_in_address() {
    let mut node = Node::new(ONLY_7);
    for (claim, packet) in [
        ("the Service itself", "pod 11: tcp 10.96.0.10:80 > 10.96.0.10:80 S"),
        ("another port of it", "pod 11: tcp 10.96.0.10:99 > 10.96.0.10:80 S"),
        ("a stand-in", "pod 11: tcp 169.254.77.1:40000 > 10.96.0.10:80 S"),
    ] {
        node.check(claim, packet, "drop SpoofedSource");
    }
    assert_eq!(node.counter("flows_opened"), 0);
}

#[test]
fn a_syn_opens_a_new_connection_when_the_old_one_is_over() {
    for (description, packets) in ENDINGS {
        let mut node = connected();
        node.publish(ONLY_8);
        for packet in packets {
            assert!(node.give(packet).starts_with("forward"), "{description}");
        }
        node.check(description, SYN, SYN_TO_8);
        assert_eq!(node.counter("flows_opened"), 2, "{description}");
        assert_eq!(node.flows().len(), 1, "{description}");
        node.check(
            "the old backend's packets are nobody's",
            "pod 12: tcp 10.244.1.7:8080 > 10.244.1.2:40000 A",
            "kernel to received 12: tcp 10.244.1.7:8080 > 10.244.1.2:40000 A",
        );
    }
}

/// The client has taken the port again for a connection past the Service: its SYN was not seen.
#[test]
fn an_answer_to_somebody_elses_syn_ends_a_flow_that_is_over() {
    for (description, packets) in ENDINGS {
        let mut node = connected();
        for packet in packets {
            assert!(node.give(packet).starts_with("forward"), "{description}");
        }
        node.check(
            description,
            SYN_ACK_OF_7,
            "kernel to received 12: tcp 10.244.1.7:8080 > 10.244.1.2:40000 SA",
        );
        assert!(node.flows().is_empty(), "{description}");
    }
    let mut node = connected();
    let again = node.give(SYN_ACK_OF_7);
    assert!(again.starts_with("forward to pod 11: tcp 10.96.0.10:80"), "sent again: {again}");
}

#[test]
fn a_syn_that_got_no_answer_looks_for_another_backend_when_its_own_is_gone() {
    let mut node = Node::new(ONLY_7);
    node.check("the first", SYN, SYN_TO_7);
    node.check("again", SYN, SYN_TO_7);
    node.publish(BOTH);
    node.check("while its backend is there", SYN, SYN_TO_7);
    node.publish(DRAINING_7);
    node.check("while its backend drains", SYN, SYN_TO_7);
    node.publish(ONLY_8);
    node.check("its backend is gone", SYN, SYN_TO_8);
    assert_eq!(node.flows().len(), 1);
    node.publish(&[("tcp 10.96.0.10:443", &["10.244.1.8:8443"])]);
    node.check(
        "the port is gone",
        SYN,
        "answer to pod 11: tcp 10.96.0.10:80 > 10.244.1.2:40000 RA seq 0 ack 1001 ttl 63",
    );
    assert!(node.flows().is_empty());
}

#[test]
fn a_udp_flow_moves_when_its_backend_is_gone() {
    let mut node = Node::new(ONLY_7);
    node.check("the first", QUERY, QUERY_TO_7);
    node.publish(BOTH);
    node.check("another comes", QUERY, QUERY_TO_7);
    node.publish(DRAINING_7);
    node.check("its own drains", QUERY, QUERY_TO_7);
    node.publish(NEITHER);
    node.check("nobody is there yet", QUERY, QUERY_TO_7);
    node.publish(ONLY_8);
    node.check(
        "what the old backend still sends arrives",
        ANSWER_OF_7,
        "forward to pod 11: udp 10.96.0.10:53 > 10.244.1.2:40000 ttl 63",
    );
    node.check("its own is gone", QUERY, QUERY_TO_8);
    node.check(
        "from now on the old one is a stranger",
        ANSWER_OF_7,
        "kernel to received 12: udp 10.244.1.7:5353 > 10.244.1.2:40000",
    );
    assert_eq!(node.flows().len(), 1);
    node.publish(&[("tcp 10.96.0.10:80", &["10.244.1.8:8080"])]);
    node.check(
        "the port is gone",
        QUERY,
        "answer to pod 11: icmp 10.96.0.10 > 10.244.1.2 3/3 ttl 63 \
         { udp 10.244.1.2:40000 > 10.96.0.10:53 }",
    );
    node.publish(&[]);
    node.check(
        "the Service is gone",
        QUERY,
        "kernel to received 11: udp 10.244.1.2:40000 > 10.96.0.10:53",
    );
}

#[test]
fn a_connection_in_its_middle_is_picked_up_by_the_backend_that_it_had() {
    for port in 40_000..40_064 {
        let mut before = Node::new(BOTH);
        let syn = before.give(&format!("pod 11: tcp 10.244.1.2:{port} > 10.96.0.10:80 S"));
        let mut restarted = Node::new(BOTH);
        let data =
            restarted.give(&format!("pod 11: tcp 10.244.1.2:{port} > 10.96.0.10:80 A len 5"));
        assert_eq!(data, syn.replace(" S ", " A len 5 "));

        // It is the one that Maglev picks on every node.
        let frontend = frontend_of("tcp 10.96.0.10:80");
        let Lookup::Service(service) = restarted.snapshot.services.lookup(&frontend) else {
            panic!("no Service")
        };
        let source = endpoint(&format!("10.244.1.2:{port}"));
        let tuple = Tuple { source, destination: frontend.endpoint, protocol: Protocol::Tcp };
        let picked = service.pick(HashKeys::PUBLIC.tuple(&tuple)).expect("a backend");
        assert_eq!(restarted.flows()[0].backend, picked);
    }
}

#[test]
fn a_full_table_forgets_who_was_never_answered_and_nobody_else() {
    let setup = Setup { capacity_flows: 16, ..Setup::default() };
    let mut node = Node::with(setup, ONLY_7);
    let syn = |port| format!("pod 11: tcp 10.244.1.2:{port} > 10.96.0.10:80 S");
    let data = |port| format!("pod 11: tcp 10.244.1.2:{port} > 10.96.0.10:80 A");
    for port in 1..=16 {
        assert!(node.give(&syn(port)).starts_with("forward"));
        if port > 1 {
            let reply = format!("pod 12: tcp 10.244.1.7:8080 > 10.244.1.2:{port} SA");
            assert!(node.give(&reply).starts_with("forward"));
            assert!(node.give(&data(port)).starts_with("forward"));
        }
    }
    assert_eq!(node.flows().len(), 16);
    assert!(node.give(&syn(100)).starts_with("forward"), "in the place of the one without answer");
    assert_eq!(node.counter("flows_evicted"), 1);
    assert!(!node.flows().iter().any(|flow| flow.client.port == 1));
    assert!(node.give("pod 12: tcp 10.244.1.7:8080 > 10.244.1.2:100 SA").starts_with("forward"));
    assert!(node.give(&data(100)).starts_with("forward"));

    node.check("all are established", &syn(101), "drop FlowTableFull");
    assert_eq!(node.counter("drop_flow_table_full"), 1);
    for port in (2..=16).chain([100]) {
        assert!(node.give(&data(port)).starts_with("forward"), "{port} was not touched");
    }
    assert_eq!(node.counter("flows_opened"), 17, "none was opened anew");

    let fin = "pod 11: tcp 10.244.1.2:9 > 10.96.0.10:80 FA";
    assert!(node.give(fin).starts_with("forward"));
    assert!(node.give(&syn(102)).starts_with("forward"), "in the place of the one that closes");
    assert!(!node.flows().iter().any(|flow| flow.client.port == 9));
}

#[test]
fn a_silent_flow_is_forgotten_by_the_sweep_or_by_its_next_packet() {
    let mut node = Node::new(ONLY_7);
    node.check("a query", QUERY, QUERY_TO_7);
    node.check("a SYN", SYN, SYN_TO_7);
    node.wait_ms(29_000);
    assert_eq!((node.flows().len(), node.counter("flows_expired")), (2, 0));
    node.wait_ms(3_000);
    assert_eq!((node.flows().len(), node.counter("flows_expired")), (1, 1), "30 s of UDP");
    node.check(
        "an answer that comes too late",
        ANSWER_OF_7,
        "kernel to received 12: udp 10.244.1.7:5353 > 10.244.1.2:40000",
    );
    // The SYN's time is 120 s: its reply comes before the sweep does.
    node.now_ms += 90_000;
    node.check(
        "too late",
        SYN_ACK_OF_7,
        "kernel to received 12: tcp 10.244.1.7:8080 > 10.244.1.2:40000 SA",
    );
    assert_eq!(node.counter("flows_expired"), 2);
    assert!(node.flows().is_empty());

    let mut node = connected();
    node.wait_ms(24 * 3_600 * 1_000 - 1);
    node.check("a day of silence", DATA, DATA_TO_7);
    node.wait_ms(24 * 3_600 * 1_000 - 1);
    assert_eq!(node.flows().len(), 1, "put off by the last packet");
    node.wait_ms(2_000);
    assert!(node.flows().is_empty());
}

#[test]
fn ports_run_out_and_that_is_counted() {
    const FIRST: &str = "udp 10.96.0.10:53";
    const SECOND: &str = "udp 10.96.0.11:53";
    let setup = Setup { capacity_flows: 1 << 16, ..Setup::default() };
    let backends: &[&str] = &["10.244.1.7:5353"];
    let mut node = Node::with(setup, &[(FIRST, backends), (SECOND, backends)]);
    let query = |port: u16, address: &str| {
        arrive("pod 11", text::build(&format!("udp 10.244.1.2:{port} > {address}:53")))
    };
    for port in 1..=u16::MAX {
        let (ingress, frame) = query(port, "10.96.0.10");
        let outcome = node.process(ingress, &frame, false);
        assert!(outcome.starts_with("forward"), "{port}: {outcome}");
    }
    let (ingress, frame) = query(40_000, "10.96.0.11");
    assert_eq!(node.process(ingress, &frame, false), "drop PortsExhausted");
    assert_eq!(node.counter("drop_ports_exhausted"), 1);
    node.assert_fingerprints();
    node.check(
        "another client has ports of its own",
        "pod 13: udp 10.244.1.8:40000 > 10.96.0.11:53",
        "forward to pod 12: udp 10.244.1.8:40000 > 10.244.1.7:5353 ttl 63",
    );
}
