//! ICMP errors about tracked flows (RFC 5508, section 4): what they quote, and whom they are for,
//! is translated back to what their receiver sent.

use super::{Context, DropReason, Packet, Pipeline, Verdict, forget, route::Route};
use crate::flow::Direction;
use crate::wire::{IcmpError, translate_icmp_error};

impl Pipeline {
    #[cold]
    pub(super) fn icmp_error(
        &mut self,
        packet: &mut Packet<'_>,
        error: &IcmpError,
        context: &Context<'_>,
    ) -> Verdict {
        // It goes against the quoted packet's direction.
        let way_back = error.inner.reversed();
        let to_service = context.snapshot.services.contains_address(&error.destination);
        let client = if to_service { &way_back.source } else { &way_back.destination };
        let hash = self.flows.keys().tuple(&way_back);
        let Self { flows, fingerprints, counters, .. } = self;
        let hit = flows.lookup(&way_back, hash, context.now_ms, |removed| {
            forget(fingerprints, counters, removed);
        });
        let Some(hit) = hit else {
            if let Some(owner) = self.other_owner(packet, client) {
                return Verdict::HandOver(owner);
            }
            if to_service {
                return Verdict::Drop(DropReason::UnknownIcmpError);
            }
            return self.give_back(packet, context);
        };
        let to = self.flows.translation(hit.id, hit.direction);
        // The reporter is the far end itself, which has another address on this side, or a router
        // in between, which has not.
        let reporter =
            if error.source == way_back.source.address { to.source.address } else { error.source };
        let destination = to.destination.address;
        let masqueraded = hit.direction == Direction::Forward && reporter != error.source;
        let mut route = Route::to(&destination, hit.direction, masqueraded, context);
        if reporter == error.source {
            route = route.sent_by_router(context);
        }
        if route.mtu().is_some() && error.time_to_live <= 1 {
            return Verdict::Drop(DropReason::Unanswerable);
        }
        let quoted = to.reversed();
        translate_icmp_error(packet.bytes_mut(), error, reporter, destination, &quoted);
        match self.count_hop_and_send(packet, route, error.network_offset) {
            Ok(via) => Verdict::Forward(via),
            Err(reason) => Verdict::Drop(reason),
        }
    }
}
