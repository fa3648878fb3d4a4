//! What stops a lab command.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::admin::ClientError;
use crate::net::NetError;

/// Why a lab command cannot go on. What is wrong with one object is a
/// [`Problem`](crate::model::Problem), and does not stop the others.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LabError {
    /// Namespaces need privileges.
    #[error("a lab needs root: run this with sudo")]
    NeedsRoot,
    /// Only one lab at a time.
    #[error(
        "a lab is already up: change it with `maglane lab apply -f FILE`, \
         or put it away with `maglane lab down`"
    )]
    AlreadyUp,
    /// There is nothing to act on.
    #[error("no lab is up: start one with `maglane lab up -f FILE`")]
    NotUp,
    /// Another command holds the lock.
    #[error("another `maglane lab` command is at work (it holds {})", .0.display())]
    Busy(PathBuf),
    /// SIGINT or SIGTERM.
    #[error("interrupted")]
    Interrupted,
    /// An option has a value that cannot be.
    #[error("{option} {value}: {reason}")]
    Option {
        /// The option as it is typed.
        option: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// None of the objects can be used; nothing was set up.
    #[error("nothing to bring up: none of the given objects can be used")]
    NothingValid,
    /// No such Pod in the lab.
    #[error("Pod {wanted} is not in the lab; {}", known_pods(.known))]
    UnknownPod {
        /// The Pod as namespace/name.
        wanted: String,
        /// Those that are.
        known: Vec<String>,
    },
    /// No such container in the Pod.
    #[error("the Pod has no container {wanted}; it has {}", known.join(", "))]
    UnknownContainer {
        /// Its name.
        wanted: String,
        /// Those that are.
        known: Vec<String>,
    },
    /// A program could not be started.
    #[error("cannot run {program}: {cause}")]
    Command {
        /// The program.
        program: String,
        /// The system's answer.
        cause: io::Error,
    },
    /// The agent ended before it served.
    #[error("the agent ended ({status}){}", log_tail(.log))]
    AgentEnded {
        /// How.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// The agent does not answer, or not as it should.
    #[error("{cause}{}", log_tail(.log))]
    NoAnswer {
        /// What came instead.
        cause: ClientError,
        /// The end of its log.
        log: String,
    },
    /// A file of the lab's.
    #[error("cannot {operation} {}: {cause}", path.display())]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        cause: io::Error,
    },
    /// The state file is not what a lab writes.
    #[error("{} is damaged ({cause}): put the lab away with `maglane lab down`", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The parser's answer.
        cause: serde_json::Error,
    },
    /// The API does not answer, or not as it should.
    #[error("the lab's API: {}", api_error(.0))]
    Api(Box<kube::Error>),
    /// No port can be listened on.
    #[error(
        "cannot listen on 127.0.0.1:{port}, where this lab's API is: {cause}: end who listens there \
         (ss -ltnp sport = :{port}), or put the lab away with `maglane lab down`"
    )]
    Port {
        /// The port.
        port: u16,
        /// The system's answer.
        cause: io::Error,
    },
    /// The kernel's network refused something.
    #[error(transparent)]
    Net(#[from] NetError),
}

impl LabError {
    /// For `map_err`: an I/O error with its operation and file.
    pub(crate) fn io(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Io { operation, path, cause }
    }
}

impl From<kube::Error> for LabError {
    fn from(error: kube::Error) -> Self {
        Self::Api(Box::new(error))
    }
}

/// A refusal in the API's words, anything else in the client's.
fn api_error(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => {
            let mut text = other.to_string();
            let mut cause = std::error::Error::source(other);
            while let Some(error) = cause {
                text = format!("{text}: {error}");
                cause = error.source();
            }
            text
        }
    }
}

fn known_pods(known: &[String]) -> String {
    match known {
        [] => "there are no Pods in it".to_owned(),
        names => format!("there are: {}", names.join(", ")),
    }
}

fn log_tail(log: &str) -> String {
    match log.trim_end() {
        "" => String::new(),
        lines => format!("; its log ends:\n{lines}"),
    }
}
