//! The processes of containers: how they begin, are watched, and end.
//!
//! They outlive the agent. One that was started before is known by its number and start time, and
//! is watched like the agent's own children, by a pidfd; only its exit code stays unknown.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use k8s_openapi::api::core::v1::Container;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open};
use tokio::net::unix::pipe;

use crate::lab::environment::Environment;
use crate::lab::state::Process;
use crate::net::namespace;

/// Where a process that cannot be watched is looked at instead.
const LOOK: Duration = Duration::from_millis(200);

/// Starts a container's command; its output goes to `log`, which is made anew. Blocks.
///
/// # Errors
/// One line that names the field.
pub(super) fn start(
    container: &Container,
    environment: &Environment,
    network_namespace: &str,
    log: &Path,
) -> Result<(Process, Child), String> {
    let mut command = command(container, environment);
    let open = || {
        log.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mut options = OpenOptions::new();
        let file: File = options.create(true).truncate(true).write(true).open(log)?;
        Ok((file.try_clone()?, file))
    };
    let (out, err) = open()
        .map_err(|cause: std::io::Error| format!("cannot open {}: {cause}", log.display()))?;
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    // A signal to the agent's group is not meant for it.
    command.process_group(0);
    let child = namespace::run_in(network_namespace, || command.spawn())
        .map_err(|error| error.to_string())?
        .map_err(|cause| why_not(&command, &cause))?;
    match Process::of(child.id()) {
        Some(process) => Ok((process, child)),
        // Nobody has waited for it: it is there, if only as a zombie.
        None => Err("command: ended at once".to_owned()),
    }
}

/// The container's command with its environment and directory, and no streams yet.
fn command(container: &Container, environment: &Environment) -> Command {
    let mut words = container.command.iter().chain(&container.args).flatten();
    let program = environment.expand(words.next().map_or("", String::as_str));
    let mut command = Command::new(program);
    command.args(words.map(|word| environment.expand(word)));
    prepare(&mut command, container, environment);
    command
}

/// Gives any command what a container's own has.
pub(super) fn prepare(command: &mut Command, container: &Container, environment: &Environment) {
    command.env_clear().envs(environment.variables());
    let directory = container.working_dir.as_deref().filter(|directory| !directory.is_empty());
    command.current_dir(directory.unwrap_or("/"));
}

/// What is wrong with a command that cannot be started.
pub(super) fn why_not(command: &Command, cause: &std::io::Error) -> String {
    match command.get_current_dir().filter(|directory| !directory.is_dir()) {
        Some(directory) => format!("workingDir: {} does not exist", directory.display()),
        None => format!("command: cannot run {:?}: {cause}", command.get_program()),
    }
}

/// Returns when the process has ended, with its exit code if it was a child. What it has left
/// behind of its group is ended, too, as it is when the first process of a real container goes.
pub(super) async fn ended(process: Process, child: Option<Child>) -> Option<i32> {
    wait(process).await;
    let mut child = child?;
    // Nobody has waited for the child yet, so the number is still its own.
    let _ = killpg(process.pid(), Signal::SIGKILL);
    child.wait().ok().map(exit_code)
}

async fn wait(process: Process) {
    let pidfd = rustix::process::Pid::from_raw(process.pid().as_raw())
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
        // No pipe, but waited for like one: it becomes readable.
        .and_then(|pidfd| pipe::Receiver::from_owned_fd_unchecked(pidfd).ok());
    if let Some(pidfd) = pidfd
        && process.runs()
    {
        // The descriptor was opened before the look: it is this process's, and no later one's.
        let _ = pidfd.readable().await;
    }
    while process.runs() {
        tokio::time::sleep(LOOK).await;
    }
}

/// As a shell says it: 128 and the signal's number when one ended it.
pub(super) fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Signals a container's process and its group.
pub(super) fn signal(process: Process, signal: Signal) {
    if process.runs() {
        let _ = killpg(process.pid(), signal);
    }
}

