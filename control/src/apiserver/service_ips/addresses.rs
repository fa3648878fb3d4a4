//! Which ClusterIPs are free, and which are whose.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::range::{address, bits, static_band, usable};

/// The ClusterIPs that are given away.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// `namespace/name` of the Service.
    owners: HashMap<IpAddr, String>,
    /// Above the band that people choose from, nothing is free below this: ten thousand Services
    /// are found an address each in one walk. Only a hint.
    searched: HashMap<IpNet, u128>,
}

impl Addresses {
    /// Remembers an owner. The first one keeps an address that two claim.
    pub(super) fn give(&mut self, address: IpAddr, owner: &str) {
        self.owners.entry(address).or_insert_with(|| owner.to_owned());
    }

    /// The owner no longer has it.
    pub(super) fn release(&mut self, address: IpAddr, owner: &str) {
        if self.owners.get(&address).is_some_and(|holder| holder == owner) {
            self.owners.remove(&address);
            for (cidr, searched) in &mut self.searched {
                if cidr.contains(&address) {
                    *searched = bits(address).min(*searched);
                }
            }
        }
    }

    /// Whether somebody may have this address, which was asked for; otherwise the words of the
    /// real server for why not.
    pub(super) fn check(&self, address: IpAddr, cidrs: &[IpNet]) -> Result<(), String> {
        let Some(cidr) = cidrs.iter().find(|cidr| cidr.contains(&address)) else {
            return Err("the provided network does not match the current range".to_owned());
        };
        let range = usable(*cidr).is_some_and(|(first, last)| {
            let bits = bits(address);
            first <= bits && bits <= last
        });
        if !range {
            return Err(format!(
                "the provided IP ({address}) is not in the valid range. The range of valid IPs is \
                 {cidr}"
            ));
        }
        if self.owners.contains_key(&address) {
            return Err("provided IP is already allocated".to_owned());
        }
        Ok(())
    }

    /// A free address of one of the CIDRs; `None` when they are full.
    pub(super) fn free(&mut self, cidrs: &[IpNet]) -> Option<IpAddr> {
        cidrs.iter().find_map(|cidr| self.free_in(*cidr))
    }

    /// The lowest one above the band that people choose from, then the lowest one in it (KEP-3070).
    fn free_in(&mut self, cidr: IpNet) -> Option<IpAddr> {
        let (first, last) = usable(cidr)?;
        let start = first + static_band(last - first + 1);
        let from = self.searched.get(&cidr).copied().unwrap_or(start).max(start);
        let is_free = |bits: &u128| !self.owners.contains_key(&address(cidr, *bits));
        let upper = (from..=last).find(is_free);
        let found = upper.or_else(|| (first..start).find(is_free));
        self.searched.insert(cidr, upper.unwrap_or_else(|| last.saturating_add(1)));
        found.map(|bits| address(cidr, bits))
    }
}
