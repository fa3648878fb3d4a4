//! Watches: what they say, how many there may be, and when they end.

use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tower::ServiceExt;

use super::*;
use crate::apiserver::http::{Api as HttpApi, limits, router};
use crate::apiserver::kinds;
use crate::apiserver::registry::Registry;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/// Lines of a body that goes on.
struct Lines {
    body: Incoming,
    read: Vec<u8>,
}

impl Lines {
    /// The next line; none at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<_> = self.read.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = self.body.frame().await?.unwrap();
            self.read.extend_from_slice(&frame.into_data().unwrap());
        }
    }
}

/// An HTTP/2 connection.
async fn connect(served: &Served) -> http2::SendRequest<Full<Bytes>> {
    let stream = served.tls("127.0.0.1", &[b"h2"]).await.unwrap();
    let executor = TokioExecutor::new();
    let (sender, connection) = http2::handshake(executor, TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn watch(
    served: &Served,
    connection: &mut http2::SendRequest<Full<Bytes>>,
    path: &str,
    accept: &str,
) -> (u16, Lines) {
    let uri = format!("https://127.0.0.1{path}");
    let request = served.builder("GET", &uri).header(ACCEPT, accept).body(Full::default()).unwrap();
    let (parts, body) = connection.send_request(request).await.unwrap().into_parts();
    (parts.status.as_u16(), Lines { body, read: Vec::new() })
}

#[tokio::test]
async fn events_are_told_as_they_come() {
    let served = Served::start();
    let mut connection = connect(&served).await;
    let json = "application/vnd.kubernetes.protobuf;stream=watch,application/json";
    let path = format!("{MAPS}?watch=1&resourceVersion=0&fieldSelector=metadata.name=a");
    let (code, mut whole) = watch(&served, &mut connection, &path, json).await;
    assert_eq!(code, 200);
    let (_, mut table) = watch(&served, &mut connection, &path, TABLE).await;
    let old = "/api/v1/watch/namespaces/default/configmaps/a";
    let (_, mut one) = watch(&served, &mut connection, old, json).await;

    assert_eq!(served.post(MAPS, &config_map("a")).await.code, 201);
    assert_eq!(served.post(MAPS, &config_map("b")).await.code, 201);
    let change = json!({"data": {"a": "c"}}).to_string();
    let merge = "application/merge-patch+json";
    let path = format!("{MAPS}/a");
    assert_eq!(served.request("PATCH", &path, merge, change).await.code, 200);
    let gone = served.request("DELETE", &path, "", "").await.json();
    assert_eq!((&gone["status"], &gone["details"]["name"]), (&json!("Success"), &json!("a")));

    for (kind, data) in [("ADDED", "b"), ("MODIFIED", "c"), ("DELETED", "c")] {
        for lines in [&mut whole, &mut one] {
            let event = lines.next().await.unwrap();
            assert_eq!(
                (&event["type"], &event["object"]["kind"]),
                (&json!(kind), &json!("ConfigMap"))
            );
            assert_eq!((&event["object"]["data"]["a"]), (&json!(data)));
        }
        let event = table.next().await.unwrap();
        assert_eq!((&event["type"], &event["object"]["kind"]), (&json!(kind), &json!("Table")));
        assert_eq!(event["object"]["rows"][0]["cells"][0], "a");
        let columns = event["object"]["columnDefinitions"].as_array().unwrap();
        assert_eq!(columns.is_empty(), kind != "ADDED");
    }
}

#[tokio::test]
async fn a_watch_ends_when_it_was_to() {
    let served = Served::start();
    let mut connection = connect(&served).await;
    let path = format!("{MAPS}?watch=true&timeoutSeconds=1&fieldSelector=metadata.name=a");
    let begun = Instant::now();
    let (_, mut lines) = watch(&served, &mut connection, &path, "*/*").await;
    assert_eq!(lines.next().await, None);
    assert!(begun.elapsed() >= Duration::from_millis(900));
}

#[tokio::test]
async fn what_is_forgotten_is_told_as_an_event() {
    let Served { server, directory } = Served::start();
    server.stop();
    // A server that starts remembers no change of before.
    let server = start_in(directory.path(), |_| std::future::ready(()));
    let served = Served { server, directory };
    assert_eq!(served.post(MAPS, &config_map("a")).await.code, 201);
    let mut connection = connect(&served).await;
    let path = format!("{MAPS}?watch=true&resourceVersion=1");
    let (code, mut lines) = watch(&served, &mut connection, &path, "*/*").await;
    let event = lines.next().await.unwrap();
    assert_eq!(
        (code, &event["type"], &event["object"]["code"]),
        (200, &json!("ERROR"), &json!(410))
    );
    assert_eq!(lines.next().await, None);
}

#[tokio::test]
async fn watches_end_with_the_server() {
    let served = Served::start();
    let mut connection = connect(&served).await;
    let path = format!("{MAPS}?watch=true&fieldSelector=metadata.name=a");
    let (_, mut lines) = watch(&served, &mut connection, &path, "*/*").await;
    let Served { server, directory: _directory } = served;
    let stopped = tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        server.stop();
        begun.elapsed()
    });
    assert_eq!(lines.next().await, None);
    assert!(stopped.await.unwrap() < limits::STOP);
}

#[tokio::test]
async fn thousands_of_watches_cost_little() {
    const CONNECTIONS: usize = 3;
    let served = Served::start();
    let before = resident_bytes();
    let mut all = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = connect(&served).await;
        for _ in 0..limits::STREAMS {
            let path = format!("{MAPS}?watch=true&fieldSelector=metadata.name=a");
            let (code, lines) = watch(&served, &mut connection, &path, "*/*").await;
            assert_eq!(code, 200);
            all.push(lines);
        }
    }
    // Both sides of every watch are in this process.
    let each = resident_bytes().saturating_sub(before) / all.len();
    assert!(each < 32 * 1024, "{each}");
    assert_eq!(served.post(MAPS, &config_map("a")).await.code, 201);
    for lines in &mut all {
        assert_eq!(lines.next().await.unwrap()["type"], "ADDED");
    }
}

/// Of this process.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[tokio::test]
async fn too_many_watches_come_again_later() {
    let directory = tempfile::tempdir().unwrap();
    let registry = Registry::open(directory.path(), &Settings::default()).unwrap();
    let (_stop, stopping) = tokio::sync::watch::channel(false);
    let router = router(HttpApi::new(registry, kinds::all(), None, stopping));
    let ask = || {
        let request = Request::get("/api/v1/configmaps?watch=1").body(Full::<Bytes>::default());
        router.clone().oneshot(request.unwrap())
    };
    let mut all = Vec::new();
    for _ in 0..limits::WATCHES {
        let response = ask().await.unwrap();
        assert_eq!(response.status(), 200);
        all.push(response);
    }
    let refused = ask().await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (429, &"1".parse().unwrap())
    );
    all.pop();
    assert_eq!(ask().await.unwrap().status(), 200);
}
