use super::{Context, DropReason, Event, Origin, Packet, Pipeline, Verdict, forget};
use crate::flow::{Direction, Entered, FlowId, NewFlow, Refused};
use crate::service::{Frontend, Lookup, NextHop, Snapshot};
use crate::wire::{Endpoint, HashKeys, Headers, Protocol, Tuple, WayIn};

/// Who is to answer a new flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pick {
    /// This backend.
    Backend(Endpoint),
    /// Nothing is offered there, or nobody is there who offers it.
    Nobody,
    /// It is not for a Service.
    NotAService,
}

impl Pick {
    /// Chooses the backend of a flow whose first packet has this tuple: by a hash that is the same
    /// on every node and after every restart.
    pub(super) fn of(tuple: &Tuple, snapshot: &Snapshot) -> Self {
        let found = snapshot.services.lookup(&Frontend::of(tuple));
        Self::from_lookup(&found, HashKeys::PUBLIC.tuple(tuple))
    }

    /// As [`Self::of`], by what was looked up and the tuple's hash.
    #[inline]
    pub(super) fn from_lookup(found: &Lookup<'_>, public_hash: u64) -> Self {
        match found {
            Lookup::NotAService => Self::NotAService,
            Lookup::UnknownPort => Self::Nobody,
            Lookup::Service(service) => {
                service.pick(public_hash).map_or(Self::Nobody, Self::Backend)
            }
        }
    }
}

impl Pipeline {
    /// A packet of no known flow: the first of a new one, if it is for a Service.
    #[cold]
    pub(super) fn open(
        &mut self,
        packet: &mut Packet<'_>,
        headers: &Headers,
        pick: &Pick,
        context: &Context<'_>,
    ) -> Verdict {
        let tuple = &headers.tuple;
        let client = if *pick == Pick::NotAService { &tuple.destination } else { &tuple.source };
        if let Some(owner) = self.other_owner(packet, client) {
            return Verdict::HandOver(owner);
        }
        if *pick != Pick::NotAService && context.snapshot.is_ours(&tuple.source.address) {
            return Verdict::Drop(DropReason::SpoofedSource);
        }
        let backend = match pick {
            Pick::Backend(backend) => backend,
            Pick::Nobody => return self.reject(packet, headers, context),
            Pick::NotAService => return self.give_back(packet, context),
        };
        if tuple.protocol == Protocol::Tcp && headers.tcp_flags.rst() {
            return Verdict::Drop(DropReason::UnknownReset);
        }
        match self.enter(headers, backend, context) {
            Ok(id) => {
                let to = self.flows.translation(id, Direction::Forward);
                self.forward(packet, headers, &to, Direction::Forward, context)
            }
            Err(reason) => Verdict::Drop(reason),
        }
    }

    /// Enters a flow, and tells the steering programs before its first packet leaves.
    fn enter(
        &mut self,
        headers: &Headers,
        backend: &Endpoint,
        context: &Context<'_>,
    ) -> Result<FlowId, DropReason> {
        let client = &headers.tuple.source;
        let protocol = headers.tuple.protocol;
        let address = if needs_masquerade(client, backend, context) {
            context.snapshot.masquerade.for_family_of(&client.address)
        } else {
            client.address
        };
        let (worker, workers) = (self.config.worker, self.config.workers);
        let port = self
            .flows
            .allocate_port(client, backend, protocol, address, worker, workers)
            .ok_or(DropReason::PortsExhausted)?;
        let flow = NewFlow {
            client: *client,
            service: headers.tuple.destination,
            backend: *backend,
            translated: Endpoint { address, port },
            protocol,
            generation: context.snapshot.generation,
        };
        let bytes = u32::from(headers.end - headers.network_offset);
        let Self { flows, fingerprints, counters, .. } = self;
        let Entered { id, reply_hash } = flows
            .insert(&flow, headers.tcp_flags.bits(), bytes, context.now_ms, |removed| {
                forget(fingerprints, counters, removed);
            })
            .map_err(|refused| match refused {
                Refused::TableFull => DropReason::FlowTableFull,
                Refused::IndexFull => DropReason::FlowBucketFull,
                Refused::Duplicate => DropReason::PortsExhausted,
            })?;
        if fingerprints.insert(reply_hash).is_err() {
            flows.remove(id);
            return Err(DropReason::FlowBucketFull);
        }
        counters.count_flow(Event::FlowOpened);
        Ok(id)
    }
}

/// Whether a reply to the client's own address would not come back to a worker: it would stay
/// within the Pod, or within the node.
fn needs_masquerade(client: &Endpoint, backend: &Endpoint, context: &Context<'_>) -> bool {
    if client.address == backend.address {
        return true;
    }
    let seen_on_its_way_out = matches!(context.origin, Origin::Host(WayIn::PodIngress(_)));
    !seen_on_its_way_out
        && context.snapshot.forwarding.lookup(&backend.address) == Some(&NextHop::Node)
}
