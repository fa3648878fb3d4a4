use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use nix::errno::Errno;
use thiserror::Error;

/// Why something could not be measured.
#[derive(Debug, Error)]
pub(crate) enum BenchError {
    /// The kernel grants it to nobody else.
    #[error("this needs root (namespaces, packet sockets, BPF): run it with sudo")]
    NeedsRoot,
    /// An option's value will not do.
    #[error("{option}: {message}")]
    Usage {
        /// As it is typed.
        option: &'static str,
        /// What is wrong, and what to do.
        message: String,
    },
    /// The generator's XDP program.
    #[error("cannot {operation} the XDP program of {interface}: {source}")]
    Xdp {
        /// What was tried.
        operation: &'static str,
        /// The interface.
        interface: String,
        /// The kernel's reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another XDP program sits on the interface.
    #[error(
        "interface {interface} has an XDP program of somebody else, which is left alone; remove it \
         (ip link set dev {interface} xdp off) or choose another interface"
    )]
    ForeignXdp {
        /// The interface.
        interface: String,
    },
    /// A socket of the generator.
    #[error(transparent)]
    Socket(#[from] maglane_dataplane::xsk::XskError),
    /// A signal came.
    #[error("interrupted")]
    Interrupted,
    /// A program that the harness runs is not there.
    #[error("{program} is not at {path}; build it ({build}) or say where it is with {option}")]
    NoProgram {
        /// Its name.
        program: &'static str,
        /// Where it was looked for.
        path: PathBuf,
        /// How to build it.
        build: &'static str,
        /// The option that says where it is.
        option: &'static str,
    },
    /// A command could not be started.
    #[error("cannot run {command}: {cause}")]
    Run {
        /// As typed.
        command: String,
        /// The kernel's reason.
        cause: io::Error,
    },
    /// A command failed.
    #[error("{command} failed ({status}): {message}")]
    Failed {
        /// As typed.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        message: String,
    },
    /// A command that measures did not get what it asked for.
    #[error("{command} met errors, so that there is no figure: {what}")]
    Faulty {
        /// Its name.
        command: String,
        /// What it says.
        what: String,
    },
    /// A command said something else than was expected.
    #[error("cannot make sense of what {command} says: {what}")]
    Unexpected {
        /// As typed.
        command: String,
        /// What is wrong with it.
        what: String,
    },
    /// Something did not happen in time.
    #[error("waited {seconds} s for {what}")]
    TooSlow {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
    },
    /// The agent that a lab was brought up with is not there any more.
    #[error("the lab's agent does not run; `maglane lab logs --node` may say why")]
    NoAgent,
    /// A call into the kernel failed.
    #[error("cannot {operation} in {place}: {cause}")]
    Kernel {
        /// What was tried.
        operation: &'static str,
        /// The network namespace.
        place: String,
        /// The kernel's reason.
        cause: io::Error,
    },
    /// Nothing arrived where packets were to be counted.
    #[error("{subject} delivered nothing of {sent} packets sent: this is no measurement{hint}")]
    NothingArrived {
        /// Through what they were sent.
        subject: &'static str,
        /// How many.
        sent: u64,
        /// What to try, where there is something.
        hint: &'static str,
    },
    /// The generator sent nothing that counts.
    #[error(
        "no packet was sent{}",
        if *never_open > 0 {
            format!(": none of {never_open} TCP flows opened; is there a way to the receiver, and back?")
        } else {
            String::new()
        }
    )]
    NothingSent {
        /// TCP flows that got no answer.
        never_open: u64,
    },
    /// What is measured lost its link.
    #[error("the link of {interface} went down: see `ip link show {interface}`")]
    LinkDown {
        /// The generator's.
        interface: String,
    },
    /// The generator did not run while it was to send.
    #[error(
        "no packet was sent in {tries} trials: the generator's core was taken by others; let nothing \
         else run, or give --cores"
    )]
    NoTurn {
        /// One after the other.
        tries: usize,
    },
    /// A saved result.
    #[error("{}: {message}", path.display())]
    Result {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Everything that was to be measured could not be.
    #[error("nothing could be measured: {why}")]
    NothingMeasured {
        /// One reason after the other.
        why: String,
    },
    /// A thread of the harness panicked.
    #[error("a thread of the harness panicked: this is a bug")]
    Panicked,
}

/// What can be measured, or why not.
pub(crate) type Result<T> = std::result::Result<T, BenchError>;

impl BenchError {
    /// Wraps the kernel's reason.
    pub(crate) fn kernel<E: Into<io::Error>>(
        operation: &'static str,
        place: &str,
    ) -> impl FnOnce(E) -> Self {
        move |cause| Self::Kernel { operation, place: place.to_owned(), cause: cause.into() }
    }

    /// As [`BenchError::kernel`], of a call that is not there.
    pub(crate) fn missing(operation: &'static str, place: &str) -> Self {
        Self::kernel(operation, place)(Errno::ENODEV)
    }
}
