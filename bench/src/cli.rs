use clap::{Parser, Subcommand};

use crate::control::ControlArgs;
use crate::direct::DirectArgs;
use crate::engine::EngineArgs;
use crate::host_port::HostPortArgs;
use crate::interrupt::Interrupt;
use crate::lab::LabArgs;
use crate::maglev::MaglevArgs;
use crate::output::progress;
use crate::pktgen::PktgenArgs;
use crate::report::ReportArgs;
use crate::search::SearchArgs;
use crate::{control, direct, engine, host_port, lab, maglev, pktgen, report, search};

/// Measures any L4 dataplane, and Maglane beside what it is to be compared with.
#[derive(Debug, Parser)]
#[command(name = "maglane-bench", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sends packets through any dataplane, and says what came of them.
    ///
    /// AF_XDP from one interface to another, or back to the same. Every packet has a sequence
    /// number and the time at which it was to be sent, so that loss, order, copies, damage and
    /// latency are known of each direction; the generator's own are measured beside.
    Pktgen(Box<PktgenArgs>),
    /// The highest rate at which no more than so many packets are lost, and latencies at shares of
    /// it.
    ///
    /// After the Multiple Loss Ratio search of the IETF's benchmarking group (MLRsearch): short
    /// trials first, long ones near the answer, and each load judged by all of its trials.
    Search(Box<SearchArgs>),
    /// The pipeline in memory: nanoseconds, allocations and stages of a packet.
    Engine(EngineArgs),
    /// Maglev tables: time to build, memory, imbalance, disruption, beside published figures.
    Maglev(MaglevArgs),
    /// The comparison: Maglane, bare forwarders, the kernel and kube-proxy's rules, in one lab.
    ///
    /// In namespaces of its own, which go with the process: rounds in which everybody is measured
    /// once, in turn. Throughput without loss and as fast as it goes, processor time of the whole
    /// machine, latency of known flows and of first packets, how long a changed backend takes, and
    /// real connections (iperf3, wrk and nginx, where they are installed).
    ///
    /// Let nothing else run meanwhile, no test and no second measurement: what it takes from the
    /// cores would be missing from somebody's figures.
    Lab(Box<LabArgs>),
    /// Forwards for `lab`, in a process of its own.
    #[command(hide = true)]
    Forward,
    /// One page of all saved results, to be looked at, kept and printed.
    Report(ReportArgs),
    /// Packets a second through the host port: Maglane beside a bare AF_XDP forwarder.
    ///
    /// In each round, in turn: the sender alone, whose frames nobody takes (its ceiling, and so
    /// the bias of everything else here); the bare forwarder, which sends all frames to one Pod
    /// unseen; the agent. The sender sends as fast as it can; delivered is what arrives at the
    /// backends' interfaces, lost is what was sent and did not.
    HostPort(HostPortArgs),
    /// What a cluster costs the control plane, and how soon its changes are in force.
    ///
    /// The real agent follows a generated cluster behind a real API server, in a network namespace
    /// of its own: memory, time from start to in force, and from the writing of one changed
    /// endpoint to its being in force in all workers, for clusters of several sizes.
    Control(ControlArgs),
    /// Bytes a second from Pod to Pod, which no Service sees: with the agent and without.
    Direct(DirectArgs),
}

impl Cli {
    /// Runs what was typed.
    ///
    /// # Errors
    /// What stopped it. The lab is put away then, too.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let interrupt = Interrupt::watch();
        self.command.run(&interrupt)?;
        if interrupt.check().is_err() {
            progress("interrupted: this is what was measured until then");
        }
        Ok(())
    }
}

impl Command {
    fn run(self, interrupt: &Interrupt) -> anyhow::Result<()> {
        match self {
            Self::Pktgen(args) => pktgen::run(&args, interrupt),
            Self::Search(args) => search::run(&args, interrupt),
            Self::Engine(args) => engine::run(&args, interrupt),
            Self::Maglev(args) => maglev::run(&args, interrupt),
            Self::Report(args) => report::run(&args),
            Self::Lab(args) => lab::run(&args, interrupt),
            Self::Forward => lab::forward(),
            Self::HostPort(args) => host_port::run(&args, interrupt),
            Self::Control(args) => control::run(&args, interrupt),
            Self::Direct(args) => direct::run(&args, interrupt),
        }
    }
}
