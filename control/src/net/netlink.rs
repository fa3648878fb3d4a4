//! Netlink sockets, and a runtime of one thread for callers that have none.

use rtnetlink::Handle;

use super::error::{NetError, Result};

/// Opens a netlink socket in the calling thread's network namespace.
///
/// Must be called inside a tokio runtime, which then drives the socket.
pub(crate) fn connect() -> Result<Handle> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(open_error)?;
    tokio::spawn(connection);
    Ok(handle)
}

/// Runs `work` to its end on this thread, with a netlink socket opened in its namespace.
pub(crate) fn block_on<T>(work: impl AsyncFnOnce(Handle) -> Result<T>) -> Result<T> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(open_error)?;
    runtime.block_on(async {
        let handle = connect()?;
        work(handle).await
    })
}

pub(super) fn open_error(cause: std::io::Error) -> NetError {
    NetError::Netlink { operation: "open", device: "a netlink socket".to_owned(), cause }
}
