//! Addresses of a lab: given once, they stay for its life, also when their owner is deleted and
//! comes back.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Addresses by owner (`namespace/name`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Allocation(BTreeMap<String, Vec<IpAddr>>);

/// Where free addresses are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Band {
    /// From the first address on.
    Whole,
    /// From above the band that Kubernetes keeps for addresses that people choose (KEP-3070), so
    /// that a hand-written `10.96.0.10` meets nobody; from that band only when the rest is full.
    AboveStatic,
}

impl Allocation {
    /// The owner's addresses.
    pub(crate) fn of(&self, owner: &str) -> &[IpAddr] {
        self.0.get(owner).map_or(&[], Vec::as_slice)
    }

    /// The address of this family that the owner has.
    pub(crate) fn of_family(&self, owner: &str, ipv4: bool) -> Option<IpAddr> {
        self.of(owner).iter().copied().find(|address| address.is_ipv4() == ipv4)
    }

    /// Who has this address.
    pub(crate) fn owner(&self, address: IpAddr) -> Option<&str> {
        self.0.iter().find(|(_, held)| held.contains(&address)).map(|(owner, _)| owner.as_str())
    }

    /// Gives the owner this address in place of any of the same family. An owner that is no more
    /// loses it; who lives keeps it, and is the error.
    pub(crate) fn claim(
        &mut self,
        owner: &str,
        address: IpAddr,
        live: &HashSet<String>,
    ) -> Result<(), String> {
        match self.owner(address).map(str::to_owned) {
            Some(holder) if holder != owner && live.contains(&holder) => return Err(holder),
            Some(holder) if holder != owner => {
                self.0.remove(&holder);
            }
            _ => {}
        }
        let held = self.0.entry(owner.to_owned()).or_default();
        held.retain(|other| other.is_ipv4() != address.is_ipv4());
        held.push(address);
        Ok(())
    }

    /// The owner's address out of `cidr`: the one it has, or a free one, or one whose owner is no
    /// more. `None` when the CIDR is full of the living.
    pub(crate) fn assign(
        &mut self,
        owner: &str,
        cidr: IpNet,
        band: Band,
        live: &HashSet<String>,
    ) -> Option<IpAddr> {
        let ipv4 = cidr.addr().is_ipv4();
        if let Some(address) = self.of_family(owner, ipv4) {
            return Some(address);
        }
        let taken: HashSet<IpAddr> = self.0.values().flatten().copied().collect();
        let address = free(cidr, band, &taken).or_else(|| {
            let gone = self.0.iter().find(|(holder, held)| {
                !live.contains(*holder) && held.iter().any(|address| cidr.contains(address))
            });
            let holder = gone.map(|(holder, _)| holder.clone())?;
            let freed = self.0.remove(&holder)?;
            freed.into_iter().find(|address| cidr.contains(address))
        })?;
        self.0.entry(owner.to_owned()).or_default().push(address);
        Some(address)
    }
}

/// The first free address, in the order that `band` says.
fn free(cidr: IpNet, band: Band, taken: &HashSet<IpAddr>) -> Option<IpAddr> {
    let (first, last) = usable(cidr)?;
    let start = match band {
        Band::Whole => first,
        Band::AboveStatic => first.saturating_add(static_band(last - first + 1)),
    };
    // No more candidates are looked at than there are taken ones, plus one.
    (start..=last)
        .chain(first..start)
        .map(|bits| address(cidr, bits))
        .find(|ip| !taken.contains(ip))
}

/// First and last address that a machine can have: neither the network's own (in IPv6 the
/// routers' anycast address) nor, in IPv4, the broadcast address.
fn usable(cidr: IpNet) -> Option<(u128, u128)> {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let (first, last) = (bits(cidr.network()), bits(cidr.broadcast()));
    let single = cidr.prefix_len() + 1 >= cidr.max_prefix_len();
    let (first, last) = match cidr {
        _ if single => (first, last),
        IpNet::V4(_) => (first + 1, last - 1),
        IpNet::V6(_) => (first + 1, last),
    };
    (first <= last).then_some((first, last))
}

/// How many addresses from the start people choose from: a sixteenth, 16 to 256 (KEP-3070).
fn static_band(size: u128) -> u128 {
    if size < 16 { 0 } else { (size / 16).clamp(16, 256).min(size - 1) }
}

fn address(cidr: IpNet, bits: u128) -> IpAddr {
    match cidr {
        IpNet::V4(_) => Ipv4Addr::from_bits(bits as u32).into(),
        IpNet::V6(_) => Ipv6Addr::from_bits(bits).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn live(names: &[&str]) -> HashSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn addresses_stay_with_their_owner() {
        let mut all = Allocation::default();
        let everybody = live(&["a", "b"]);
        let pods = cidr("10.244.0.0/24");
        let first = all.assign("a", pods, Band::Whole, &everybody).unwrap();
        let second = all.assign("b", pods, Band::Whole, &everybody).unwrap();
        assert_eq!([first.to_string(), second.to_string()], ["10.244.0.1", "10.244.0.2"]);
        assert_eq!(all.assign("a", pods, Band::Whole, &everybody), Some(first));
        // Deleted, and somebody new comes meanwhile.
        let others = live(&["b", "c"]);
        assert_eq!(all.assign("c", pods, Band::Whole, &others).unwrap().to_string(), "10.244.0.3");
        assert_eq!(all.assign("a", pods, Band::Whole, &everybody), Some(first));
    }

    #[test]
    fn a_full_cidr_takes_from_the_gone_before_it_refuses() {
        let mut all = Allocation::default();
        let pods = cidr("10.0.0.0/30");
        let both = live(&["a", "b"]);
        let first = all.assign("a", pods, Band::Whole, &both);
        all.assign("b", pods, Band::Whole, &both).unwrap();
        assert_eq!(all.assign("c", pods, Band::Whole, &live(&["a", "b", "c"])), None);
        assert_eq!(all.assign("c", pods, Band::Whole, &live(&["b", "c"])), first);
    }

    #[test]
    fn services_come_from_above_the_static_band() {
        let mut all = Allocation::default();
        let none = HashSet::new();
        let wide = all.assign("a", cidr("10.96.0.0/16"), Band::AboveStatic, &none).unwrap();
        assert_eq!(wide.to_string(), "10.96.1.1");
        let six = all.assign("a", cidr("fd00:10:96::/112"), Band::AboveStatic, &none).unwrap();
        assert_eq!(six.to_string(), "fd00:10:96::101");
        let small = all.assign("b", cidr("10.1.0.0/30"), Band::AboveStatic, &none).unwrap();
        assert_eq!(small.to_string(), "10.1.0.1");
        assert_eq!(all.of("a"), [wide, six]);
    }

    #[test]
    fn a_claim_takes_from_the_gone_and_not_from_the_living() {
        let mut all = Allocation::default();
        let ip: IpAddr = "10.96.0.10".parse().unwrap();
        all.claim("a", ip, &live(&["a"])).unwrap();
        assert_eq!(all.claim("b", ip, &live(&["a", "b"])), Err("a".to_owned()));
        all.claim("b", ip, &live(&["b"])).unwrap();
        assert_eq!(all.owner(ip), Some("b"));
        assert!(all.of("a").is_empty());
    }

    #[test]
    fn the_smallest_cidrs_are_whole() {
        let none = HashSet::new();
        for (text, expected) in [("10.0.0.7/32", "10.0.0.7"), ("fd00::7/128", "fd00::7")] {
            let found = Allocation::default().assign("a", cidr(text), Band::Whole, &none);
            assert_eq!(found.unwrap().to_string(), expected);
        }
    }
}
