//! Addresses of Pods: given once, they stay for its life, also when their owner is deleted and
//! comes back.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::apiserver::service_ips::range::{address, usable};

type ByOwner = BTreeMap<String, Vec<IpAddr>>;

/// Addresses by owner (`namespace/name`).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "ByOwner", into = "ByOwner")]
pub(crate) struct Allocation {
    held: ByOwner,
    owners: HashMap<IpAddr, String>,
    /// Where the next free one is looked for: ten thousand Pods are found an address each in one
    /// walk. Not remembered.
    searched: HashMap<IpNet, u128>,
}

impl Allocation {
    /// The owner's addresses.
    pub(crate) fn of(&self, owner: &str) -> &[IpAddr] {
        self.held.get(owner).map_or(&[], Vec::as_slice)
    }

    /// The address of this family that the owner has.
    pub(crate) fn of_family(&self, owner: &str, ipv4: bool) -> Option<IpAddr> {
        self.of(owner).iter().copied().find(|address| address.is_ipv4() == ipv4)
    }

    /// Who has this address.
    #[cfg(test)]
    pub(crate) fn owner(&self, address: IpAddr) -> Option<&str> {
        self.owners.get(&address).map(String::as_str)
    }

    /// Gives the owner this address in place of any of the same family. An owner that is no more
    /// loses it; who lives keeps it, and is the error.
    pub(crate) fn claim(
        &mut self,
        owner: &str,
        address: IpAddr,
        live: &HashSet<String>,
    ) -> Result<(), String> {
        match self.owners.get(&address) {
            Some(holder) if holder == owner => return Ok(()),
            Some(holder) if live.contains(holder) => return Err(holder.clone()),
            _ => self.release(address),
        }
        if let Some(old) = self.of_family(owner, address.is_ipv4()) {
            self.release(old);
        }
        self.give(owner, address);
        Ok(())
    }

    /// The owner's address out of `cidr`: the one it has, or a free one, or one whose owner is no
    /// more. `None` when the CIDR is full of the living.
    pub(crate) fn assign(
        &mut self,
        owner: &str,
        cidr: IpNet,
        live: &HashSet<String>,
    ) -> Option<IpAddr> {
        if let Some(address) = self.of_family(owner, cidr.addr().is_ipv4()) {
            return Some(address);
        }
        let address = self.free(cidr).or_else(|| {
            let gone = self.held.iter().filter(|(holder, _)| !live.contains(*holder));
            gone.flat_map(|(_, held)| held).copied().find(|address| cidr.contains(address))
        })?;
        self.release(address);
        self.give(owner, address);
        Some(address)
    }

    /// Takes all addresses from an owner that will not come back.
    pub(crate) fn forget(&mut self, owner: &str) {
        for address in self.held.remove(owner).unwrap_or_default() {
            self.owners.remove(&address);
        }
    }

    fn give(&mut self, owner: &str, address: IpAddr) {
        self.owners.insert(address, owner.to_owned());
        self.held.entry(owner.to_owned()).or_default().push(address);
    }

    fn release(&mut self, address: IpAddr) {
        let Some(owner) = self.owners.remove(&address) else { return };
        if let Some(held) = self.held.get_mut(&owner) {
            held.retain(|other| *other != address);
            if held.is_empty() {
                self.held.remove(&owner);
            }
        }
    }

    /// The first free address behind the one that was found last: one that was given back is not
    /// given away before all others were, since connections of its old owner may be alive.
    fn free(&mut self, cidr: IpNet) -> Option<IpAddr> {
        let (first, last) = usable(cidr)?;
        let from = self.searched.get(&cidr).copied().unwrap_or(first);
        let mut candidates = (from..=last).chain(first..from);
        let found = candidates.find(|bits| !self.owners.contains_key(&address(cidr, *bits)))?;
        self.searched.insert(cidr, if found == last { first } else { found + 1 });
        Some(address(cidr, found))
    }
}

