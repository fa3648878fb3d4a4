//! Runs a command inside the lab, and shows what containers wrote.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use super::state::{PodState, State};
use super::{LabError, Result, Site};
use crate::net::namespace;

/// Becomes `command`, inside a Pod (`namespace`, `name`) or, with `None`, inside the node. Returns
/// only if that fails: terminal, signals and exit code are the command's own.
pub(crate) fn exec(
    site: &Site,
    pod: Option<(&str, &str)>,
    command: &[OsString],
) -> Result<Infallible> {
    let state = State::load(site)?;
    let (name, hostname) = match pod {
        None => (site.node_namespace(), super::node::NODE_NAME),
        Some((kubernetes_namespace, name)) => {
            let found = find(&state, kubernetes_namespace, name)?;
            (found.network_namespace.clone(), name)
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
    let state = State::load(site)?;
    let Some((kubernetes_namespace, name)) = pod else { return Ok(vec![site.agent_log()]) };
    let containers = &find(&state, kubernetes_namespace, name)?.containers;
    let wanted = |other: &str| container.is_none_or(|container| container == other);
    if let Some(container) = container
        && !containers.iter().any(|one| one.name == container)
    {
        let known = containers.iter().map(|one| one.name.clone()).collect();
        return Err(LabError::UnknownContainer { wanted: container.to_owned(), known });
    }
    let logs = containers.iter().filter(|one| one.process.is_some() && wanted(&one.name));
    Ok(logs.map(|one| one.log.clone()).collect())
}

fn find<'s>(state: &'s State, kubernetes_namespace: &str, name: &str) -> Result<&'s PodState> {
    let wanted = format!("{kubernetes_namespace}/{name}");
    state.pods.get(&wanted).ok_or_else(|| {
        let known = state.pods.keys().cloned().collect();
        LabError::UnknownPod { wanted, known }
    })
}
