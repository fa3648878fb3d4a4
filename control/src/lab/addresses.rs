//! Which addresses a Pod gets, and which it may ask for.

use std::collections::HashSet;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::Pod;

use super::allocation::Allocation;
use super::options::LabOptions;
use crate::model::{Problem, one_of_each_family, pod_ips};

/// The annotation with which a Pod asks for addresses: `10.244.0.7,fd00:10:244::7`.
pub(crate) const POD_IPS_ANNOTATION: &str = "maglane.io/pod-ips";

/// Gives a Pod its addresses: those it asks for by annotation, else one of each family of the lab's
/// Pod CIDRs.
pub(super) fn assign_pod(
    pod: &Pod,
    owner: &str,
    options: &LabOptions,
    allocation: &mut Allocation,
    live: &HashSet<String>,
) -> Result<Vec<IpAddr>, Problem> {
    let asked = asked_of(pod);
    let addresses = pod_ips(&asked, &options.service_cidrs)?;
    if let Some((path, _)) = asked.last()
        && !one_of_each_family(addresses.iter().copied())
    {
        return Err(field(path, "gives two addresses of one family"));
    }
    for ((path, _), address) in asked.iter().zip(&addresses) {
        if options.node_ips.contains(address) {
            return Err(field(path, format!("{address} is the node's address")));
        }
        let taken = |holder| field(path, format!("{address} is taken by Pod {holder}"));
        allocation.claim(owner, *address, live).map_err(taken)?;
    }
    if !addresses.is_empty() {
        return Ok(addresses);
    }
    options
        .pod_cidrs
        .iter()
        .map(|cidr| {
            let full = || Problem::new(format_args!("Pod CIDR {cidr} is full"));
            allocation.assign(owner, *cidr, live).ok_or_else(full)
        })
        .collect()
}

/// What a Pod asks for, each with its field.
fn asked_of(pod: &Pod) -> Vec<(String, &str)> {
    let annotation = pod.metadata.annotations.as_ref().and_then(|all| all.get(POD_IPS_ANNOTATION));
    let field = || format!("metadata.annotations[{POD_IPS_ANNOTATION}]");
    let listed = annotation.into_iter().flat_map(|list| list.split(','));
    listed.map(|text| (field(), text.trim())).collect()
}

fn field(path: &str, message: impl std::fmt::Display) -> Problem {
    Problem::new(message).field(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::options::join;

    fn options(service: &str) -> LabOptions {
        let list = |text: &str| text.split(',').map(|cidr| cidr.parse().unwrap()).collect();
        let node_ips = vec!["192.168.0.2".parse().unwrap()];
        LabOptions { service_cidrs: list(service), node_ips, ..LabOptions::for_test() }
    }

    #[test]
    fn a_pod_may_ask_for_its_addresses() {
        let pod = |ips: &str| {
            let annotations = format!("{{annotations: {{maglane.io/pod-ips: '{ips}'}}}}");
            let text = format!("{{apiVersion: v1, kind: Pod, metadata: {annotations}}}");
            let pod: Pod = serde_yaml_ng::from_str(&text).unwrap();
            let live = HashSet::new();
            assign_pod(&pod, "n/p", &options("10.96.0.0/16"), &mut Allocation::default(), &live)
                .map(|ips| join(&ips))
                .map_err(|problem| problem.to_string())
        };
        assert_eq!(pod("10.244.0.7, fd00::7").unwrap(), "10.244.0.7,fd00::7");
        for (ips, reason) in [
            (
                "10.96.0.7",
                "Invalid value: \"10.96.0.7\": an endpoint may not be in the Service CIDR 10.96.0.0/16",
            ),
            ("192.168.0.2", "192.168.0.2 is the node's address"),
            ("10.244.0.7,10.244.0.8", "gives two addresses of one family"),
            ("127.0.0.1", "Invalid value: \"127.0.0.1\": may not be in the loopback range"),
        ] {
            let expected = format!("metadata.annotations[maglane.io/pod-ips]: {reason}");
            assert_eq!(pod(ips).unwrap_err(), expected);
        }
    }
}
