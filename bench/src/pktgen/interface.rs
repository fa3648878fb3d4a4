//! What is to be known of an interface before anything is sent there, as `ip` tells it.

use std::fmt;
use std::net::{IpAddr, UdpSocket};
use std::process::Command;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use serde::Deserialize;

use crate::error::{BenchError, Result};
use crate::namespace::Namespace;
use crate::rig::run;

/// How long a neighbour may take to say its Ethernet address.
pub(super) const RESOLVE: Duration = Duration::from_secs(2);
const DISCARD_PORT: u16 = 9;

/// `[NAMESPACE/]INTERFACE`: no interface has a slash in its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct InterfaceName {
    /// Of `ip netns`; that of the program if there is none.
    pub(crate) namespace: Option<String>,
    /// The interface.
    pub(crate) name: String,
}

impl FromStr for InterfaceName {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (namespace, name) = match text.split_once('/') {
            Some((namespace, name)) => (Some(namespace.to_owned()), name),
            None => (None, text),
        };
        if name.is_empty() || name.contains('/') || namespace.as_deref() == Some("") {
            return Err("expected INTERFACE or NAMESPACE/INTERFACE".to_owned());
        }
        Ok(Self { namespace, name: name.to_owned() })
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(formatter, "{namespace}/{}", self.name),
            None => formatter.write_str(&self.name),
        }
    }
}

/// An interface that is there.
#[derive(Clone, Debug)]
pub(crate) struct Interface {
    /// Where it is.
    pub(crate) namespace: Namespace,
    /// Its name there.
    pub(crate) name: String,
    /// Its Ethernet address.
    pub(crate) mac: [u8; 6],
    /// The longest IP packet, in bytes.
    pub(crate) mtu: usize,
    /// Its addresses, link-local ones last.
    pub(crate) addresses: Vec<IpAddr>,
}

/// As much of `ip -j address` as it takes.
#[derive(Deserialize)]
struct Listing {
    address: String,
    mtu: usize,
    flags: Vec<String>,
    link_type: String,
    addr_info: Vec<AddressListing>,
}

#[derive(Deserialize)]
struct AddressListing {
    local: IpAddr,
    scope: String,
}

/// As much of `ip -j route get` as it takes.
#[derive(Deserialize)]
struct RouteListing {
    gateway: Option<IpAddr>,
    dev: Option<String>,
}

/// As much of `ip -j neighbour` as it takes.
#[derive(Deserialize)]
struct NeighbourListing {
    lladdr: Option<String>,
}

impl Interface {
    /// Looks an interface up for this option.
    ///
    /// # Errors
    /// [`BenchError::Usage`] when it is not there, down, or no Ethernet.
    pub(crate) fn find(option: &'static str, asked: &InterfaceName) -> Result<Self> {
        let usage = |message: String| BenchError::Usage { option, message };
        let namespace = match &asked.namespace {
            None => Namespace::current()?,
            Some(name) => Namespace::named(name).map_err(|_| {
                usage(format!(
                    "{asked}: there is no network namespace {name}; `ip netns` lists them"
                ))
            })?,
        };
        let name = asked.name.clone();
        let listing = namespace.run(|| {
            let mut command = Command::new("ip");
            run(command.args(["-j", "address", "show", "dev", &name]), "")
        });
        let text = match listing {
            Err(BenchError::Failed { .. }) => {
                return Err(usage(format!(
                    "{asked}: there is no such interface; `ip link` lists them"
                )));
            }
            other => other?,
        };
        let mut listings: Vec<Listing> = read("ip -j address", &text)?;
        let Some(mut listing) = listings.pop() else {
            return Err(usage(format!(
                "{asked}: there is no such interface; `ip link` lists them"
            )));
        };
        if listing.link_type != "ether" {
            return Err(usage(format!("{asked}: {} is no Ethernet", listing.link_type)));
        }
        if !listing.flags.iter().any(|flag| flag == "UP") {
            return Err(usage(format!("{asked}: the interface is down; `ip link set {name} up`")));
        }
        listing.addr_info.sort_by_key(|address| address.scope == "link");
        Ok(Self {
            namespace,
            name,
            mac: parse_mac(&listing.address)
                .ok_or_else(|| usage(format!("{asked}: it has no Ethernet address")))?,
            mtu: listing.mtu,
            addresses: listing.addr_info.into_iter().map(|address| address.local).collect(),
        })
    }

