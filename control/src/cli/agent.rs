use std::io::IsTerminal;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;
use clap::Args;
use ipnet::IpNet;
use maglane_dataplane::engine::{EngineConfig, XdpMode};
use maglane_dataplane::service::{Deliver, Masquerade};
use tracing_subscriber::EnvFilter;

use super::block_on;
use super::source::SourceArgs;
use crate::admin::AGENT_SOCKET;
use crate::agent::{self, AgentOptions, Poll, XdpPort};
use crate::model::one_of_each_family;
use crate::net::host_port::{MAX_MTU, MIN_MTU};

/// UMEM frames of a worker, in rings: all four of the host port's may be full.
const HOST_PORT_RINGS: u32 = 4;

#[derive(Args, Debug)]
pub(super) struct AgentArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Where `maglane status` and others ask
    #[arg(long, value_name = "PATH", default_value = AGENT_SOCKET)]
    socket: PathBuf,
    /// Where ClusterIPs come from; beside the ServiceCIDRs of the API server, where it has any
    /// [default with --standalone and --manifests: 10.96.0.0/12,fd00:10:96::/112]
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = cidr)]
    service_cidr: Vec<IpNet>,
    /// The node's address, one of each family at most; found out if it is not given
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    node_ip: Vec<IpAddr>,
    /// Worker threads, one core and one queue each
    #[arg(long, value_name = "N", default_value_t = 1)]
    workers: u32,
    /// How workers wait for packets
    #[arg(long, value_enum, default_value_t)]
    poll: Poll,
    /// How packets get into Pods
    #[arg(long, value_enum, default_value_t)]
    deliver: Delivery,
    /// Cores for the workers, in order, as `0,2-3`; from the machine's last on if it is not given
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    cores: Vec<Cores>,
    /// Entries of each ring, a power of two
    #[arg(long, value_name = "N", default_value_t = EngineConfig::default().ring_size_frames)]
    ring_size_frames: u32,
    /// Connections that each worker tracks at once
    #[arg(long, value_name = "N", default_value_t = EngineConfig::default().flow_capacity)]
    flow_capacity: u32,
    /// An interface with sockets of its own, in native XDP unless `:generic` follows
    #[arg(long, value_name = "IFACE[:native|generic]")]
    xdp_port: Vec<XdpPort>,
    /// Stands in for a client whose replies would not come back, one of each family at most; must
    /// be assigned nowhere [default: 169.254.77.1,fd00:6d61:676c::1]
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    masquerade_ip: Vec<IpAddr>,
    /// Of the host port, in bytes: Pods whose links have more are not served
    #[arg(long, value_name = "BYTES", default_value_t = MAX_MTU,
          value_parser = clap::value_parser!(u32).range(i64::from(MIN_MTU)..=i64::from(MAX_MTU)))]
    mtu: u32,
    /// What to log, as `debug` or `maglane::agent=trace` [default: what RUST_LOG says, else info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

#[derive(Clone, Copy, Default, Debug, clap::ValueEnum)]
enum Delivery {
    /// Straight into the Pod: fast, past what the CNI filters on the node
    #[default]
    Peer,
    /// Through the node's kernel, which routes and filters as the CNI intends
    Kernel,
}

/// A core or a range of cores.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cores(Vec<u32>);

impl FromStr for Cores {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let core = |text: &str| text.parse::<u32>().ok().filter(|core| *core < 1024);
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (core(first), core(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self((first..=last).collect())),
            _ => Err("must be a core or a range of cores, as 2 or 2-5".to_owned()),
        }
    }
}

impl FromStr for XdpPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (interface, mode) = match text.rsplit_once(':') {
            None | Some((_, "native")) => (text.trim_end_matches(":native"), XdpMode::Native),
            Some((interface, "generic")) => (interface, XdpMode::Generic),
            Some((_, other)) => return Err(format!("{other:?} is neither native nor generic")),
        };
        if interface.is_empty() || interface.len() > 15 {
            return Err("an interface's name has 1 to 15 bytes".to_owned());
        }
        Ok(Self { interface: interface.to_owned(), mode })
    }
}

fn cidr(text: &str) -> Result<IpNet, String> {
    text.parse().map_err(|_| "must be a network, as 10.96.0.0/12 or fd00:10:96::/112".to_owned())
}

