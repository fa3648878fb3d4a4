//! What people type, and whether that can be.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::thread;

use clap::{Args, ValueEnum};
use maglane_dataplane::xsk::FRAME_CAPACITY_BYTES;
use serde::{Deserialize, Serialize};

use super::frame::{Link, Shape};
use super::interface::{Interface, InterfaceName, RESOLVE, parse_mac};
use super::packet::ETHERNET_BYTES;
use super::replay::Capture;
use super::schedule::{Pace, Rate};
use super::sender::{Load, OPEN_RATE_PPS, Traffic};
use super::session::{Content, SessionPlan};
use super::stamp::{MAX_FLOWS, MAX_SEQUENCE};
use super::station::Wait;
use super::take::Xdp;
use super::tuples::{AddressRange, Destination, Tuples};
use crate::error::{BenchError, Result};
use crate::output::{Format, grouped};

/// "Simple IMIX": 7 of 64, 4 of 594 and 1 of 1,518 bytes, less the frame check sequence.
const IMIX: [(usize, usize); 3] = [(60, 7), (590, 4), (1_514, 1)];
const MIN_FRAME_BYTES: usize = 60;
const NS_PER_S: f64 = 1e9;
const DISCARD_PORT: u16 = 9;
const DEFAULT_DURATION_S: f64 = 10.0;

/// Which transport.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    /// Datagrams.
    #[default]
    Udp,
    /// Connections: SYN, data, FIN, answered by a responder.
    Tcp,
}

/// Bytes of frames, in turn, as many of each as its share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Sizes {
    /// These.
    Given(Vec<usize>),
    /// A mix like the Internet's.
    Imix,
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text.eq_ignore_ascii_case("imix") {
            return Ok(Self::Imix);
        }
        let sizes = text.split(',').map(|size| match size.parse() {
            Ok(bytes) if bytes < MIN_FRAME_BYTES => {
                Err(format!("a frame has at least {MIN_FRAME_BYTES} bytes"))
            }
            Ok(bytes) if bytes > FRAME_CAPACITY_BYTES => {
                let most = grouped(FRAME_CAPACITY_BYTES as u64);
                Err(format!("an AF_XDP frame holds at most {most} bytes"))
            }
            Ok(bytes) => Ok(bytes),
            Err(_) => Err("expected bytes, several with commas, or imix".to_owned()),
        });
        sizes.collect::<std::result::Result<_, _>>().map(Self::Given)
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Imix => formatter.write_str("imix"),
            Self::Given(sizes) => {
                let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
                formatter.write_str(&sizes.join(","))
            }
        }
    }
}

/// `FROM..TO`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Ramp(Rate, Rate);

impl FromStr for Ramp {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (from, to) = text.split_once("..").ok_or("expected FROM..TO, as 100k..2M")?;
        Ok(Self(from.parse()?, to.parse()?))
    }
}

/// What is sent, from where to where. Shared by all that send.
#[derive(Args, Clone, Debug)]
pub(crate) struct TrafficArgs {
    /// Interface that packets are sent from; NAMESPACE/ before it for one of `ip netns`.
    #[arg(long, value_name = "[NS/]IFACE")]
    tx: InterfaceName,
    /// Interface on which they arrive [default: the sending one].
    #[arg(long, value_name = "[NS/]IFACE")]
    rx: Option<InterfaceName>,
    /// Destinations: addresses or ranges (A-B, A/LENGTH) with a port [default: the receiving
    /// interface's address, port 9].
    #[arg(long, value_name = "ADDRESS:PORT", value_delimiter = ',')]
    dst: Vec<Destination>,
    /// Source addresses or ranges [default: the sending interface's address].
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    src: Vec<AddressRange>,
    /// Ethernet address of the next hop [default: the kernel is asked].
    #[arg(long, value_name = "MAC", value_parser = mac)]
    dst_mac: Option<MacArg>,
    /// Transport. TCP needs the responder, and switches it on.
    #[arg(long, value_enum, default_value_t)]
    protocol: Protocol,
    /// Bytes of a frame without its check sequence, several in turn, or `imix` [default: the
    /// smallest, 60 with UDP over IPv4].
    #[arg(long, value_name = "BYTES")]
    size: Option<Sizes>,
    /// Flows at a time, each of another combination of source address, random port (RFC 4814) and
    /// destination.
    #[arg(long, value_name = "N", default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_FLOWS)))]
    flows: u32,
    /// Flows that end, and others that begin in their place, each second.
    #[arg(long, value_name = "RATE")]
    new_flows: Option<Rate>,
    /// How fast flows are opened before packets count.
    #[arg(long, value_name = "RATE")]
    open_rate: Option<Rate>,
    /// Answer every packet where it arrives, so that the way back is loaded, too.
    #[arg(long)]
    respond: bool,
    /// Of every random choice: the same seed sends the same packets.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Cores of the generator: one for both interfaces, or one each [default: the first, on
    /// machines with more than three the first two].
    #[arg(long, value_name = "N,N", value_delimiter = ',', num_args = 1..=2)]
    cores: Vec<usize>,
    /// How the generator waits for time and packets.
    #[arg(long, value_enum, default_value_t)]
    poll: Wait,
    /// Where packets are taken off the receiving interface.
    #[arg(long, value_enum, default_value_t)]
    xdp: Xdp,
    /// Send on an interface even if the machine's default route leads there.
    #[arg(long)]
    force: bool,
}

