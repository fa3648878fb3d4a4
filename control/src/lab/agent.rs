//! The lab's agent: started inside the node, told over its socket to look again.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::interrupt::Interrupt;
use super::node::NODE_NAME;
use super::options::join;
use super::state::{Process, State};
use super::{LabError, Result, Site};
use crate::admin::Client;
use crate::model::Problem;
use crate::net::{namespace, processes};

const POLL: Duration = Duration::from_millis(20);
/// How long the agent may take to serve.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a killed one may hold its port.
const RELEASE: Duration = Duration::from_secs(5);
/// How long it gets to take down what it set up, before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// Puts the socket where sd_listen_fds(3) says, and becomes the agent, whose number must be told.
const PASS_SOCKET: &str = r#"exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1; export LISTEN_PID LISTEN_FDS; exec "$0" "$@""#;
/// How much of its log is shown when it ends.
const TAIL_LINES: usize = 15;

/// Starts the agent; returns once it serves, with what it finds wrong.
pub(super) fn start_and_wait(
    site: &Site,
    state: &mut State,
    interrupt: &Interrupt,
) -> Result<Vec<Problem>> {
    let mut child = start(site, state, interrupt)?;
    state.agent = Process::of(child.id());
    state.save(site)?;
    wait_until_serves(site, &mut child, interrupt)
}

/// Starts the agent inside the node's namespace; it outlives this command. Its API's socket is made
/// here, on the machine's own loopback, and passed on as systemd does it (sd_listen_fds(3)).
fn start(site: &Site, state: &State, interrupt: &Interrupt) -> Result<Child> {
    let options = &state.options;
    // Of one that has ended, it says why.
    let _ = fs::rename(site.agent_log(), site.agent_log().with_extension("log.1"));
    let log = File::create(site.agent_log())
        .and_then(|file| Ok((file.try_clone()?, file)))
        .map_err(LabError::io("create", site.agent_log()))?;
    let socket = listen(state.api_port, interrupt)?;
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", PASS_SOCKET])
        .arg(site.agent_program())
        .args(["agent", "--standalone", "--lab", "--node-name", NODE_NAME])
        .arg("--data-dir")
        .arg(site.api())
        .arg("--socket")
        .arg(site.agent_socket())
        .args(["--service-cidr", &join(&options.service_cidrs)])
        .args(["--workers", &options.workers.to_string()])
        .args(["--poll", options.poll.as_str()])
        .stdin(OwnedFd::from(socket))
        .stdout(log.0)
        .stderr(log.1)
        .current_dir("/")
        .process_group(0);
    for ip in &options.node_ips {
        command.args(["--node-ip", &ip.to_string()]);
    }
    namespace::run_in(&site.node_namespace(), || command.spawn())?.map_err(|cause| {
        LabError::Command { program: site.agent_program().display().to_string(), cause }
    })
}

/// The API's port. An agent that was killed holds it until its last thread is gone.
fn listen(port: u16, interrupt: &Interrupt) -> Result<TcpListener> {
    let deadline = Instant::now() + RELEASE;
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Err(cause) if cause.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                interrupt.sleep(POLL)?;
            }
            result => return result.map_err(|cause| LabError::Port { port, cause }),
        }
    }
}

/// Waits until the agent serves, and returns what it finds wrong.
fn wait_until_serves(
    site: &Site,
    agent: &mut Child,
    interrupt: &Interrupt,
) -> Result<Vec<Problem>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let refused = match sync(site, interrupt) {
            Ok(problems) => return Ok(problems),
            Err(LabError::Interrupted) => return Err(LabError::Interrupted),
            Err(error) => error,
        };
        match agent.try_wait() {
            Ok(Some(status)) => return Err(LabError::AgentEnded { status, log: log_tail(site) }),
            _ if Instant::now() >= deadline => return Err(refused),
            _ => interrupt.sleep(POLL)?,
        }
    }
}

/// Whether somebody listens where the agent is asked. One that ends does not any more.
pub(super) fn listens(site: &Site) -> bool {
    UnixStream::connect(site.agent_socket()).is_ok()
}

/// Has the agent take in what it has been told and how its interfaces are; returns once that is in
/// force, with what it finds wrong.
pub(super) fn sync(site: &Site, interrupt: &Interrupt) -> Result<Vec<Problem>> {
    let socket = site.agent_socket();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(LabError::io("connect to", &socket))?;
    let client = Client::new(socket);
    runtime.block_on(async {
        tokio::select! {
            answer = client.sync() => match answer {
                Ok(view) => Ok(view.problems),
                Err(cause) => Err(LabError::NoAnswer { cause, log: log_tail(site) }),
            },
            () = interrupt.wait() => Err(LabError::Interrupted),
        }
    })
}

/// Ends the agent: it takes down what it set up, unless it takes too long.
pub(super) fn stop(process: Process) -> bool {
    !process.runs() || processes::end(process.pid(), GRACE)
}

/// Those processes in the node that are agents; for a lab whose state is lost.
pub(super) fn find(site: &Site) -> Vec<Pid> {
    let socket = site.agent_socket();
    let socket = socket.as_os_str().as_encoded_bytes();
    let inside = processes::inside(&site.node_namespace()).unwrap_or_default();
    let is_agent = |pid: &Pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == socket)
    };
    inside.into_iter().filter(is_agent).collect()
}

fn log_tail(site: &Site) -> String {
    let text = fs::read(site.agent_log()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
