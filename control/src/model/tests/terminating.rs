//! 1.8 and KEP-1669: endpoints on their way out.

use super::{GONE, LEAVING, READY, UNREADY, World, endpoint, service, slice};

const VIP: &str = "172.30.1.1:80";

fn world(endpoints: &[(&str, &str)]) -> World {
    let list: String =
        endpoints.iter().map(|(address, conditions)| endpoint(address, conditions)).collect();
    World::of(
        &(service("svc", "clusterIP: 172.30.1.1, ports: [{port: 80}]")
            + &slice("svc-a", "svc", "{port: 80}", &list)),
    )
}

#[test]
fn s72_terminating_ones_take_no_new_flows_while_others_are_ready() {
    let world = world(&[
        ("10.180.0.1", READY),
        ("10.180.0.2", READY),
        ("10.180.0.3", LEAVING),
        ("10.180.0.4", GONE),
        ("10.180.0.5", READY),
    ]);
    assert_eq!(world.to(VIP), "10.180.0.1:80 10.180.0.2:80 10.180.0.5:80");
    assert!(world.serves(VIP, "10.180.0.3:80"), "its flows may end in peace");
    assert!(!world.serves(VIP, "10.180.0.4:80"), "it does not answer any more");
}

#[test]
fn s73_only_terminating_ones_are_left() {
    let world = world(&[
        ("10.180.0.2", LEAVING),
        ("10.180.0.3", LEAVING),
        ("10.180.0.4", GONE),
        ("10.180.0.5", LEAVING),
    ]);
    assert_eq!(world.to(VIP), "10.180.0.2:80 10.180.0.3:80 10.180.0.5:80");
}

#[test]
fn s74_one_terminating_endpoint() {
    assert_eq!(world(&[("10.180.0.5", LEAVING)]).to(VIP), "10.180.0.5:80");
}

#[test]
fn s75_terminating_and_not_serving_is_never_used() {
    assert_eq!(world(&[("10.180.0.4", GONE)]).to(VIP), "REJECT");
}

#[test]
fn s76_none_is_usable() {
    assert_eq!(world(&[]).to(VIP), "REJECT");
    assert_eq!(world(&[("10.180.0.1", UNREADY), ("10.180.0.4", GONE)]).to(VIP), "REJECT");
}

#[test]
fn ready_and_terminating_is_ready() {
    // What publishNotReadyAddresses makes of a Pod that is deleted.
    let both = "ready: true, serving: false, terminating: true";
    assert_eq!(world(&[("10.180.0.1", both)]).to(VIP), "10.180.0.1:80");
}

#[test]
fn s144_all_go_to_terminating_and_then_away() {
    let list =
        |conditions| endpoint("10.180.0.1", conditions) + &endpoint("10.180.0.2", conditions);
    let mut world = world(&[("10.180.0.1", READY), ("10.180.0.2", READY)]);
    let before = world.service(VIP).expect("a frontend");
    assert!(!world.apply(&slice("svc-a", "svc", "{port: 80}", &list(LEAVING))));
    assert_eq!(world.to(VIP), "10.180.0.1:80 10.180.0.2:80");
    let after = world.service(VIP).expect("a frontend");
    assert!(before.is(&after), "the same backends are the same table");
    assert!(world.apply(&slice("svc-a", "svc", "{port: 80}", "")));
    assert_eq!(world.to(VIP), "REJECT");
}
