//! Which addresses a Service and a Pod get, and which they may ask for.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Pod, Service, ServiceSpec};

use super::allocation::{Allocation, Band};
use super::options::{LabOptions, join};
use crate::model::{Problem, cluster_ips, is_headless, listed_ips, one_of_each_family, pod_ips};

/// The annotation with which a Pod asks for addresses: `10.244.0.7,fd00:10:244::7`.
pub(crate) const POD_IPS_ANNOTATION: &str = "maglane.io/pod-ips";

/// Gives a Service its ClusterIPs, as the API server does: `spec.clusterIP`, `clusterIPs`,
/// `ipFamilies` and `ipFamilyPolicy` are filled in. Headless and ExternalName ones get none.
///
/// `exists` says that the Service is there already, so that its addresses cannot change.
/// The problem's object and file are the caller's to add.
pub(super) fn assign_service(
    service: &mut Service,
    owner: &str,
    exists: bool,
    options: &LabOptions,
    allocation: &mut Allocation,
    live: &HashSet<String>,
) -> Result<(), Problem> {
    let spec = service.spec.get_or_insert_default();
    let kind = spec.type_.get_or_insert_with(|| "ClusterIP".to_owned());
    if kind == "ExternalName" || is_headless(spec) {
        return Ok(());
    }
    let asked = cluster_ips(spec, &options.service_cidrs)?;
    let families = families(spec, &asked, options)?;
    for address in asked.iter().filter(|address| families.contains(&address.is_ipv4())) {
        if let Some(held) = allocation.of_family(owner, address.is_ipv4())
            && held != *address
            && exists
        {
            return Err(field("spec.clusterIP", format!("is immutable, and is {held}")));
        }
        allocation.claim(owner, *address, live).map_err(|holder| {
            field("spec.clusterIP", format!("{address} is taken by Service {holder}"))
        })?;
    }
    let mut addresses = Vec::new();
    for ipv4 in &families {
        let cidr = cidr_of(&options.service_cidrs, *ipv4).ok_or_else(|| no_family(*ipv4))?;
        let address = allocation.assign(owner, cidr, Band::AboveStatic, live);
        let full = || field("spec.clusterIP", format!("service CIDR {cidr} is full"));
        addresses.push(address.ok_or_else(full)?.to_string());
    }
    let names = families.iter().map(|ipv4| family_name(*ipv4).to_owned()).collect();
    spec.ip_families = Some(names);
    let single = if families.len() == 1 { "SingleStack" } else { "RequireDualStack" };
    spec.ip_family_policy.get_or_insert_with(|| single.to_owned());
    spec.cluster_ip = addresses.first().cloned();
    spec.cluster_ips = Some(addresses);
    Ok(())
}

/// Gives a Pod its addresses: those it asks for by annotation or in its status, else one of each
/// family of the lab's Pod CIDRs.
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
            let full = || field("status.podIPs", format!("Pod CIDR {cidr} is full"));
            allocation.assign(owner, *cidr, Band::Whole, live).ok_or_else(full)
        })
        .collect()
}

/// The families to serve, in order; true is IPv4. As the API server chooses them (KEP-563).
fn families(
    spec: &ServiceSpec,
    asked: &[IpAddr],
    options: &LabOptions,
) -> Result<Vec<bool>, Problem> {
    let mut families: Vec<bool> = asked.iter().map(IpAddr::is_ipv4).collect();
    for name in spec.ip_families.iter().flatten() {
        let ipv4 = match name.as_str() {
            "IPv4" => true,
            "IPv6" => false,
            _ => return Err(field("spec.ipFamilies", format!("{name:?}: give IPv4 or IPv6"))),
        };
        if !families.contains(&ipv4) {
            families.push(ipv4);
        }
    }
    let dual = options.service_cidrs.len() == 2;
    if families.is_empty() {
        let ipv4 = cidr_of(&options.service_cidrs, true).is_some();
        families.push(ipv4);
    }
    let default = if families.len() == 2 { "RequireDualStack" } else { "SingleStack" };
    match spec.ip_family_policy.as_deref().unwrap_or(default) {
        "SingleStack" => families.truncate(1),
        "RequireDualStack" if !dual => {
            let cidrs = join(&options.service_cidrs);
            let message = format!("RequireDualStack, and the only service CIDR is {cidrs}");
            return Err(field("spec.ipFamilyPolicy", message));
        }
        "PreferDualStack" if !dual => families.truncate(1),
        "PreferDualStack" | "RequireDualStack" => {
            if let [only] = families[..] {
                families.push(!only);
            }
        }
        other => return Err(field("spec.ipFamilyPolicy", format!("{other:?} is not known"))),
    }
    Ok(families)
}

