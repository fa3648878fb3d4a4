//! Where a lab lives: its directory, its namespaces' names, the program its agent is.

use std::path::{Path, PathBuf};

use super::{LabError, Result};
use crate::model::{ObjectId, ObjectKey};

/// The place of one lab on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    directory: PathBuf,
    prefix: String,
    agent_program: PathBuf,
}

impl Site {
    /// The one lab that the command line knows.
    pub(crate) fn of_this_machine() -> Result<Self> {
        let agent_program = std::env::current_exe().map_err(|cause| LabError::Io {
            operation: "find",
            path: "/proc/self/exe".into(),
            cause,
        })?;
        Ok(Self {
            directory: "/run/maglane/lab".into(),
            prefix: "maglane-".to_owned(),
            agent_program,
        })
    }

    /// Another lab beside it, for tests.
    #[cfg(test)]
    pub(crate) fn for_test(directory: PathBuf, prefix: String, agent_program: PathBuf) -> Self {
        Self { directory, prefix, agent_program }
    }

    /// Everything a lab keeps in files.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What all its namespaces' names begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What runs as its agent.
    pub(crate) fn agent_program(&self) -> &Path {
        &self.agent_program
    }

    /// The node's namespace. No Pod's has this name: theirs hold a dash after the prefix.
    pub(crate) fn node_namespace(&self) -> String {
        format!("{}node", self.prefix)
    }

    /// A Pod's namespace.
    pub(crate) fn pod_namespace(&self, pod: &ObjectKey) -> String {
        format!("{}{}-{}", self.prefix, pod.namespace, pod.name)
    }

    /// The objects as the agent reads them, one file each.
    pub(crate) fn objects(&self) -> PathBuf {
        self.directory.join("objects")
    }

    /// The file of one of them. Kubernetes names hold no underscore, so no two share one.
    pub(crate) fn object(&self, id: &ObjectId) -> PathBuf {
        let ObjectKey { namespace, name } = &id.key;
        let file = format!("{}_{namespace}_{name}.yaml", id.kind.name()).to_ascii_lowercase();
        self.objects().join(file)
    }

    /// What containers wrote.
    pub(crate) fn logs(&self) -> PathBuf {
        self.directory.join("logs")
    }

    /// What is remembered between commands.
    pub(crate) fn state_file(&self) -> PathBuf {
        self.directory.join("state.json")
    }

    /// The agent's admin socket.
    pub(crate) fn agent_socket(&self) -> PathBuf {
        self.directory.join("agent.sock")
    }

    /// What the agent wrote.
    pub(crate) fn agent_log(&self) -> PathBuf {
        self.directory.join("agent.log")
    }
}
