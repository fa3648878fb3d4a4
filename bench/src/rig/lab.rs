//! The lab, through the `maglane` command: up, looked into, down.

use std::env;
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde::Deserialize;

use super::Poll;
use super::agent::Agent;
use super::command::run;
use crate::error::{BenchError, Result};
use crate::interrupt::Interrupt;
use crate::output::progress;

/// The Service's port, and the one that backends listen on, over UDP.
pub(crate) const SERVICE_PORT: u16 = 9000;
const CLIENT: &str = "client";
const LISTING: &str = "maglane lab ls -o json";
/// The Service, and what its Pods are called.
const SERVICE: &str = "sink";

/// The programs that a rig runs.
#[derive(Args, Clone, Debug)]
pub(crate) struct Programs {
    /// The maglane program [default: beside this one].
    #[arg(long, value_name = "PATH")]
    maglane: Option<PathBuf>,
}

impl Programs {
    /// The `maglane` to be measured.
    ///
    /// # Errors
    /// When it is not there.
    pub(crate) fn maglane(&self) -> Result<PathBuf> {
        let path = self.maglane.clone().unwrap_or_else(|| sibling("maglane"));
        let build = "cargo build --release -p maglane";
        require("maglane", path, build, "--maglane")
    }
}

/// A program in the directory of this one.
pub(super) fn sibling(name: &str) -> PathBuf {
    env::current_exe().unwrap_or_default().with_file_name(name)
}

/// The path, if there is a program.
pub(super) fn require(
    program: &'static str,
    path: PathBuf,
    build: &'static str,
    option: &'static str,
) -> Result<PathBuf> {
    if path.is_file() {
        // Its own namespace's working directory may be another.
        return Ok(path.canonicalize().unwrap_or(path));
    }
    Err(BenchError::NoProgram { program, path, build, option })
}

/// What a lab is brought up with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LabOptions {
    /// Workers of the agent.
    pub(crate) workers: u32,
    /// How they wait.
    pub(crate) poll: Poll,
    /// Pods behind the Service.
    pub(crate) backends: u32,
}

/// A Pod of the lab.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    /// Its name.
    pub(crate) name: String,
    /// Its network namespace, as in `/run/netns`.
    pub(crate) network_namespace: String,
    /// The node's end of its veth.
    pub(crate) interface: String,
    /// Its IPv4 address.
    pub(crate) address: Ipv4Addr,
}

/// A lab of ours: one client Pod, a Service, its backend Pods, and the agent, which can be stopped
/// and started again. Dropping it puts it away.
pub(crate) struct Lab {
    maglane: PathBuf,
    manifest: String,
    /// The node's network namespace, as in `/run/netns`.
    pub(crate) node: String,
    /// Who connects and sends.
    pub(crate) client: Pod,
    /// Who is behind the Service.
    pub(crate) backends: Vec<Pod>,
    /// The Service's address.
    pub(crate) service: Ipv4Addr,
    /// What it was brought up with.
    pub(crate) options: LabOptions,
    agent: Option<Agent>,
    interrupt: Interrupt,
}

impl Lab {
    /// Brings a lab up. After an error nothing of it is left; one that was up before stays.
    ///
    /// # Errors
    /// What `maglane lab up` says.
    pub(crate) fn up(
        programs: &Programs,
        options: LabOptions,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        if !nix::unistd::geteuid().is_root() {
            return Err(BenchError::NeedsRoot);
        }
        let maglane = programs.maglane()?;
        interrupt.check()?;
        let manifest = manifest(options.backends);
        let mut up = Command::new(&maglane);
        up.args(["lab", "up", "-f", "-", "--workers", &options.workers.to_string()]);
        up.args(["--poll", options.poll.as_str()]);
        run(&mut up, &manifest)?;
        Self::look_into(maglane.clone(), manifest, options, interrupt)
            .inspect_err(|_| down(&maglane))
    }