/// Options of `pktgen`.
#[derive(Args, Clone, Debug)]
pub(crate) struct PktgenArgs {
    #[command(flatten)]
    pub(super) traffic: TrafficArgs,
    /// Packets a second (1500000, 1500k, 1.5M), or `max` [default: max].
    #[arg(long, value_name = "RATE", value_parser = rate_or_max, conflicts_with = "ramp")]
    rate: Option<RateOrMax>,
    /// From one rate to another over the duration, as 100k..2M.
    #[arg(long, value_name = "FROM..TO")]
    ramp: Option<Ramp>,
    /// Seconds [default: 10, or as long as --count takes].
    #[arg(long, value_name = "S", value_parser = seconds)]
    duration: Option<f64>,
    /// Packets, instead of a duration.
    #[arg(long, value_name = "N", conflicts_with_all = ["duration", "ramp"], value_parser = clap::value_parser!(u64).range(1..=MAX_SEQUENCE / 2))]
    count: Option<u64>,
    /// Seconds before packets count.
    #[arg(long, value_name = "S", default_value_t = 0.5, value_parser = seconds_or_none)]
    warm_up: f64,
    /// Send the frames of a capture (pcap, pcapng; Ethernet) unchanged, at their own times unless
    /// a rate is given, once unless a duration or a count is. They have no stamp: only how many
    /// came can be told.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dst", "src", "dst_mac", "new_flows", "respond", "ramp"])]
    pcap: Option<PathBuf>,
    /// Do not measure the generator's own bias, back to back, before.
    #[arg(long)]
    pub(super) no_bias: bool,
    /// Text for people, or JSON for programs.
    #[arg(short, long, value_enum, default_value_t)]
    pub(super) output: Format,
}

/// An Ethernet address as an option.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MacArg([u8; 6]);

/// A rate as an option.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RateOrMax {
    /// As fast as it goes.
    Max,
    /// Packets a second.
    Rate(Rate),
}

fn mac(text: &str) -> std::result::Result<MacArg, String> {
    parse_mac(text).map(MacArg).ok_or("expected an address as 02:00:00:00:00:01".to_owned())
}

fn rate_or_max(text: &str) -> std::result::Result<RateOrMax, String> {
    if text.eq_ignore_ascii_case("max") {
        return Ok(RateOrMax::Max);
    }
    text.parse().map(RateOrMax::Rate)
}

/// Seconds of something.
///
/// # Errors
/// What is wrong.
pub(crate) fn seconds(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.05..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected seconds, from 0.05 to 86400".to_owned()),
    }
}

fn seconds_or_none(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=3_600.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected seconds, from 0 to 3600".to_owned()),
    }
}

/// Seconds as nanoseconds.
pub(crate) fn ns(seconds: f64) -> u64 {
    (seconds * NS_PER_S) as u64
}

fn usage(option: &'static str, message: String) -> BenchError {
    BenchError::Usage { option, message }
}

