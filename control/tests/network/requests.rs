//! Requests from Pods and from the node, to Pods, to the node and to somebody farther away.

use crate::http::{Client, Server, check};
use crate::lab::Lab;
use crate::manifest::{FAMILIES, bare_service, client, pod, pod_with_ports, service, slice};
use crate::namespace::{CLIENT, NODE, Namespace};

const FAR: Namespace<'_> = Namespace::Named("maglane-far");

fn pods_and_node(test: &str, workers: u32) {
    let manifest = [
        service(
            "web",
            10,
            "[{name: n, port: 80, targetPort: 8080}, {name: s, port: 81, targetPort: http}]",
        ),
        client(),
        pod_with_ports("web-1", 11, "web", "[{name: http, containerPort: 8081}]"),
        // The same name is another number here.
        pod_with_ports("web-2", 12, "web", "[{name: http, containerPort: 8082}]"),
    ];
    let Some(_lab) = Lab::with_workers(test, &manifest.concat(), workers) else { return };
    let [one, two] = ["web-1", "web-2"].map(Namespace::Pod);
    let _servers = [
        Server::start(one, "web-1", 8080),
        Server::start(two, "web-2", 8080),
        Server::start(one, "web-1-named", 8081),
        Server::start(two, "web-2-named", 8082),
    ];
    for family in FAMILIES {
        for (from, source) in [(CLIENT, family.pod(1)), (NODE, family.node())] {
            check(from, family.service(10, 80), &["web-1", "web-2"], source);
            check(from, family.service(10, 81), &["web-1-named", "web-2-named"], source);
        }
    }
}

#[test]
fn pods_and_node_1_worker() {
    pods_and_node("pods_and_node_1_worker", 1);
}

#[test]
fn pods_and_node_2_workers() {
    pods_and_node("pods_and_node_2_workers", 2);
}

fn hairpin(test: &str, workers: u32) {
    let manifest = service("own", 20, "[{port: 80, targetPort: 8080}]") + &pod("own-1", 11, "own");
    let Some(_lab) = Lab::with_workers(test, &manifest, workers) else { return };
    let own = Namespace::Pod("own-1");
    let _server = Server::start(own, "own-1", 8080);
    for family in FAMILIES {
        for _ in 0..20 {
            let mut client = Client::connect(own, family.service(20, 80)).expect("itself");
            for _ in 0..5 {
                let answer = client.ask().expect("an answer");
                assert_eq!(answer.name, "own-1");
                // With its own address as the source the reply would never leave the Pod.
                assert_ne!(answer.client.ip(), family.pod(11));
            }
        }
    }
}

#[test]
fn a_pod_reaches_itself_1_worker() {
    hairpin("a_pod_reaches_itself_1_worker", 1);
}

#[test]
fn a_pod_reaches_itself_2_workers() {
    hairpin("a_pod_reaches_itself_2_workers", 2);
}

fn host_network(test: &str, workers: u32) {
    let slices = FAMILIES.map(|family| slice("host", family, "TCP", 9090, [family.node()]));
    let manifest =
        bare_service("host", 30, "[{port: 80, targetPort: 9090}]") + &client() + &slices.concat();
    let Some(_lab) = Lab::with_workers(test, &manifest, workers) else { return };
    let _server = Server::start(NODE, "node", 9090);
    for family in FAMILIES {
        check(CLIENT, family.service(30, 80), &["node"], family.pod(1));
        for _ in 0..20 {
            let mut client = Client::connect(NODE, family.service(30, 80)).expect("itself");
            assert_eq!(client.ask().expect("an answer").name, "node");
            assert_eq!(client.ask().expect("keep-alive").name, "node");
        }
    }
}

#[test]
fn a_process_of_the_node_1_worker() {
    host_network("a_process_of_the_node_1_worker", 1);
}

#[test]
fn a_process_of_the_node_2_workers() {
    host_network("a_process_of_the_node_2_workers", 2);
}

/// A lab with somebody who is no Pod of this node, behind a link of the node's. `lab down` puts it
/// away with the rest: its name is one of the lab's.
fn with_far_backend(test: &str, workers: u32) -> Option<(Lab, Server)> {
    let far = ["10.9.9.9", "fd00:9::9"].map(|ip| ip.parse().expect("an address"));
    let slices = [0, 1].map(|which| slice("far", FAMILIES[which], "TCP", 7070, [far[which]]));
    let manifest =
        bare_service("far", 40, "[{port: 80, targetPort: 7070}]") + &client() + &slices.concat();
    let lab = Lab::with_workers(test, &manifest, workers)?;
    for line in [
        "ip netns add maglane-far",
        // A veth would count as a Pod's, and an uplink is something else.
        "ip link add wire type veth peer name wire-end",
        "ip link set wire up",
        "ip link set wire-end up",
        "ip link add link wire name far type macvlan mode bridge",
        "ip link add link wire name eth0 netns maglane-far type macvlan mode bridge",
        "ip addr add 10.9.9.1/24 dev far",
        "ip addr add fd00:9::1/64 dev far nodad",
        "ip link set far up",
    ] {
        NODE.command(line);
    }
    for line in [
        "ip link set lo up",
        "ip addr add 10.9.9.9/24 dev eth0",
        "ip addr add fd00:9::9/64 dev eth0 nodad",
        "ip link set eth0 up",
        "ip route add default via 10.9.9.1",
        "ip -6 route add default via fd00:9::1",
    ] {
        FAR.command(line);
    }
    // So that the agent has seen the new links.
    lab.apply(&client());
    let server = Server::start(FAR, "far", 7070);
    Some((lab, server))
}

fn far_from_a_pod(test: &str, workers: u32) {
    let Some((_lab, _server)) = with_far_backend(test, workers) else { return };
    for family in FAMILIES {
        check(CLIENT, family.service(40, 80), &["far"], family.pod(1));
    }
}

#[test]
fn a_pod_to_somebody_far_1_worker() {
    far_from_a_pod("a_pod_to_somebody_far_1_worker", 1);
}

#[test]
fn a_pod_to_somebody_far_2_workers() {
    far_from_a_pod("a_pod_to_somebody_far_2_workers", 2);
}

#[test]
fn the_node_to_somebody_far() {
    let Some((_lab, _server)) = with_far_backend("the_node_to_somebody_far", 2) else { return };
    for family in FAMILIES {
        for _ in 0..20 {
            let mut client = Client::connect(NODE, family.service(40, 80)).expect("far");
            assert_eq!(client.ask().expect("an answer").name, "far");
            assert_eq!(client.ask().expect("keep-alive").name, "far");
        }
    }
}
