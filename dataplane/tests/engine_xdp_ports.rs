//! A running engine between two XDP ports, with the real kernel's TCP on both ends. Needs root;
//! says so when it skips.
//!
//! ```text
//!   namespace ..-c                 namespace ..-e                       namespace ..-b
//!
//!   clients                        engine, workers                      servers
//!   10.71.0.2, fd00:71::2          10.96.0.10, fd00:96::a               10.72.0.2, 10.72.0.3,
//!                                                                       fd00:72::2
//!   mlgdp-c0 ======= veth ======= mlgdp-p0        mlgdp-p1 ==== veth ==== mlgdp-b0
//!                                 XDP port        XDP port
//! ```
//!
//! A port has one queue a worker. The kernel's ends hand packets over with unfinished checksums,
//! as a veth does by default; their segmentation is off.

#[path = "engine_xdp_ports/foreign.rs"]
mod foreign;
#[path = "engine_xdp_ports/raw.rs"]
mod raw;
#[path = "engine_xdp_ports/rig.rs"]
mod rig;
#[path = "engine_xdp_ports/traffic.rs"]
mod traffic;

use std::collections::HashSet;
use std::io;
use std::thread;

use maglane_dataplane::engine::{EngineError, XdpMode};
use rig::{
    BACKEND_PORT, CLIENT_PORT, Rig, attach_and_publish, await_counter, counter, snapshot, start,
    with_rig,
};
use traffic::{Connection, Servers, echo};

const TRANSFER_BYTES: u64 = 20 << 20;

/// Everything that a client may want of a Service.
fn serve_clients(rig: &Rig, workers: u32, mode: XdpMode) {
    let mut engine = start(workers);
    attach_and_publish(&mut engine, mode);
    let _servers = Servers::start(rig);
    for number in 0..64 {
        let service = if number % 2 == 0 { "10.96.0.10:80" } else { "[fd00:96::a]:80" };
        let mut connection = Connection::open(rig, service).expect("a connection");
        connection.exchange(100 + number, 3_000);
    }
    let mut connection = Connection::open(rig, "10.96.0.10:80").expect("a connection");
    connection.exchange(TRANSFER_BYTES, TRANSFER_BYTES);
    drop(connection);
    let backends: HashSet<_> = engine.flows(4_096).iter().map(|flow| flow.backend).collect();
    assert_eq!(backends.len(), 3, "two by IPv4, one by IPv6: {backends:?}");
    assert_eq!(counter(&engine, "flows_opened"), 65);

    echo(rig, "10.96.0.10:53", 5_000, 8);
    assert_eq!(counter(&engine, "flows_opened"), 65 + 8);

    for unknown in ["10.96.0.10:81", "[fd00:96::a]:53"] {
        let refused = Connection::open(rig, unknown).err().expect("nobody serves it");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused, "{unknown}");
    }
    await_counter(&engine, "answered", 2);

    let status = engine.status();
    let dropped = status.workers.iter().flat_map(|worker| &worker.counters);
    let dropped: Vec<_> = dropped
        .filter(|(name, value)| *value > 0 && (name.contains("drop") || name.contains("malformed")))
        .collect();
    assert!(dropped.is_empty(), "{dropped:?}");
    let handed_over = counter(&engine, "handed_over");
    assert_eq!(handed_over > 0, workers > 1, "{handed_over} packets were handed over");
    engine.stop().expect("every frame came back");
    for port in [CLIENT_PORT, BACKEND_PORT] {
        assert_eq!(rig.attached(port), Vec::<String>::new());
    }
}

#[test]
fn one_worker_native_xdp() {
    with_rig(1, |rig| serve_clients(rig, 1, XdpMode::Native));
}

#[test]
fn two_workers_native_xdp() {
    with_rig(2, |rig| serve_clients(rig, 2, XdpMode::Native));
}

#[test]
fn one_worker_generic_xdp() {
    with_rig(1, |rig| serve_clients(rig, 1, XdpMode::Generic));
}

#[test]
fn two_workers_generic_xdp() {
    with_rig(2, |rig| serve_clients(rig, 2, XdpMode::Generic));
}

#[test]
fn a_connection_outlives_its_ports() {
    with_rig(2, |rig| {
        let mut engine = start(2);
        attach_and_publish(&mut engine, XdpMode::Native);
        let _servers = Servers::start(rig);
        let mut connection = Connection::open(rig, "10.96.0.10:80").expect("a connection");
        connection.exchange(1_000, 1_000);
        for port in [CLIENT_PORT, BACKEND_PORT, CLIENT_PORT] {
            thread::scope(|scope| {
                // What is on its way meanwhile is lost, and sent again.
                let transfer = scope.spawn(|| connection.exchange(1 << 20, 1 << 20));
                engine.detach_port(port).expect("detached");
                assert_eq!(rig.attached(port), Vec::<String>::new());
                engine.attach_port(port, XdpMode::Native).expect("attached again");
                transfer.join().expect("the transfer");
            });
        }
        assert_eq!(counter(&engine, "flows_opened"), 1);
        let error = engine.attach_port(CLIENT_PORT, XdpMode::Native).expect_err("taken");
        assert_eq!(error.to_string(), "interface mlgdp-p0 is an XDP port already");
        engine.detach_port(BACKEND_PORT).expect("detached");
        let error = engine.detach_port(BACKEND_PORT).expect_err("gone");
        assert_eq!(error.to_string(), "interface mlgdp-p1 is not an XDP port");
        engine.stop().expect("every frame came back");
    });
}

