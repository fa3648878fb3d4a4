//! Where a lab lives: its directory, its namespaces' names, the program its agent is.

use std::path::{Path, PathBuf};

use super::{LabError, Result};

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
    pub(crate) fn pod_namespace(&self, namespace: &str, name: &str) -> String {
        format!("{}{namespace}-{name}", self.prefix)
    }

    /// What the API keeps: objects, certificates, its kubeconfig.
    pub(crate) fn api(&self) -> PathBuf {
        self.directory.join("api")
    }

    /// With it `kubectl` finds the API. Written by the agent.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.api().join("kubeconfig")
    }

    /// What is known of the Pods on this node, one file each.
    pub(crate) fn pods(&self) -> PathBuf {
        self.directory.join("pods")
    }

    /// Which Pod has which addresses.
    pub(crate) fn addresses_file(&self) -> PathBuf {
        self.directory.join("addresses.json")
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
