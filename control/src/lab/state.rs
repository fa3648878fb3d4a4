//! What a lab remembers between commands: `state.json`. What it has of Pods is the kubelet's.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

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

/// Everything that is remembered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct State {
    /// As the lab was brought up.
    pub(crate) options: LabOptions,
    /// The agent's process.
    pub(crate) agent: Option<Process>,
    /// Where the API listens, on the machine's loopback.
    pub(crate) api_port: u16,
}

impl State {
    /// Of a lab that is about to come up.
    pub(crate) fn new(options: LabOptions, api_port: u16) -> Self {
        Self { options, agent: None, api_port }
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

/// Writes beside the file, then renames. The temporary name is none that is read.
pub(super) fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut options = OpenOptions::new();
    let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
    file.write_all(text)?;
    fs::rename(&temporary, path)
}