    fn look_into(
        maglane: PathBuf,
        manifest: String,
        options: LabOptions,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let listing = Listing::of(&maglane)?;
        let unexpected = |what: &str| BenchError::Unexpected {
            command: LISTING.to_owned(),
            what: what.to_owned(),
        };
        let agent = listing.node.agent.pid.map(Agent::of);
        let service = listing
            .services
            .iter()
            .filter(|service| service.name == SERVICE)
            .flat_map(|service| &service.cluster_ips)
            .find_map(|ip| ip.parse().ok())
            .ok_or_else(|| unexpected("the Service has no IPv4 address"))?;
        let (mut clients, backends): (Vec<Pod>, Vec<Pod>) =
            listing.pods.into_iter().filter_map(Pod::of).partition(|pod| pod.name == CLIENT);
        match (clients.pop(), backends.len() == options.backends as usize) {
            (Some(client), true) => Ok(Self {
                maglane,
                manifest,
                node: listing.node.network_namespace,
                client,
                backends,
                service,
                options,
                agent,
                interrupt: interrupt.clone(),
            }),
            _ => Err(unexpected("a Pod with an IPv4 address is missing")),
        }
    }

    /// Stops the agent, which takes down what it set up on the node. Stopped twice is stopped.
    ///
    /// # Errors
    /// When it does not end, or a signal came.
    pub(crate) fn stop_agent(&mut self) -> Result<()> {
        if let Some(agent) = &self.agent {
            agent.stop(&self.interrupt)?;
            self.agent = None;
        }
        Ok(())
    }

    /// Has the lab start the agent again. Started twice is started.
    ///
    /// # Errors
    /// When it does not come to serve, or a signal came.
    pub(crate) fn start_agent(&mut self) -> Result<()> {
        if self.agent.as_ref().is_some_and(Agent::runs) {
            return Ok(());
        }
        self.interrupt.check()?;
        // Changes nothing but that, and returns when everything is in force.
        let mut apply = Command::new(&self.maglane);
        run(apply.args(["lab", "apply", "-f", "-"]), &self.manifest)?;
        let pid = Listing::of(&self.maglane)?.node.agent.pid.ok_or(BenchError::NoAgent)?;
        self.agent = Some(Agent::of(pid));
        Ok(())
    }

    /// The agent's process, if it was not stopped.
    pub(crate) fn agent_pid(&self) -> Option<u32> {
        self.agent.as_ref().map(Agent::pid)
    }

    /// Runs a command inside a Pod to its end.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn run_in(&self, pod: &Pod, words: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.maglane);
        command.args(["lab", "exec", &pod.name, "--"]).args(words);
        run(&mut command, "").map(drop)
    }

    /// What stops the harness.
    pub(crate) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        down(&self.maglane);
    }
}

fn down(maglane: &Path) {
    let mut down = Command::new(maglane);
    if let Err(error) = run(down.args(["lab", "down"]), "") {
        progress(&format!("error: the lab is still there: {error}"));
    }
}

fn manifest(backends: u32) -> String {
    let mut text = format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: {SERVICE}}}, spec: {{selector: {{app: {SERVICE}}}, \
         ports: [{{port: {SERVICE_PORT}, protocol: UDP}}]}}}}\n---\n{}",
        pod(CLIENT, CLIENT)
    );
    for number in 1..=backends {
        let _ = write!(text, "---\n{}", pod(&format!("{SERVICE}-{number}"), SERVICE));
    }
    text
}

fn pod(name: &str, app: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: {app}}}}}, \
         spec: {{containers: [{{name: none, image: none}}]}}}}\n"
    )
}

/// As much of `maglane lab ls -o json` as it takes.
#[derive(Deserialize)]
struct Listing {
    node: NodeListing,
    pods: Vec<PodListing>,
    services: Vec<ServiceListing>,
}

#[derive(Deserialize)]
struct NodeListing {
    network_namespace: String,
    agent: AgentListing,
}

#[derive(Deserialize)]
struct AgentListing {
    pid: Option<u32>,
}

#[derive(Deserialize)]
struct PodListing {
    name: String,
    addresses: Vec<String>,
    network_namespace: String,
    interface: Option<String>,
}

#[derive(Deserialize)]
struct ServiceListing {
    name: String,
    cluster_ips: Vec<String>,
}

impl Listing {
    fn of(maglane: &Path) -> Result<Self> {
        let mut ls = Command::new(maglane);
        let text = run(ls.args(["lab", "ls", "-o", "json"]), "")?;
        serde_json::from_str(&text).map_err(|error| BenchError::Unexpected {
            command: LISTING.to_owned(),
            what: error.to_string(),
        })
    }
}

impl Pod {
    fn of(listing: PodListing) -> Option<Self> {
        Some(Self {
            address: listing.addresses.iter().find_map(|ip| ip.parse().ok())?,
            name: listing.name,
            network_namespace: listing.network_namespace,
            interface: listing.interface?,
        })
    }
}