impl TrafficArgs {
    /// Opens the way: looks up interfaces, refuses what must not be.
    ///
    /// # Errors
    /// [`BenchError::Usage`].
    pub(crate) fn session(&self) -> Result<SessionPlan> {
        if !nix::unistd::geteuid().is_root() {
            return Err(BenchError::NeedsRoot);
        }
        let sender = self.interface("--tx", &self.tx)?;
        let receiver = match &self.rx {
            Some(rx) if *rx != self.tx => Some(self.interface("--rx", rx)?),
            _ => None,
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let cores = match self.cores.as_slice() {
            [] if cores > 3 => vec![0, 1],
            [] => vec![0],
            given => given.to_vec(),
        };
        Ok(SessionPlan {
            sender,
            receiver,
            responds: self.respond || self.protocol == Protocol::Tcp,
            cores,
            waiting: self.poll,
            xdp: self.xdp,
        })
    }

    fn interface(&self, option: &'static str, name: &InterfaceName) -> Result<Interface> {
        let interface = Interface::find(option, name)?;
        if !self.force && interface.has_default_route()? {
            return Err(usage(
                option,
                format!(
                    "{name}: this machine's default route leads there, and others would get what is \
                     sent; --force if that is meant"
                ),
            ));
        }
        Ok(interface)
    }

    /// The flows.
    ///
    /// # Errors
    /// [`BenchError::Usage`].
    pub(crate) fn flows(&self, plan: &SessionPlan) -> Result<Traffic> {
        let receiver = plan.receiver.as_ref().unwrap_or(&plan.sender);
        let destinations = match self.dst.as_slice() {
            [] => vec![self.default_destination(receiver)?],
            given => given.to_vec(),
        };
        let ipv6 = destinations.iter().any(|one| one.addresses.first().is_ipv6());
        let of_family = |range: &AddressRange| range.first().is_ipv6() == ipv6;
        if !destinations.iter().all(|one| of_family(&one.addresses)) {
            return Err(usage(
                "--dst",
                "IPv4 and IPv6 are measured one after the other".to_owned(),
            ));
        }
        let sources = match self.src.as_slice() {
            [] => plan
                .sender
                .addresses
                .iter()
                .copied()
                .map(AddressRange::one)
                .filter(of_family)
                .take(1)
                .collect(),
            given => given.to_vec(),
        };
        let family = if ipv6 { "IPv6" } else { "IPv4" };
        if sources.is_empty() {
            return Err(usage("--src", format!("{} has no {family} address; give one", self.tx)));
        }
        if !sources.iter().all(of_family) {
            return Err(usage("--src", format!("the destinations are {family}")));
        }
        let shape = Shape { ipv6, tcp: self.protocol == Protocol::Tcp };
        let sizes = self.sizes(shape, plan)?;
        let next_hop_of = destinations.first().map(|one| one.addresses.first());
        let tuples = Tuples::new(sources, destinations, self.seed);
        if tuples.count() < u64::from(self.flows) {
            return Err(usage(
                "--flows",
                format!(
                    "{} are more than the {} that source ports (1,024 to 65,535) and addresses \
                     allow; give more with --src or --dst",
                    grouped(self.flows.into()),
                    grouped(tuples.count())
                ),
            ));
        }
        let destination = match (self.dst_mac, next_hop_of) {
            (Some(MacArg(mac)), _) => mac,
            // Of itself the kernel seldom asks: without an answer, both are on one link.
            (None, Some(address)) if receiver.addresses.contains(&address) => {
                plan.sender.next_hop(address, RESOLVE / 20).unwrap_or(receiver.mac)
            }
            (None, Some(address)) => plan.sender.next_hop(address, RESOLVE)?,
            (None, None) => receiver.mac,
        };
        Ok(Traffic {
            shape,
            sizes,
            link: Link { source: plan.sender.mac, destination },
            tuples,
            flows: self.flows,
            seed: self.seed,
        })
    }

    fn default_destination(&self, receiver: &Interface) -> Result<Destination> {
        let address = match (self.src.first(), receiver.addresses.as_slice()) {
            (Some(src), addresses) => {
                addresses.iter().find(|one| one.is_ipv6() == src.first().is_ipv6())
            }
            (None, addresses) => addresses.first(),
        };
        match (&self.rx, address) {
            (Some(_), Some(address)) => {
                Ok(Destination { addresses: AddressRange::one(*address), port: DISCARD_PORT })
            }
            _ => Err(usage("--dst", "say where packets are to go, as 10.96.0.1:80".to_owned())),
        }
    }

    fn sizes(&self, shape: Shape, plan: &SessionPlan) -> Result<Vec<usize>> {
        let smallest = shape.smallest_frame();
        let sizes: Vec<usize> = match &self.size {
            None => vec![smallest],
            // The small ones grow as far as the stamp needs.
            Some(Sizes::Imix) => IMIX
                .iter()
                .flat_map(|(size, times)| std::iter::repeat_n((*size).max(smallest), *times))
                .collect(),
            Some(Sizes::Given(sizes)) => sizes.clone(),
        };
        let ends = std::iter::once(&plan.sender).chain(&plan.receiver);
        for size in &sizes {
            if *size < smallest {
                let kind = if shape.tcp { "TCP" } else { "UDP" };
                let family = if shape.ipv6 { "IPv6" } else { "IPv4" };
                return Err(usage(
                    "--size",
                    format!(
                        "{size}: with {kind} over {family} a frame that tells which it is has at least {smallest} bytes"
                    ),
                ));
            }
            for end in ends.clone() {
                let most = end.mtu + ETHERNET_BYTES;
                if *size > most {
                    return Err(usage(
                        "--size",
                        format!(
                            "{size} is more than {}, the MTU of {} and an Ethernet header",
                            grouped(most as u64),
                            end.name
                        ),
                    ));
                }
            }
        }
        Ok(sizes)
    }

    /// A load of these flows.
    ///
    /// # Errors
    /// [`BenchError::Usage`] when new flows leave no place for anything else.
    pub(crate) fn load(&self, pace: Pace, duration_ns: u64, warm_up_ns: u64) -> Result<Load> {
        let segments = if self.protocol == Protocol::Tcp { 4.0 } else { 1.0 };
        let slowest = match pace {
            Pace::Max => f64::INFINITY,
            Pace::Even { pps } => pps.pps(),
            Pace::Ramp { from_pps, to_pps, .. } => from_pps.pps().min(to_pps.pps()),
        };
        if let Some(new_flows) = self.new_flows
            && new_flows.pps() * segments > slowest
        {
            return Err(usage(
                "--new-flows",
                format!("{new_flows} take more than all packets: {segments} each"),
            ));
        }
        let open_rate =
            self.open_rate.unwrap_or(Rate::new(OPEN_RATE_PPS.min(slowest.max(1_000.0))));
        let new_flows = self.new_flows;
        Ok(Load { pace, duration_ns, count: None, warm_up_ns, open_rate, new_flows })
    }

    /// What a reader of the result is told.
    pub(crate) fn describe(&self, traffic: &Traffic) -> TrafficInfo {
        let smallest = traffic.shape.smallest_frame().to_string();
        TrafficInfo {
            protocol: self.protocol,
            family: if traffic.shape.ipv6 { 6 } else { 4 },
            frame_bytes: self.size.as_ref().map_or(smallest, ToString::to_string),
            flows: traffic.flows,
            seed: self.seed,
            responds: self.respond || self.protocol == Protocol::Tcp,
            new_flows_per_s: self.new_flows.map(Rate::pps),
        }
    }
}

/// What was sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TrafficInfo {
    /// Transport.
    pub(crate) protocol: Protocol,
    /// 4 or 6.
    pub(crate) family: u8,
    /// As `--size` takes it.
    pub(crate) frame_bytes: String,
    /// At a time.
    pub(crate) flows: u32,
    /// Of random choices.
    pub(crate) seed: u64,
    /// Whether packets were answered.
    pub(crate) responds: bool,
    /// Flows that were replaced.
    pub(crate) new_flows_per_s: Option<f64>,
}

