//! Services whose endpoints nobody wrote down: the selector means Pods.

use super::{READY, World, endpoint, service, slice};
use crate::model::Kind;

const VIP: &str = "172.30.1.1:80";

fn svc(more: &str) -> String {
    service(
        "web",
        &format!("clusterIP: 172.30.1.1, selector: {{app: web}}, ports: [{{port: 80{more}}}]"),
    )
}

fn pod(name: &str, ip: &str, status: &str) -> String {
    pod_with(
        name,
        "labels: {app: web, tier: front}",
        "",
        &format!("podIPs: [{{ip: '{ip}'}}]{status}"),
    )
}

fn pod_with(name: &str, metadata: &str, ports: &str, status: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, {metadata}}}, \
         spec: {{containers: [{{name: c, ports: [{ports}]}}]}}, status: {{{status}}}}}\n"
    )
}

const RUNS: &str = ", phase: Running, conditions: [{type: Ready, status: 'True'}]";
const UNREADY: &str = ", phase: Running, conditions: [{type: Ready, status: 'False'}]";

#[test]
fn labels_select_pods_of_the_namespace() {
    let mut world =
        World::of(&(svc("") + &pod("a", "10.180.0.1", RUNS) + &pod("b", "10.180.0.2", "")));
    assert_eq!(world.to(VIP), "10.180.0.1:80 10.180.0.2:80");
    let other = pod("c", "10.180.0.3", RUNS).replace("app: web", "app: db");
    assert!(!world.apply(&other), "other labels");
    assert!(
        !world.apply(&pod("d", "10.180.0.4", RUNS).replace("name: d", "name: d, namespace: x"))
    );
    assert!(
        world.apply(&pod("a", "10.180.0.1", RUNS).replace("app: web", "app: db")),
        "relabelled"
    );
    assert_eq!(world.to(VIP), "10.180.0.2:80");
    assert!(world.delete(Kind::Pod, "b"));
    assert_eq!(world.to(VIP), "REJECT");
}

#[test]
fn a_service_without_selector_selects_nothing() {
    let bare = service("web", "clusterIP: 172.30.1.1, ports: [{port: 80}]");
    assert_eq!(World::of(&(bare + &pod("a", "10.180.0.1", RUNS))).to(VIP), "REJECT");
}

#[test]
fn readiness_and_phase() {
    for (status, expect) in [
        (RUNS, "10.180.0.1:80"),
        (", phase: Running", "10.180.0.1:80"),
        (UNREADY, "REJECT"),
        (", phase: Pending", "REJECT"),
        (", phase: Succeeded", "REJECT"),
        (", phase: Failed", "REJECT"),
    ] {
        let world = World::of(&(svc("") + &pod("a", "10.180.0.1", status)));
        assert_eq!(world.to(VIP), expect, "{status}");
    }
}

#[test]
fn deleted_pods_terminate() {
    let deleted = |name: &str, ip: &str, status: &str| {
        pod(name, ip, status)
            .replace("labels:", "deletionTimestamp: '2026-01-01T00:00:00Z', labels:")
    };
    let mut world = World::of(&(svc("") + &deleted("a", "10.180.0.1", RUNS)));
    assert_eq!(world.to(VIP), "10.180.0.1:80", "the last one serves until it ends");
    assert!(world.apply(&pod("b", "10.180.0.2", RUNS)));
    assert_eq!(world.to(VIP), "10.180.0.2:80");
    assert!(world.serves(VIP, "10.180.0.1:80"));
    assert!(world.apply(&deleted("a", "10.180.0.1", UNREADY)));
    assert!(!world.serves(VIP, "10.180.0.1:80"));
}

#[test]
fn s191_s192_publish_not_ready_addresses() {
    let publish = svc("").replace("selector:", "publishNotReadyAddresses: true, selector:");
    let leaving = pod("b", "10.180.0.2", UNREADY)
        .replace("labels:", "deletionTimestamp: '2026-01-01T00:00:00Z', labels:");
    let world = World::of(&(publish + &pod("a", "10.180.0.1", UNREADY) + &leaving));
    assert_eq!(world.to(VIP), "10.180.0.1:80 10.180.0.2:80");
}

#[test]
fn target_ports_by_number_and_by_name() {
    let labels = "labels: {app: web}";
    let named = |name: &str, ip: &str, port: u16| {
        let ports = format!(
            "{{name: http, containerPort: 1, protocol: UDP}}, {{name: http, containerPort: {port}}}"
        );
        pod_with(name, labels, &ports, &format!("podIP: {ip}"))
    };
    let pods = named("a", "10.180.0.1", 8080)
        + &named("b", "10.180.0.2", 9090)
        + &pod("c", "10.180.0.3", RUNS);
    let world = World::of(&(svc(", targetPort: http") + &pods));
    assert_eq!(world.to(VIP), "10.180.0.1:8080 10.180.0.2:9090", "c has no port http");
    assert_eq!(world.problems(), [""; 0]);
    let world = World::of(&(svc(", targetPort: 7000") + &pods));
    assert_eq!(world.to(VIP), "10.180.0.1:7000 10.180.0.2:7000 10.180.0.3:7000");
    let world = World::of(&(svc(", targetPort: nope") + &pods));
    assert_eq!(world.to(VIP), "REJECT");
    assert_eq!(
        world.problems(),
        ["test.yaml: Service default/web: spec.ports[0].targetPort: Invalid value: \"nope\": no \
          selected Pod has a container port of this name and protocol"]
    );
}

#[test]
fn families_of_a_pod_are_kept_apart() {
    let dual =
        svc("").replace("clusterIP: 172.30.1.1", "clusterIPs: [172.30.1.1, 'fd00:10:96::1']");
    let both = pod("a", "10.180.0.1", RUNS)
        .replace("{ip: '10.180.0.1'}", "{ip: '10.180.0.1'}, {ip: 'fd00:10::1'}");
    let world = World::of(&(dual + &both + &pod("b", "10.180.0.2", RUNS)));
    assert_eq!(world.to(VIP), "10.180.0.1:80 10.180.0.2:80");
    assert_eq!(world.to("[fd00:10:96::1]:80"), "[fd00:10::1]:80");
}

#[test]
fn slices_take_the_place_of_pods() {
    let mut world = World::of(&(svc("") + &pod("a", "10.180.0.1", RUNS)));
    assert!(world.apply(&slice("web-a", "web", "{port: 8080}", &endpoint("10.180.0.9", READY))));
    assert_eq!(world.to(VIP), "10.180.0.9:8080");
}
