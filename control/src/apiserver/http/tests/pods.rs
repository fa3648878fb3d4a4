//! Logs and commands, with a runner that only pretends.

use futures::SinkExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams, LogParams, TerminalSize};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::apiserver::pods::{LogRequest, PodRequest};
use crate::apiserver::status::Refusal;

const PODS: &str = "/api/v1/namespaces/default/pods";

/// Logs say what was asked; a command repeats its input, then its size, and ends with 3.
async fn runner(mut inside: Inside) {
    while let Some(request) = inside.pods.recv().await {
        match request {
            PodRequest::Logs(request) => log(request).await,
            PodRequest::Exec(mut request) => {
                tokio::spawn(async move {
                    let stdout = request.stdout.unwrap();
                    if request.command == ["fail"] {
                        let refusal = Refusal::new(500, "InternalError", "no such program: fail");
                        let _ = request.exit.send(Err(refusal));
                        return;
                    }
                    if request.tty {
                        let size = request.resize.recv().await.unwrap();
                        let text = format!("{}x{}", size.width, size.height);
                        stdout.send(text.into()).await.unwrap();
                    }
                    if let Some(mut stdin) = request.stdin {
                        while let Some(piece) = stdin.recv().await {
                            stdout.send(piece).await.unwrap();
                        }
                    }
                    if let Some(stderr) = request.stderr {
                        stderr.send("done".into()).await.unwrap();
                    }
                    let code = request.command[0].parse().unwrap_or_default();
                    request.exit.send(Ok(code)).unwrap();
                });
            }
        }
    }
}

async fn log(request: LogRequest) {
    let (to, pieces) = tokio::sync::mpsc::channel(1);
    request.reply.send(Ok(pieces)).unwrap();
    let text = format!("{} {:?}", request.container.name, request.options);
    to.send(text.into()).await.unwrap();
}

async fn served_with_pod(containers: &[&str]) -> Served {
    let served = Served::start_with(runner);
    let containers: Vec<_> =
        containers.iter().map(|name| json!({"name": name, "image": "image"})).collect();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
        "spec": {"containers": containers},
    });
    let answer = served.post(PODS, &pod).await;
    assert_eq!(answer.code, 201, "{}", answer.text());
    served
}

#[tokio::test]
async fn logs_are_asked_for_in_full() {
    let served = served_with_pod(&["main"]).await;
    let pods: Api<Pod> = Api::default_namespaced(served.client().await);
    let params =
        LogParams { tail_lines: Some(7), previous: true, timestamps: true, ..Default::default() };
    let text = pods.logs("web", &params).await.unwrap();
    let expected = "main LogOptions { follow: false, previous: true, timestamps: true, \
                    tail_lines: Some(7), since: None }";
    assert_eq!(text, expected);
    let answer = served.get(&format!("{PODS}/web/log?limitBytes=4")).await;
    assert_eq!((answer.text().as_str(), answer.code), ("main", 200));
    assert_eq!(answer.headers["content-type"], "text/plain");
}

#[tokio::test]
async fn a_container_must_be_clear() {
    let served = served_with_pod(&["one", "two"]).await;
    for (query, message) in [
        ("", "a container name must be specified for pod web, choose one of: [one two]"),
        ("?container=three", "container three is not valid for pod web"),
    ] {
        let expected = (400, "BadRequest".to_owned(), message.to_owned());
        assert_eq!(served.get(&format!("{PODS}/web/log{query}")).await.status(), expected);
    }
    let text = served.get(&format!("{PODS}/web/log?container=two")).await.text();
    assert!(text.starts_with("two "), "{text}");
    let message = "PodLogOptions \"web\" is invalid: tailLines: Invalid value: -1: must be greater \
                   than or equal to 0";
    let expected = (422, "Invalid".to_owned(), message.to_owned());
    assert_eq!(
        served.get(&format!("{PODS}/web/log?container=two&tailLines=-1")).await.status(),
        expected
    );
    assert_eq!(served.get(&format!("{PODS}/nothing/log")).await.code, 404);
}

