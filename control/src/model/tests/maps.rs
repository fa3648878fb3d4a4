//! 1.10 and the Service change tracker of 3: which objects make which frontends.

use super::{READY, World, endpoint, service, slice};
use crate::model::Kind;

#[test]
fn s90_add_and_remove() {
    let ports = "{name: a, port: 80}, {name: b, port: 81}";
    let mut world = World::of(
        &(service("one", &format!("clusterIP: 172.30.0.1, ports: [{ports}]"))
            + &service("two", &format!("type: NodePort, clusterIP: 172.30.0.2, ports: [{ports}]"))
            + &service(
                "three",
                &format!("type: LoadBalancer, clusterIP: 172.30.0.3, ports: [{ports}]"),
            )
            + &service("four", &format!("clusterIP: 172.30.0.4, ports: [{ports}]"))),
    );
    assert_eq!(world.frontends(), 8);
    for name in ["two", "three", "four"] {
        assert!(world.delete(Kind::Service, name));
    }
    assert!(world.apply(&service("one", "clusterIP: 172.30.0.1, ports: [{name: b, port: 81}]")));
    assert_eq!(world.frontends(), 1);
    assert_eq!(world.to("172.30.0.2:80"), "-", "the address went with its Service");
    assert_eq!(world.to("172.30.0.1:80"), "REJECT", "the port went, the address did not");
}

#[test]
fn s91_s128_s129_s130_headless_services_have_no_frontend() {
    let world = World::of(
        &(service("a", "clusterIP: None, ports: [{port: 80}]")
            + &service("b", "clusterIPs: [None], ports: [{port: 80, protocol: SCTP}]")
            + &service("c", "clusterIP: None")),
    );
    assert_eq!(world.frontends(), 0);
    assert_eq!(world.problems(), [""; 0]);
}

#[test]
fn s92_s136_external_names_have_no_frontend() {
    let spec = "type: ExternalName, externalName: example.org, clusterIP: 172.30.0.9";
    let world = World::of(&service("a", &format!("{spec}, ports: [{{port: 160}}]")));
    assert_eq!((world.frontends(), world.to("172.30.0.9:160").as_str()), (0, "-"));
}

#[test]
fn s127_nothing_makes_nothing() {
    let mut world = World::new();
    assert!(!world.model.update());
    assert_eq!(world.frontends(), 0);
}

#[test]
fn s131_to_s133_every_type_with_a_cluster_ip_is_served() {
    for kind in ["ClusterIP", "NodePort", "LoadBalancer"] {
        let world = World::of(&service(
            "svc",
            &format!(
                "type: {kind}, clusterIP: 172.30.55.4, ports: \
                 [{{name: a, port: 1234, protocol: UDP}}, {{name: b, port: 1235, protocol: UDP}}]"
            ),
        ));
        assert_eq!(world.frontends(), 2, "{kind}");
        assert_eq!(world.to("172.30.55.4:1235/UDP"), "REJECT", "{kind}");
    }
}

#[test]
fn s93_s141_s142_s143_types_change() {
    let cluster = service("svc", "clusterIP: 172.30.0.1, ports: [{port: 80}]");
    let external = service("svc", "type: ExternalName, externalName: example.org");
    let mut world = World::of(&cluster);
    assert!(!world.apply(&cluster), "93: the same object again is nothing");
    assert!(world.apply(&external), "the frontend goes");
    assert!(!world.apply(&external), "142");
    assert_eq!(world.to("172.30.0.1:80"), "-");
    assert!(world.apply(&cluster), "and comes back");
    assert!(world.apply(&service("svc", "clusterIP: None, ports: [{port: 80}]")));
    assert!(!world.apply(&service("svc", "clusterIP: None, ports: [{port: 81}]")), "141");
    assert_eq!(world.frontends(), 0);
}

#[test]
fn labels_hand_a_service_to_somebody_else_and_back() {
    let plain = service("svc", "clusterIP: 172.30.0.1, ports: [{port: 80}]");
    let mut world = World::of(&plain);
    for label in
        ["service.kubernetes.io/service-proxy-name: ''", "service.kubernetes.io/headless: x"]
    {
        let foreign = plain.replace("{name: svc}", &format!("{{name: svc, labels: {{{label}}}}}"));
        assert!(world.apply(&foreign), "{label}");
        assert_eq!(world.to("172.30.0.1:80"), "-", "{label}");
        assert!(world.apply(&plain), "{label}");
        assert_eq!(world.to("172.30.0.1:80"), "REJECT", "{label}");
    }
}

#[test]
fn only_the_touched_service_is_built_again() {
    let mut world = World::of(
        &(service("one", "clusterIP: 172.30.0.1, ports: [{port: 80}]")
            + &service("two", "clusterIP: 172.30.0.2, ports: [{port: 80}]")
            + &slice("one-a", "one", "{port: 80}", &endpoint("10.180.0.1", READY))
            + &slice("two-a", "two", "{port: 80}", &endpoint("10.180.0.1", READY))),
    );
    let before = ["172.30.0.1:80", "172.30.0.2:80"].map(|vip| world.service(vip));
    assert!(world.apply(&slice("two-a", "two", "{port: 80}", &endpoint("10.180.0.2", READY))));
    let after = ["172.30.0.1:80", "172.30.0.2:80"].map(|vip| world.service(vip));
    let same = |index: usize| match (&before[index], &after[index]) {
        (Some(before), Some(after)) => before.is(after),
        _ => panic!("both are to exist"),
    };
    assert!(same(0));
    assert!(!same(1));
}

#[test]
fn the_older_service_keeps_a_contested_address() {
    let dated = |name: &str, time: &str, port: u16| {
        service(name, &format!("clusterIP: 172.30.0.1, ports: [{{port: {port}}}]")).replace(
            &format!("{{name: {name}}}"),
            &format!("{{name: {name}, creationTimestamp: {time}}}"),
        )
    };
    let mut world = World::of(
        &(dated("a", "'2026-02-02T00:00:00Z'", 80) + &dated("b", "'2026-01-01T00:00:00Z'", 81)),
    );
    assert_eq!(world.frontends(), 1);
    assert!(world.service("172.30.0.1:81").is_some(), "b is older");
    assert_eq!(
        world.problems(),
        ["test.yaml: Service default/a: spec.clusterIP: Invalid value: 172.30.0.1: already the \
          address of Service default/b"]
    );
    assert!(world.delete(Kind::Service, "b"));
    assert!(world.service("172.30.0.1:80").is_some(), "a takes over");
    assert_eq!(world.problems(), [""; 0]);
    world.apply(&dated("9z", "null", 82));
    assert!(world.service("172.30.0.1:80").is_some(), "without a date it is the youngest");
}

#[test]
fn services_are_listed_with_their_backends() {
    let world = World::of(
        &(service(
            "web",
            "clusterIP: 172.30.0.1, ports: [{name: http, port: 80, targetPort: 8080}]",
        ) + &slice("web-a", "web", "{name: http, port: 8080}", &endpoint("10.180.0.1", READY))
            + &service("none", "clusterIP: None, ports: [{port: 80}]")),
    );
    let json = serde_json::to_value(world.model.services()).expect("plain data");
    assert_eq!(
        json,
        serde_json::json!([{
            "namespace": "default", "name": "web", "cluster_ips": ["172.30.0.1"],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "target": "8080"}],
            "backends": [{"service_port": 80, "protocol": "TCP", "address": "10.180.0.1",
                          "port": 8080, "state": "ready"}],
        }])
    );
}
