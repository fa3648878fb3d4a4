use std::{error::Error, io};

use nix::errno::Errno;
use thiserror::Error as ThisError;
use xsk_rs::{socket::SocketCreateError, umem::UmemCreateError};

use super::CopyMode;

/// What can go wrong while a pool or a port is set up or taken down. Packets never meet these.
#[derive(Debug, ThisError)]
pub enum XskError {
    /// A field of a configuration is out of its range.
    #[error("{field} is {value}, expected {expected}")]
    InvalidConfig {
        /// The field's name.
        field: &'static str,
        /// What it held.
        value: u64,
        /// What it may hold.
        expected: &'static str,
    },
    /// EAFNOSUPPORT.
    #[error("this kernel has no AF_XDP: it needs CONFIG_XDP_SOCKETS=y")]
    NoKernelSupport,
    /// EPERM or EACCES.
    #[error(
        "{operation} is not permitted: AF_XDP needs CAP_NET_RAW and CAP_NET_ADMIN, run as root"
    )]
    NotPermitted {
        /// What was tried.
        operation: String,
    },
    /// ENOBUFS, ENOMEM or EAGAIN when the UMEM was registered or mapped.
    #[error(
        "no memory for a UMEM of {frames} frames: raise RLIMIT_MEMLOCK (`ulimit -l`), reserve huge \
         pages if they were asked for, or lower `frames`"
    )]
    NoMemory {
        /// Frames asked for.
        frames: u32,
    },
    /// Any other failure to make a UMEM.
    #[error("making a UMEM of {frames} frames: {source}")]
    Umem {
        /// Frames asked for.
        frames: u32,
        /// The kernel's answer.
        source: io::Error,
    },
    /// ENODEV.
    #[error(
        "there is no interface {interface} in this network namespace (queue {queue} was asked)"
    )]
    NoSuchInterface {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
    },
    /// ENETDOWN, of drivers in zero-copy mode; in copy mode an interface may be down.
    #[error("interface {interface} is down (queue {queue}): `ip link set {interface} up` first")]
    InterfaceDown {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
    },
    /// EINVAL.
    #[error(
        "interface {interface} has no queue {queue}: see `ethtool -l {interface}`; a veth gets its \
         queues with `numrxqueues` and `numtxqueues` when it is made"
    )]
    NoSuchQueue {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
    },
    /// EBUSY, still after two seconds.
    #[error(
        "queue {queue} of {interface} is held by another process or another pool: `ss --xdp -a` \
         shows who holds it"
    )]
    QueueBusy {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
    },
    /// This pool has bound the same queue before.
    #[error("queue {queue} of {interface} is already bound to this pool")]
    AlreadyBound {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
    },
    /// EOPNOTSUPP, or zero-copy asked of generic XDP.
    #[error(
        "queue {queue} of {interface} cannot do zero-copy: use copy mode, or a pool of its own"
    )]
    ZeroCopyUnsupported {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
    },
    /// The UMEM already runs in the other mode; the kernel would ignore the wish.
    #[error(
        "queue {queue} of {interface} asks for {asked:?}, but its pool is {actual:?} since its first \
         port: use a pool of its own"
    )]
    CopyModeDiffers {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
        /// What the caller wants.
        asked: CopyMode,
        /// What the pool has.
        actual: CopyMode,
    },
    /// [`super::MAX_PORTS`] ports are bound.
    #[error("a pool serves at most {} ports: {interface} is one too many", super::MAX_PORTS)]
    TooManyPorts {
        /// The interface.
        interface: String,
    },
    /// EBADF: the device through which the UMEM is reached has gone.
    #[error(
        "the device of the pool's first port has gone: unbind that port, then bind {interface}"
    )]
    FirstPortGone {
        /// The interface that was to be bound.
        interface: String,
    },
    /// A port was given a pool that is not its own.
    #[error("queue {queue} of {interface} belongs to another pool")]
    ForeignPool {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
    },
    /// Any other failed operation on a port's socket.
    #[error("{operation} on queue {queue} of {interface}: {source}")]
    Socket {
        /// What was tried.
        operation: &'static str,
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
        /// The kernel's answer.
        source: io::Error,
    },
    /// An event descriptor or a poll failed.
    #[error("{operation}: {source}")]
    Wait {
        /// What was tried.
        operation: &'static str,
        /// The kernel's answer.
        source: Errno,
    },
}

impl XskError {
    pub(super) fn umem(frames: u32, error: UmemCreateError) -> Self {
        match errno(&error) {
            Errno::EAFNOSUPPORT => Self::NoKernelSupport,
            Errno::EPERM | Errno::EACCES => {
                Self::NotPermitted { operation: "making a UMEM".to_owned() }
            }
            Errno::ENOBUFS | Errno::ENOMEM | Errno::EAGAIN => Self::NoMemory { frames },
            _ => Self::Umem { frames, source: cause(&error) },
        }
    }

    pub(super) fn bind(interface: &str, queue: u32, error: SocketCreateError) -> Self {
        let interface = interface.to_owned();
        match errno(&error) {
            Errno::EAFNOSUPPORT => Self::NoKernelSupport,
            Errno::EPERM | Errno::EACCES => {
                Self::NotPermitted { operation: format!("binding queue {queue} of {interface}") }
            }
            Errno::ENODEV | Errno::ENXIO => Self::NoSuchInterface { interface, queue },
            Errno::ENETDOWN => Self::InterfaceDown { interface, queue },
            Errno::EINVAL => Self::NoSuchQueue { interface, queue },
            Errno::EBUSY => Self::QueueBusy { interface, queue },
            Errno::EOPNOTSUPP => Self::ZeroCopyUnsupported { interface, queue },
            Errno::EBADF => Self::FirstPortGone { interface },
            _ => Self::Socket { operation: "binding", interface, queue, source: cause(&error) },
        }
    }
}

/// xsk-rs keeps the kernel's answer as the source of its own errors.
fn errno(error: &(dyn Error + 'static)) -> Errno {
    cause(error).raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

fn cause(error: &(dyn Error + 'static)) -> io::Error {
    let kernel = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match kernel.and_then(io::Error::raw_os_error) {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::other(error.to_string()),
    }
}