impl PktgenArgs {
    /// What is sent.
    pub(super) fn content(&self, plan: &SessionPlan) -> Result<Content> {
        let Some(path) = &self.pcap else { return Ok(Content::Flows(self.traffic.flows(plan)?)) };
        let capture = Capture::read(path)?;
        let most = (plan.sender.mtu + ETHERNET_BYTES).min(FRAME_CAPACITY_BYTES);
        if capture.longest() > most {
            return Err(usage(
                "--pcap",
                format!(
                    "{}: a frame has {} bytes, and {} takes at most {}",
                    path.display(),
                    grouped(capture.longest() as u64),
                    plan.sender.name,
                    grouped(most as u64),
                ),
            ));
        }
        let as_captured = self.rate.is_none();
        Ok(Content::Replay { capture, as_captured })
    }

    /// How much of it.
    pub(super) fn load(&self, content: &Content) -> Result<Load> {
        let seconds = self.duration.unwrap_or(DEFAULT_DURATION_S);
        let pace = match (self.rate, self.ramp) {
            (_, Some(Ramp(from_pps, to_pps))) => {
                Pace::Ramp { from_pps, to_pps, over_ns: ns(seconds) }
            }
            (Some(RateOrMax::Rate(pps)), None) => Pace::Even { pps },
            (Some(RateOrMax::Max) | None, None) => Pace::Max,
        };
        let mut load = self.traffic.load(pace, ns(seconds), ns(self.warm_up))?;
        load.count = self.count;
        if let Content::Replay { capture, .. } = content
            && self.duration.is_none()
        {
            load.count = Some(self.count.unwrap_or(capture.len() as u64));
        }
        if load.count.is_some() {
            load.duration_ns = u64::MAX;
        }
        Ok(load)
    }
}