/// What a Pod asks for, each with its field.
fn asked_of(pod: &Pod) -> Vec<(String, &str)> {
    let annotation = pod.metadata.annotations.as_ref().and_then(|all| all.get(POD_IPS_ANNOTATION));
    let Some(list) = annotation else { return pod.status.iter().flat_map(listed_ips).collect() };
    let field = || format!("metadata.annotations[{POD_IPS_ANNOTATION}]");
    list.split(',').map(|text| (field(), text.trim())).collect()
}

fn cidr_of(cidrs: &[IpNet], ipv4: bool) -> Option<IpNet> {
    cidrs.iter().copied().find(|cidr| cidr.addr().is_ipv4() == ipv4)
}

fn family_name(ipv4: bool) -> &'static str {
    if ipv4 { "IPv4" } else { "IPv6" }
}

fn no_family(ipv4: bool) -> Problem {
    let family = family_name(ipv4);
    field("spec.ipFamilies", format!("{family} is asked for, and no service CIDR is {family}"))
}

fn field(path: &str, message: impl std::fmt::Display) -> Problem {
    Problem::new(message).field(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(service: &str) -> LabOptions {
        let list = |text: &str| text.split(',').map(|cidr| cidr.parse().unwrap()).collect();
        let node_ips = vec!["192.168.0.2".parse().unwrap()];
        LabOptions { service_cidrs: list(service), node_ips, ..LabOptions::for_test() }
    }

    /// The ClusterIPs of a Service with this spec, or what is wrong with it.
    fn service(spec: &str, cidrs: &str) -> Result<String, String> {
        let text =
            format!("{{apiVersion: v1, kind: Service, metadata: {{name: s}}, spec: {spec}}}");
        let mut service: Service = serde_yaml_ng::from_str(&text).unwrap();
        let mut all = Allocation::default();
        let live = HashSet::from(["n/taken".to_owned(), "n/s".to_owned()]);
        all.claim("n/taken", "10.96.0.10".parse().unwrap(), &live).unwrap();
        assign_service(&mut service, "n/s", false, &options(cidrs), &mut all, &live)
            .map(|()| service.spec.unwrap().cluster_ips.unwrap_or_default().join(","))
            .map_err(|problem| problem.to_string())
    }

    #[test]
    fn families_are_chosen_as_the_api_server_chooses_them() {
        const BOTH: &str = "10.96.0.0/16,fd00:10:96::/112";
        const ONE: &str = "10.96.0.0/16";
        for (spec, cidrs, expected) in [
            ("{}", BOTH, Ok("10.96.1.1")),
            ("{ipFamilies: [IPv6]}", BOTH, Ok("fd00:10:96::101")),
            ("{ipFamilyPolicy: PreferDualStack}", BOTH, Ok("10.96.1.1,fd00:10:96::101")),
            ("{ipFamilyPolicy: PreferDualStack}", ONE, Ok("10.96.1.1")),
            (
                "{ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv6]}",
                BOTH,
                Ok("fd00:10:96::101,10.96.1.1"),
            ),
            ("{ipFamilies: [IPv6, IPv4]}", BOTH, Ok("fd00:10:96::101,10.96.1.1")),
            ("{clusterIP: None}", BOTH, Ok("")),
            ("{type: ExternalName, externalName: a.b}", BOTH, Ok("")),
            ("{clusterIP: 10.96.0.11}", BOTH, Ok("10.96.0.11")),
            ("{clusterIP: 'fd00:10:96::5'}", BOTH, Ok("fd00:10:96::5")),
            (
                "{clusterIP: 10.96.0.10}",
                BOTH,
                Err("spec.clusterIP: 10.96.0.10 is taken by Service n/taken"),
            ),
            (
                "{clusterIP: 10.97.0.10}",
                ONE,
                Err(
                    "spec.clusterIP: Invalid value: \"10.97.0.10\": is not in the Service CIDRs 10.96.0.0/16",
                ),
            ),
            (
                "{clusterIP: ten}",
                ONE,
                Err(
                    "spec.clusterIP: Invalid value: \"ten\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                ),
            ),
            ("{clusterIP: 010.096.000.011}", ONE, Ok("10.96.0.11")),
            (
                "{clusterIPs: [10.96.0.11, 10.96.0.12]}",
                BOTH,
                Err(
                    "spec.clusterIPs[1]: Invalid value: \"10.96.0.12\": a Service has one address of each family",
                ),
            ),
            (
                "{ipFamilyPolicy: RequireDualStack}",
                ONE,
                Err(
                    "spec.ipFamilyPolicy: RequireDualStack, and the only service CIDR is 10.96.0.0/16",
                ),
            ),
            (
                "{ipFamilies: [IPv6]}",
                ONE,
                Err("spec.ipFamilies: IPv6 is asked for, and no service CIDR is IPv6"),
            ),
            ("{}", "10.96.0.10/32", Err("spec.clusterIP: service CIDR 10.96.0.10/32 is full")),
        ] {
            let found = service(spec, cidrs);
            let found = found.as_deref().map_err(String::as_str);
            assert_eq!(found, expected, "{spec} of {cidrs}");
        }
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
