//! A batch is looked at as a whole before its first packet changes anything: its packets must fare
//! as if each had come by itself.

use crate::node::{Node, Services};

const SERVICES: Services<'_> = &[
    ("tcp 10.96.0.10:80", &["10.244.1.7:8080", "10.244.1.8:8080", "10.244.1.2:8080"]),
    ("tcp [fd00:96::10]:80", &["[fd00:244::7]:8080", "[fd00:244::8]:8080"]),
    ("udp 10.96.0.10:53", &["10.244.1.7:5353"]),
    ("tcp 10.96.0.11:80", &[]),
];
/// The backend of the UDP Service is another.
const CHANGED: Services<'_> =
    &[("tcp 10.96.0.10:80", &["10.244.1.8:8080"]), ("udp 10.96.0.10:53", &["10.244.1.8:5353"])];

#[track_caller]
fn check(before: &[&str], services: Services<'_>, batch: &[&str]) {
    let [mut one_by_one, mut at_once] = [(); 2].map(|()| {
        let mut node = Node::new(SERVICES);
        before.iter().for_each(|packet| drop(node.give(packet)));
        node.publish(services);
        node
    });
    let expected: Vec<String> = batch.iter().map(|packet| one_by_one.give(packet)).collect();
    assert_eq!(at_once.give_batch(batch), expected);
    assert_eq!(at_once.pipeline.counters().values(), one_by_one.pipeline.counters().values());
}

#[test]
fn packets_of_one_new_flow_find_what_the_first_has_opened() {
    check(
        &[],
        SERVICES,
        &[
            "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 S",
            "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 S",
            "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 A len 10",
            "pod 11: udp 10.244.1.2:40000 > 10.96.0.10:53",
            "pod 12: udp 10.244.1.7:5353 > 10.244.1.2:40000",
            "pod 11: udp 10.244.1.2:40000 > 10.96.0.10:53",
        ],
    );
}

#[test]
fn flows_that_end_in_a_batch_are_opened_anew_in_it() {
    check(
        &[
            "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 S",
            "pod 11: udp 10.244.1.2:40000 > 10.96.0.10:53",
        ],
        CHANGED,
        &[
            "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 R",
            "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 S",
            "pod 11: tcp 10.244.1.2:40000 > 10.96.0.10:80 S",
            "pod 11: udp 10.244.1.2:40000 > 10.96.0.10:53",
            "pod 11: udp 10.244.1.2:40000 > 10.96.0.10:53",
        ],
    );
}

#[test]
fn new_flows_of_every_kind_come_together() {
    let clients = (40_000..40_008).map(|port| {
        [
            format!("pod 11: tcp 10.244.1.2:{port} > 10.96.0.10:80 S"),
            format!("pod 11: tcp [fd00:244::2]:{port} > [fd00:96::10]:80 S"),
            format!("pod 11: tcp 10.244.1.2:{port} > 10.96.0.11:80 S"),
            format!("pod 11: tcp 10.244.1.2:{port} > 10.96.0.10:81 S"),
            format!("pod 11: tcp 10.244.1.2:{port} > 10.244.1.7:8080 S"),
            format!("pod 11: udp 10.244.1.2:{port} > 10.96.0.10:53"),
        ]
    });
    let batch: Vec<String> = clients.flatten().collect();
    let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
    check(&[], SERVICES, &batch);
}
