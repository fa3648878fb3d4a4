//! Where the server listens: at addresses that it binds, or at sockets that it was started with.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use thiserror::Error;

/// Where to listen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Listen {
    /// At addresses; only loopback ones, unless told otherwise.
    At {
        /// Port 0 takes a free one.
        addresses: Vec<SocketAddr>,
        /// Whether others than this machine may reach it.
        beyond_loopback: bool,
    },
    /// At the sockets that were passed on as systemd does it (`LISTEN_FDS`, sd_listen_fds(3)).
    Inherited,
}

/// Why the server cannot listen.
#[derive(Debug, Error)]
pub(crate) enum ListenError {
    /// Others could reach the address.
    #[error(
        "{0} is reachable from outside of this machine: the API holds Secrets and runs commands; \
         listen on a loopback address, or say that this is meant"
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
    /// No address was given.
    #[error("no address to listen on")]
    Nowhere,
    /// No socket was passed on.
    #[error("no listening socket was passed on (LISTEN_FDS)")]
    NotInherited,
    /// Something else was passed on, or it cannot be used.
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
    /// Opens all of them, ready for tokio; at least one.
    ///
    /// # Errors
    /// An address that is not allowed, or what the kernel refuses.
    pub(crate) fn open(&self) -> Result<Vec<TcpListener>, ListenError> {
        match self {
            Self::At { addresses, .. } if addresses.is_empty() => Err(ListenError::Nowhere),
            Self::At { addresses, beyond_loopback } => {
                addresses.iter().map(|&address| bind(address, *beyond_loopback)).collect()
            }
            Self::Inherited => inherited(),
        }
    }
}

fn bind(address: SocketAddr, beyond_loopback: bool) -> Result<TcpListener, ListenError> {
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
    if listeners.is_empty() { Err(ListenError::NotInherited) } else { Ok(listeners) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_let_in_only_when_told() {
        let address: SocketAddr = "0.0.0.0:0".parse().unwrap();
        let at = |beyond_loopback| Listen::At { addresses: vec![address], beyond_loopback };
        assert!(
            matches!(at(false).open(), Err(ListenError::NotLoopback(refused)) if refused == address)
        );
        assert_eq!(at(true).open().unwrap().len(), 1);
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let listen = Listen::At { addresses: vec![address], beyond_loopback: false };
        let error = listen.open().unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on {address}"));
    }
}
