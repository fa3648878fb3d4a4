//! The processes of Pods: a container's command, run in the Pod's network namespace.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use k8s_openapi::api::core::v1::{Container, Pod, Service};
use maglane_dataplane::wire::Protocol;

use super::environment::Environment;
use super::listening::Expected;
use super::pod::GRACE;
use super::state::{ContainerState, PodState, Process};
use super::{Result, Site};
use crate::model::{Problem, container_ports};
use crate::net::{namespace, processes};

/// What a Pod's containers are before any of them runs.
pub(super) fn declared(site: &Site, pod: &Pod, path: &str) -> Vec<ContainerState> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers
        .map(|container| ContainerState {
            name: container.name.clone(),
            has_command: container.command.as_ref().is_some_and(|words| !words.is_empty()),
            process: None,
            log: site.logs().join(format!("{}_{}.log", path.replace('/', "_"), container.name)),
        })
        .collect()
}

/// Starts the commands of a Pod's containers, those that were not started before. Returns the
/// ports they are expected to open; what cannot be started is a problem, and the others run.
pub(super) fn start(
    pod: &Pod,
    label: &str,
    state: &mut PodState,
    services: &[&Service],
    problems: &mut Vec<Problem>,
) -> Result<Vec<Expected>> {
    let mut expected = Vec::new();
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    for (index, (container, slot)) in containers.zip(&mut state.containers).enumerate() {
        if !slot.has_command || slot.process.is_some() {
            continue;
        }
        let field = format!("spec.containers[{index}]");
        let started = Environment::of(pod, container, services).and_then(|environment| {
            let command = command(container, &environment, &slot.log)?;
            spawn(&state.network_namespace, command)
        });
        match started {
            Ok(process) => {
                slot.process = Some(process);
                expected.extend(declared_ports(container).map(|port| Expected {
                    network_namespace: state.network_namespace.clone(),
                    port,
                    process,
                    container: format!("{label}, container {}", container.name),
                }));
            }
            Err(reason) => problems.push(Problem::new(reason).object(label).field(field)),
        }
    }
    Ok(expected)
}

/// Ends what runs of a Pod that has no namespace of its own.
pub(super) fn end(state: &PodState) {
    for process in state.containers.iter().filter_map(|container| container.process) {
        if process.runs() {
            processes::end_group(process.pid(), GRACE);
        }
    }
}

fn command(
    container: &Container,
    environment: &Environment,
    log: &Path,
) -> std::result::Result<Command, String> {
    let mut words = container.command.iter().chain(&container.args).flatten();
    let program = environment.expand(words.next().map_or("", String::as_str));
    let open = || File::create(log).and_then(|file| Ok((file.try_clone()?, file)));
    let (out, err) = open().map_err(|cause| format!("cannot open {}: {cause}", log.display()))?;
    let mut command = Command::new(program);
    command
        .args(words.map(|word| environment.expand(word)))
        .env_clear()
        .envs(environment.variables())
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        // Ctrl-C at the terminal is not meant for it. A session of its own would need unsafe code.
        .process_group(0);
    match container.working_dir.as_deref().filter(|directory| !directory.is_empty()) {
        Some(directory) => command.current_dir(directory),
        None => command.current_dir("/"),
    };
    Ok(command)
}

fn spawn(network_namespace: &str, mut command: Command) -> std::result::Result<Process, String> {
    let child = namespace::run_in(network_namespace, || command.spawn())
        .map_err(|error| error.to_string())?
        .map_err(|cause| {
            let directory = command.get_current_dir().filter(|directory| !directory.is_dir());
            match directory {
                Some(directory) => format!("workingDir: {} does not exist", directory.display()),
                None => format!("command: cannot run {:?}: {cause}", command.get_program()),
            }
        })?;
    Process::of(child.id()).ok_or_else(|| "command: ended at once".to_owned())
}

/// The TCP ports that a container says it serves.
fn declared_ports(container: &Container) -> impl Iterator<Item = u16> {
    let ports = container_ports(container);
    ports.filter(|(_, protocol, _)| *protocol == Protocol::Tcp).map(|(_, _, number)| number)
}
