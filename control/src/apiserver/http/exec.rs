//! `kubectl exec`: a WebSocket on `…/pods/<name>/exec`, over which every message begins with the
//! number of a channel (k8s.io/apimachinery/pkg/util/remotecommand; KEP-4006).
//!
//! ```text
//!   0 standard input      client → server      3 how it ended, a Status     server → client
//!   1 standard output     server → client      4 size of the terminal       client → server
//!   2 standard error      server → client    255 a channel ends (v5)        client → server
//! ```
//!
//! SPDY, which kubectl spoke before 1.30, is refused.

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use bytes::{BufMut, Bytes, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use hyper::Response;
use hyper::header::{SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use hyper::http::request::Parts;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use super::containers::{ask, container, somebody_runs_pods};
use super::path::Target;
use super::query::Query;
use super::{Api, refusals};
use crate::apiserver::pods::{CHUNKS_WAITING, ExecRequest, PodRequest, TerminalSize};
use crate::apiserver::status::Refusal;

/// Spoken here, the best first.
const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
/// Of one message; clients send what they read at once.
const MESSAGE_BYTES: usize = 1024 * 1024;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

pub(super) async fn exec(
    api: &Api,
    target: Target<'_>,
    pod: &str,
    query: &Query,
    mut parts: Parts,
) -> Result<Response<Body>, Refusal> {
    let container = container(api, target, pod, query)?;
    let command: Vec<_> = query.all("command").map(str::to_owned).collect();
    if command.is_empty() {
        return Err(Refusal::bad_request(
            "you must specify at least one command for the container",
        ));
    }
    let [stdin, stdout, stderr, tty] =
        ["stdin", "stdout", "stderr", "tty"].map(|name| query.flag(name));
    if !(stdin || stdout || stderr) {
        return Err(Refusal::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    if tty && stderr {
        return Err(Refusal::bad_request("tty and stderr cannot both be true"));
    }
    somebody_runs_pods(api)?;
    let upgrade = upgrade(&mut parts).await?;
    let place = api.0.watches.clone().try_acquire_owned().map_err(|_| refusals::too_many())?;

    let (stdin_to, stdin_from) = mpsc::channel(CHUNKS_WAITING);
    let (stdout_to, stdout_from) = mpsc::channel(CHUNKS_WAITING);
    let (stderr_to, stderr_from) = mpsc::channel(CHUNKS_WAITING);
    let (resize_to, resize) = mpsc::channel(CHUNKS_WAITING);
    let (exit, ended) = oneshot::channel();
    let request = ExecRequest {
        container,
        command,
        tty,
        stdin: stdin.then_some(stdin_from),
        stdout: stdout.then_some(stdout_to),
        stderr: stderr.then_some(stderr_to),
        resize,
        exit,
    };
    ask(api, PodRequest::Exec(request)).await?;
    let input = Input { stdin: stdin.then_some(stdin_to), resize: resize_to };
    let output = Output { stdout: stdout_from, stderr: stderr_from, ended };
    let stop = api.0.stop.clone();
    Ok(upgrade.on_upgrade(move |socket| relay(socket, input, output, stop, place)))
}

/// Makes a WebSocket of the connection.
async fn upgrade(parts: &mut Parts) -> Result<WebSocketUpgrade, Refusal> {
    let wanted = parts.headers.get(UPGRADE).and_then(|name| name.to_str().ok()).unwrap_or_default();
    if wanted.to_ascii_lowercase().starts_with("spdy/") {
        return Err(Refusal::bad_request(
            "SPDY is not spoken here: use a client that speaks WebSockets, as kubectl does from 1.30 on",
        ));
    }
    let offered: Vec<_> = parts
        .headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|names| names.to_str().ok())
        .flat_map(|names| names.split(','))
        .map(|name| name.trim().to_owned())
        .collect();
    let upgrade = WebSocketUpgrade::from_request_parts(parts, &())
        .await
        .map_err(|error| Refusal::bad_request(format!("Upgrade request required: {error}")))?;
    if !PROTOCOLS.iter().any(|protocol| offered.iter().any(|name| name == protocol)) {
        let message = format!("unable to upgrade: no protocol of {PROTOCOLS:?} among {offered:?}");
        return Err(Refusal::bad_request(message));
    }
    Ok(upgrade.protocols(PROTOCOLS).max_message_size(MESSAGE_BYTES).max_frame_size(MESSAGE_BYTES))
}

/// What comes from the client.
struct Input {
    stdin: Option<mpsc::Sender<Bytes>>,
    resize: mpsc::Sender<TerminalSize>,
}

/// What comes from the command.
struct Output {
    stdout: mpsc::Receiver<Bytes>,
    stderr: mpsc::Receiver<Bytes>,
    ended: oneshot::Receiver<Result<i32, Refusal>>,
}

/// Until the command has ended, the client has gone, or the server stops.
async fn relay(
    socket: WebSocket,
    input: Input,
    output: Output,
    mut stop: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
) {
    let (to_client, from_client) = socket.split();
    tokio::select! {
        () = write_output(to_client, output) => {}
        () = read_input(from_client, input) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

/// Ends when the client has gone.
async fn read_input(mut from_client: SplitStream<WebSocket>, mut input: Input) {
    while let Some(Ok(message)) = from_client.next().await {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => text.into(),
            // Answered already.
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(_) => return,
        };
        match bytes.first() {
            Some(&STDIN) if bytes.len() > 1 => {
                // A command that has closed its input does not mind.
                if let Some(stdin) = &input.stdin
                    && stdin.send(bytes.slice(1..)).await.is_err()
                {
                    input.stdin = None;
                }
            }
            Some(&RESIZE) => {
                if let Ok(size) = serde_json::from_slice(&bytes[1..]) {
                    // Sizes that nobody takes need not be kept.
                    let _ = input.resize.try_send(size);
                }
            }
            Some(&CLOSE) if bytes.get(1) == Some(&STDIN) => input.stdin = None,
            _ => {}
        }
    }
}

/// Ends when everything is told, or the client has gone.
async fn write_output(mut to_client: SplitSink<WebSocket, Message>, mut output: Output) {
    let ended = loop {
        let (channel, piece) = tokio::select! {
            biased;
            Some(piece) = output.stdout.recv() => (STDOUT, piece),
            Some(piece) = output.stderr.recv() => (STDERR, piece),
            ended = &mut output.ended => break ended,
        };
        if !send(&mut to_client, channel, &piece).await {
            return;
        }
    };
    // What was written before the end is there by now.
    for (channel, pieces) in [(STDOUT, &mut output.stdout), (STDERR, &mut output.stderr)] {
        while let Ok(piece) = pieces.try_recv() {
            if !send(&mut to_client, channel, &piece).await {
                return;
            }
        }
    }
    let ended = ended.unwrap_or_else(|_| Err(refusals::internal("the Pod's runner has gone")));
    send(&mut to_client, ERROR, status(ended).to_string().as_bytes()).await;
    // Without a code client-go takes the end of every stream for an error.
    let frame = CloseFrame { code: close_code::NORMAL, reason: Utf8Bytes::default() };
    let _ = to_client.send(Message::Close(Some(frame))).await;
}

/// Whether the client is still there.
async fn send(to_client: &mut SplitSink<WebSocket, Message>, channel: u8, piece: &[u8]) -> bool {
    let mut message = BytesMut::with_capacity(piece.len() + 1);
    message.put_u8(channel);
    message.put_slice(piece);
    to_client.send(Message::Binary(message.freeze())).await.is_ok()
}

/// How it ended.
fn status(ended: Result<i32, Refusal>) -> Value {
    match ended {
        Ok(0) => json!({"metadata": {}, "status": "Success"}),
        Ok(code) => json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        Err(refusal) => refusal.to_status(),
    }
}