#[tokio::test]
async fn a_command_talks_both_ways_and_tells_its_code() {
    let served = served_with_pod(&["main"]).await;
    let pods: Api<Pod> = Api::default_namespaced(served.client().await);
    let params = AttachParams::default().stdin(true);
    let mut process = pods.exec("web", ["3"], &params).await.unwrap();
    let (mut stdout, mut stderr) = (process.stdout().unwrap(), process.stderr().unwrap());
    let status = process.take_status().unwrap();
    let mut stdin = process.stdin().unwrap();
    stdin.write_all(b"hello").await.unwrap();
    stdin.shutdown().await.unwrap();
    drop(stdin);
    let mut text = [String::new(), String::new()];
    stdout.read_to_string(&mut text[0]).await.unwrap();
    stderr.read_to_string(&mut text[1]).await.unwrap();
    assert_eq!(text, ["hello", "done"]);
    let status = status.await.unwrap();
    assert_eq!(status.reason.as_deref(), Some("NonZeroExitCode"));
    assert_eq!(status.details.unwrap().causes.unwrap()[0].message.as_deref(), Some("3"));
}

#[tokio::test]
async fn a_terminal_has_a_size() {
    let served = served_with_pod(&["main"]).await;
    let pods: Api<Pod> = Api::default_namespaced(served.client().await);
    let params = AttachParams::interactive_tty().stdin(false);
    let mut process = pods.exec("web", ["0"], &params).await.unwrap();
    let mut stdout = process.stdout().unwrap();
    let mut sizes = process.terminal_size().unwrap();
    sizes.send(TerminalSize { width: 80, height: 25 }).await.unwrap();
    let mut text = String::new();
    stdout.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "80x25");
    let status = process.take_status().unwrap().await.unwrap();
    assert_eq!(status.status.as_deref(), Some("Success"));
}

#[tokio::test]
async fn a_command_that_cannot_run_says_why() {
    let served = served_with_pod(&["main"]).await;
    let pods: Api<Pod> = Api::default_namespaced(served.client().await);
    let mut process = pods.exec("web", ["fail"], &AttachParams::default()).await.unwrap();
    let status = process.take_status().unwrap().await.unwrap();
    assert_eq!(status.message.as_deref(), Some("no such program: fail"));
}

#[tokio::test]
async fn other_ways_to_run_commands_are_refused() {
    let served = served_with_pod(&["main"]).await;
    let path = format!("{PODS}/web/exec?command=ls&stdout=true");
    for (upgrade, message) in [
        ("SPDY/3.1", "SPDY is not spoken here"),
        ("websocket", "unable to upgrade: no protocol of"),
        ("", "Upgrade request required"),
    ] {
        let mut request = served.builder("GET", &path).header("Connection", "Upgrade");
        if !upgrade.is_empty() {
            request = request.header("Upgrade", upgrade);
        }
        let request = request
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("Sec-WebSocket-Protocol", "base64.channel.k8s.io");
        let answer = served.send(request.body(Full::default()).unwrap()).await;
        let (code, _, text) = answer.status();
        assert!(code == 400 && text.starts_with(message), "{text}");
    }
    let (code, _, text) = served.get(&format!("{PODS}/web/exec?stdout=true")).await.status();
    assert_eq!(
        (code, text.as_str()),
        (400, "you must specify at least one command for the container")
    );
}

#[tokio::test]
async fn without_a_runner_there_is_an_answer() {
    let served = Served::start();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "main", "image": "image"}]},
    });
    assert_eq!(served.post(PODS, &pod).await.code, 201);
    let (code, _, text) = served.get(&format!("{PODS}/web/log")).await.status();
    assert_eq!(code, 501);
    assert!(text.contains("runs no Pods"), "{text}");
}
