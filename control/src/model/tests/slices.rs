//! 3: the EndpointSlice cache.

use super::{GONE, LEAVING, READY, UNREADY, World, endpoint, service, slice, slice_of};
use crate::model::Kind;

const VIP: &str = "172.30.1.1:80";

fn list(conditions: &str, addresses: &[&str]) -> String {
    addresses.iter().map(|address| endpoint(address, conditions)).collect()
}

fn svc() -> String {
    service("svc1", "clusterIP: 172.30.1.1, ports: [{name: port-0, port: 80}]")
}

fn part(name: &str, endpoints: &str) -> String {
    slice(name, "svc1", "{name: port-0, port: 80}", endpoints)
}

#[test]
fn s148_s149_one_slice_and_two() {
    let one = part("a", &list(READY, &["10.1.1.1", "10.1.1.2"]));
    let mut world = World::of(&(svc() + &one));
    assert_eq!(world.to(VIP), "10.1.1.1:80 10.1.1.2:80");
    assert!(world.apply(&part("b", &list(READY, &["10.1.2.1"]))));
    assert_eq!(world.to(VIP), "10.1.1.1:80 10.1.1.2:80 10.1.2.1:80");
    assert!(world.delete(Kind::EndpointSlice, "a"));
    assert_eq!(world.to(VIP), "10.1.2.1:80");
}

#[test]
fn s150_overlap_is_a_union() {
    let world = World::of(
        &(svc()
            + &part("a", &list(READY, &["10.1.1.1", "10.1.1.2"]))
            + &part("b", &list(READY, &["10.1.1.2", "10.1.1.3"]))),
    );
    assert_eq!(world.to(VIP), "10.1.1.1:80 10.1.1.2:80 10.1.1.3:80");
}

#[test]
fn s151_the_ready_copy_wins_whichever_comes_first() {
    for (a, b) in [(READY, UNREADY), (UNREADY, READY), (LEAVING, READY), (READY, GONE)] {
        let world = World::of(
            &(svc() + &part("a", &list(a, &["10.1.1.1"])) + &part("b", &list(b, &["10.1.1.1"]))),
        );
        assert_eq!(world.to(VIP), "10.1.1.1:80", "{a} and {b}");
    }
}

#[test]
fn s152_s153_unready_and_terminating() {
    let mixed =
        list(UNREADY, &["10.1.1.1"]) + &list(LEAVING, &["10.1.1.2"]) + &list(GONE, &["10.1.1.3"]);
    assert_eq!(World::of(&(svc() + &part("a", &mixed))).to(VIP), "10.1.1.2:80");
    let unready = list(UNREADY, &["10.1.1.1", "10.1.1.2"]);
    assert_eq!(World::of(&(svc() + &part("a", &unready))).to(VIP), "REJECT");
}

#[test]
fn s154_the_same_name_in_another_namespace_is_another_service() {
    let elsewhere = |text: String| text.replace("{name: svc1}", "{name: svc1, namespace: other}");
    let slice_elsewhere =
        |text: String| text.replace("metadata: {name: a,", "metadata: {name: a, namespace: other,");
    let world = World::of(
        &(svc()
            + &elsewhere(svc()).replace("172.30.1.1", "172.30.1.2")
            + &part("a", &list(READY, &["10.1.1.1"]))
            + &slice_elsewhere(part("a", &list(READY, &["10.1.1.2"])))),
    );
    assert_eq!(world.to(VIP), "10.1.1.1:80");
    assert_eq!(world.to("172.30.1.2:80"), "10.1.1.2:80");
}

#[test]
fn s155_a_port_without_number_is_ignored() {
    let ready = list(READY, &["10.1.1.1"]);
    let text = slice("a", "svc1", "{name: port-0}, {name: other, port: 80}", &ready);
    assert_eq!(World::of(&(svc() + &text)).to(VIP), "REJECT");
}

#[test]
fn s156_one_address_with_two_ports_is_two_endpoints() {
    let ready = list(READY, &["10.1.1.1"]);
    let text = slice("a", "svc1", "{name: port-0, port: 80}, {name: port-0, port: 81}", &ready);
    assert_eq!(World::of(&(svc() + &text)).to(VIP), "10.1.1.1:80 10.1.1.1:81");
}

