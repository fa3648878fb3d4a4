//! ClusterIPs and node ports: who has which, and who gets which.
//!
//! What is kept here says what the stored Services say: it is told of every change once that is
//! committed, and nothing is taken before. So a refused or a dry write takes nothing, and at a
//! start everything is as the Services are.
//!
//! ClusterIPs come from the ServiceCIDRs (KEP-1880), the lowest free one above the band that people
//! choose from (KEP-3070): `kubernetes` has the first address of all, the first Service of a /16
//! `10.96.1.1`.

mod addresses;
mod node_ports;
pub(crate) mod range;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use k8s_openapi::api::networking::v1::ServiceCIDR;
use serde_json::{Value, json};

use self::addresses::Addresses;
use self::node_ports::{Denied, NodePorts};

use super::kinds::checks;
use super::kinds::decoding::read;
use super::kinds::service::{cluster_ips, ip_families, is_headless, settle_families, stacks};
use super::resource::{FieldError, Resource};
use super::status::Refusal;

/// The ServiceCIDR that every cluster has.
pub(crate) const DEFAULT_CIDR: &str = "kubernetes";

/// What is given away, and what there is.
#[derive(Debug, Default)]
pub(crate) struct ServiceIps {
    /// By the names of the ServiceCIDRs that new addresses come from.
    cidrs: BTreeMap<String, Vec<IpNet>>,
    addresses: Addresses,
    ports: NodePorts,
}

impl ServiceIps {
    /// Hears of a change that is committed: of a Service or a ServiceCIDR, everything else is
    /// passed over. At a start, every stored object is one that is new.
    pub(crate) fn observe(&mut self, of: &Resource, old: Option<&Value>, new: Option<&Value>) {
        match (of.group, of.kind) {
            ("", "Service") => {
                if let Some(old) = old {
                    let service: Service = read(old);
                    self.release(&service);
                }
                if let Some(new) = new {
                    let service: Service = read(new);
                    self.give(&service);
                }
            }
            ("networking.k8s.io", "ServiceCIDR") => {
                for (object, is_new) in [(old, false), (new, true)] {
                    let Some(object) = object else { continue };
                    let object: ServiceCIDR = read(object);
                    let name = object.metadata.name.clone().unwrap_or_default();
                    let cidrs = if is_new { usable_cidrs(&object) } else { Vec::new() };
                    if cidrs.is_empty() {
                        self.cidrs.remove(&name);
                    } else {
                        self.cidrs.insert(name, cidrs);
                    }
                }
            }
            _ => {}
        }
    }

    /// Fills in what a Service that is about to be written gets: `ipFamilies`, `ipFamilyPolicy`,
    /// `clusterIP`, `clusterIPs`, node ports. Other kinds are passed over. `old` is what it replaces.
    /// What it gets is its own once [`Self::observe`] was told.
    ///
    /// # Errors
    /// In the words of the real server, when it asks for what it cannot have, or all is taken.
    pub(crate) fn assign(
        &mut self,
        of: &Resource,
        new: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), Refusal> {
        if (of.group, of.kind) != ("", "Service") {
            return Ok(());
        }
        let mut service: Service = read(new);
        let old: Option<Service> = old.map(read);
        let name = service.metadata.name.clone().unwrap_or_default();
        let invalid = |errors: &[FieldError]| Err(Refusal::invalid(of, &name, errors));
        let spec = service.spec.get_or_insert_default();
        let old_spec = old.as_ref().and_then(|old| old.spec.as_ref());
        if !is_external_name(spec) {
            let before = old_spec.filter(|old| !is_external_name(old));
            let mut errors = stacks(spec);
            if errors.is_empty() {
                errors = settle_families(spec, before, &self.families());
            }
            if !errors.is_empty() {
                return invalid(&errors);
            }
            if !is_headless(spec) {
                self.assign_addresses(of, &name, spec, before)?;
            }
        }
        match self.ports.assign(&mut service, old.as_ref()) {
            Ok(()) => {}
            Err(Denied::Field(error)) => return invalid(&[error]),
            Err(Denied::Other(message)) => return Err(Refusal::internal(&message)),
        }
        if let Ok(assigned) = serde_json::to_value(service) {
            *new = assigned;
        }
        Ok(())
    }

