//! What people type.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use maglane_dataplane::xsk::FRAME_CAPACITY_BYTES;
use serde::{Deserialize, Serialize};

use crate::output::{Format, grouped};
use crate::pktgen::interface::{InterfaceName, parse_mac};
use crate::pktgen::schedule::Rate;
use crate::pktgen::stamp::{MAX_FLOWS, MAX_SEQUENCE};
use crate::pktgen::station::Wait;
use crate::pktgen::take::Xdp;
use crate::pktgen::tuples::{AddressRange, Destination};

const MIN_FRAME_BYTES: usize = 60;
const NS_PER_S: f64 = 1e9;

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

impl Protocol {
    /// Packets that one flow in another's place takes at least.
    pub(super) fn packets_of_new_flow(self) -> f64 {
        match self {
            Self::Udp => 1.0,
            Self::Tcp => 4.0,
        }
    }
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
pub(crate) struct Ramp(pub(super) Rate, pub(super) Rate);

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
    pub(super) tx: InterfaceName,
    /// Interface on which they arrive [default: the sending one].
    #[arg(long, value_name = "[NS/]IFACE")]
    pub(super) rx: Option<InterfaceName>,
    /// Destinations: addresses or ranges (A-B, A/LENGTH) with a port [default: the receiving
    /// interface's address, port 9].
    #[arg(long, value_name = "IP:PORT,IP:PORT", value_delimiter = ',')]
    pub(super) dst: Vec<Destination>,
    /// Source addresses or ranges [default: the sending interface's address].
    #[arg(long, value_name = "IP,IP", value_delimiter = ',')]
    pub(super) src: Vec<AddressRange>,
    /// Ethernet address of the next hop [default: the kernel is asked].
    #[arg(long, value_name = "MAC", value_parser = mac)]
    pub(super) dst_mac: Option<MacArg>,
    /// Transport. TCP needs the responder, and switches it on.
    #[arg(long, value_enum, default_value_t)]
    pub(super) protocol: Protocol,
    /// Bytes of a frame without its check sequence, several in turn, or `imix` [default: the
    /// smallest, 60 with UDP over IPv4].
    #[arg(long, value_name = "N,N")]
    pub(super) size: Option<Sizes>,
    /// Flows at a time, each of another combination of source address, random port (RFC 4814) and
    /// destination.
    #[arg(long, value_name = "N", default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_FLOWS)))]
    pub(super) flows: u32,
    /// Flows that end, and others that begin in their place, each second.
    #[arg(long, value_name = "RATE")]
    pub(super) new_flows: Option<Rate>,
    /// How fast flows are opened before packets count [default: 100k, or as packets are sent where
    /// that is slower, but at least 1k].
    #[arg(long, value_name = "RATE")]
    pub(super) open_rate: Option<Rate>,
    /// Answer every packet where it arrives, so that the way back is loaded, too.
    #[arg(long)]
    pub(super) respond: bool,
    /// Of every random choice: the same seed sends the same packets.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// Cores of the generator: one for both interfaces, or one each [default: the first, on
    /// machines with more than three the first two].
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    pub(super) cores: Vec<usize>,
    /// How the generator waits for time and packets.
    #[arg(long, value_enum, default_value_t)]
    pub(super) poll: Wait,
    /// Where packets are taken off the receiving interface.
    #[arg(long, value_enum, default_value_t)]
    pub(super) xdp: Xdp,
    /// Send on an interface even if the machine's default route leads there.
    #[arg(long)]
    pub(super) force: bool,
}

/// Options of `pktgen`.
#[derive(Args, Clone, Debug)]
pub(crate) struct PktgenArgs {
    #[command(flatten)]
    pub(in crate::pktgen) traffic: TrafficArgs,
    /// Packets a second (1500000, 1500k, 1.5M), or `max` [default: max].
    #[arg(long, value_name = "RATE", value_parser = rate_or_max, conflicts_with = "ramp", allow_negative_numbers = true)]
    pub(super) rate: Option<RateOrMax>,
    /// From one rate to another over the duration, as 100k..2M.
    #[arg(long, value_name = "FROM..TO")]
    pub(super) ramp: Option<Ramp>,
    /// Seconds [default: 10, or as long as --count takes].
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub(super) duration: Option<f64>,
    /// Packets, instead of a duration.
    #[arg(long, value_name = "N", conflicts_with_all = ["duration", "ramp"], value_parser = clap::value_parser!(u64).range(1..=MAX_SEQUENCE / 2))]
    pub(super) count: Option<u64>,
    /// Seconds before packets count.
    #[arg(long, value_name = "S", default_value_t = 0.5, value_parser = seconds_or_none)]
    pub(super) warm_up: f64,
    /// Send the frames of a capture (pcap, pcapng; Ethernet) unchanged, at their own times unless
    /// a rate is given, once unless a duration or a count is. They have no stamp: only how many
    /// came can be told.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dst", "src", "dst_mac", "new_flows", "respond", "ramp"])]
    pub(super) pcap: Option<PathBuf>,
    /// Do not measure the generator's own bias, back to back, before.
    #[arg(long)]
    pub(in crate::pktgen) no_bias: bool,
    /// Text for people, or JSON for programs.
    #[arg(short, long, value_enum, default_value_t)]
    pub(in crate::pktgen) output: Format,
}

/// An Ethernet address as an option.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MacArg(pub(super) [u8; 6]);

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
