//! What a lab remembers between commands: `state.json`.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::allocation::Allocation;
use super::options::LabOptions;
use super::{LabError, Result, Site};
use crate::net::processes;

/// A process, told from a later one with the same number by when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pid: i32,
    start_ticks: u64,
}

impl Process {
    /// The process with this number, if it exists.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        Some(Self { pid, start_ticks: processes::start_ticks(Pid::from_raw(pid))? })
    }

    /// Its number.
    pub(crate) fn pid(self) -> Pid {
        Pid::from_raw(self.pid)
    }

    /// Whether it still runs.
    pub(crate) fn runs(self) -> bool {
        processes::start_ticks(self.pid()) == Some(self.start_ticks) && processes::runs(self.pid())
    }
}

/// A container of a Pod, as far as a lab has such.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContainerState {
    /// The container's name.
    pub(crate) name: String,
    /// Whether the manifest gives a command; without one nothing runs.
    pub(crate) has_command: bool,
    /// What was started.
    pub(crate) process: Option<Process>,
    /// Where its output goes.
    pub(crate) log: PathBuf,
}

/// A Pod of the lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PodState {
    /// The network namespace it is; the node's with `hostNetwork`.
    pub(crate) network_namespace: String,
    /// The node's end of its link; none with `hostNetwork`.
    pub(crate) interface: Option<String>,
    /// Its addresses.
    pub(crate) addresses: Vec<IpAddr>,
    /// What runs in it.
    pub(crate) containers: Vec<ContainerState>,
}

/// Everything that is remembered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct State {
    /// As the lab was brought up.
    pub(crate) options: LabOptions,
    /// The agent's process.
    pub(crate) agent: Option<Process>,
    /// ClusterIPs by Service.
    pub(crate) service_addresses: Allocation,
    /// Addresses by Pod.
    pub(crate) pod_addresses: Allocation,
    /// The Pods that are, by `namespace/name`.
    pub(crate) pods: BTreeMap<String, PodState>,
}

impl State {
    /// Of a lab that is about to come up.
    pub(crate) fn new(options: LabOptions) -> Self {
        Self {
            options,
            agent: None,
            service_addresses: Allocation::default(),
            pod_addresses: Allocation::default(),
            pods: BTreeMap::new(),
        }
    }

    /// The state of the lab that is up.
    ///
    /// # Errors
    /// [`LabError::NotUp`] when there is none.
    pub(crate) fn load(site: &Site) -> Result<Self> {
        let path = site.state_file();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(LabError::NotUp),
            Err(error) => return Err(LabError::io("read", path)(error)),
        };
        serde_json::from_slice(&text).map_err(|cause| LabError::Damaged { path, cause })
    }

    /// Writes the state; a reader sees the old one or this, never half of it.
    pub(crate) fn save(&self, site: &Site) -> Result<()> {
        let path = site.state_file();
        let text = serde_json::to_vec_pretty(self)
            .map_err(|cause| LabError::Damaged { path: path.clone(), cause })?;
        write_whole(&path, &text).map_err(LabError::io("write", path))
    }
}

/// Writes beside the file, then renames. The temporary name ends in nothing a manifest ends in.
pub(super) fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut options = OpenOptions::new();
    let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
    file.write_all(text)?;
    fs::rename(&temporary, path)
}
