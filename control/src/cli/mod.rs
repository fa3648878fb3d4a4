//! The command line: what people type, and what they read.

mod agent;
mod flows;
mod lab;
mod output;
mod services;
mod source;
mod status;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use crate::admin::{AGENT_SOCKET, Client};
use crate::lab::Site;

/// Kubernetes ClusterIPs without kube-proxy: Services in user space, over AF_XDP.
#[derive(Parser, Debug)]
#[command(name = "maglane", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Serve the Services of a cluster, of manifests, or of an API of its own on this node
    Agent(Box<agent::AgentArgs>),
    /// What the agent does: workers, ports, counters, problems
    Status(status::StatusArgs),
    /// The connections that are tracked now
    Flows(flows::FlowsArgs),
    /// The Services in force and who answers for them
    Services(services::ServicesArgs),
    /// A node and its Pods in network namespaces of this machine
    #[command(subcommand)]
    Lab(lab::LabCommand),
}

/// Which agent to ask, and how to print what it says.
#[derive(Args, Debug)]
struct AskArgs {
    /// The agent's socket [default: /run/maglane/agent.sock, else the lab's,
    /// /run/maglane/lab/agent.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: output::Format,
}

impl AskArgs {
    fn client(&self) -> anyhow::Result<Client> {
        let candidates = match &self.socket {
            Some(told) => vec![told.clone()],
            None => vec![AGENT_SOCKET.into(), Site::of_this_machine()?.agent_socket()],
        };
        Ok(Client::find(candidates)?)
    }
}

impl Cli {
    /// Does what was typed; the exit code is a command's own where it ran one.
    ///
    /// # Errors
    /// What goes to the terminal behind `error: `.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Agent(args) => args.run()?,
            Command::Status(args) => block_on(args.run())?,
            Command::Flows(args) => block_on(args.run())?,
            Command::Services(args) => block_on(args.run())?,
            Command::Lab(command) => return lab::run(command),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Runs on this thread alone: what is started later must not inherit threads of ours.
fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().context("cannot start the runtime")?.block_on(work)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
