//! 94: Endpoints objects, for Services that have no EndpointSlice.

use super::{READY, World, endpoint, service, slice};
use crate::model::Kind;

/// Two Services, `a` with an unnamed port and `b` with the ports p1 and p2.
fn world() -> World {
    World::of(
        &(service("a", "clusterIP: 172.30.0.1, ports: [{port: 80}]")
            + &service(
                "b",
                "clusterIP: 172.30.0.2, ports: [{name: p1, port: 81}, {name: p2, port: 82}]",
            )),
    )
}

fn endpoints(name: &str, subsets: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: Endpoints, metadata: {{name: {name}}}, subsets: [{subsets}]}}\n"
    )
}

/// One case: the objects before and after, and what `b`'s ports lead to then.
fn check(before: &str, after: &str, expect: [&str; 2]) {
    let mut world = world();
    world.apply(before);
    let noticed = world.apply(after);
    assert_eq!(["172.30.0.2:81", "172.30.0.2:82"].map(|vip| world.to(vip)), expect, "{after}");
    assert_eq!(noticed, before != after, "{before} to {after}");
    assert!(!world.apply(after), "the same again is nothing");
}

const ONE: &str = "{addresses: [{ip: 10.0.0.1}], ports: [{name: p1, port: 11}]}";
const TWO_IPS: &str =
    "{addresses: [{ip: 10.0.0.1}, {ip: 10.0.0.2}], ports: [{name: p1, port: 11}]}";
const TWO_PORTS: &str =
    "{addresses: [{ip: 10.0.0.1}], ports: [{name: p1, port: 11}, {name: p2, port: 12}]}";
const SECOND: &str = "{addresses: [{ip: 10.0.0.2}], ports: [{name: p2, port: 22}]}";

#[test]
fn s94_nothing_and_no_change() {
    assert_eq!(world().to("172.30.0.2:81"), "REJECT", "nothing");
    check(&endpoints("b", ONE), &endpoints("b", ONE), ["10.0.0.1:11", "REJECT"]);
    let several = format!("{ONE}, {SECOND}");
    check(&endpoints("b", &several), &endpoints("b", &several), ["10.0.0.1:11", "10.0.0.2:22"]);
    let more = format!("{TWO_PORTS}, {SECOND}");
    let expect = ["10.0.0.1:11", "10.0.0.1:12 10.0.0.2:22"];
    check(&endpoints("b", &more), &endpoints("b", &more), expect);
    let mut unnamed = world();
    let object = endpoints("a", "{addresses: [{ip: 10.0.0.1}], ports: [{port: 11}]}");
    assert!(unnamed.apply(&object), "unnamed 0 to 1");
    assert!(!unnamed.apply(&object), "no change with an unnamed port");
    assert_eq!(unnamed.to("172.30.0.1:80"), "10.0.0.1:11");
}

#[test]
fn s94_add_and_remove() {
    check("", &endpoints("b", ONE), ["10.0.0.1:11", "REJECT"]);
    let mut world = world();
    world.apply(&endpoints("b", ONE));
    assert!(world.delete(Kind::Endpoints, "b"));
    assert_eq!(world.to("172.30.0.2:81"), "REJECT");
    let (one, ips, ports) =
        (endpoints("b", ONE), endpoints("b", TWO_IPS), endpoints("b", TWO_PORTS));
    check(&one, &ips, ["10.0.0.1:11 10.0.0.2:11", "REJECT"]);
    check(&ips, &one, ["10.0.0.1:11", "REJECT"]);
    check(&one, &ports, ["10.0.0.1:11", "10.0.0.1:12"]);
    check(&ports, &one, ["10.0.0.1:11", "REJECT"]);
    let subsets = endpoints("b", &format!("{ONE}, {SECOND}"));
    check(&one, &subsets, ["10.0.0.1:11", "10.0.0.2:22"]);
    check(&subsets, &one, ["10.0.0.1:11", "REJECT"]);
}

#[test]
fn s94_rename_and_renumber() {
    let renamed = endpoints("b", &ONE.replace("p1", "p2"));
    check(&endpoints("b", ONE), &renamed, ["REJECT", "10.0.0.1:11"]);
    let renumbered = endpoints("b", &ONE.replace("11", "21"));
    check(&endpoints("b", ONE), &renumbered, ["10.0.0.1:21", "REJECT"]);
}

#[test]
fn s94_complex_add_and_remove() {
    let before = format!("{TWO_IPS}, {SECOND}");
    let after = format!(
        "{TWO_PORTS}, {{notReadyAddresses: [{{ip: 10.0.0.3}}], ports: [{{name: p1, port: 11}}]}}"
    );
    check(&endpoints("b", &before), &endpoints("b", &after), ["10.0.0.1:11", "10.0.0.1:12"]);
}

#[test]
fn slices_take_the_place_of_endpoints() {
    let mut world = world();
    world.apply(&endpoints("b", ONE));
    assert!(world.apply(&slice("b-a", "b", "{name: p1, port: 1}", &endpoint("10.9.0.1", READY))));
    assert_eq!(world.to("172.30.0.2:81"), "10.9.0.1:1");
    assert!(world.delete(Kind::EndpointSlice, "b-a"));
    assert_eq!(world.to("172.30.0.2:81"), "10.0.0.1:11");
}
