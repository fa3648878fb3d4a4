//! More of everything than anybody needs: watches by the thousand, connections that say nothing,
//! readers that do not read.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use serde_json::json;

use crate::client::{Access, Client};
use crate::kubectl::await_that;
use crate::standalone::Standalone;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// Over HTTP/2, in each of which there are so many watches.
const CONNECTIONS: usize = 3;
const WATCHES: usize = 900;
const MEMORY_KIB: u64 = 400 << 10;

/// A small request is answered soon.
fn answers(access: &Access) {
    let begun = Instant::now();
    let mut client = access.connect().expect("it listens");
    assert_eq!(client.ask("GET", "/api/v1/namespaces/default", "").expect("it answers").code, 200);
    assert!(begun.elapsed() < Duration::from_secs(5), "after {:?}", begun.elapsed());
}

/// A watch that has begun.
async fn begin(api: &mut http2::SendRequest<Empty<Bytes>>, access: &Access) -> Incoming {
    let path = format!("https://localhost{CONFIG_MAPS}?watch=1&resourceVersion=0");
    let request = Request::get(path).header("Authorization", access.authorization());
    let request = request.body(Empty::new()).expect("a request");
    let response = api.send_request(request).await.expect("it answers");
    assert_eq!(response.status(), 200);
    response.into_body()
}

/// Reads until it has seen a text.
async fn see(watch: &mut Incoming, text: &str) {
    let mut seen = String::new();
    while !seen.contains(text) {
        let frame = watch.frame().await.expect("it goes on").expect("it goes on");
        seen += &String::from_utf8_lossy(frame.data_ref().expect("data"));
    }
}

#[test]
fn watches_by_the_thousand() {
    let Some(machine) = Standalone::start("watches_by_the_thousand") else { return };
    let access = Access::to(&machine);
    let before = machine.memory_kib();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut watches = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut api = access.http2().await;
            for _ in 0..WATCHES {
                watches.push(begin(&mut api, &access).await);
            }
        }
        answers(&access);
        let object =
            json!({"metadata": {"name": "seen-by-all"}, "data": {"a": "x".repeat(10_000)}});
        let mut writer = access.connect().expect("it listens");
        let written = writer.ask("POST", CONFIG_MAPS, &object.to_string()).expect("it answers");
        assert_eq!(written.code, 201);
        let all = watches.iter_mut().map(|watch| see(watch, "seen-by-all"));
        tokio::time::timeout(Duration::from_secs(20), join_all(all))
            .await
            .expect("all have seen it");
        let memory = machine.memory_kib();
        assert!(memory < MEMORY_KIB, "{memory} KiB of memory, {before} before");
        answers(&access);
    });
    answers(&access);
}

#[test]
fn connections_that_say_nothing() {
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
