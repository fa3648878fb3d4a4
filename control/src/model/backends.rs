use std::collections::BTreeMap;

use maglane_dataplane::service::Backend;
use maglane_dataplane::wire::{Address, Endpoint};

use super::group::{Conditions, EndpointGroup, GroupPort};
use super::pod::PodRecord;
use super::service::PortRecord;

/// The endpoints of one frontend, each once, with the best state that any source gives it.
#[derive(Default)]
pub(super) struct Candidates {
    endpoints: BTreeMap<Endpoint, Conditions>,
}

/// What packets get of [`Candidates`]. Both sorted, without duplicates.
#[derive(PartialEq, Debug, Default)]
pub(super) struct Chosen {
    pub(super) backends: Vec<Backend>,
    pub(super) draining: Vec<Endpoint>,
}

impl Candidates {
    /// Adds the endpoints of one family in `group` that listen on the Service's port: same name,
    /// same protocol.
    pub(super) fn add_group(&mut self, group: &EndpointGroup, port: &PortRecord, ipv4: bool) {
        let same = |of: &&GroupPort| *of.name == *port.name && of.protocol == port.protocol;
        for group_port in group.ports.iter().filter(same) {
            for endpoint in group.endpoints.iter().filter(|of| of.address.is_ipv4() == ipv4) {
                self.add(endpoint.address, group_port.port, endpoint.conditions);
            }
        }
    }

    /// Adds a Pod's address of one family; false when the Pod has no port of the wanted name.
    pub(super) fn add_pod(
        &mut self,
        pod: &PodRecord,
        port: &PortRecord,
        ipv4: bool,
        publish_not_ready: bool,
    ) -> bool {
        let Some(number) = pod.port(&port.target, port.protocol) else { return false };
        for address in pod.addresses.iter().filter(|address| address.is_ipv4() == ipv4) {
            self.add(*address, number, pod.conditions(publish_not_ready));
        }
        true
    }

    /// A Pod may be in two slices for a moment: the copy that is ready wins, then the one that
    /// still serves.
    fn add(&mut self, address: Address, port: u16, conditions: Conditions) {
        let worth = |of: &Conditions| (of.ready, of.serving && of.terminating);
        let known = self.endpoints.entry(Endpoint { address, port }).or_insert(conditions);
        if worth(&conditions) > worth(known) {
            *known = conditions;
        }
    }

    /// Ready endpoints take new flows; when there is none, those that serve while they terminate do
    /// (KEP-1669). Otherwise such endpoints only keep the flows that they have.
    pub(super) fn choose(&self) -> Chosen {
        let all = || self.endpoints.iter();
        let leaving = |of: &Conditions| !of.ready && of.serving && of.terminating;
        let backend = |endpoint: &Endpoint| Backend { endpoint: *endpoint, weight: 1 };
        let ready: Vec<_> =
            all().filter(|(_, of)| of.ready).map(|(endpoint, _)| backend(endpoint)).collect();
        let draining = all().filter(|(_, of)| leaving(of)).map(|(endpoint, _)| *endpoint);
        if ready.is_empty() {
            Chosen { backends: draining.map(|of| backend(&of)).collect(), draining: Vec::new() }
        } else {
            Chosen { backends: ready, draining: draining.collect() }
        }
    }
}
