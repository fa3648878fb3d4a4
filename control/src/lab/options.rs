//! What a lab is given once, when it comes up.

use std::net::IpAddr;

use ipnet::IpNet;
use maglane_dataplane::engine::WORKERS;
use serde::{Deserialize, Serialize};

use super::{LabError, Result};
use crate::agent::Poll;
use crate::model::one_of_each_family;
use crate::net::host_port::{MAX_MTU, MIN_MTU};

/// The lab's options, remembered for its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LabOptions {
    /// Workers of the agent, one core and one queue each.
    pub(crate) workers: u32,
    /// How they wait.
    pub(crate) poll: Poll,
    /// Where ClusterIPs come from, at most one of each family.
    pub(crate) service_cidrs: Vec<IpNet>,
    /// Where Pod addresses come from, at most one of each family.
    pub(crate) pod_cidrs: Vec<IpNet>,
    /// Of the Pods' links, in bytes.
    pub(crate) mtu: u32,
    /// The node's addresses, at most one of each family.
    pub(crate) node_ips: Vec<IpAddr>,
}

impl LabOptions {
    /// Pods of both families, Services of IPv4.
    #[cfg(test)]
    pub(super) fn for_test() -> Self {
        Self {
            workers: 1,
            poll: Poll::Adaptive,
            service_cidrs: vec!["10.96.0.0/16".parse().unwrap()],
            pod_cidrs: ["10.244.0.0/24", "fd00:10:244::/64"].map(|c| c.parse().unwrap()).into(),
            mtu: 1_500,
            node_ips: Vec::new(),
        }
    }

    /// Checks every value once. A family that `--node-ip` leaves out gets its default.
    ///
    /// # Errors
    /// [`LabError::Option`] names the option, the value and what is wrong.
    pub(crate) fn checked(mut self) -> Result<Self> {
        let refuse = |option, value: String, reason: &str| {
            Err(LabError::Option { option, value, reason: reason.to_owned() })
        };
        if !(MIN_MTU..=MAX_MTU).contains(&self.mtu) {
            let range = format!("out of range, {MIN_MTU} to {MAX_MTU} bytes");
            return refuse("--mtu", self.mtu.to_string(), &range);
        }
        if !WORKERS.contains(&self.workers) {
            let range = format!("out of range, {} to {}", WORKERS.start(), WORKERS.end());
            return refuse("--workers", self.workers.to_string(), &range);
        }
        for default in DEFAULT_NODE_IPS {
            if !self.node_ips.iter().any(|ip| ip.is_ipv4() == default.is_ipv4()) {
                self.node_ips.push(default);
            }
        }
        for (option, cidrs) in
            [("--service-cidr", &self.service_cidrs), ("--pod-cidr", &self.pod_cidrs)]
        {
            if cidrs.is_empty() || !one_of_each_family(cidrs.iter().map(IpNet::addr)) {
                return refuse(option, join(cidrs), "give at most one CIDR of each family");
            }
        }
        if !one_of_each_family(self.node_ips.iter().copied()) {
            return refuse("--node-ip", join(&self.node_ips), "give at most one of each family");
        }
        for service in &self.service_cidrs {
            if let Some(pod) = self.pod_cidrs.iter().find(|pod| overlap(pod, service)) {
                return refuse("--service-cidr", service.to_string(), &format!("overlaps {pod}"));
            }
            if let Some(node) = self.node_ips.iter().find(|node| service.contains(*node)) {
                return refuse("--node-ip", node.to_string(), &format!("is in {service}"));
            }
        }
        Ok(self)
    }
}

const DEFAULT_NODE_IPS: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 0, 2)),
    IpAddr::V6(std::net::Ipv6Addr::new(0xfd00, 0x192, 0x168, 0, 0, 0, 0, 2)),
];

/// Values as an option takes them: with commas.
pub(crate) fn join<T: ToString>(values: &[T]) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut LabOptions)) -> std::result::Result<LabOptions, String> {
        let mut options = LabOptions::for_test();
        options.pod_cidrs.truncate(1);
        change(&mut options);
        options.checked().map_err(|error| error.to_string())
    }

    #[test]
    fn every_bad_value_is_named() {
        let cidr = |text: &str| -> IpNet { text.parse().unwrap() };
        assert_eq!(check(|_| {}).unwrap().node_ips, DEFAULT_NODE_IPS);
        for (found, expected) in [
            (check(|o| o.mtu = 3_499), "--mtu 3499: out of range, 1280 to 3498 bytes"),
            (check(|o| o.workers = 0), "--workers 0: out of range, 1 to 64"),
            (
                check(|o| o.pod_cidrs.push(cidr("10.0.0.0/8"))),
                "--pod-cidr 10.244.0.0/24,10.0.0.0/8: give at most one CIDR of each family",
            ),
            (
                check(|o| o.service_cidrs = vec![cidr("10.0.0.0/8")]),
                "--service-cidr 10.0.0.0/8: overlaps 10.244.0.0/24",
            ),
            (
                check(|o| o.node_ips.push("10.96.0.1".parse().unwrap())),
                "--node-ip 10.96.0.1: is in 10.96.0.0/16",
            ),
        ] {
            assert_eq!(found.unwrap_err(), expected);
        }
    }
}
