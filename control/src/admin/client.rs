use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::Method;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::{FlowView, StatusView, SyncView};
use crate::model::ServiceInfo;

/// How long an agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why an agent could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody listens.
    #[error(
        "no agent answers at {}: start one with `maglane agent` or `maglane lab up`, or give its \
         socket with --socket", list(.0)
    )]
    NoAgent(Vec<PathBuf>),
    /// Somebody else's agent.
    #[error("{} may not be opened: run this with sudo", .0.display())]
    Forbidden(PathBuf),
    /// It hung up, or talks something else.
    #[error("the agent at {} does not answer: {reason}", socket.display())]
    Broken {
        /// Where it listens.
        socket: PathBuf,
        /// What happened.
        reason: String,
    },
    /// It answered that it cannot.
    #[error("the agent at {} refused: {reason}", socket.display())]
    Refused {
        /// Where it listens.
        socket: PathBuf,
        /// In its words.
        reason: String,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" or ")
}

/// Asks one agent.
#[derive(Debug)]
pub(crate) struct Client {
    socket: PathBuf,
}

impl Client {
    /// The agent at this socket, whether it answers yet or not.
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// The agent that answers at the first of `candidates` where one does.
    ///
    /// # Errors
    /// [`ClientError::NoAgent`] or [`ClientError::Forbidden`].
    pub(crate) fn find(candidates: Vec<PathBuf>) -> Result<Self, ClientError> {
        for socket in &candidates {
            match std::os::unix::net::UnixStream::connect(socket) {
                Ok(_) => return Ok(Self::new(socket.clone())),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(ClientError::Forbidden(socket.clone()));
                }
                Err(_) => {}
            }
        }
        Err(ClientError::NoAgent(candidates))
    }

    /// What it tells of itself.
    pub(crate) async fn status(&self) -> Result<StatusView, ClientError> {
        self.ask(Method::GET, "/status").await
    }

    /// The Services in force.
    pub(crate) async fn services(&self) -> Result<Vec<ServiceInfo>, ClientError> {
        self.ask(Method::GET, "/services").await
    }

    /// Up to `limit` tracked connections.
    pub(crate) async fn flows(&self, limit: usize) -> Result<Vec<FlowView>, ClientError> {
        self.ask(Method::GET, &format!("/flows?limit={limit}")).await
    }

    /// Has it take in its source and its interfaces as they are now; returns once that is in force.
    pub(crate) async fn sync(&self) -> Result<SyncView, ClientError> {
        self.ask(Method::POST, "/sync").await
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, ClientError> {
        let broken = |reason| ClientError::Broken { socket: self.socket.clone(), reason };
        let answered = tokio::time::timeout(PATIENCE, exchange(&self.socket, method, path)).await;
        let late = || broken(format!("nothing came for {} s", PATIENCE.as_secs()));
        let (status, body) = answered.map_err(|_| late())?.map_err(broken)?;
        if !status.is_success() {
            let reason = String::from_utf8_lossy(&body).trim().to_owned();
            return Err(ClientError::Refused { socket: self.socket.clone(), reason });
        }
        serde_json::from_slice(&body)
            .map_err(|error| broken(format!("its answer is not what this version reads: {error}")))
    }
}

async fn exchange(
    socket: &Path,
    method: Method,
    path: &str,
) -> Result<(hyper::StatusCode, Bytes), String> {
    let text = |error: hyper::Error| error.to_string();
    let stream = UnixStream::connect(socket).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    let connection = tokio::spawn(connection);
    let request = hyper::Request::builder()
        .method(method)
        .uri(path)
        .header(hyper::header::HOST, "maglane")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(text)?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(text)?.to_bytes();
    connection.abort();
    Ok((status, body))
}
