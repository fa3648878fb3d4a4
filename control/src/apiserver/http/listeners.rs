//! Where the server listens: at an address that it binds, or at sockets that it was started with.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use thiserror::Error;

/// Where to listen, unless the process was started with sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Listen {
    /// A loopback one, unless told otherwise. Port 0 takes a free one.
    pub(crate) address: SocketAddr,
    /// Whether others than this machine may reach it.
    pub(crate) beyond_loopback: bool,
}

/// Why the server cannot listen.
#[derive(Debug, Error)]
pub(crate) enum ListenError {
    /// Others could reach the address.
    #[error(
        "{0} is reachable from outside of this machine: the API holds Secrets and runs commands; \
         listen on a loopback address, or add --listen-beyond-loopback"
    )]
    NotLoopback(SocketAddr),
    /// The kernel refused.
    #[error("cannot listen on {address}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// What was passed on is no listening TCP socket, or cannot be used.
    #[error("socket {number} of those that were passed on (LISTEN_FDS) cannot be used")]
    Inherited {
        /// From 0.
        number: usize,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

impl Listen {
    /// Opens it, or takes over the sockets that were passed on as systemd does it (`LISTEN_FDS`,
    /// sd_listen_fds(3)). At least one, ready for tokio.
    ///
    /// # Errors
    /// An address that is not allowed, or what the kernel refuses.
    pub(crate) fn open(self) -> Result<Vec<TcpListener>, ListenError> {
        let inherited = inherited()?;
        if inherited.is_empty() { Ok(vec![self.bind()?]) } else { Ok(inherited) }
    }

    fn bind(self) -> Result<TcpListener, ListenError> {
        let Self { address, beyond_loopback } = self;
        if !address.ip().is_loopback() && !beyond_loopback {
            return Err(ListenError::NotLoopback(address));
        }
        let open = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        open().map_err(|cause| ListenError::Bind { address, cause })
    }
}

fn inherited() -> Result<Vec<TcpListener>, ListenError> {
    let mut passed_on = ListenFd::from_env();
    let mut listeners = Vec::new();
    for number in 0..passed_on.len() {
        let listener = passed_on
            .take_tcp_listener(number)
            .and_then(|listener| {
                let listener = listener.ok_or(io::ErrorKind::NotFound)?;
                listener.set_nonblocking(true)?;
                // It came here by an exec, and must not go on: a Pod's process would keep the port
                // for as long as it lives.
                fcntl(&listener, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
                Ok(listener)
            })
            .map_err(|cause| ListenError::Inherited { number, cause })?;
        listeners.push(listener);
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_let_in_only_when_told() {
        let address: SocketAddr = "0.0.0.0:0".parse().unwrap();
        let at = |beyond_loopback| Listen { address, beyond_loopback };
        assert!(
            matches!(at(false).open(), Err(ListenError::NotLoopback(refused)) if refused == address)
        );
        assert_eq!(at(true).open().unwrap().len(), 1);
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let listen = Listen { address, beyond_loopback: false };
        let error = listen.open().unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on {address}"));
    }
}
