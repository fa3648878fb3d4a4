//! What nobody answers: refused at once, or silently gone, but never going round in circles.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::http::{Server, ask};
use crate::lab::Lab;
use crate::manifest::{FAMILIES, Family, bare_service, client, pod, service};
use crate::namespace::{CLIENT, NODE, Namespace};
use crate::ping::ping;

/// A SYN that is not answered is sent again after a second: what is refused later than that was
/// not refused at once.
const AT_ONCE: Duration = Duration::from_millis(900);

fn refused_tcp(from: Namespace<'_>, to: SocketAddr) {
    let begun = Instant::now();
    let error = from.connect(to).expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{from:?} to {to}: {error}");
    assert!(begun.elapsed() < AT_ONCE, "{from:?} to {to}: after {:?}", begun.elapsed());
}

fn refused_udp(from: Namespace<'_>, to: SocketAddr) {
    let socket = from.udp_connected(to);
    socket.set_read_timeout(Some(AT_ONCE)).expect("SO_RCVTIMEO");
    socket.send(b"anybody?").expect("send");
    let error = socket.recv(&mut [0; 16]).expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{from:?} to {to}: {error}");
}

fn refusals(test: &str, workers: u32) {
    let manifest = service("web", 10, "[{port: 80, targetPort: 8080}]")
        + &bare_service("empty", 20, "[{name: t, port: 80}, {name: u, port: 53, protocol: UDP}]")
        + &client()
        + &pod("web-1", 11, "web");
    let Some(_lab) = Lab::with_workers(test, &manifest, workers) else { return };
    let _server = Server::start(Namespace::Pod("web-1"), "web-1", 8080);
    for family in FAMILIES {
        for from in [CLIENT, NODE] {
            // No endpoints.
            refused_tcp(from, family.service(20, 80));
            refused_udp(from, family.service(20, 53));
            // No such port, and the other protocol's.
            refused_tcp(from, family.service(10, 81));
            refused_udp(from, family.service(10, 81));
            refused_tcp(from, family.service(20, 53));
            refused_udp(from, family.service(10, 80));
            ask(from, family.service(10, 80)).expect("the port that is there");
            ping(from, family.vip(10), Duration::from_secs(5)).expect("a VIP answers");
            ping(from, family.vip(20), Duration::from_secs(5)).expect("so does an empty one");
        }
    }
}

#[test]
fn nobody_is_refused_at_once_1_worker() {
    refusals("nobody_is_refused_at_once_1_worker", 1);
}

#[test]
fn nobody_is_refused_at_once_2_workers() {
    refusals("nobody_is_refused_at_once_2_workers", 2);
}

/// Packets to an address of the service CIDR that has nobody cross the host port a few times at
/// most: a loop would end after the 64 hops of each.
#[test]
fn an_unallocated_address_is_silent() {
    let manifest = service("web", 10, "[{port: 80}]") + &client();
    let test = "an_unallocated_address_is_silent";
    let Some(lab) = Lab::with_workers(test, &manifest, 1) else { return };
    for family in FAMILIES {
        for from in [CLIENT, NODE] {
            let before = lab.host_port_packets();
            check_silent(from, family);
            let crossed = lab.host_port_packets() - before;
            assert!(crossed < 20, "{from:?} {family:?}: {crossed} packets");
        }
    }
}

/// Three ways to ask for nobody.
fn check_silent(from: Namespace<'_>, family: Family) {
    let patience = Duration::from_millis(300);
    let is_silence = |error: std::io::Error| {
        // The node's own sender may learn that its packet went nowhere.
        let silent = matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
            || error.raw_os_error() == Some(nix::libc::ENOBUFS);
        assert!(silent, "{from:?} {family:?}: {error}");
    };
    is_silence(ping(from, family.vip(99), patience).expect_err("nobody is there"));
    let nobody = family.service(99, 80);
    is_silence(from.connect_within(nobody, patience).expect_err("nobody is there"));
    let socket = from.udp_connected(nobody);
    socket.set_read_timeout(Some(patience)).expect("SO_RCVTIMEO");
    let answer = socket.send(b"anybody?").and_then(|_| socket.recv(&mut [0; 16]));
    is_silence(answer.expect_err("nobody is there"));
}
