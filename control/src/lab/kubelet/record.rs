//! What is remembered of a Pod, so that whoever comes after a crash finds its network and its
//! processes again: one file a Pod.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use serde::{Deserialize, Serialize};

use crate::lab::state::{Process, write_whole};
use crate::lab::{LabError, Result, Site};

/// A Pod as it is on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PodRecord {
    /// `metadata.uid`: another Pod may get its name.
    pub(crate) uid: String,
    /// Its Kubernetes namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// When this node took it over.
    pub(crate) start_time: Timestamp,
    /// Its network, once that stands.
    pub(crate) sandbox: Option<Sandbox>,
    /// The network that is being made: whoever makes it may be killed before it stands.
    #[serde(default)]
    pub(crate) unfinished: Option<Sandbox>,
    /// Its containers: those that initialise it first, else as they stand in its specification.
    pub(crate) containers: Vec<ContainerRecord>,
}

/// A Pod's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sandbox {
    /// The network namespace it is; the node's with `hostNetwork`.
    pub(crate) network_namespace: String,
    /// The node's end of its link; none with `hostNetwork`.
    pub(crate) interface: Option<String>,
    /// Its addresses.
    pub(crate) addresses: Vec<IpAddr>,
}

/// What a container is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Runs to its end before the next one begins.
    Init,
    /// An init container with `restartPolicy: Always`: goes on beside those that follow.
    Sidecar,
    /// One of `spec.containers`.
    Main,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContainerRecord {
    /// Its name.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) role: Role,
    /// Whether the specification gives a command; without one nothing runs.
    pub(crate) has_command: bool,
    /// How often it was started again.
    pub(crate) restarts: u32,
    /// What became of it.
    pub(crate) state: RunState,
    /// How the run before this one ended.
    pub(crate) last: Option<Ended>,
    /// Its startup probe has succeeded, or the ports that it declares are open.
    pub(crate) started: bool,
    /// It may be sent requests.
    pub(crate) ready: bool,
}

/// What became of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RunState {
    /// It has not run yet, or is not to run yet.
    Waiting {
        /// One word.
        reason: String,
        /// More of them.
        message: String,
    },
    /// It runs.
    Running {
        /// As what; without a command as nothing.
        process: Option<Process>,
        /// Since when.
        since: Timestamp,
    },
    /// It has run.
    Ended(Ended),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// Exit code; 128 and more for signals.
    pub(crate) code: i32,
    /// `Completed`, `Error`, `StartError`, `ContainerStatusUnknown`.
    pub(crate) reason: String,
    /// What is known beside that.
    pub(crate) message: String,
    /// When it began.
    pub(crate) started_at: Timestamp,
    /// When it ended.
    pub(crate) finished_at: Timestamp,
}

impl Ended {
    /// A process that ran, by what `wait` says of it.
    pub(super) fn with_code(code: i32, started_at: Timestamp, finished_at: Timestamp) -> Self {
        let reason = if code == 0 { "Completed" } else { "Error" };
        let (reason, message) = (reason.to_owned(), String::new());
        Self { code, reason, message, started_at, finished_at }
    }

    /// A process of whose end nobody was told, as the kubelet says it.
    pub(super) fn unknown(started_at: Timestamp, finished_at: Timestamp) -> Self {
        Self {
            code: 137,
            reason: "ContainerStatusUnknown".to_owned(),
            message: "it ended while no agent ran, or after one did that had not started it"
                .to_owned(),
            started_at,
            finished_at,
        }
    }

    /// A process that could not be started.
    pub(super) fn not_started(message: String, at: Timestamp) -> Self {
        let reason = "StartError".to_owned();
        Self { code: 128, reason, message, started_at: at, finished_at: at }
    }
}

impl ContainerRecord {
    fn declared(container: &Container, role: Role, waits_for: &str) -> Self {
        Self {
            name: container.name.clone(),
            role,
            has_command: container.command.as_ref().is_some_and(|words| !words.is_empty()),
            restarts: 0,
            state: RunState::waiting(waits_for),
            last: None,
            started: false,
            ready: false,
        }
    }

    /// The process, while it is thought to run.
    pub(crate) fn process(&self) -> Option<Process> {
        match self.state {
            RunState::Running { process, .. } => process,
            _ => None,
        }
    }

    /// Whether it is thought to run.
    pub(super) fn runs(&self) -> bool {
        matches!(self.state, RunState::Running { .. })
    }

    /// How its last run ended, when it does not run.
    pub(super) fn ended(&self) -> Option<&Ended> {
        match &self.state {
            RunState::Ended(ended) => Some(ended),
            RunState::Waiting { .. } => self.last.as_ref(),
            RunState::Running { .. } => None,
        }
    }
}

