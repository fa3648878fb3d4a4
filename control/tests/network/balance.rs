//! Many connections, several backends.

use std::collections::BTreeMap;

use crate::http::{Server, ask};
use crate::lab::Lab;
use crate::manifest::{FAMILIES, client, pod, service};
use crate::namespace::{CLIENT, Namespace};

const CONNECTIONS: u32 = 1_000;
const NAMES: [&str; 3] = ["web-1", "web-2", "web-3"];

fn even(test: &str, workers: u32) {
    let pods = [11, 12, 13].map(|number| pod(&format!("web-{}", number - 10), number, "web"));
    let manifest =
        service("web", 10, "[{port: 80, targetPort: 8080}]") + &client() + &pods.concat();
    let Some(_lab) = Lab::with_workers(test, &manifest, workers) else { return };
    let _servers = NAMES.map(|name| Server::start(Namespace::Pod(name), name, 8080));
    for family in FAMILIES {
        let mut shares = BTreeMap::<String, u32>::new();
        for number in 0..CONNECTIONS {
            let answer = ask(CLIENT, family.service(10, 80));
            let answer = answer.unwrap_or_else(|error| panic!("connection {number}: {error}"));
            *shares.entry(answer.name).or_default() += 1;
        }
        let even = CONNECTIONS / 3;
        assert_eq!(shares.keys().map(String::as_str).collect::<Vec<_>>(), NAMES);
        for share in shares.values() {
            assert!(share.abs_diff(even) <= even / 4, "{family:?}: {shares:?}");
        }
    }
}

#[test]
fn shares_are_even_1_worker() {
    even("shares_are_even_1_worker", 1);
}

#[test]
fn shares_are_even_2_workers() {
    even("shares_are_even_2_workers", 2);
}
