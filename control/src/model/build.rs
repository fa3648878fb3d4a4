use maglane_dataplane::service::{Frontend, Service, ServiceTable};
use maglane_dataplane::wire::{Address, Endpoint};

use super::backends::{Candidates, Chosen};
use super::group::EndpointGroup;
use super::pod::PodRecord;
use super::problem::Reporter;
use super::service::{PortRecord, ServiceRecord, Target};
use super::{ObjectKey, Problem};

/// Where a Service's endpoints come from.
pub(super) enum Sources<'a> {
    /// EndpointSlices, or an Endpoints object where there is no slice.
    Groups(Vec<&'a EndpointGroup>),
    /// The Pods that the selector means, where there is neither.
    Pods(Vec<&'a PodRecord>),
}

/// One Service as packets see it.
#[derive(Default)]
pub(super) struct Built {
    pub(super) vips: Vec<Address>,
    pub(super) frontends: Vec<BuiltFrontend>,
    pub(super) problems: Vec<Problem>,
}

/// One port on one address.
pub(super) struct BuiltFrontend {
    pub(super) frontend: Frontend,
    pub(super) service: Service,
    pub(super) draining: Box<[Endpoint]>,
}

impl Built {
    /// Whether packets would notice the difference.
    pub(super) fn same_to_packets(&self, other: &Self) -> bool {
        self.vips == other.vips
            && self.frontends.len() == other.frontends.len()
            && self
                .frontends
                .iter()
                .zip(&other.frontends)
                .all(|(one, two)| one.frontend == two.frontend && one.service.is(&two.service))
    }

    /// Takes out of the table what is not in `next`.
    pub(super) fn take_out_of(&self, table: &mut ServiceTable, next: &Self) {
        for built in self.frontends.iter().filter(|built| next.frontend(&built.frontend).is_none())
        {
            table.remove(&built.frontend);
        }
        for vip in self.vips.iter().filter(|vip| !next.vips.contains(vip)) {
            table.remove_address(vip);
        }
    }

    /// Puts into the table what is not as in `previous`.
    pub(super) fn put_into(&self, table: &mut ServiceTable, previous: &Self) {
        for built in &self.frontends {
            let known = previous.frontend(&built.frontend);
            if !known.is_some_and(|known| known.service.is(&built.service)) {
                table.insert(built.frontend, built.service.clone());
            }
        }
        for vip in self.vips.iter().filter(|vip| !previous.vips.contains(vip)) {
            table.insert_address(*vip);
        }
    }

    fn frontend(&self, wanted: &Frontend) -> Option<&BuiltFrontend> {
        self.frontends.iter().find(|known| known.frontend == *wanted)
    }
}

/// Builds the frontends of a Service. Where nothing changed since `previous`, its lookup tables are
/// shared, not built again.
pub(super) fn build<'a>(
    key: &ObjectKey,
    record: &ServiceRecord,
    sources: &Sources<'_>,
    owner: impl Fn(&Address) -> Option<&'a ObjectKey>,
    previous: &Built,
    mut reporter: Reporter,
) -> Built {
    let mut built = Built::default();
    for vip in &record.vips {
        if let Some(other) = owner(&vip.address).filter(|owner| *owner != key) {
            let why = format_args!("already the address of Service {other}");
            reporter.invalid(vip.field.as_str(), vip.address, why);
            continue;
        }
        built.vips.push(vip.address);
        for port in &record.ports {
            let endpoint = Endpoint { address: vip.address, port: port.port };
            let frontend = Frontend { endpoint, protocol: port.protocol };
            let candidates = candidates(record, port, sources, vip.address.is_ipv4());
            built.frontends.push(reuse(frontend, candidates.choose(), previous));
        }
    }
    report_unknown_targets(record, sources, &mut reporter);
    built.problems = reporter.into_problems();
    built
}

fn candidates(
    record: &ServiceRecord,
    port: &PortRecord,
    sources: &Sources<'_>,
    ipv4: bool,
) -> Candidates {
    let mut candidates = Candidates::default();
    match sources {
        Sources::Groups(groups) => {
            groups.iter().for_each(|group| candidates.add_group(group, port, ipv4));
        }
        Sources::Pods(pods) => {
            pods.iter().for_each(|pod| {
                candidates.add_pod(pod, port, ipv4, record.publish_not_ready);
            });
        }
    }
    candidates
}

fn reuse(frontend: Frontend, chosen: Chosen, previous: &Built) -> BuiltFrontend {
    let Chosen { backends, draining } = chosen;
    if let Some(known) = previous.frontend(&frontend)
        && known.service.backends() == backends
        && *known.draining == draining[..]
    {
        return BuiltFrontend {
            frontend,
            service: known.service.clone(),
            draining: known.draining.clone(),
        };
    }
    let service = Service::new(backends, draining.clone());
    BuiltFrontend { frontend, service, draining: draining.into() }
}

fn report_unknown_targets(record: &ServiceRecord, sources: &Sources<'_>, reporter: &mut Reporter) {
    let Sources::Pods(pods) = sources else { return };
    if pods.is_empty() {
        return;
    }
    for port in &record.ports {
        let Target::Name(name) = &port.target else { continue };
        if pods.iter().all(|pod| pod.port(&port.target, port.protocol).is_none()) {
            reporter.invalid(
                format!("spec.ports[{}].targetPort", port.index),
                name,
                "no selected Pod has a container port of this name and protocol",
            );
        }
    }
}
