//! What can go wrong with the kernel's network.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

/// An operation on a namespace, a device or a route that the kernel refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetError {
    /// A system call on a named namespace failed.
    #[error("cannot {operation} network namespace {name}: {cause}{}", privilege_hint(.cause))]
    Namespace {
        /// What was tried, as a verb.
        operation: &'static str,
        /// The namespace's name under `/run/netns`.
        name: String,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// No namespace of that name exists.
    #[error("network namespace {0} does not exist")]
    NoSuchNamespace(String),
    /// Some processes did not end, not even by SIGKILL.
    #[error("processes {pids:?} are still inside {namespaces:?} after SIGKILL")]
    StillRunning {
        /// Who is left.
        pids: Vec<i32>,
        /// Where.
        namespaces: Vec<String>,
    },
    /// No interface of that name exists in the namespace.
    #[error("interface {0} does not exist")]
    NoSuchInterface(String),
    /// An interface of that name exists, and it is not what Maglane would have made.
    #[error("interface {name} exists and is {found}: rename or delete it")]
    ForeignInterface {
        /// The interface's name.
        name: &'static str,
        /// What it is instead.
        found: String,
    },
    /// The interface is held by an XDP program, so by a running agent.
    #[error("interface {0} is in use: another maglane agent runs in this network namespace")]
    InterfaceInUse(&'static str),
    /// An MTU that native XDP on veth cannot take.
    #[error("MTU {mtu} is out of range: {min} to {max} bytes")]
    Mtu {
        /// What was asked for, in bytes.
        mtu: u32,
        /// The smallest that is taken.
        min: u32,
        /// The largest that is taken.
        max: u32,
    },
    /// A netlink request failed.
    #[error("cannot {operation} {device}: {cause}{}", privilege_hint(.cause))]
    Netlink {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On which interface, address or route.
        device: String,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// The kernel refused a route's source address.
    #[error("cannot add route {route}: {cause}: is {source_address} an address of this node?")]
    NotOurAddress {
        /// The route.
        route: String,
        /// The address that must be assigned here.
        source_address: IpAddr,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// A kernel setting could not be written.
    #[error("cannot write {value} to {}: {cause}", path.display())]
    Sysctl {
        /// The setting's file.
        path: PathBuf,
        /// What should have stood there.
        value: &'static str,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// The netlink socket is closed; nothing more will be heard from it.
    #[error("the netlink socket was closed: restart the agent")]
    Closed,
}

/// The result of everything in [`net`](super).
pub(crate) type Result<T> = std::result::Result<T, NetError>;

impl NetError {
    /// Wraps what `rtnetlink` returned; the errno inside is kept.
    pub(crate) fn netlink(
        operation: &'static str,
        device: impl Into<String>,
        error: rtnetlink::Error,
    ) -> Self {
        Self::Netlink { operation, device: device.into(), cause: io_error(error) }
    }
}

/// The errno that a netlink error carries, as an [`io::Error`].
pub(crate) fn io_error(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other),
    }
}

fn privilege_hint(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => " (this needs root)",
        _ => "",
    }
}
