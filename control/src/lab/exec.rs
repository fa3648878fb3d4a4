//! Runs a command inside the lab, and shows what containers wrote.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use super::kubelet::record::PodRecord;
use super::state::State;
use super::{LabError, Result, Site};
use crate::net::namespace;

/// Becomes `command`, inside a Pod (`namespace`, `name`) or, with `None`, inside the node. Returns
/// only if that fails: terminal, signals and exit code are the command's own.
pub(crate) fn exec(
    site: &Site,
    pod: Option<(&str, &str)>,
    command: &[OsString],
) -> Result<Infallible> {
    State::load(site)?;
    let (name, hostname) = match pod {
        None => (site.node_namespace(), super::node::NODE_NAME),
        Some((kubernetes_namespace, name)) => {
            let found = find(site, kubernetes_namespace, name)?;
            (found.sandbox.map(|sandbox| sandbox.network_namespace).unwrap_or_default(), name)
        }
    };
    let Some((program, arguments)) = command.split_first() else {
        let cause = std::io::Error::other("no command is given");
        return Err(LabError::Command { program: String::new(), cause });
    };
    let mut process = Command::new(program);
    process.args(arguments).env("HOSTNAME", hostname);
    // The thread that calls exec becomes the process, and its namespace the process's.
    let cause = namespace::run_in(&name, || process.exec())?;
    Err(LabError::Command { program: program.display().to_string(), cause })
}

/// The log files of a Pod's containers, or of the one that is named; without a Pod, the agent's.
pub(crate) fn logs(
    site: &Site,
    pod: Option<(&str, &str)>,
    container: Option<&str>,
) -> Result<Vec<PathBuf>> {
    State::load(site)?;
    let Some((kubernetes_namespace, name)) = pod else { return Ok(vec![site.agent_log()]) };
    let record = find(site, kubernetes_namespace, name)?;
    let wanted = |other: &str| container.is_none_or(|container| container == other);
    if let Some(container) = container
        && !record.containers.iter().any(|one| one.name == container)
    {
        let known = record.containers.iter().map(|one| one.name.clone()).collect();
        return Err(LabError::UnknownContainer { wanted: container.to_owned(), known });
    }
    let wanted = record.containers.iter().filter(|one| wanted(&one.name));
    let logs = wanted.map(|one| record.log(site, one, one.restarts));
    Ok(logs.filter(|log| log.exists()).collect())
}

/// The file with which kubectl finds the lab's API.
pub(crate) fn kubeconfig(site: &Site) -> Result<PathBuf> {
    State::load(site)?;
    Ok(site.kubeconfig())
}

/// The Pod that has a network; of several of one name, while one goes, the newest.
fn find(site: &Site, kubernetes_namespace: &str, name: &str) -> Result<PodRecord> {
    let wanted = format!("{kubernetes_namespace}/{name}");
    let records: Vec<PodRecord> =
        PodRecord::load_all(site)?.into_iter().filter(|record| record.sandbox.is_some()).collect();
    let found = records.iter().filter(|record| record.key() == wanted);
    found.max_by_key(|record| record.start_time).cloned().ok_or_else(|| {
        let known = records.iter().map(PodRecord::key).collect();
        LabError::UnknownPod { wanted, known }
    })
}