    fn assign_addresses(
        &mut self,
        of: &Resource,
        name: &str,
        spec: &mut ServiceSpec,
        before: Option<&ServiceSpec>,
    ) -> Result<(), Refusal> {
        let families = ip_families(spec).to_owned();
        let mut ips = cluster_ips(spec).to_owned();
        ips.resize(families.len(), String::new());
        let listed = json!(ips);
        // What it has it keeps; whether that may change is for the kind's rules to say.
        let kept = before.map_or(0, |before| cluster_ips(before).len());
        for (ip, family) in ips.iter_mut().zip(&families).skip(kept) {
            let cidrs = self.cidrs_of(family);
            if ip.is_empty() {
                let free = self.addresses.free(&cidrs).ok_or_else(|| {
                    Refusal::internal("failed to allocate a serviceIP: range is full")
                })?;
                *ip = free.to_string();
            } else {
                let address = checks::ip(ip);
                let check = address.map_or(Ok(()), |ip| self.addresses.check(ip, &cidrs));
                check.map_err(|error| {
                    let message = format!("failed to allocate IP {ip}: {error}");
                    let error = FieldError::invalid("spec.clusterIPs", &listed, &message);
                    Refusal::invalid(of, name, &[error])
                })?;
            }
        }
        spec.cluster_ip = ips.first().cloned();
        spec.cluster_ips = Some(ips);
        Ok(())
    }

    fn give(&mut self, service: &Service) {
        let owner = owner(service);
        for address in addresses_of(service) {
            self.addresses.give(address, &owner);
        }
        for port in node_ports::held(service) {
            self.ports.give(port, &owner);
        }
    }

    fn release(&mut self, service: &Service) {
        let owner = owner(service);
        for address in addresses_of(service) {
            self.addresses.release(address, &owner);
        }
        for port in node_ports::held(service) {
            self.ports.release(port, &owner);
        }
    }

    /// Those that new addresses come from, the default ones first.
    fn all_cidrs(&self) -> impl Iterator<Item = IpNet> {
        let default = self.cidrs.get(DEFAULT_CIDR).into_iter();
        let others = self.cidrs.iter().filter(|(name, _)| *name != DEFAULT_CIDR);
        default.chain(others.map(|(_, cidrs)| cidrs)).flatten().copied()
    }

    fn cidrs_of(&self, family: &str) -> Vec<IpNet> {
        self.all_cidrs().filter(|cidr| family_name(cidr) == family).collect()
    }

    /// The families that there are CIDRs of, the default one first.
    fn families(&self) -> Vec<&'static str> {
        let mut families = Vec::new();
        for cidr in self.all_cidrs() {
            if !families.contains(&family_name(&cidr)) {
                families.push(family_name(&cidr));
            }
        }
        families
    }
}

/// The address that the Service `kubernetes` has.
pub(crate) fn first_address(cidr: IpNet) -> Option<IpAddr> {
    range::usable(cidr).map(|(first, _)| range::address(cidr, first))
}

fn is_external_name(spec: &ServiceSpec) -> bool {
    spec.type_.as_deref() == Some("ExternalName")
}

fn family_name(cidr: &IpNet) -> &'static str {
    if cidr.addr().is_ipv4() { "IPv4" } else { "IPv6" }
}

fn owner(service: &Service) -> String {
    let metadata = &service.metadata;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}/{}", text(&metadata.namespace), text(&metadata.name))
}

fn addresses_of(service: &Service) -> Vec<IpAddr> {
    let spec = service.spec.iter().filter(|spec| !is_external_name(spec));
    spec.flat_map(cluster_ips).filter_map(|ip| checks::ip(ip)).collect()
}

/// None of one that is being deleted or not ready yet.
fn usable_cidrs(object: &ServiceCIDR) -> Vec<IpNet> {
    let conditions = object.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let refused = conditions
        .into_iter()
        .any(|condition| condition.type_ == "Ready" && condition.status != "True");
    if refused || object.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let cidrs = object.spec.iter().flat_map(|spec| spec.cidrs.iter().flatten());
    cidrs.filter_map(|cidr| checks::cidr(cidr)).collect()
}