impl AgentArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let told = self.log_level.clone().or_else(|| std::env::var("RUST_LOG").ok());
        let told = told.as_deref().filter(|level| !level.is_empty()).unwrap_or("info");
        let filter = EnvFilter::try_new(told).with_context(|| format!("--log-level {told:?}"))?;
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .init();
        let options = self.options()?;
        block_on(async { Ok(agent::run(options).await?) })
    }

    fn options(self) -> anyhow::Result<AgentOptions> {
        for (option, ips) in
            [("--node-ip", &self.node_ip), ("--masquerade-ip", &self.masquerade_ip)]
        {
            anyhow::ensure!(
                one_of_each_family(ips.iter().copied()),
                "{option} has two addresses of one family: give one of each at most"
            );
        }
        let mut masquerade = Masquerade::default();
        for ip in &self.masquerade_ip {
            if ip.is_ipv4() {
                masquerade.ipv4 = (*ip).into();
            } else {
                masquerade.ipv6 = (*ip).into();
            }
        }
        let ports = self.xdp_port.len() as u32;
        Ok(AgentOptions {
            source: self.source.options()?,
            socket: self.socket,
            service_cidrs: self.service_cidr.iter().map(IpNet::trunc).collect(),
            node_ips: self.node_ip,
            deliver: match self.deliver {
                Delivery::Peer => Deliver::Peer,
                Delivery::Kernel => Deliver::Kernel,
            },
            xdp_ports: self.xdp_port,
            masquerade,
            mtu: self.mtu,
            engine: EngineConfig {
                workers: self.workers,
                cores: self.cores.into_iter().flat_map(|Cores(cores)| cores).collect(),
                poll: self.poll.into(),
                ring_size_frames: self.ring_size_frames,
                // Each XDP port keeps one more fill ring full.
                frames_per_worker: self.ring_size_frames.saturating_mul(HOST_PORT_RINGS + ports),
                flow_capacity: self.flow_capacity,
                ..EngineConfig::default()
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use maglane_dataplane::engine::PollMode;

    use super::*;
    use crate::agent::SourceOptions;
    use crate::cli::{Cli, Command};

    fn options(args: &[&str]) -> anyhow::Result<AgentOptions> {
        let all = ["maglane", "agent", "--manifests", "dir"].iter().chain(args);
        match Cli::try_parse_from(all)?.command {
            Command::Agent(args) => args.options(),
            other => panic!("not the agent: {other:?}"),
        }
    }

    #[test]
    fn defaults() {
        let options = options(&[]).expect("nothing more is needed");
        let SourceOptions::Manifests(paths) = &options.source else { panic!("{options:?}") };
        assert_eq!(*paths, [PathBuf::from("dir")]);
        assert_eq!(options.socket, PathBuf::from("/run/maglane/agent.sock"));
        assert_eq!(options.engine, EngineConfig::default());
        assert_eq!(options.mtu, MAX_MTU);
        assert_eq!(options.masquerade.ipv4.to_string(), "169.254.77.1");
        assert_eq!(options.service_cidrs, [], "nobody said");
    }

    #[test]
    fn everything_can_be_said() {
        let options = options(&[
            "--service-cidr",
            "10.0.0.9/24,fd00::/108",
            "--node-ip",
            "192.168.0.2",
            "--workers",
            "2",
            "--poll",
            "busy",
            "--deliver",
            "kernel",
            "--cores",
            "0,2-3",
            "--ring-size-frames",
            "512",
            "--xdp-port",
            "eth1",
            "--xdp-port",
            "eth2:generic",
            "--masquerade-ip",
            "fd00::9",
            "--mtu",
            "1500",
        ])
        .expect("all is valid");
        assert_eq!(options.service_cidrs[0].to_string(), "10.0.0.0/24");
        assert_eq!(options.engine.cores, [0, 2, 3]);
        assert_eq!(options.engine.frames_per_worker, 3072);
        assert_eq!(options.engine.poll, PollMode::Busy);
        assert_eq!(options.deliver, Deliver::Kernel);
        let modes: Vec<_> = options.xdp_ports.iter().map(|port| port.mode).collect();
        assert_eq!(modes, [XdpMode::Native, XdpMode::Generic]);
        assert_eq!(options.masquerade.ipv4.to_string(), "169.254.77.1", "the default stays");
        assert_eq!(options.masquerade.ipv6.to_string(), "fd00::9");
    }

    #[test]
    fn mistakes_are_named() {
        for (args, expect) in [
            (["--mtu", "9000"], "9000 is not in 1280..=3498"),
            (["--cores", "3-1"], "must be a core or a range of cores"),
            (["--xdp-port", "eth1:fast"], "neither native nor generic"),
            (["--service-cidr", "10.0.0.0"], "invalid value '10.0.0.0'"),
            (["--node-ip", "10.0.0.1,10.0.0.2"], "--node-ip has two addresses of one family"),
        ] {
            let error = options(&args).expect_err("it is a mistake").to_string();
            assert!(error.contains(expect), "{args:?}: {error}");
        }
    }
}
