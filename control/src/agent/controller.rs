use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use ipnet::IpNet;
use maglane_dataplane::service::{Deliver, ForwardingTable, Masquerade, Snapshot};

use super::dataplane::Dataplane;
use super::forwarding::forwarding_table;
use super::pods::Pods;
use super::uplinks::Uplinks;
use crate::admin::{FlowView, StatusView};
use crate::model::{Kind, Model, ObjectId, Problem, ServiceInfo, Settings};
use crate::net::neighbourhood::Neighbourhood;
use crate::source::cluster::{Change, Item};
use crate::source::manifest::Manifest;

/// What every snapshot holds beside Services and addresses.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// Stand-in client addresses.
    pub(crate) masquerade: Masquerade,
    /// How packets get into Pods.
    pub(crate) deliver: Deliver,
    /// Largest MTU of a Pod's link that is served, in bytes.
    pub(crate) mtu_limit: u32,
}

/// Joins what is known of Services and of the node, and has the dataplane follow.
///
/// Changes are taken in by [`take_manifest`](Self::take_manifest),
/// [`take_change`](Self::take_change) and [`take_neighbourhood`](Self::take_neighbourhood);
/// [`settle`](Self::settle) puts them in force, at a cost that goes with what changed and not with
/// what there is.
pub(crate) struct Controller<D> {
    dataplane: D,
    model: Model,
    /// Of what a cluster sends, which says itself where it is from.
    origin: Arc<str>,
    policy: Policy,
    manifest_problems: Vec<Problem>,
    /// Why the dataplane did not take the last change.
    refused: Option<String>,
    neighbourhood: Neighbourhood,
    pods: Pods,
    uplinks: Uplinks,
    /// Of the neighbourhood and the Pods that are attached.
    forwarding: ForwardingTable,
    /// Not all is known yet that belongs together: nothing is put in force.
    held: bool,
    /// What is in force is not what is known.
    stale: bool,
    generation: u32,
    /// Services and frontends in force.
    services: usize,
    frontends: usize,
    reported: BTreeSet<String>,
    /// Problems may be others than those that were reported.
    unreported: bool,
    /// Of the model's problems that were reported.
    reported_revision: u64,
    started: Instant,
}

impl<D: Dataplane> Controller<D> {
    /// Nothing is known and nothing in force yet.
    pub(crate) fn new(dataplane: D, settings: Settings, policy: Policy) -> Self {
        Self {
            dataplane,
            model: Model::new(settings),
            origin: Arc::default(),
            policy,
            manifest_problems: Vec::new(),
            refused: None,
            neighbourhood: Neighbourhood::default(),
            pods: Pods::default(),
            uplinks: Uplinks::default(),
            forwarding: ForwardingTable::default(),
            held: false,
            stale: true,
            generation: 0,
            services: 0,
            frontends: 0,
            reported: BTreeSet::new(),
            unreported: true,
            reported_revision: 0,
            started: Instant::now(),
        }
    }

    /// Has nothing put in force until [`release`](Self::release).
    pub(crate) fn hold(&mut self) {
        self.held = true;
    }

    /// Has everything put in force that is known, and from now on what changes.
    pub(crate) fn release(&mut self) {
        self.held = false;
    }

    /// Takes the whole content of the manifests. What has not changed costs next to nothing.
    pub(crate) fn take_manifest(&mut self, manifest: Manifest) {
        let mut objects = BTreeSet::new();
        for located in &manifest.objects {
            self.model.apply(&located.object, &located.origin);
            objects.insert(located.object.id());
        }
        for kind in [Kind::Service, Kind::EndpointSlice, Kind::Endpoints, Kind::Pod] {
            self.model.retain(kind, |key| objects.contains(&ObjectId { kind, key: key.clone() }));
        }
        self.manifest_problems = manifest.problems;
        self.unreported = true;
    }

    /// Takes one change of a cluster's objects.
    pub(crate) fn take_change(&mut self, change: Change) {
        match change {
            Change::Applied(Item::Object(object)) => self.model.apply(&object, &self.origin),
            Change::Deleted(what, key) => {
                if let Some(kind) = what.kind() {
                    self.model.delete(&ObjectId { kind, key });
                }
            }
            Change::Listed(what, seen) => {
                if let Some(kind) = what.kind() {
                    self.model.retain(kind, |key| seen.contains(key));
                }
            }
            Change::Unreadable(what, key, problem) => match what.kind().zip(key) {
                Some((kind, key)) => self.model.refuse(ObjectId { kind, key }, problem),
                None => tracing::warn!("{problem}"),
            },
            // The source's own.
            Change::Applied(Item::Node(..) | Item::ServiceCidr(..)) | Change::Withheld(..) => {}
        }
    }

    /// Takes where virtual IPs come from. Services and endpoints are to be applied again.
    pub(crate) fn take_service_cidrs(&mut self, cidrs: Vec<IpNet>) {
        self.model.set_service_cidrs(cidrs);
    }

