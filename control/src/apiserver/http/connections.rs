//! Connections: accepted, encrypted, bounded, and ended when the server stops.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt;
use tracing::{debug, warn};

use super::limits;
use super::unread::CutOffUnread;

/// Serves until `stop` says so or its sender is gone; then requests that are under way get
/// [`limits::STOP`].
pub(crate) async fn serve(
    listeners: Vec<TcpListener>,
    tls: TlsAcceptor,
    router: Router,
    stop: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(limits::CONNECTIONS));
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(listener, room.clone(), tls.clone(), router.clone(), stop.clone()));
    }
    while accepting.join_next().await.is_some() {}
}

/// Accepts from one listener. Its connections end with it.
async fn accept(
    listener: TcpListener,
    room: Arc<Semaphore>,
    tls: TlsAcceptor,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        // The semaphore is never closed.
        let Ok(place) = room.clone().acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer)) => {
                let (tls, router, stop) = (tls.clone(), router.clone(), stop.clone());
                connections.spawn(async move {
                    if let Err(error) = connection(stream, tls, router, stop).await {
                        debug!(%peer, %error, "connection of a client of the API ended");
                    }
                    drop(place);
                });
            }
            Err(error) => accept_failed(&error).await,
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    // What is left after that is dropped with the set.
    let _ = timeout(limits::STOP, ended).await;
}

/// A client that has gone already is nothing; without file descriptors it is better to wait.
async fn accept_failed(error: &io::Error) {
    let gone = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset];
    if !gone.contains(&error.kind()) {
        warn!(%error, "cannot accept a client of the API");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn connection(
    stream: TcpStream,
    tls: TlsAcceptor,
    router: Router,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let encrypted = tokio::select! {
        encrypted = timeout(limits::TLS_HANDSHAKE, handshake(stream, &tls)) => encrypted??,
        () = stopped(&mut stop) => None,
    };
    let Some(stream) = encrypted else { return Ok(()) };
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        answer(router.clone(), request)
    });
    let builder = builder();
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        outcome = serving.as_mut() => return outcome,
        () = stopped(&mut stop) => serving.as_mut().graceful_shutdown(),
    }
    serving.await
}

async fn answer(router: Router, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    router.oneshot(request.map(Body::new)).await
}

/// What hyper itself holds clients to.
fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::NEXT_REQUEST)
        .max_buf_size(limits::HEADER_BYTES)
        .max_headers(limits::HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::STREAMS)
        .max_send_buf_size(limits::STREAM_SEND_BYTES)
        .max_header_list_size(limits::HEADER_BYTES as u32)
        .keep_alive_interval(limits::PING_EVERY)
        .keep_alive_timeout(limits::PING_ANSWER);
    builder
}

type Encrypted = TlsStream<CutOffUnread<TcpStream>>;

/// None for a client that spoke plain HTTP, and was told.
async fn handshake(mut stream: TcpStream, tls: &TlsAcceptor) -> io::Result<Option<Encrypted>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Ok(None);
    }
    // A TLS record begins with 22, a request line with the name of a method.
    if first[0].is_ascii_uppercase() {
        let answer =
            "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // To close with something unread would reset the connection, and the answer would be lost.
        while stream.read(&mut [0; 1024]).await? > 0 {}
        return Ok(None);
    }
    tls.accept(CutOffUnread::new(stream, limits::UNREAD)).await.map(Some)
}

/// Waits until the server stops.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Listeners of the standard library, for the runtime that this is called in.
///
/// # Errors
/// What the kernel says.
pub(crate) fn for_tokio(listeners: Vec<std::net::TcpListener>) -> io::Result<Vec<TcpListener>> {
    listeners
        .into_iter()
        .map(|listener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        })
        .collect()
}
