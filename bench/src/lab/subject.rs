//! Who forwards, started and stopped in one and the same lab.

use std::process::Command;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::forwarder::{Role, Spec};
use super::place::{BACKENDS, NODE_ENDS, Place, SERVICE_PORT, UDP_PORT, service};
use super::rules;
use crate::error::{BenchError, Result};
use crate::output::grouped;
use crate::pktgen::{AddressRange, Destination};
use crate::rig::{BareProgram, Forwarder, HostPort, Poll, run_until};

/// Who forwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Nobody: the generator by itself, over a veth pair of its own.
    Generator,
    /// The kernel's routing, without any translation.
    Kernel,
    /// kube-proxy's rules in nftables.
    Nftables,
    /// kube-proxy's rules in iptables.
    Iptables,
    /// Maglane on a host port.
    HostPort,
    /// The bare forwarder on a host port.
    BareHostPort,
    /// Maglane on XDP ports.
    XdpPorts,
    /// A bare forwarder on XDP ports.
    BarePorts,
}

impl Kind {
    /// Whether it is the kernel's own path, with rules or without.
    pub(super) fn is_kernels(self) -> bool {
        match self {
            Self::Kernel | Self::Nftables | Self::Iptables => true,
            Self::Generator
            | Self::HostPort
            | Self::BareHostPort
            | Self::XdpPorts
            | Self::BarePorts => false,
        }
    }
}

/// Who forwards, how, and for how many Services.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Subject {
    /// Who.
    pub(super) kind: Kind,
    /// Worker threads, where there are any.
    pub(super) workers: u32,
    /// How they wait.
    pub(super) poll: Poll,
    /// Services; 0 where nobody knows any.
    pub(super) services: u32,
}

impl Subject {
    /// Nobody.
    pub(super) const GENERATOR: Self =
        Self { kind: Kind::Generator, workers: 1, poll: Poll::Adaptive, services: 0 };

    /// For people, with its Services.
    pub(super) fn with_services(&self) -> String {
        match self.services {
            0 => self.name(),
            1 => format!("{}, 1 Service", self.name()),
            services => format!("{}, {} Services", self.name(), grouped(services.into())),
        }
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        let plural = if self.workers == 1 { "" } else { "s" };
        let workers = format!("{} worker{plural}", self.workers);
        let poll = self.poll.as_str();
        match self.kind {
            Kind::Generator => "generator, back to back".to_owned(),
            Kind::Kernel => "kernel, no translation".to_owned(),
            Kind::Nftables => "kube-proxy, nftables".to_owned(),
            Kind::Iptables => "kube-proxy, iptables".to_owned(),
            Kind::HostPort => format!("Maglane, host port, {workers}, {poll}"),
            Kind::BareHostPort => format!("bare AF_XDP, host port, {poll}"),
            Kind::XdpPorts => format!("Maglane, XDP ports, {poll}"),
            Kind::BarePorts => format!("bare AF_XDP, XDP ports, {poll}"),
        }
    }

    /// Whether a real client can reach a real server through it.
    pub(super) fn carries_connections(&self) -> bool {
        self.kind.is_kernels() || self.kind == Kind::HostPort
    }

    /// Whether its backends can be changed.
    pub(super) fn has_backends(&self) -> bool {
        matches!(self.kind, Kind::Nftables | Kind::Iptables | Kind::HostPort | Kind::XdpPorts)
    }

    /// Where packets are sent.
    pub(super) fn destinations(&self) -> Vec<Destination> {
        if matches!(self.kind, Kind::Generator | Kind::Kernel) {
            let one =
                |address| Destination { addresses: AddressRange::one(address), port: UDP_PORT };
            return BACKENDS.map(|address| one(address.into())).to_vec();
        }
        let last = service(self.services.max(1) - 1);
        AddressRange::between(service(0).into(), last.into())
            .map(|addresses| vec![Destination { addresses, port: SERVICE_PORT }])
            .unwrap_or_default()
    }

