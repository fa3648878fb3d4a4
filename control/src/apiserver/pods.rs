//! What the API server asks of whoever runs the Pods: their logs, and commands in them.
//!
//! The server speaks the protocols and knows from the stored Pod that it and the container exist; a
//! runner knows processes. Between them is a bounded channel of requests:
//!
//! ```text
//!   kubectl logs, exec ──HTTP──> apiserver::http ──PodRequest──> runner
//!                                     <── bytes, exit code ──
//! ```
//!
//! When either side drops its end of a channel, the other side is done: a runner whose output is no
//! longer taken ends the command, and a log that is no longer written ends the answer.

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::status::Refusal;

/// Requests that may wait for the runner; more are refused.
pub(crate) const REQUESTS_WAITING: usize = 64;
/// Pieces of a stream that may wait between the two sides.
pub(crate) const CHUNKS_WAITING: usize = 16;

/// Where requests go.
pub(crate) type PodRequests = mpsc::Sender<PodRequest>;

/// Something that only the one who runs the Pod can do.
#[derive(Debug)]
pub(crate) enum PodRequest {
    /// `kubectl logs`.
    Logs(LogRequest),
    /// `kubectl exec`.
    Exec(ExecRequest),
}

/// A container of a Pod; both were there when the request came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Container {
    /// Namespace of the Pod.
    pub(crate) namespace: String,
    /// Name of the Pod.
    pub(crate) pod: String,
    /// `metadata.uid` of the Pod: another one may have its name soon.
    pub(crate) uid: String,
    /// Name of the container.
    pub(crate) name: String,
}

/// What a container has written.
#[derive(Debug)]
pub(crate) struct LogRequest {
    /// Whose.
    pub(crate) container: Container,
    /// Which part.
    pub(crate) options: LogOptions,
    /// The text in pieces of any size, or why there is none. With [`LogOptions::follow`] it goes on
    /// until the container ends.
    pub(crate) reply: oneshot::Sender<Result<mpsc::Receiver<Bytes>, Refusal>>,
}

/// Which part of a log (`v1 PodLogOptions`). `limitBytes` is the server's own work.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct LogOptions {
    /// Go on as it is written.
    pub(crate) follow: bool,
    /// Of the container's run before this one.
    pub(crate) previous: bool,
    /// Begin every line with the time it was written at, in RFC 3339.
    pub(crate) timestamps: bool,
    /// So many lines from the end.
    pub(crate) tail_lines: Option<u64>,
    /// Only what was written after.
    pub(crate) since: Option<Timestamp>,
}

/// A command in a container. The client has been told yes; what goes wrong is told through
/// [`Self::exit`].
#[derive(Debug)]
pub(crate) struct ExecRequest {
    /// Where.
    pub(crate) container: Container,
    /// Program and arguments, at least one.
    pub(crate) command: Vec<String>,
    /// Through a terminal: its output is all standard output.
    pub(crate) tty: bool,
    /// Standard input, if the client gives one; when it ends, the command reads its end.
    pub(crate) stdin: Option<mpsc::Receiver<Bytes>>,
    /// Standard output, if the client takes it. When the other end is closed, the client has gone.
    pub(crate) stdout: Option<mpsc::Sender<Bytes>>,
    /// Standard error, if the client takes it; never with [`Self::tty`].
    pub(crate) stderr: Option<mpsc::Sender<Bytes>>,
    /// Sizes of the client's terminal, with [`Self::tty`].
    pub(crate) resize: mpsc::Receiver<TerminalSize>,
    /// Exit code of the command (128 and the signal's number if one ended it), or why it did not
    /// run. Sent after all output; when its other end is closed, the client has gone.
    pub(crate) exit: oneshot::Sender<Result<i32, Refusal>>,
}

/// Of a client's terminal, in characters.
#[derive(Clone, Copy, PartialEq, Eq, serde::Deserialize, Debug)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TerminalSize {
    /// Columns.
    pub(crate) width: u16,
    /// Rows.
    pub(crate) height: u16,
}