    /// Takes the neighbourhood and attaches and detaches Pods.
    pub(crate) fn take_neighbourhood(&mut self, neighbourhood: &Neighbourhood) {
        let differs = self.neighbourhood != *neighbourhood;
        self.neighbourhood.clone_from(neighbourhood);
        self.follow_pods(differs);
        self.uplinks.follow(&self.neighbourhood, &mut self.dataplane);
        self.unreported = true;
    }

    /// Tries again what failed and may work now.
    pub(crate) fn retry(&mut self) {
        if self.pods.unsettled() {
            self.follow_pods(false);
        }
        if self.uplinks.unsettled() {
            self.uplinks.follow(&self.neighbourhood, &mut self.dataplane);
        }
        self.unreported = true;
    }

    /// Puts in force what is known, when it differs, and returns the generation in force.
    ///
    /// # Errors
    /// When the dataplane does not take it: the last one stays in force.
    pub(crate) fn settle(&mut self) -> Result<u32, D::Error> {
        if self.held {
            return Ok(self.generation);
        }
        self.stale |= self.model.update();
        self.report();
        if self.stale {
            let services = self.model.table();
            let frontends = services.frontend_count();
            let snapshot = Snapshot {
                generation: 0,
                services,
                forwarding: self.forwarding.clone(),
                masquerade: self.policy.masquerade,
                deliver: self.policy.deliver,
            };
            let published = self.dataplane.publish(snapshot);
            let refused = published.as_ref().err().map(ToString::to_string);
            self.unreported |= self.refused != refused;
            self.refused = refused;
            self.report();
            self.generation = published?;
            (self.services, self.frontends) = (self.model.served(), frontends);
            self.stale = false;
            tracing::debug!(generation = self.generation, frontends, "published");
        }
        Ok(self.generation)
    }

    /// Whether something is to be tried again soon.
    pub(crate) fn unsettled(&self) -> bool {
        (self.stale && !self.held) || self.pods.unsettled() || self.uplinks.unsettled()
    }

    /// For `GET /status`.
    pub(crate) fn status(&self) -> StatusView {
        let view = StatusView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.started.elapsed().as_secs(),
            generation: self.generation,
            services: self.services,
            frontends: self.frontends,
            table_bytes: self.model.table_bytes(),
            pods: self.pods.names(),
            ..StatusView::default()
        };
        view.with_engine(self.dataplane.status())
    }

    /// Of what is in force.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// How many Services are in force, or would be.
    pub(crate) fn served(&self) -> usize {
        self.model.served()
    }

    /// For `GET /services`.
    pub(crate) fn services(&self) -> Vec<ServiceInfo> {
        self.model.services()
    }

    /// For `GET /flows`.
    pub(crate) fn flows(&self, limit: usize) -> Vec<FlowView> {
        let (flows, now_ms) = (self.dataplane.flows(limit), self.dataplane.now_ms());
        flows.iter().map(|flow| FlowView::new(flow, now_ms)).collect()
    }

    /// Why what is in force is not what is known; `None` when it is.
    pub(crate) fn incomplete(&self) -> Option<String> {
        self.refused.as_ref().map(|why| format!("the dataplane did not take it: {why}"))
    }

    /// Gives the dataplane back, to be stopped.
    pub(crate) fn into_dataplane(self) -> D {
        self.dataplane
    }

    fn follow_pods(&mut self, differs: bool) {
        let before = self.pods.names();
        self.pods.follow(&self.neighbourhood, self.policy.mtu_limit, &mut self.dataplane);
        if differs || before != self.pods.names() {
            self.forwarding = forwarding_table(&self.neighbourhood, |pod| self.pods.serves(pod));
            self.stale = true;
        }
    }

    /// What is wrong with what was taken in, and with putting it in force.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let refused = self.refused.as_ref().map(|why| {
            Problem::new(format_args!(
                "the dataplane did not take the last change, which is tried again; what was in \
                 force stays so: {why}"
            ))
        });
        let own = refused
            .into_iter()
            .chain(self.manifest_problems.iter().cloned())
            .chain(self.pods.problems())
            .chain(self.uplinks.problems());
        own.chain(self.model.problems()).collect()
    }

    /// Logs each problem once, when it comes up.
    fn report(&mut self) {
        let revision = self.model.problem_revision();
        if !std::mem::take(&mut self.unreported) && self.reported_revision == revision {
            return;
        }
        self.reported_revision = revision;
        let problems: BTreeSet<String> = self.problems().iter().map(ToString::to_string).collect();
        for problem in problems.difference(&self.reported) {
            tracing::warn!("{problem}");
        }
        for problem in self.reported.difference(&problems) {
            tracing::info!("no longer: {problem}");
        }
        self.reported = problems;
    }
}