/// Ends every process whose output goes to a file in `directory`, except those of `keep` and their
/// groups: what a crash left of containers that nobody knows of.
pub(super) fn end_strays(directory: &Path, keep: &[Process]) {
    let Ok(entries) = fs::read_dir("/proc") else { return };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let kept = |pid: Pid| {
        let group = nix::unistd::getpgid(Some(pid)).unwrap_or(pid);
        keep.iter().any(|one| one.pid() == pid || one.pid() == group)
    };
    for pid in pids.map(Pid::from_raw).filter(|pid| *pid != nix::unistd::getpid()) {
        let writes = ["1", "2"].iter().any(|stream| {
            fs::read_link(format!("/proc/{pid}/fd/{stream}"))
                .is_ok_and(|to| to.parent() == Some(directory))
        });
        if writes && !kept(pid) {
            tracing::info!(%pid, "ending a process that no container owns");
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

/// The TCP ports that somebody listens on in the process's network namespace.
pub(crate) fn listening_ports(process: Process) -> HashSet<u16> {
    ["tcp", "tcp6"]
        .iter()
        .filter_map(|file| fs::read_to_string(format!("/proc/{}/net/{file}", process.pid())).ok())
        .flat_map(|text| text.lines().filter_map(listening_port).collect::<Vec<_>>())
        .collect()
}

/// `sl local_address rem_address st …`, proc_pid_net(5).
fn listening_port(line: &str) -> Option<u16> {
    /// TCP_LISTEN, include/net/tcp_states.h.
    const LISTEN: &str = "0A";
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = fields.next()?;
    let state = fields.nth(1)?;
    (state == LISTEN).then(|| u16::from_str_radix(local.rsplit(':').next()?, 16).ok())?
}

/// A command beside a Pod's containers. When nobody waits for its end any more, it is ended, with
/// all of its group.
pub(super) struct Beside {
    /// For its streams.
    pub(super) child: tokio::process::Child,
    /// It leads its group; none once its end was seen.
    leader: Option<Pid>,
}

impl Beside {
    fn new(child: tokio::process::Child) -> Self {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        Self { child, leader: pid.map(Pid::from_raw) }
    }

    /// Waits for its end; what it has left running goes on. Cancel safe.
    pub(super) async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.leader = None;
        Ok(status)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }
}

/// Runs a command in a Pod beside its containers, with the environment of one of them. `configure`
/// gives it its streams, and has it lead a group or a session. To be awaited on the runtime that
/// follows it.
pub(super) async fn spawn_beside(
    words: &[String],
    container: &Container,
    environment: &Environment,
    network_namespace: &str,
    configure: impl FnOnce(&mut Command),
) -> Result<Beside, String> {
    let (program, arguments) = words.split_first().ok_or("no command is given")?;
    let mut command = Command::new(OsStr::new(program));
    command.args(arguments);
    prepare(&mut command, container, environment);
    configure(&mut command);
    let network_namespace = network_namespace.to_owned();
    let runtime = tokio::runtime::Handle::current();
    let spawned = tokio::task::spawn_blocking(move || {
        let mut command = tokio::process::Command::from(command);
        let spawned = namespace::run_in(&network_namespace, || {
            let _inside = runtime.enter();
            command.spawn()
        });
        let child = spawned
            .map_err(|error| error.to_string())?
            .map_err(|cause| why_not(command.as_std(), &cause))?;
        // Here already: whoever asked may have gone.
        Ok(Beside::new(child))
    });
    spawned.await.map_err(|error| error.to_string())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_count() {
        let listening = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000";
        let established = "   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000";
        assert_eq!(listening_port(listening), Some(8080));
        assert_eq!(listening_port(established), None);
        assert_eq!(listening_port("  sl  local_address rem_address   st"), None);
        assert_eq!(listening_port(""), None);
    }

    #[tokio::test]
    async fn the_end_of_a_process_is_seen_with_its_code_or_without() {
        let start = || {
            let child =
                Command::new("sh").args(["-c", "sleep 0.1; exit 3"]).process_group(0).spawn();
            let child = child.unwrap();
            (Process::of(child.id()).unwrap(), child)
        };
        let (process, child) = start();
        assert_eq!(ended(process, Some(child)).await, Some(3));
        assert!(!process.runs());
        let (process, _child) = start();
        assert_eq!(ended(process, None).await, None);
        let child = Command::new("sleep").arg("100").process_group(0).spawn().unwrap();
        let process = Process::of(child.id()).unwrap();
        signal(process, Signal::SIGTERM);
        assert_eq!(ended(process, Some(child)).await, Some(143));
    }

    #[test]
    fn strays_are_known_by_where_they_write() {
        let directory = tempfile::tempdir().unwrap();
        let start = || {
            let file = File::create(directory.path().join("c-0.log")).unwrap();
            let mut command = Command::new("sleep");
            command.arg("100").stdout(file).process_group(0).spawn().unwrap()
        };
        let (mut kept, mut stray) = (start(), start());
        end_strays(directory.path(), &[Process::of(kept.id()).unwrap()]);
        assert_eq!(stray.wait().unwrap().signal(), Some(9));
        assert!(kept.try_wait().unwrap().is_none());
        kept.kill().unwrap();
        kept.wait().unwrap();
    }
}
