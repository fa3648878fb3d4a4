//! `maglane lab`: a node and its Pods on this machine.

use std::ffi::OsString;
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use ipnet::IpNet;

use super::output::{Format, columns, print};
use crate::agent::Poll;
use crate::lab::interrupt::Interrupt;
use crate::lab::listing::{Listing, ProcessListing};
use crate::lab::log_file::LogReader;
use crate::lab::objects::Name;
use crate::lab::options::{LabOptions, join};
use crate::lab::report::{Change, Report};
use crate::lab::{LabError, Site, apply, down, exec, listing, up};

/// What a shell reports for a process that Ctrl-C ended.
const EXIT_INTERRUPTED: u8 = 130;

/// What a shell reports for a command that is not there.
const EXIT_CANNOT_RUN: u8 = 127;

/// Bring up, change, look into and put away a lab.
#[derive(Debug, Subcommand)]
pub(crate) enum LabCommand {
    /// Bring up a node and the Pods and Services of manifests.
    ///
    /// A Pod's command runs as a process of this machine in the Pod's network namespace, with the
    /// machine's files; images are ignored, and a container without a command runs nothing.
    Up(UpArgs),
    /// Run a command inside a Pod, or inside the node.
    Exec(ExecArgs),
    /// Show the node, the Pods and the Services.
    Ls(LsArgs),
    /// Create or change objects, and wait until that is in force.
    ///
    /// Lists are replaced whole; `kubectl apply` merges those whose items have names.
    Apply(FileArgs),
    /// Delete objects, and wait until they are gone.
    Delete(FileArgs),
    /// Show what a Pod's containers wrote, or with --node what the agent wrote.
    Logs(LogsArgs),
    /// Print the path of the kubeconfig with which kubectl finds the lab.
    Kubeconfig,
    /// Put the lab away.
    Down,
}

/// Where manifests are.
#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// Manifest: a file, a directory, or - for standard input.
    #[arg(short, long = "filename", value_name = "FILE", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
}

/// Options of `lab up`.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Manifest: a file, a directory, or - for standard input.
    #[arg(short, long = "filename", value_name = "FILE", num_args = 1..)]
    files: Vec<PathBuf>,
    /// Workers of the agent, each on a core of its own.
    #[arg(long, value_name = "N", default_value_t = 1)]
    workers: u32,
    /// How workers wait for packets.
    #[arg(long, value_enum, default_value_t)]
    poll: Poll,
    /// Where ClusterIPs come from, at most one CIDR of each family.
    #[arg(
        long,
        value_name = "CIDR,CIDR",
        value_delimiter = ',',
        default_value = "10.96.0.0/16,fd00:10:96::/112"
    )]
    service_cidr: Vec<IpNet>,
    /// Where Pods' addresses come from, at most one CIDR of each family.
    #[arg(
        long,
        value_name = "CIDR,CIDR",
        value_delimiter = ',',
        default_value = "10.244.0.0/24,fd00:10:244::/64"
    )]
    pod_cidr: Vec<IpNet>,
    /// MTU of the Pods' links, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 1_500)]
    mtu: u32,
    /// The node's address; once for each family [default: 192.168.0.2 and fd00:192:168::2].
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    node_ip: Vec<IpAddr>,
}

/// Options of `lab exec`.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// The Pod's Kubernetes namespace.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Inside the node instead of a Pod.
    #[arg(long, conflicts_with = "pod")]
    node: bool,
    /// The Pod.
    #[arg(required_unless_present = "node")]
    pod: Option<String>,
    /// What to run, after --.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Options of `lab logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The Pod's Kubernetes namespace.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Only this container.
    #[arg(short, long)]
    container: Option<String>,
    /// The agent's log instead of a Pod's.
    #[arg(long, conflicts_with = "pod")]
    node: bool,
    /// The Pod.
    #[arg(required_unless_present = "node")]
    pod: Option<String>,
}