    /// Whether the machine's default route leads there, or may: what is sent meets everybody else's
    /// traffic.
    pub(crate) fn has_default_route(&self) -> Result<bool> {
        if !self.namespace.may_be_the_machines() {
            return Ok(false);
        }
        let mut text = String::new();
        for family in ["-4", "-6"] {
            text += &self.namespace.run(|| {
                let mut command = Command::new("ip");
                run(command.args([family, "route", "show", "default"]), "")
            })?;
        }
        let device = ["dev", &self.name];
        Ok(text.lines().any(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            words.windows(2).any(|pair| pair == device)
        }))
    }

    /// Whether it is up and its link, too.
    pub(super) fn has_link(&self) -> Result<bool> {
        let with_link = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_LOWER_UP;
        self.namespace.run(|| {
            let mut interfaces =
                getifaddrs().map_err(BenchError::kernel("list interfaces", &self.name))?;
            let own = interfaces.find(|one| one.interface_name == self.name);
            Ok(own.is_some_and(|own| own.flags.contains(with_link)))
        })
    }

    /// The Ethernet address of the next hop to a destination: the kernel is made to ask for it.
    ///
    /// # Errors
    /// [`BenchError::Usage`] when there is no route, or nobody answers.
    pub(super) fn next_hop(&self, destination: IpAddr, patience: Duration) -> Result<[u8; 6]> {
        let option = "--dst-mac";
        let usage = |message: String| BenchError::Usage { option, message };
        self.namespace.run(|| {
            let mut get = Command::new("ip");
            get.args(["-j", "route", "get", &destination.to_string(), "oif", &self.name]);
            let text = run(&mut get, "").map_err(|_| {
                usage(format!(
                    "there is no route to {destination} through {}; add one, or give the Ethernet \
                     address of the next hop",
                    self.name
                ))
            })?;
            let mut routes: Vec<RouteListing> = read("ip -j route get", &text)?;
            let route = routes.pop();
            let gateway = route
                .filter(|route| route.dev.as_deref() == Some(&self.name))
                .and_then(|route| route.gateway)
                .unwrap_or(destination);
            self.resolve(gateway, patience)?.ok_or_else(|| {
                usage(format!(
                    "{gateway}, the next hop to {destination}, does not say its Ethernet address \
                     on {}; give it",
                    self.name
                ))
            })
        })
    }

    fn resolve(&self, gateway: IpAddr, patience: Duration) -> Result<Option<[u8; 6]>> {
        let deadline = Instant::now() + patience;
        let any = if gateway.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        if let Ok(socket) = UdpSocket::bind(any) {
            // Nobody needs to take it: it makes the kernel ask.
            let _ = socket.send_to(&[], (gateway, DISCARD_PORT));
        }
        loop {
            let mut show = Command::new("ip");
            show.args(["-j", "neighbour", "show", "to", &gateway.to_string(), "dev", &self.name]);
            let neighbours: Vec<NeighbourListing> = read("ip -j neighbour", &run(&mut show, "")?)?;
            let known = neighbours.into_iter().filter_map(|known| known.lladdr);
            if let Some(mac) = known.filter_map(|text| parse_mac(&text)).next() {
                return Ok(Some(mac));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn read<T: for<'a> Deserialize<'a>>(command: &str, text: &str) -> Result<Vec<T>> {
    // Without anything to tell, older versions tell nothing at all.
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let unexpected = |what: String| BenchError::Unexpected { command: command.to_owned(), what };
    serde_json::from_str(text).map_err(|error| unexpected(error.to_string()))
}

/// `02:00:00:00:00:01`.
pub(crate) fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut bytes = text.split(':');
    for byte in &mut mac {
        let text = bytes.next().filter(|text| text.len() == 2)?;
        *byte = u8::from_str_radix(text, 16).ok()?;
    }
    bytes.next().is_none().then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_stands_before_a_slash() {
        let parsed: InterfaceName = "client/eth0".parse().expect("a name");
        assert_eq!((parsed.namespace.as_deref(), parsed.name.as_str()), (Some("client"), "eth0"));
        assert_eq!("eth0".parse::<InterfaceName>().expect("a name").namespace, None);
        for bad in ["", "/eth0", "a/b/c", "a/"] {
            bad.parse::<InterfaceName>().expect_err(bad);
        }
    }

    #[test]
    fn ethernet_addresses_have_six_bytes() {
        assert_eq!(parse_mac("02:00:5e:10:00:ff"), Some([2, 0, 0x5e, 0x10, 0, 0xff]));
        for bad in
            ["", "02:00:5e:10:00", "02:00:5e:10:00:ff:00", "2:0:5e:10:0:ff", "gg:00:5e:10:00:ff"]
        {
            assert_eq!(parse_mac(bad), None);
        }
    }
}
