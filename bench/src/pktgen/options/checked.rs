//! Whether what was typed can be, and what it comes to: interfaces, flows, a load.

use maglane_dataplane::xsk::FRAME_CAPACITY_BYTES;
use serde::{Deserialize, Serialize};

use super::cores;
use super::given::{MacArg, PktgenArgs, Protocol, Ramp, RateOrMax, Sizes, TrafficArgs, ns};
use crate::error::{BenchError, Result};
use crate::output::{grouped, short};
use crate::pktgen::frame::{Link, Shape};
use crate::pktgen::interface::{Interface, InterfaceName, RESOLVE};
use crate::pktgen::packet::ETHERNET_BYTES;
use crate::pktgen::replay::Capture;
use crate::pktgen::schedule::{Pace, Rate};
use crate::pktgen::sender::{Load, OPEN_RATE_PPS, Traffic};
use crate::pktgen::session::{Content, SessionPlan};
use crate::pktgen::tuples::{AddressRange, Destination, Tuples};

/// "Simple IMIX": 7 of 64, 4 of 594 and 1 of 1,518 bytes, less the frame check sequence.
const IMIX: [(usize, usize); 3] = [(60, 7), (590, 4), (1_514, 1)];
const DISCARD_PORT: u16 = 9;
const DEFAULT_DURATION_S: f64 = 10.0;

/// What cannot be.
pub(super) fn usage(option: &'static str, message: String) -> BenchError {
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
        let interfaces = if receiver.is_some() { 2 } else { 1 };
        let cores = cores::choose(&self.cores, &cores::usable()?, interfaces)?;
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

    /// A load of these flows; with fewer new ones than were asked for where it has no place for
    /// more.
    pub(crate) fn load(&self, pace: Pace, duration_ns: u64, warm_up_ns: u64) -> Load {
        let slowest = slowest_pps(pace);
        let open_rate =
            self.open_rate.unwrap_or(Rate::new(OPEN_RATE_PPS.min(slowest.max(1_000.0))));
        let most = slowest / self.protocol.packets_of_new_flow();
        let new_flows = self.new_flows.map(|asked| Rate::new(asked.pps().min(most)));
        Load { pace, duration_ns, count: None, warm_up_ns, open_rate, new_flows }
    }

    /// Refuses new flows in a trial of so many seconds when there are not as many different ones.
    ///
    /// # Errors
    /// [`BenchError::Usage`].
    pub(crate) fn check_tuples(&self, traffic: &Traffic, seconds: f64) -> Result<()> {
        let Some(new_flows) = self.new_flows else { return Ok(()) };
        let needed = f64::from(self.flows) + new_flows.pps() * seconds;
        if needed <= traffic.tuples.count() as f64 {
            return Ok(());
        }
        let message = format!(
            "with {} new flows a second for {} s, {} flows become {}, more than the {} that source \
             ports (1,024 to 65,535) and addresses allow: lower this, or give more with --src or \
             --dst",
            short(&new_flows.pps()),
            short(&seconds),
            grouped(self.flows.into()),
            grouped(needed.ceil() as u64),
            grouped(traffic.tuples.count())
        );
        Err(usage("--new-flows", message))
    }

    /// Refuses new flows that leave no place for anything else at this pace.
    ///
    /// # Errors
    /// [`BenchError::Usage`].
    pub(crate) fn check_new_flows(&self, pace: Pace) -> Result<()> {
        let segments = self.protocol.packets_of_new_flow();
        match self.new_flows {
            Some(asked) if asked.pps() * segments > slowest_pps(pace) => {
                let each = if segments > 1.0 {
                    format!(" ({segments} each with TCP)")
                } else {
                    String::new()
                };
                let message = format!(
                    "{} new flows a second need at least as many packets a second{each}: raise the \
                     rate or lower this",
                    short(&asked.pps())
                );
                Err(usage("--new-flows", message))
            }
            _ => Ok(()),
        }
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

/// Of a pace's slowest moment.
fn slowest_pps(pace: Pace) -> f64 {
    match pace {
        Pace::Max => f64::INFINITY,
        Pace::Even { pps } => pps.pps(),
        Pace::Ramp { from_pps, to_pps, .. } => from_pps.pps().min(to_pps.pps()),
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

impl TrafficInfo {
    /// The least load that has place for all new flows: below it there are fewer.
    pub(crate) fn least_load_pps(&self) -> f64 {
        self.new_flows_per_s.unwrap_or(0.0) * self.protocol.packets_of_new_flow()
    }
}

impl PktgenArgs {
    /// What is sent.
    pub(in crate::pktgen) fn content(&self, plan: &SessionPlan) -> Result<Content> {
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
    pub(in crate::pktgen) fn load(&self, content: &Content) -> Result<Load> {
        let seconds = self.duration.unwrap_or(DEFAULT_DURATION_S);
        let pace = match (self.rate, self.ramp) {
            (_, Some(Ramp(from_pps, to_pps))) => {
                Pace::Ramp { from_pps, to_pps, over_ns: ns(seconds) }
            }
            (Some(RateOrMax::Rate(pps)), None) => Pace::Even { pps },
            (Some(RateOrMax::Max) | None, None) => Pace::Max,
        };
        self.traffic.check_new_flows(pace)?;
        let mut load = self.traffic.load(pace, ns(seconds), ns(self.warm_up));
        load.count = self.count;
        if let Content::Flows(traffic) = content {
            let seconds = match (self.count, pace) {
                (None, _) => seconds,
                (Some(count), Pace::Even { pps }) => count as f64 / pps.pps(),
                // How long that takes nobody knows before.
                (Some(_), _) => 0.0,
            };
            self.traffic.check_tuples(traffic, seconds)?;
        }
        if let Content::Replay { capture, .. } = content
            && self.duration.is_none()
        {
            load.count = Some(self.count.unwrap_or(capture.len() as u64));
        }
        if let Content::Replay { capture, as_captured: true } = content
            && capture.span_ns() == 0
            && load.count.is_none_or(|count| count > capture.len() as u64)
        {
            let message = match capture.len() {
                1 => "of one packet nobody knows when it would come again; give --rate",
                _ => {
                    "all packets came at one time, and nobody knows when they would again; give --rate"
                }
            };
            return Err(usage("--pcap", message.to_owned()));
        }
        if load.count.is_some() {
            load.duration_ns = u64::MAX;
        }
        Ok(load)
    }
}