impl RunState {
    /// Waits, for a reason that explains itself.
    pub(super) fn waiting(reason: &str) -> Self {
        Self::Waiting { reason: reason.to_owned(), message: String::new() }
    }
}

impl PodRecord {
    /// A Pod of which nothing stands yet.
    pub(super) fn new(pod: &Pod, now: Timestamp) -> Self {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        Self {
            uid: text(&pod.metadata.uid),
            namespace: text(&pod.metadata.namespace),
            name: text(&pod.metadata.name),
            start_time: now,
            sandbox: None,
            unfinished: None,
            containers: declared(pod),
        }
    }

    /// `namespace/name`.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Where its containers' output goes.
    pub(super) fn logs(&self, site: &Site) -> PathBuf {
        site.logs().join(format!("{}_{}_{}", self.namespace, self.name, self.uid))
    }

    /// The output of a container's run, counted from 0.
    pub(crate) fn log(&self, site: &Site, container: &ContainerRecord, run: u32) -> PathBuf {
        self.logs(site).join(format!("{}-{run}.log", container.name))
    }

    /// Writes it down.
    pub(super) fn save(&self, site: &Site) -> Result<()> {
        let path = file(site, &self.uid);
        let text = serde_json::to_vec_pretty(self)
            .map_err(|cause| LabError::Damaged { path: path.clone(), cause })?;
        write_whole(&path, &text).map_err(LabError::io("write", path))
    }

    /// Forgets it, and what its containers wrote.
    pub(super) fn remove(&self, site: &Site) -> Result<()> {
        let path = file(site, &self.uid);
        absent_is_fine(fs::remove_dir_all(self.logs(site)))
            .and_then(|()| absent_is_fine(fs::remove_file(&path)))
            .map_err(LabError::io("remove", path))
    }

    /// The one of this Pod.
    pub(super) fn load(site: &Site, uid: &str) -> Result<Option<Self>> {
        load(&file(site, uid))
    }

    /// All that were written down, by namespace and name. One that cannot be read is an error: its
    /// processes would be lost.
    pub(crate) fn load_all(site: &Site) -> Result<Vec<Self>> {
        let directory = site.pods();
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(LabError::io("read", directory)(error)),
        };
        let mut records = Vec::new();
        for entry in entries {
            let path = entry.map_err(LabError::io("read", &directory))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                records.extend(load(&path)?);
            }
        }
        records.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Ok(records)
    }
}

fn load(path: &Path) -> Result<Option<PodRecord>> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|cause| LabError::Damaged { path: path.to_owned(), cause }),
        // Its Pod went while others were read.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LabError::io("read", path)(error)),
    }
}

fn file(site: &Site, uid: &str) -> PathBuf {
    site.pods().join(format!("{uid}.json"))
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A Pod's containers before any of them runs.
fn declared(pod: &Pod) -> Vec<ContainerRecord> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let init: Vec<&Container> = spec.init_containers.iter().flatten().collect();
    let reason = if init.is_empty() { "ContainerCreating" } else { "PodInitializing" };
    let init = init.into_iter().map(|container| {
        let stays = container.restart_policy.as_deref() == Some("Always");
        (container, if stays { Role::Sidecar } else { Role::Init })
    });
    let main = spec.containers.iter().map(|container| (container, Role::Main));
    init.chain(main).map(|(of, role)| ContainerRecord::declared(of, role, reason)).collect()
}

/// The container's specification in its Pod.
pub(super) fn specification<'p>(pod: &'p Pod, record: &ContainerRecord) -> Option<&'p Container> {
    let spec = pod.spec.as_ref()?;
    let mut containers: Box<dyn Iterator<Item = &Container>> = match record.role {
        Role::Main => Box::new(spec.containers.iter()),
        Role::Init | Role::Sidecar => Box::new(spec.init_containers.iter().flatten()),
    };
    containers.find(|container| container.name == record.name)
}

#[cfg(test)]
pub(super) mod for_test {
    use super::*;

    /// Seconds after some moment.
    pub(in super::super) fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    /// A Pod of this specification, and of which nothing stands yet.
    pub(in super::super) fn pod(spec: &str) -> (Pod, PodRecord) {
        let text = format!("{{metadata: {{name: p, namespace: n, uid: u}}, spec: {spec}}}");
        let pod: Pod = serde_yaml_ng::from_str(&text).unwrap();
        let record = PodRecord::new(&pod, at(0));
        (pod, record)
    }
}
