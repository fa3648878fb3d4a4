//! The lab's agent: started inside the node, told over its socket to look again.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use nix::unistd::Pid;
use serde::Deserialize;

use super::interrupt::Interrupt;
use super::options::{LabOptions, join};
use super::state::Process;
use super::{LabError, Result, Site};
use crate::net::{namespace, processes};

const POLL: Duration = Duration::from_millis(20);
/// How long the agent may take to serve, or to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it gets to take down what it set up, before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How much of its log is shown when it ends.
const TAIL_LINES: usize = 15;

/// The body of `POST /sync`.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    problems: Vec<String>,
}

/// Starts the agent inside the node's namespace; it outlives this command.
pub(super) fn start(site: &Site, options: &LabOptions) -> Result<Child> {
    let log = File::create(site.agent_log())
        .and_then(|file| Ok((file.try_clone()?, file)))
        .map_err(LabError::io("create", site.agent_log()))?;
    let mut command = Command::new(site.agent_program());
    command
        .arg("agent")
        .arg("--manifests")
        .arg(site.objects())
        .arg("--socket")
        .arg(site.agent_socket())
        .args(["--service-cidr", &join(&options.service_cidrs)])
        .args(["--workers", &options.workers.to_string()])
        .args(["--poll", options.poll.as_str()])
        .stdin(Stdio::null())
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

/// Waits until the agent serves and has what lies in its directory in force.
/// Returns what it finds wrong with that.
pub(super) fn wait_until_serves(
    site: &Site,
    agent: &mut Child,
    interrupt: &Interrupt,
) -> Result<Vec<String>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let refused = match sync(site, interrupt) {
            Ok(problems) => return Ok(problems),
            Err(LabError::Interrupted) => return Err(LabError::Interrupted),
            Err(error) => error,
        };
        match agent.try_wait() {
            Ok(Some(status)) => return Err(failed(site, format!("ended ({status})"))),
            _ if Instant::now() >= deadline => return Err(refused),
            _ => interrupt.sleep(POLL)?,
        }
    }
}

/// Has the agent read manifests and interfaces again; returns once that is in force, with what it
/// finds wrong.
pub(super) fn sync(site: &Site, interrupt: &Interrupt) -> Result<Vec<String>> {
    let socket = site.agent_socket();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(LabError::io("connect to", &socket))?;
    let answered = runtime.block_on(async {
        tokio::select! {
            answer = tokio::time::timeout(PATIENCE, post_sync(&socket)) => Ok(answer),
            () = interrupt.wait() => Err(LabError::Interrupted),
        }
    })?;
    match answered {
        Ok(Ok(problems)) => Ok(problems),
        Ok(Err(reason)) => Err(failed(site, format!("does not answer: {reason}"))),
        Err(_) => Err(failed(site, format!("has not answered for {} s", PATIENCE.as_secs()))),
    }
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

async fn post_sync(socket: &Path) -> std::result::Result<Vec<String>, String> {
    let text = |error: hyper::Error| error.to_string();
    let stream = tokio::net::UnixStream::connect(socket)
        .await
        .map_err(|error| format!("{}: {error}", socket.display()))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    tokio::spawn(connection);
    let request = hyper::Request::post("/sync")
        .header(hyper::header::HOST, "maglane")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(text)?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(text)?.to_bytes();
    if !status.is_success() {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&body).trim()));
    }
    let answer: Answer = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    Ok(answer.problems)
}

fn failed(site: &Site, what: String) -> LabError {
    let text = fs::read(site.agent_log()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let log = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
    LabError::Agent { what, log }
}
