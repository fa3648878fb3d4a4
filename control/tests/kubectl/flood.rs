//! More of everything than anybody needs: as many watches as connections are taken, connections that say nothing,
//! readers that do not read.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;

use crate::client::{Access, Client};
use crate::kubectl::await_that;
use crate::standalone::Standalone;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// A connection each, HTTP/1.1, and a few are left: the server takes 512.
const WATCHES: usize = 500;
const MEMORY_KIB: u64 = 400 << 10;

fn raise_file_limit() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("a limit");
}

/// A small request is answered soon.
fn answers(access: &Access) {
    let begun = Instant::now();
    let mut client = access.connect().expect("it listens");
    assert_eq!(client.ask("GET", "/api/v1/namespaces/default", "").expect("it answers").code, 200);
    assert!(begun.elapsed() < Duration::from_secs(5), "after {:?}", begun.elapsed());
}

#[test]
fn a_watch_on_every_connection() {
    raise_file_limit();
    let Some(machine) = Standalone::start("a_watch_on_every_connection") else { return };
    let access = Access::to(&machine);
    let before = machine.memory_kib();
    let path = format!("{CONFIG_MAPS}?watch=1&resourceVersion=0");
    let mut watches: Vec<Client> = (0..WATCHES)
        .map(|number| {
            let mut client = access.connect().unwrap_or_else(|error| panic!("{number}: {error}"));
            let code = client.begin(&path).unwrap_or_else(|error| panic!("{number}: {error}"));
            assert_eq!(code, 200, "watch {number}");
            client
        })
        .collect();
    answers(&access);
    let object = json!({"metadata": {"name": "seen-by-all"}, "data": {"a": "x".repeat(10_000)}});
    let mut writer = access.connect().expect("it listens");
    assert_eq!(writer.ask("POST", CONFIG_MAPS, &object.to_string()).expect("it answers").code, 201);
    let begun = Instant::now();
    for watch in &mut watches {
        let mut seen = String::new();
        while !seen.contains("seen-by-all") {
            let chunk = watch.chunk().expect("it goes on").expect("it goes on");
            seen += &String::from_utf8_lossy(&chunk);
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "after {:?}", begun.elapsed());
    let memory = machine.memory_kib();
    assert!(memory < MEMORY_KIB, "{memory} KiB of memory, {before} before");
    drop(watches);
    answers(&access);
}

#[test]
fn connections_that_say_nothing() {
    raise_file_limit();
    let Some(mut machine) = Standalone::start("connections_that_say_nothing") else { return };
    let access = Access::to(&machine);
    let mut silent: Vec<_> = (0..300).map(|_| access.tcp().expect("it listens")).collect();
    let half_greeted: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = access.tcp().expect("it listens");
            stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).expect("it is taken");
            stream
        })
        .collect();
    let half_asked: Vec<_> = (0..100)
        .map(|_| {
            let mut client = access.connect().expect("it listens");
            client.send(b"GET /api/v1/services HTTP/1.1\r\nHost: loc").expect("it is taken");
            client
        })
        .collect();
    let half_told: Vec<_> = (0..100)
        .map(|_| {
            let mut client = access.connect().expect("it listens");
            client
                .send_head(
                    "POST",
                    CONFIG_MAPS,
                    "Content-Type: application/json\r\nContent-Length: 1000000\r\n",
                )
                .expect("a head");
            client.send(b"{\"metadata\": {\"name\"").expect("it is taken");
            client
        })
        .collect();
    for _ in 0..5 {
        answers(&access);
    }
    // Those who did not even greet are cut off soon.
    let mut byte = [0];
    let begun = Instant::now();
    assert_eq!(silent[0].read(&mut byte).unwrap_or(0), 0);
    assert!(begun.elapsed() < Duration::from_secs(30), "after {:?}", begun.elapsed());
    drop((silent, half_greeted, half_asked, half_told));
    answers(&access);
    assert!(machine.runs() && machine.memory_kib() < MEMORY_KIB);
}

/// Events for somebody who does not read them are not kept for ever.
#[test]
fn a_reader_that_does_not_read() {
    let Some(machine) = Standalone::start("a_reader_that_does_not_read") else { return };
    let access = Access::to(&machine);
    let mut lazy: Vec<Client> = (0..20).map(|_| access.connect().expect("it listens")).collect();
    for client in &mut lazy {
        client.send_head("GET", &format!("{CONFIG_MAPS}?watch=1"), "").expect("a head");
    }
    let mut writer = access.connect().expect("it listens");
    let object = |value: usize| {
        json!({"metadata": {"name": "busy"}, "data": {"a": format!("{value}-{}", "x".repeat(200_000))}}).to_string()
    };
    assert_eq!(writer.ask("POST", CONFIG_MAPS, &object(0)).expect("it answers").code, 201);
    let before = machine.memory_kib();
    // 80 MB for each of them.
    for value in 1..=400 {
        let answer = writer.ask("PUT", &format!("{CONFIG_MAPS}/busy"), &object(value));
        assert_eq!(answer.expect("it answers").code, 200);
    }
    let memory = machine.memory_kib();
    assert!(memory < MEMORY_KIB, "{memory} KiB of memory, {before} before");
    answers(&access);
    drop(lazy);
    await_that("it is well", || machine.kubectl().try_run("get --raw /readyz").stdout == "ok");
}
