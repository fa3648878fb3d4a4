use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use nix::sys::stat::{Mode, umask};
use serde::Deserialize;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};

use super::{FlowView, StatusView, SyncView};
use crate::model::ServiceInfo;

/// Flows that one answer holds unless the request says otherwise.
const DEFAULT_FLOWS: usize = 1000;
/// Flows that one answer holds at most: some 100 MB of JSON.
pub(crate) const MAX_FLOWS: usize = 300_000;

/// What the control thread is asked. It owns everything, so handlers own nothing.
pub(crate) enum Request {
    /// `GET /status`
    Status(oneshot::Sender<StatusView>),
    /// `GET /services`
    Services(oneshot::Sender<Vec<ServiceInfo>>),
    /// `GET /flows`: at most so many.
    Flows(usize, oneshot::Sender<Vec<FlowView>>),
    /// `GET /generation`: answered once one after this is in force.
    Generation(u32, oneshot::Sender<u32>),
    /// `POST /sync`: answered once it is in force, or with why it is not.
    Sync(oneshot::Sender<Result<SyncView, String>>),
}

/// Why the socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// Somebody answers there.
    #[error("another agent listens on {}: stop it, or choose another --socket", .0.display())]
    InUse(PathBuf),
    /// The path is something else.
    #[error("{} exists and is not a socket: choose another --socket", .0.display())]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("cannot listen on {}: {cause}", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// The system's answer.
        cause: io::Error,
    },
}

/// A listening socket that goes away with its owner.
pub(crate) struct Listener {
    listener: Option<UnixListener>,
    path: PathBuf,
}

impl Listener {
    /// Listens on `path`, for its owner only. What a crash left there is replaced.
    ///
    /// # Errors
    /// [`SocketError::InUse`] when an agent answers there.
    pub(crate) fn bind(path: &Path) -> Result<Self, SocketError> {
        use std::os::unix::fs::FileTypeExt;
        let failed = |cause| SocketError::Listen { path: path.to_owned(), cause };
        if let Ok(found) = fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                return Err(SocketError::NotASocket(path.to_owned()));
            }
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(SocketError::InUse(path.to_owned()));
            }
            fs::remove_file(path).map_err(failed)?;
        }
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        // From its first moment on the socket is its owner's alone.
        let before = umask(Mode::S_IXUSR | Mode::S_IRWXG | Mode::S_IRWXO);
        let bound = UnixListener::bind(path);
        umask(before);
        let listener = bound.map_err(failed)?;
        Ok(Self { listener: Some(listener), path: path.to_owned() })
    }

    /// The socket to serve; once.
    pub(crate) fn take(&mut self) -> Option<UnixListener> {
        self.listener.take()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

type Requests = mpsc::Sender<Request>;
type Refusal = (StatusCode, String);

/// Passes what comes over the socket on to the control thread, until it is dropped.
///
/// # Errors
/// When the socket cannot be accepted from any more.
pub(crate) async fn serve(listener: UnixListener, requests: Requests) -> io::Result<()> {
    let router = Router::new()
        .route("/status", get(status))
        .route("/services", get(services))
        .route("/flows", get(flows))
        .route("/generation", get(generation))
        .route("/sync", post(sync))
        .with_state(requests);
    axum::serve(listener, router).await
}

#[derive(Deserialize)]
struct FlowsQuery {
    limit: Option<usize>,
}

async fn status(State(requests): State<Requests>) -> Result<Json<StatusView>, Refusal> {
    ask(&requests, Request::Status).await.map(Json)
}

async fn services(State(requests): State<Requests>) -> Result<Json<Vec<ServiceInfo>>, Refusal> {
    ask(&requests, Request::Services).await.map(Json)
}

async fn flows(
    State(requests): State<Requests>,
    Query(query): Query<FlowsQuery>,
) -> Result<Json<Vec<FlowView>>, Refusal> {
    let limit = query.limit.unwrap_or(DEFAULT_FLOWS).min(MAX_FLOWS);
    ask(&requests, |reply| Request::Flows(limit, reply)).await.map(Json)
}

#[derive(Deserialize)]
struct GenerationQuery {
    #[serde(default)]
    after: u32,
}

async fn generation(
    State(requests): State<Requests>,
    Query(query): Query<GenerationQuery>,
) -> Result<Json<u32>, Refusal> {
    ask(&requests, |reply| Request::Generation(query.after, reply)).await.map(Json)
}

async fn sync(State(requests): State<Requests>) -> Result<Json<SyncView>, Refusal> {
    let answer = ask(&requests, Request::Sync).await?;
    answer.map(Json).map_err(|reason| (StatusCode::INTERNAL_SERVER_ERROR, reason))
}

async fn ask<T>(
    requests: &Requests,
    request: impl FnOnce(oneshot::Sender<T>) -> Request,
) -> Result<T, Refusal> {
    let stopping = || (StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping".to_owned());
    let (reply, answer) = oneshot::channel();
    requests.send(request(reply)).await.map_err(|_| stopping())?;
    answer.await.map_err(|_| stopping())
}