#[test]
fn s157_four_slices_with_duplicates() {
    let world = World::of(
        &(svc()
            + &part("a", &list(READY, &["10.0.1.1", "10.0.1.2", "10.0.1.3"]))
            + &part("b", &list(READY, &["10.0.1.1", "10.0.1.2"]))
            + &part("c", &list(READY, &["10.0.1.3"]))
            + &part("d", &list(UNREADY, &["10.0.1.3"]))),
    );
    assert_eq!(world.to(VIP), "10.0.1.1:80 10.0.1.2:80 10.0.1.3:80");
}

#[test]
fn s158_the_order_within_a_slice_means_nothing_to_packets() {
    let mut world = World::of(&(svc() + &part("a", &list(READY, &["10.1.1.1", "10.1.1.2"]))));
    assert!(!world.apply(&part("a", &list(READY, &["10.1.1.1", "10.1.1.2"]))), "identical");
    // Upstream counts this as a change; the tables are the same, so here nothing is published.
    assert!(!world.apply(&part("a", &list(READY, &["10.1.1.2", "10.1.1.1"]))));
    assert!(world.apply(&part("a", &list(READY, &["10.1.1.2"]))));
}

#[test]
fn s159_a_table_in_use_does_not_change() {
    let mut world = World::of(&(svc() + &part("a", &list(READY, &["10.1.1.1"]))));
    let (table, service) = (world.model.table(), world.service(VIP).expect("a frontend"));
    assert!(world.apply(&part("a", &list(READY, &["10.1.1.2"]))));
    assert!(world.delete(Kind::Service, "svc1"));
    assert_eq!(super::backends(&service), "10.1.1.1:80");
    assert_eq!(table.frontends().count(), 1);
}

#[test]
fn absent_conditions_mean_ready_and_serving() {
    let none = "{addresses: [10.1.1.1]}, {addresses: [10.1.1.2], conditions: {terminating: true}}, \
                {addresses: [10.1.1.3], conditions: {ready: false}}";
    let world = World::of(&(svc() + &part("a", none)));
    assert_eq!(world.to(VIP), "10.1.1.1:80 10.1.1.2:80");
    let leaving = "{addresses: [10.1.1.4], conditions: {ready: false, terminating: true}}";
    let world = World::of(&(svc() + &part("a", leaving)));
    assert_eq!(world.to(VIP), "10.1.1.4:80", "serving was not denied");
}

#[test]
fn slice_hygiene() {
    let several = "{addresses: [10.1.1.1, 10.1.1.9]}, {addresses: []}";
    let nameless =
        part("b", &list(READY, &["10.1.1.2"])).replace("kubernetes.io/service-name", "x");
    let fqdn =
        slice_of("c", "svc1", "FQDN", "{name: port-0, port: 80}", "{addresses: [example.org]}");
    let protocol =
        slice("d", "svc1", "{name: port-0, port: 80, protocol: UDP}", &list(READY, &["10.1.1.3"]));
    let world = World::of(&(svc() + &part("a", several) + &nameless + &fqdn + &protocol));
    assert_eq!(world.to(VIP), "10.1.1.1:80");
    assert_eq!(world.problems(), [""; 0]);
}

#[test]
fn a_slice_may_move_to_another_service() {
    let other = service("svc2", "clusterIP: 172.30.1.2, ports: [{name: port-0, port: 80}]");
    let mut world = World::of(&(svc() + &other + &part("a", &list(READY, &["10.1.1.1"]))));
    let moved =
        part("a", &list(READY, &["10.1.1.1"])).replace("service-name: svc1", "service-name: svc2");
    assert!(world.apply(&moved));
    assert_eq!(world.to(VIP), "REJECT");
    assert_eq!(world.to("172.30.1.2:80"), "10.1.1.1:80");
}

#[test]
fn slices_may_come_before_their_service() {
    let mut world = World::new();
    assert!(!world.apply(&part("a", &list(READY, &["10.1.1.1"]))), "nobody asked for it yet");
    assert!(world.apply(&svc()));
    assert_eq!(world.to(VIP), "10.1.1.1:80");
}