#[test]
fn an_interface_that_cannot_be_a_port_is_named() {
    with_rig(1, |rig| {
        let mut engine = start(2);
        let error = engine.attach_port("mlgdp-none", XdpMode::Native).expect_err("missing");
        assert!(matches!(error, EngineError::NoInterface(_)), "{error:?}");
        assert!(error.to_string().contains("mlgdp-none does not exist"), "{error}");
        let error = engine.attach_port(CLIENT_PORT, XdpMode::Native).expect_err("one queue");
        assert!(error.to_string().contains("mlgdp-p0 has no queue 1"), "{error}");
        assert_eq!(rig.attached(CLIENT_PORT), Vec::<String>::new());

        // Nothing of the failed one is left, neither its frames nor its queue.
        let mut other = start(1);
        attach_and_publish(&mut other, XdpMode::Native);
        other.stop().expect("every frame came back");
        engine.stop().expect("every frame came back");
    });
}

#[test]
fn an_interface_that_goes_away_takes_nothing_with_it() {
    with_rig(2, |rig| {
        let mut engine = start(2);
        attach_and_publish(&mut engine, XdpMode::Native);
        let servers = Servers::start(rig);
        Connection::open(rig, "10.96.0.10:80").expect("a connection").exchange(1_000, 1_000);
        drop(servers);
        rig.in_engine_namespace(&format!("link del {BACKEND_PORT}")).expect("deleted");
        // Packets to it end nowhere, and are no harm.
        let refused = Connection::open(rig, "10.96.0.10:81").err().expect("nobody serves it");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        engine.stop().expect("every frame came back");
    });
}

#[test]
fn a_foreign_program_is_left_alone() {
    with_rig(2, |rig| {
        let mut engine = start(2);
        for mode in [XdpMode::Native, XdpMode::Generic] {
            let foreign = foreign::attach(CLIENT_PORT);
            let before = rig.attached(CLIENT_PORT);
            assert_eq!(before.len(), 1, "the foreign one: {before:?}");
            let error = engine.attach_port(CLIENT_PORT, mode).expect_err("taken");
            let told = "interface mlgdp-p0 has an XDP program of somebody else";
            assert!(error.to_string().contains(told), "{error}");
            assert_eq!(rig.attached(CLIENT_PORT), before);
            drop(foreign);
            assert_eq!(rig.attached(CLIENT_PORT), Vec::<String>::new());
        }
        attach_and_publish(&mut engine, XdpMode::Native);
        let _servers = Servers::start(rig);
        Connection::open(rig, "10.96.0.10:80").expect("a connection").exchange(1_000, 1_000);
        engine.stop().expect("every frame came back");
    });
}

#[test]
fn malformed_frames_are_counted_and_harm_nobody() {
    with_rig(2, |rig| {
        let mut engine = start(2);
        attach_and_publish(&mut engine, XdpMode::Native);
        let _servers = Servers::start(rig);
        let mut connection = Connection::open(rig, "10.96.0.10:80").expect("a connection");
        let cases = raw::malformed();
        for round in 1..=3 {
            rig.as_client(|| raw::send(cases.iter().map(|(_, frame)| frame.as_slice())));
            for (name, _) in &cases {
                let same = cases.iter().filter(|(other, _)| other == name).count() as u64;
                await_counter(&engine, &format!("malformed_{name}"), round * same);
            }
            connection.exchange(10_000, 10_000);
        }
        engine.publish(snapshot()).expect("published");
        connection.exchange(10_000, 10_000);
        engine.stop().expect("every frame came back");
    });
}

#[test]
fn an_interface_with_more_queues_than_workers_is_refused() {
    with_rig(2, |rig| {
        let mut engine = start(1);
        let error = engine.attach_port(CLIENT_PORT, XdpMode::Native).expect_err("two queues");
        let told = "mlgdp-p0 has 2 receive queues, and the workers (1) serve one each";
        assert!(error.to_string().contains(told), "{error}");
        assert_eq!(rig.attached(CLIENT_PORT), Vec::<String>::new());
        // Where packets of the second queue passed by, every other connection came to nothing.
        rig.lower_queues();
        attach_and_publish(&mut engine, XdpMode::Native);
        let _servers = Servers::start(rig);
        for _ in 0..16 {
            Connection::open(rig, "10.96.0.10:80").expect("a connection").exchange(100, 100);
        }
        engine.stop().expect("every frame came back");
    });
}