impl From<ByOwner> for Allocation {
    fn from(held: ByOwner) -> Self {
        let owner = |(owner, addresses): (&String, &Vec<IpAddr>)| {
            let owner = owner.clone();
            addresses.iter().map(move |address| (*address, owner.clone())).collect::<Vec<_>>()
        };
        let owners = held.iter().flat_map(owner).collect();
        Self { held, owners, searched: HashMap::new() }
    }
}

impl From<Allocation> for ByOwner {
    fn from(allocation: Allocation) -> Self {
        allocation.held
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
        let first = all.assign("a", pods, &everybody).unwrap();
        let second = all.assign("b", pods, &everybody).unwrap();
        assert_eq!([first.to_string(), second.to_string()], ["10.244.0.1", "10.244.0.2"]);
        assert_eq!(all.assign("a", pods, &everybody), Some(first));
        // Deleted, and somebody new comes meanwhile.
        let others = live(&["b", "c"]);
        assert_eq!(all.assign("c", pods, &others).unwrap().to_string(), "10.244.0.3");
        assert_eq!(all.assign("a", pods, &everybody), Some(first));
    }

    #[test]
    fn a_full_cidr_takes_from_the_gone_before_it_refuses() {
        let mut all = Allocation::default();
        let pods = cidr("10.0.0.0/30");
        let both = live(&["a", "b"]);
        let first = all.assign("a", pods, &both);
        all.assign("b", pods, &both).unwrap();
        assert_eq!(all.assign("c", pods, &live(&["a", "b", "c"])), None);
        assert_eq!(all.assign("c", pods, &live(&["b", "c"])), first);
    }

    #[test]
    fn a_claim_takes_from_the_gone_and_not_from_the_living() {
        let mut all = Allocation::default();
        let ip: IpAddr = "10.244.0.10".parse().unwrap();
        all.claim("a", ip, &live(&["a"])).unwrap();
        assert_eq!(all.claim("b", ip, &live(&["a", "b"])), Err("a".to_owned()));
        all.claim("b", ip, &live(&["b"])).unwrap();
        assert_eq!(all.owner(ip), Some("b"));
        assert!(all.of("a").is_empty());
    }

    #[test]
    fn what_is_given_back_is_given_away_last() {
        let mut all = Allocation::default();
        let pods = cidr("10.0.0.0/29");
        let everybody = live(&["a", "b", "c"]);
        let first = all.assign("a", pods, &everybody);
        all.forget("a");
        assert!(all.of("a").is_empty());
        let rest: Vec<_> =
            (0..5).map(|number| all.assign(&format!("b{number}"), pods, &everybody)).collect();
        assert!(!rest.contains(&first), "{rest:?}");
        assert_eq!(all.assign("c", pods, &everybody), first);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut all = Allocation::default();
        let everybody = live(&["a", "b"]);
        all.assign("a", cidr("10.0.0.0/30"), &everybody);
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(text, r#"{"a":["10.0.0.1"]}"#);
        let mut back: Allocation = serde_json::from_str(&text).unwrap();
        let next = back.assign("b", cidr("10.0.0.0/30"), &everybody).unwrap();
        assert_eq!(next.to_string(), "10.0.0.2");
    }

    #[test]
    fn ten_thousand_pods_get_an_address_each() {
        let mut all = Allocation::default();
        let names: HashSet<String> = (0..10_000).map(|number| format!("s{number}")).collect();
        let given: HashSet<IpAddr> = names
            .iter()
            .filter_map(|name| all.assign(name, cidr("10.244.0.0/16"), &names))
            .collect();
        assert_eq!(given.len(), 10_000);
    }

    #[test]
    fn the_smallest_cidrs_are_whole() {
        let none = HashSet::new();
        for (text, expected) in [("10.0.0.7/32", "10.0.0.7"), ("fd00::7/128", "fd00::7")] {
            let found = Allocation::default().assign("a", cidr(text), &none);
            assert_eq!(found.unwrap().to_string(), expected);
        }
    }
}
