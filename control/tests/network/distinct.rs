//! Flows that look alike from one side, and flows whose backend goes.

use std::io::ErrorKind;
use std::time::Duration;

use crate::http::{Client, Server};
use crate::lab::Lab;
use crate::manifest::{FAMILIES, Family, bare_service, client, pod, service, slice};
use crate::namespace::{CLIENT, Namespace, await_that};

const SOURCE_PORT: u16 = 40_000;

/// To the backend both connections come from one address and port: only one of them may.
fn one_port_two_services(test: &str, workers: u32) {
    let manifest = service("web", 10, "[{port: 80, targetPort: 8080}]")
        + &service("also", 11, "[{port: 80, targetPort: 8080}]").replace("app: also", "app: web")
        + &client()
        + &pod("web-1", 11, "web");
    let Some(_lab) = Lab::with_workers(test, &manifest, workers) else { return };
    let _server = Server::start(Namespace::Pod("web-1"), "web-1", 8080);
    for family in FAMILIES {
        let mut clients = [10, 11].map(|number| {
            let stream = CLIENT.connect_from(SOURCE_PORT, family.service(number, 80));
            Client::new(stream.expect("a connection from the same port"))
        });
        assert_eq!(clients.each_ref().map(|client| client.local().port()), [SOURCE_PORT; 2]);
        for _ in 0..10 {
            let [one, other] = clients.each_mut().map(|client| client.ask().expect("an answer"));
            assert_ne!(one.client, other.client, "the backend cannot tell them apart");
        }
    }
}

#[test]
fn one_source_port_to_two_services_1_worker() {
    one_port_two_services("one_source_port_to_two_services_1_worker", 1);
}

#[test]
fn one_source_port_to_two_services_2_workers() {
    one_port_two_services("one_source_port_to_two_services_2_workers", 2);
}

/// Answers every datagram with its name until the socket hears nothing for a while.
fn name_server(name: &'static str) -> std::thread::JoinHandle<()> {
    let socket = Namespace::Pod(name).udp(5353);
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("SO_RCVTIMEO");
    std::thread::spawn(move || {
        let mut datagram = [0; 64];
        while let Ok((length, from)) = socket.recv_from(&mut datagram) {
            if &datagram[..length] == b"stop" {
                return;
            }
            let _ = socket.send_to(name.as_bytes(), from);
        }
    })
}

fn swap(family: Family, lab: &Lab) {
    let socket = CLIENT.udp_connected(family.service(20, 53));
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("SO_RCVTIMEO");
    let ask = || {
        let mut datagram = [0; 64];
        socket
            .send(b"who")
            .and_then(|_| socket.recv(&mut datagram))
            .map(|length| String::from_utf8_lossy(&datagram[..length]).into_owned())
    };
    let endpoints = |number| slice("dns", family, "UDP", 5353, [family.pod(number)]);
    lab.apply(&endpoints(21));
    assert_eq!(ask().expect("the first backend"), "dns-1");
    for (number, name) in [(22, "dns-2"), (21, "dns-1")] {
        lab.apply(&endpoints(number));
        await_that("the other one answers", || ask().is_ok_and(|answer| answer == name));
        assert_eq!(ask().expect("it stays"), name);
    }
    lab.apply(&slice("dns", family, "UDP", 5353, []));
    // The Service may only be on its way from one set of backends to the next: what it has, it
    // keeps.
    assert_eq!(ask().expect("the last one"), "dns-1");
    let other = CLIENT.udp_connected(family.service(20, 53));
    other.send(b"who").expect("send");
    let error = other.recv(&mut [0; 64]).expect_err("nobody for those who come now");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    lab.apply(&endpoints(22));
    await_that("somebody is back", || ask().is_ok_and(|answer| answer == "dns-2"));
}

#[test]
fn a_constant_udp_source_survives_a_swap() {
    let manifest = bare_service("dns", 20, "[{port: 53, targetPort: 5353, protocol: UDP}]")
        + &client()
        + &pod("dns-1", 21, "dns")
        + &pod("dns-2", 22, "dns");
    let test = "a_constant_udp_source_survives_a_swap";
    let Some(lab) = Lab::with_workers(test, &manifest, 2) else { return };
    let servers = ["dns-1", "dns-2"].map(name_server);
    for family in FAMILIES {
        swap(family, &lab);
    }
    let node = crate::namespace::NODE.udp(0);
    for number in [21, 22] {
        let to = (Family::V6.pod(number), 5353);
        node.send_to(b"stop", to).expect("send");
    }
    for server in servers {
        server.join().expect("a server");
    }
}