    /// Starts it. It ends when what is returned is dropped.
    ///
    /// # Errors
    /// Why it does not start.
    pub(super) fn start<'a>(&self, place: &'a Place, bare: &BareProgram) -> Result<Running<'a>> {
        let mut running = Running { place, kind: self.kind, child: None, host_port: None };
        if self.kind.is_kernels() {
            // Connections that the kernel tracks for the one before, with its translation.
            running.run(Command::new("conntrack").arg("--flush"), "")?;
        }
        if matches!(self.kind, Kind::HostPort | Kind::BareHostPort) {
            running.host_port = Some(HostPort::make(&place.node, self.workers)?);
        }
        running.child = match self.kind {
            Kind::Generator | Kind::Kernel => None,
            Kind::Nftables => running.nft(&rules::nftables(self.services)).map(|()| None)?,
            Kind::Iptables => {
                running.iptables(&rules::iptables(self.services), false).map(|()| None)?
            }
            Kind::HostPort => Some(self.forwarder(place, Role::HostPort)?),
            Kind::XdpPorts => Some(self.forwarder(place, Role::XdpPorts)?),
            Kind::BarePorts => Some(self.forwarder(place, Role::BarePorts)?),
            Kind::BareHostPort => {
                let (service, interrupt) = (service(0), &place.interrupt);
                let start = || bare.start(NODE_ENDS, service, self.workers, self.poll, interrupt);
                Some(place.node.run(start)?)
            }
        };
        Ok(running)
    }

    fn forwarder(&self, place: &Place, role: Role) -> Result<Forwarder> {
        let Self { workers, poll, services, .. } = *self;
        let spec = Spec { role, workers, poll, services };
        let line = serde_json::to_string(&spec).unwrap_or_default();
        // This very program, even if its file has been replaced meanwhile.
        let mut command = Command::new("/proc/self/exe");
        let start = || Forwarder::start(command.arg("forward"), Some(&line), &place.interrupt);
        place.node.run(start)
    }
}

/// Somebody who forwards.
pub(super) struct Running<'a> {
    place: &'a Place,
    kind: Kind,
    child: Option<Forwarder>,
    /// Below its forwarder: it goes after it.
    host_port: Option<HostPort>,
}

impl Running<'_> {
    /// Whether who forwards still runs.
    ///
    /// # Errors
    /// How it ended, and what it said.
    pub(super) fn check(&mut self) -> Result<()> {
        self.child.as_mut().map_or(Ok(()), Forwarder::check)
    }

    /// Has the first Service have so many backends. Returns how long that took, by the same clock for
    /// everybody.
    ///
    /// # Errors
    /// When it does not.
    pub(super) fn change(&mut self, backends: usize) -> Result<Duration> {
        let start = Instant::now();
        match self.kind {
            Kind::Nftables => self.nft(&rules::nftables_change(backends))?,
            Kind::Iptables => self.iptables(&rules::iptables_change(backends), true)?,
            Kind::HostPort | Kind::XdpPorts => {
                let child = self.child.as_mut().ok_or(BenchError::Panicked)?;
                child.ask(&backends.to_string())?;
            }
            // Nobody asks those that have none.
            Kind::Generator | Kind::Kernel | Kind::BareHostPort | Kind::BarePorts => {}
        }
        Ok(start.elapsed())
    }

    fn nft(&self, text: &str) -> Result<()> {
        self.run(Command::new("nft").args(["-f", "-"]), text)
    }

    fn iptables(&self, text: &str, keep: bool) -> Result<()> {
        let mut command = Command::new("iptables-restore");
        if keep {
            command.arg("--noflush");
        }
        self.run(&mut command, text)
    }

    fn run(&self, command: &mut Command, input: &str) -> Result<()> {
        self.place.node.run(|| run_until(&self.place.interrupt, command, input).map(drop))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // What could not be taken away goes with the namespace.
        let _ = match self.kind {
            Kind::Nftables => self.nft(rules::NFTABLES_END),
            // Tables that are empty still take every packet through their chains.
            Kind::Iptables => {
                self.iptables(rules::IPTABLES_END, false).and_then(|()| self.nft("flush ruleset\n"))
            }
            _ => Ok(()),
        };
    }
}
