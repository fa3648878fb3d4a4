//! What is wrong is said in one line; what is right beside it works. 86 and 329.

use super::{READY, World, endpoint, service, slice, slice_of};

const GOOD: &str = "{name: ok, port: 80}";

fn with_ports(ports: &str) -> World {
    let ready = endpoint("10.180.0.1", READY);
    World::of(
        &(service("web", &format!("clusterIP: 172.30.0.1, ports: [{GOOD}, {ports}]"))
            + &slice("web-a", "web", "{name: ok, port: 80}", &ready)),
    )
}

fn check_port(ports: &str, expect: &str) {
    let world = with_ports(ports);
    assert_eq!(
        world.problems(),
        [format!("test.yaml: Service default/web: spec.ports[1]{expect}")]
    );
    assert_eq!(world.to("172.30.0.1:80"), "10.180.0.1:80", "the good port works");
    assert_eq!(world.frontends(), 1);
}

#[test]
fn bad_ports() {
    let range = "must be between 1 and 65535, inclusive";
    check_port("{name: b, port: 70000}", &format!(".port: Invalid value: 70000: {range}"));
    check_port("{name: b, port: 0}", &format!(".port: Invalid value: 0: {range}"));
    check_port("{name: b, port: -1}", &format!(".port: Invalid value: -1: {range}"));
    check_port(
        "{name: b, port: 81, targetPort: 65536}",
        &format!(".targetPort: Invalid value: 65536: {range}"),
    );
    check_port("{port: 81}", ".name: Required value: must be set when there is more than one port");
    check_port("{name: ok, port: 81}", ".name: Duplicate value: \"ok\"");
    check_port("{name: b, port: 80}", ": Duplicate value: 80/TCP");
    check_port(
        "{name: b, port: 81, protocol: tcp}",
        ".protocol: Unsupported value: \"tcp\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
    );
}

#[test]
fn a_service_without_ports() {
    let world = World::of(&service("web", "clusterIP: 172.30.0.1"));
    assert_eq!(world.problems(), ["test.yaml: Service default/web: spec.ports: Required value"]);
    assert_eq!(world.to("172.30.0.1:80"), "REJECT");
}

fn check_vip(spec: &str, expect: &str) {
    let world = World::of(&service("web", &format!("{spec}, ports: [{{port: 80}}]")));
    assert_eq!(world.problems(), [format!("test.yaml: Service default/web: {expect}")]);
    assert_eq!(world.frontends(), 0, "{spec}");
}

#[test]
fn bad_virtual_ips() {
    let cidrs = "172.30.0.0/16, fd00:10:96::/112";
    check_vip(
        "clusterIP: 10.0.0.1",
        &format!(
            "spec.clusterIP: Invalid value: \"10.0.0.1\": is not in the Service CIDRs {cidrs}"
        ),
    );
    check_vip(
        "clusterIP: web",
        "spec.clusterIP: Invalid value: \"web\": must be a valid IP address, (e.g. 10.9.8.7 or \
         2001:db8::ffff)",
    );
    check_vip(
        "clusterIPs: [127.0.0.1]",
        "spec.clusterIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range",
    );
    check_vip(
        "type: ClusterIP",
        &format!("spec.clusterIP: Required value: an address in the Service CIDRs {cidrs}"),
    );
}

#[test]
fn one_bad_virtual_ip_leaves_the_other() {
    let world =
        World::of(&service("web", "clusterIPs: [172.30.0.1, '172.30.0.2'], ports: [{port: 80}]"));
    assert_eq!(world.to("172.30.0.1:80"), "REJECT");
    assert_eq!(world.to("172.30.0.2:80"), "-");
    assert_eq!(
        world.problems(),
        ["test.yaml: Service default/web: spec.clusterIPs[1]: Invalid value: \"172.30.0.2\": a \
          Service has one address of each family"]
    );
}

#[test]
fn s86_addresses_are_canonicalised() {
    let world = World::of(
        &(service("web", "clusterIP: ' 172.030.000.001 ', ports: [{port: 80}]")
            + &slice("web-a", "web", "{port: 80}", &endpoint("010.180.000.010", READY))),
    );
    assert_eq!(world.to("172.30.0.1:80"), "10.180.0.10:80", "leading zeros are not octal");
    assert_eq!(world.problems(), [""; 0]);
}

#[test]
fn s329_malformed_slices() {
    let svc = service("web", "clusterIP: 172.30.0.1, ports: [{port: 80}]");
    let good = endpoint("10.180.0.1", "");
    for (address, why) in [
        ("0.0.0.0", "may not be in the unspecified range"),
        ("127.0.0.1", "may not be in the loopback range"),
        ("169.254.1.1", "may not be in the link-local range"),
        ("224.0.0.1", "may not be in the multicast range"),
        ("255.255.255.255", "may not be in the broadcast range"),
        ("fd00:10::1", "must be of the slice's addressType IPv4"),
        ("172.30.0.7", "an endpoint may not be in the Service CIDR 172.30.0.0/16"),
        ("::1", "may not be in the loopback range"),
        ("1.2.3", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
        ("1.2.3.4.5", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
        ("1.2.3.256", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
        ("", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
    ] {
        let list = good.clone() + &endpoint(address, READY);
        let world = World::of(&(svc.clone() + &slice("web-a", "web", "{port: 80}", &list)));
        assert_eq!(world.to("172.30.0.1:80"), "10.180.0.1:80", "{address}");
        assert_eq!(
            world.problems(),
            [format!(
                "test.yaml: EndpointSlice default/web-a: endpoints[1].addresses[0]: Invalid value: \
                 {address:?}: {why}"
            )]
        );
    }
}

#[test]
fn s329_malformed_slice_ports_and_families() {
    let svc = service("web", "clusterIP: 172.30.0.1, ports: [{port: 80}]");
    let ready = endpoint("10.180.0.1", READY);
    let world = World::of(
        &(svc.clone() + &slice("web-a", "web", "{port: 0}, {port: 70000}, {port: 81}", &ready)),
    );
    assert_eq!(world.to("172.30.0.1:80"), "10.180.0.1:81");
    assert_eq!(world.problems().len(), 2);
    // The same endpoint in slices of both families counts in its own.
    let world = World::of(
        &(svc.clone()
            + &slice("web-a", "web", "{port: 80}", &ready)
            + &slice_of("web-b", "web", "IPv6", "{port: 81}", &ready)),
    );
    assert_eq!(world.to("172.30.0.1:80"), "10.180.0.1:80");
    let world = World::of(&(svc + &slice_of("web-a", "web", "IPX", "{port: 80}", &ready)));
    assert_eq!(
        world.problems(),
        ["test.yaml: EndpointSlice default/web-a: addressType: Unsupported value: \"IPX\": \
          supported values: \"FQDN\", \"IPv4\", \"IPv6\""]
    );
}

#[test]
fn problems_go_with_their_cause() {
    let mut world = with_ports("{name: b, port: 70000}");
    assert_eq!(world.problems().len(), 1);
    let fixed = format!("clusterIP: 172.30.0.1, ports: [{GOOD}, {{name: b, port: 81}}]");
    assert!(world.apply(&service("web", &fixed)));
    assert_eq!(world.problems(), [""; 0]);
}