/// Options of `lab ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// A table for people, or JSON for programs.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Runs a lab command.
///
/// # Errors
/// What stopped it. What is wrong with single objects is printed here, and makes the exit code 1.
pub(crate) fn run(command: LabCommand) -> anyhow::Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        return Err(LabError::NeedsRoot.into());
    }
    let site = Site::of_this_machine()?;
    match command {
        LabCommand::Up(args) => reporting(created, |interrupt, report| {
            let options = LabOptions {
                workers: args.workers,
                poll: args.poll,
                service_cidrs: args.service_cidr,
                pod_cidrs: args.pod_cidr,
                mtu: args.mtu,
                node_ips: args.node_ip,
            };
            up::up(&site, options, &args.files, interrupt, report)
        }),
        LabCommand::Apply(args) => reporting(created, |interrupt, report| {
            apply::apply(&site, &args.files, interrupt, report)
        }),
        LabCommand::Delete(args) => reporting(deleted, |interrupt, report| {
            apply::delete(&site, &args.files, interrupt, report)
        }),
        LabCommand::Exec(args) => {
            let pod = args.pod.as_deref().map(|pod| (args.namespace.as_str(), pod));
            match exec::exec(&site, pod, &args.command) {
                Ok(never) => match never {},
                Err(error @ LabError::Command { .. }) => {
                    say(&format!("error: {error}"));
                    Ok(ExitCode::from(EXIT_CANNOT_RUN))
                }
                Err(error) => Err(error.into()),
            }
        }
        LabCommand::Logs(args) => {
            let pod = args.pod.as_deref().map(|pod| (args.namespace.as_str(), pod));
            print_logs(&exec::logs(&site, pod, args.container.as_deref())?)
        }
        LabCommand::Ls(args) => {
            let listing = listing::list(&site)?;
            print(args.output, &listing, tables)?;
            if listing.silent {
                say(
                    "the lab's API does not answer: Services, and Pods not made yet, are not shown",
                );
            }
            Ok(ExitCode::SUCCESS)
        }
        LabCommand::Kubeconfig => print_line(&exec::kubeconfig(&site)?.display().to_string()),
        LabCommand::Down => {
            // Once begun it is finished, also when the shell it was typed into is in the lab.
            let _deaf = Interrupt::watch();
            let was_up = down::down(&site)?;
            say(if was_up { "the lab is down" } else { "no lab is up" });
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Runs a command that can be interrupted, and prints its report whatever becomes of it.
fn reporting(
    line: fn(&Name, Change) -> String,
    work: impl FnOnce(&Interrupt, &mut Report) -> Result<(), LabError>,
) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::watch();
    let mut report = Report::new(say);
    let result = work(&interrupt, &mut report);
    let mut out = std::io::stdout().lock();
    if result.is_ok() {
        for (name, change) in &report.changes {
            writeln!(out, "{}", line(name, *change)).context("cannot write to standard output")?;
        }
    }
    for warning in &report.warnings {
        say(&format!("warning: {warning}"));
    }
    for problem in &report.problems {
        say(&format!("error: {problem}"));
    }
    match result {
        Ok(()) if report.problems.is_empty() => Ok(ExitCode::SUCCESS),
        Ok(()) => Ok(ExitCode::FAILURE),
        Err(LabError::Interrupted) => Ok(ExitCode::from(EXIT_INTERRUPTED)),
        Err(error) => Err(error.into()),
    }
}

/// As `kubectl apply` prints it.
fn created(name: &Name, change: Change) -> String {
    format!("{} {}", name.short(), change.as_str())
}

/// As `kubectl delete` prints it.
fn deleted(name: &Name, change: Change) -> String {
    format!("{} {:?} {}", name.kind(), name.name, change.as_str())
}

fn print_line(line: &str) -> anyhow::Result<ExitCode> {
    writeln!(std::io::stdout(), "{line}").context("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}

fn say(line: &str) {
    // A closed standard error is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn print_logs(logs: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    for path in logs {
        let mut log =
            LogReader::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        std::io::copy(&mut log, &mut out).context("cannot write to standard output")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn tables(listing: &Listing) -> String {
    let node = &listing.node;
    let nodes = [[node.network_namespace.clone(), join(&node.addresses), process(&node.agent)]];
    let pods = listing.pods.iter().map(|pod| {
        [
            pod.namespace.clone(),
            pod.name.clone(),
            join(&pod.addresses),
            pod.interface.clone().unwrap_or_else(|| "host network".to_owned()),
            pod.processes.iter().map(process).collect::<Vec<_>>().join(", "),
        ]
    });
    let services = listing.services.iter().map(|service| {
        [
            service.namespace.clone(),
            service.name.clone(),
            service.r#type.clone(),
            service.cluster_ips.join(","),
            service.ports.join(","),
        ]
    });
    [
        columns(["NODE", "ADDRESSES", "PROCESSES"], nodes),
        columns(["NAMESPACE", "POD", "ADDRESSES", "INTERFACE", "PROCESSES"], pods),
        columns(["NAMESPACE", "SERVICE", "TYPE", "CLUSTER-IPS", "PORTS"], services),
    ]
    .join("\n")
}

fn process(process: &ProcessListing) -> String {
    match process.pid {
        Some(pid) => format!("{} {} ({pid})", process.name, process.state),
        None => format!("{} {}", process.name, process.state),
    }
}
