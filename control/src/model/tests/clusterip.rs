//! 1.1 and 1.2: what a ClusterIP leads to.

use super::{READY, World, endpoint, service, slice, slice_of};

fn one(address: &str) -> String {
    endpoint(address, READY)
}

#[test]
fn s1_one_endpoint() {
    let world = World::of(
        &(service("svc1", "clusterIP: 172.30.0.41, ports: [{port: 80}]")
            + &slice("svc1-a", "svc1", "{port: 80}", &one("10.180.0.1"))),
    );
    assert_eq!(world.to("172.30.0.41:80"), "10.180.0.1:80");
    assert_eq!(world.problems(), [""; 0]);
}

#[test]
fn s3_s4_several_endpoints_behind_another_port() {
    let world = World::of(
        &(service(
            "svc2",
            "clusterIP: 172.30.0.42, ports: [{name: p443, port: 443, targetPort: 9999}]",
        ) + &slice(
            "svc2-a",
            "svc2",
            "{name: p443, port: 8443, protocol: TCP}",
            &(one("10.180.0.1") + &one("10.180.2.1")),
        )),
    );
    // The slice says where the endpoints listen; targetPort is not for a proxy to read.
    assert_eq!(world.to("172.30.0.42:443"), "10.180.0.1:8443 10.180.2.1:8443");
}

#[test]
fn s5_one_port_number_with_several_protocols() {
    let world = World::of(
        &(service(
            "dns",
            "clusterIP: 172.30.0.10, ports: [\
             {name: dns-tcp, port: 53, protocol: TCP, targetPort: 5353}, \
             {name: dns-udp, port: 53, protocol: UDP}, \
             {name: dns-sctp, port: 53, protocol: SCTP}]",
        ) + &slice("dns-t", "dns", "{name: dns-tcp, port: 5353}", &one("10.180.0.1"))
            + &slice(
                "dns-u",
                "dns",
                "{name: dns-udp, port: 53, protocol: UDP}",
                &one("10.180.0.2"),
            )
            + &slice(
                "dns-s",
                "dns",
                "{name: dns-sctp, port: 53, protocol: SCTP}",
                &one("10.180.0.3"),
            )),
    );
    assert_eq!(world.to("172.30.0.10:53/TCP"), "10.180.0.1:5353");
    assert_eq!(world.to("172.30.0.10:53/UDP"), "10.180.0.2:53");
    assert_eq!(
        world.problems(),
        [
            "test.yaml: Service default/dns: spec.ports[2].protocol: SCTP is not forwarded by Maglane; \
          this port is left out"
        ]
    );
}

#[test]
fn s6_s7_s8_what_is_not_offered() {
    let world = World::of(
        &(service("svc1", "clusterIP: 172.30.0.41, ports: [{port: 80}]")
            + &service("svc2", "clusterIP: 172.30.0.42, ports: [{port: 443}]")
            + &slice("svc1-a", "svc1", "{port: 80}", &one("10.180.0.1"))
            + &slice("svc2-a", "svc2", "{port: 443}", &one("10.180.0.2"))),
    );
    assert_eq!(world.to("172.30.0.41:80/UDP"), "REJECT", "6: UDP to a TCP port");
    assert_eq!(world.to("172.30.0.41:443"), "REJECT", "7: the port of another Service");
    assert_eq!(world.to("172.30.0.50:80"), "-", "8: not allocated");
}

#[test]
fn s9_no_endpoints() {
    let world = World::of(&service("svc1", "clusterIP: 172.30.0.41, ports: [{port: 80}]"));
    assert_eq!(world.to("172.30.0.41:80"), "REJECT");
    assert!(world.service("172.30.0.41:80").is_some(), "it exists, with nobody behind it");
}

#[test]
fn s137_s138_families_are_independent() {
    let both = service(
        "svc",
        "clusterIP: 172.30.0.41, clusterIPs: [172.30.0.41, 'fd00:10:96::41'], ports: [{port: 80}]",
    );
    let v6 = slice_of("svc-6", "svc", "IPv6", "{port: 8080}", &one("fd00:10::1"));
    let mut world = World::of(&(both + &slice("svc-4", "svc", "{port: 80}", &one("10.180.0.1"))));
    assert_eq!(world.to("172.30.0.41:80"), "10.180.0.1:80");
    assert_eq!(world.to("[fd00:10:96::41]:80"), "REJECT", "no IPv6 slice yet");
    let v4 = world.service("172.30.0.41:80").expect("a frontend");
    assert!(world.apply(&v6));
    assert_eq!(world.to("[fd00:10:96::41]:80"), "[fd00:10::1]:8080");
    let kept = world.service("172.30.0.41:80").expect("a frontend");
    assert!(v4.is(&kept), "IPv4's table is not built again");
}

#[test]
fn a_service_with_only_unsupported_ports_still_owns_its_address() {
    let world =
        World::of(&service("sctp", "clusterIP: 172.30.0.41, ports: [{port: 80, protocol: SCTP}]"));
    assert_eq!(world.frontends(), 0);
    assert_eq!(world.to("172.30.0.41:80"), "REJECT");
}

#[test]
fn named_target_ports_differ_between_slices() {
    let world = World::of(
        &(service(
            "svc",
            "clusterIP: 172.30.0.41, ports: [{name: http, port: 80, targetPort: web}]",
        ) + &slice("svc-a", "svc", "{name: http, port: 8080}", &one("10.180.0.1"))
            + &slice("svc-b", "svc", "{name: http, port: 9090}", &one("10.180.0.2"))
            + &slice("svc-c", "svc", "{name: metrics, port: 80}", &one("10.180.0.3"))),
    );
    assert_eq!(world.to("172.30.0.41:80"), "10.180.0.1:8080 10.180.0.2:9090");
}
