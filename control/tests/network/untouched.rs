//! Traffic that is not for a Service, with the agent there and without.

use std::time::Duration;

use crate::http::{Client, Server, ask, check};
use crate::lab::Lab;
use crate::manifest::{FAMILIES, client, pod, service};
use crate::namespace::{CLIENT, NODE, Namespace};
use crate::ping::ping;

const WEB: Namespace<'_> = Namespace::Pod("web-1");
const PATIENCE: Duration = Duration::from_secs(5);
/// Below those that the kernel picks.
const FIRST_PORT: u16 = 20_000;

/// What [`check_direct`] needs.
pub(crate) fn manifest() -> String {
    service("web", 10, "[{port: 80, targetPort: 8080}]") + &client() + &pod("web-1", 11, "web")
}

/// From Pod to Pod and between Pods and the node, also after everybody's MACs were forgotten.
pub(crate) fn check_direct() {
    for flush in [false, true] {
        if flush {
            for namespace in [CLIENT, WEB] {
                namespace.command("ip neigh flush all");
            }
        }
        for family in FAMILIES {
            ping(CLIENT, family.pod(11), PATIENCE).expect("Pod to Pod");
            ping(CLIENT, family.node(), PATIENCE).expect("Pod to node");
            ping(NODE, family.pod(1), PATIENCE).expect("node to Pod");
            check(CLIENT, (family.pod(11), 8080).into(), &["web-1"], family.pod(1));
        }
    }
    let learned = CLIENT.command("ip neigh show nud reachable nud stale nud delay nud probe");
    assert!(learned.contains("lladdr"), "ARP and ND worked: {learned:?}");
}

/// The backend's own port, from a client that has connections to it through the Service.
#[test]
fn a_backends_own_port() {
    let Some(_lab) = Lab::with_workers("a_backends_own_port", &manifest(), 2) else { return };
    let _server = Server::start(WEB, "web-1", 8080);
    for family in FAMILIES {
        let connect = |_| Client::connect(CLIENT, family.service(10, 80)).expect("connect");
        let mut held: Vec<Client> = (0..50).map(connect).collect();
        let mut alike = Vec::new();
        for client in &mut held {
            client.ask().expect("through the Service");
            let own_port = (family.pod(11), 8080).into();
            // On a port that the Service's connections have not: the backend could not tell them
            // apart.
            let port = FIRST_PORT + alike.len() as u16;
            let stream = CLIENT.connect_from(port, own_port).expect("directly");
            alike.push(Client::new(stream));
        }
        for client in held.iter_mut().chain(&mut alike) {
            let answer = client.ask().expect("all are still there");
            assert_eq!(answer.client.ip(), family.pod(1));
        }
    }
}

/// A connection past the Service, from a port that one through it has just let go.
#[test]
fn a_port_is_taken_again_without_the_service() {
    let test = "a_port_is_taken_again_without_the_service";
    let Some(_lab) = Lab::with_workers(test, &manifest(), 2) else { return };
    let _server = Server::start(WEB, "web-1", 8080);
    for family in FAMILIES {
        for port in FIRST_PORT..FIRST_PORT + 20 {
            let stream = CLIENT.connect_from(port, family.service(10, 80)).expect("through it");
            let mut client = Client::new(stream);
            client.ask().expect("an answer");
            client.finish();
            let stream = CLIENT.connect_from(port, (family.pod(11), 8080).into());
            let mut client = Client::new(stream.expect("past it"));
            let answer = client.ask().expect("an answer");
            assert_eq!(answer.client, (family.pod(1), port).into());
            client.finish();
        }
    }
}

/// Flows of the kernel's own are nobody's of ours.
#[test]
fn direct_traffic_is_never_tracked() {
    let test = "direct_traffic_is_never_tracked";
    let Some(_lab) = Lab::with_workers(test, &manifest(), 1) else { return };
    let _server = Server::start(WEB, "web-1", 8080);
    check_direct();
    let seen = |status: &serde_json::Value| {
        let steering = &status["steering"];
        let count = |name: &str| steering[name].as_u64().expect("a counter");
        count("to_worker_service") + count("to_worker_reply")
    };
    assert_eq!(seen(&crate::lab::json(&["status"])), 0, "no packet was for a worker");
    ask(CLIENT, FAMILIES[0].service(10, 80)).expect("through the Service");
    assert_ne!(seen(&crate::lab::json(&["status"])), 0, "the counters count");
}
