//! How much of everything a client may take. All of it together bounds the server's memory,
//! whatever clients do.

use std::time::Duration;

/// Connections at the same time; more wait in the listener's queue, then the kernel refuses them.
/// Each takes some 30 KiB and one of the process's file descriptors, of which there may be 1,024.
pub(crate) const CONNECTIONS: usize = 512;
/// Requests at the same time over all connections, watches aside: as many answers may wait to be
/// read. More are told to come again later (429).
pub(crate) const REQUESTS: usize = 1_024;
/// Watches, logs and commands at the same time, over all connections; more are told to come again
/// later (429). A watch takes some KiB, since events are shared.
pub(crate) const WATCHES: usize = 8_192;
/// Requests with a body that are read at the same time; more wait.
pub(crate) const BODIES: usize = 64;
/// Bytes of a request's body (413), as in the real server.
pub(crate) const BODY_BYTES: usize = 3 * 1024 * 1024;
/// Bytes of a body that is too long which are read and dropped, so that the client hears why; with
/// more, its connection is closed.
pub(crate) const DROPPED_BODY_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of a request's line and headers (431); a command for `exec` is in them.
pub(crate) const HEADER_BYTES: usize = 64 * 1024;
/// Header fields of a request.
pub(crate) const HEADERS: usize = 128;
/// Requests at the same time in one HTTP/2 connection, as in the real server. Watches are among
/// them.
pub(crate) const STREAMS: u32 = 1_000;
/// Bytes of answers that wait in one HTTP/2 stream.
pub(crate) const STREAM_SEND_BYTES: usize = 64 * 1024;
/// Bytes of a list or a watch that are written at once.
pub(crate) const CHUNK_BYTES: usize = 32 * 1024;
/// JSON of an object that is longer is sent as it is kept, shared by all who read it; shorter ones
/// are cheaper to copy.
pub(crate) const SHARED_BYTES: usize = 8 * 1024;

/// From the TCP handshake to the end of the TLS handshake.
pub(crate) const TLS_HANDSHAKE: Duration = Duration::from_secs(10);
/// From the end of one request to the last header of the next: slow headers and idle HTTP/1.1
/// connections.
pub(crate) const NEXT_REQUEST: Duration = Duration::from_secs(60);
/// From the headers to the body's last byte.
pub(crate) const BODY: Duration = Duration::from_secs(30);
/// A client that takes nothing of what is written for so long is cut off.
pub(crate) const UNREAD: Duration = Duration::from_secs(30);
/// A quiet HTTP/2 connection is asked whether it lives.
pub(crate) const PING_EVERY: Duration = Duration::from_secs(30);
/// How long it may take to say so.
pub(crate) const PING_ANSWER: Duration = Duration::from_secs(15);
/// A watch without `timeoutSeconds` ends after this, or up to twice this; then the client begins
/// another. The real server does the same, for the same time.
pub(crate) const WATCH_AT_LEAST: Duration = Duration::from_secs(30 * 60);
/// How long requests that are under way get when the server stops.
pub(crate) const STOP: Duration = Duration::from_secs(2);
