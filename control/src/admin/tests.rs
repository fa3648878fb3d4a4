//! Client and server, over a real socket.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::sync::mpsc;

use super::*;
use crate::model::{Problem, ServiceInfo};

/// An agent that answers every question in the same way.
fn agent(socket: &Path, sync: Result<SyncView, String>) -> Listener {
    let mut listener = Listener::bind(socket).expect("a socket in a temporary directory");
    let (sender, mut requests) = mpsc::channel(1);
    tokio::spawn(serve(listener.take().expect("taken once"), sender));
    tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            match request {
                Request::Status(reply) => {
                    let _ = reply.send(StatusView { services: 3, ..StatusView::default() });
                }
                Request::Services(reply) => drop(reply.send(vec![service()])),
                Request::Flows(limit, reply) => drop(reply.send(vec![flow(limit as u64)])),
                Request::Generation(after, reply) => drop(reply.send(after + 1)),
                Request::Sync(reply) => drop(reply.send(sync.clone())),
            }
        }
    });
    listener
}

fn service() -> ServiceInfo {
    ServiceInfo {
        namespace: "default".into(),
        name: "web".into(),
        cluster_ips: vec![[10, 96, 0, 1].into()],
        ports: Vec::new(),
        backends: Vec::new(),
    }
}

fn flow(packets_out: u64) -> FlowView {
    let socket = "10.0.0.1:80".parse().expect("a socket address");
    FlowView {
        protocol: "TCP".into(),
        client: socket,
        service: socket,
        backend: socket,
        translated: socket,
        state: "established".into(),
        packets_out,
        packets_back: 0,
        bytes_out: 0,
        bytes_back: 0,
        expires_in_ms: 0,
    }
}

#[tokio::test]
async fn questions_and_answers() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let socket = directory.path().join("new/agent.sock");
    let view = SyncView { generation: 7, problems: vec![Problem::new("a: b")] };
    let listener = agent(&socket, Ok(view.clone()));
    let mode = std::fs::metadata(&socket).expect("it listens").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let client = Client::find(vec![directory.path().join("absent"), socket.clone()]);
    let client = client.expect("the second candidate answers");
    assert_eq!(client.status().await.expect("an answer").services, 3);
    assert_eq!(client.services().await.expect("an answer"), [service()]);
    assert_eq!(client.flows(5).await.expect("an answer"), [flow(5)]);
    assert_eq!(client.sync().await.expect("an answer"), view);
    drop(listener);
    assert!(!socket.exists(), "the socket goes with its owner");
}

#[tokio::test]
async fn refusals_come_through_in_words() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let socket = directory.path().join("agent.sock");
    let _listener = agent(&socket, Err("no memory".into()));
    let client = Client::find(vec![socket.clone()]).expect("it answers");
    let error = client.sync().await.expect_err("it refuses").to_string();
    assert_eq!(error, format!("the agent at {} refused: no memory", socket.display()));
}

#[tokio::test]
async fn nobody_there() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let socket = directory.path().join("agent.sock");
    let error = Client::find(vec![socket.clone()]).expect_err("nobody listens").to_string();
    assert!(error.starts_with(&format!("no agent answers at {}: start one", socket.display())));
}

#[tokio::test]
async fn a_socket_in_use_is_left_alone_and_a_dead_one_replaced() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let socket = directory.path().join("agent.sock");
    let mut first = Listener::bind(&socket).expect("free");
    assert!(matches!(Listener::bind(&socket), Err(SocketError::InUse(_))));
    drop(first.take());
    let second = Listener::bind(&socket);
    assert!(second.is_ok(), "nobody listens any more");
    std::fs::write(directory.path().join("file"), "").expect("a temporary file");
    let refused = Listener::bind(&directory.path().join("file"));
    assert!(matches!(refused, Err(SocketError::NotASocket(_))));
    std::mem::forget(first);
}
