use super::{Context, DropReason, Packet, Pipeline, Verdict, forget, route::Route};
use crate::flow::{Direction, Hit};
use crate::service::{Frontend, Lookup, Snapshot};
use crate::wire::{Headers, IcmpAnswer, Protocol, Tuple, translate};

/// A SYN that comes sooner after a connection's other packets is a late copy of its first.
const STRAY_SYN_MS: u64 = 1_000;

impl Pipeline {
    /// A packet of a known flow: count it, translate it, send it on.
    #[inline]
    pub(super) fn established(
        &mut self,
        packet: &mut Packet<'_>,
        headers: &Headers,
        hit: Hit,
        context: &Context<'_>,
    ) -> Verdict {
        let to = self.flows.translation(hit.id, hit.direction);
        let bytes = headers.end - headers.network_offset;
        let flags = headers.tcp_flags.bits();
        self.flows.advance(hit.id, hit.direction, flags, bytes.into(), context.now_ms);
        self.forward(packet, headers, &to, hit.direction, context)
    }

    /// Translates a packet and sends it on, or tells its sender why that cannot be.
    #[inline(always)]
    pub(super) fn forward(
        &mut self,
        packet: &mut Packet<'_>,
        headers: &Headers,
        to: &Tuple,
        direction: Direction,
        context: &Context<'_>,
    ) -> Verdict {
        let masqueraded =
            direction == Direction::Forward && to.source.address != headers.tuple.source.address;
        let route = Route::to(&to.destination.address, direction, masqueraded, context);
        if let Some(mtu) = route.mtu() {
            if headers.end - headers.network_offset > mtu {
                return self.report_too_big(packet, headers, mtu, context);
            }
            if headers.time_to_live <= 1 {
                return self.answer_icmp(packet, headers, IcmpAnswer::TimeExceeded, context);
            }
        }
        translate(packet.bytes_mut(), headers, to, route.hops());
        match self.send(packet, route) {
            Ok(via) => Verdict::Forward(via),
            Err(reason) => Verdict::Drop(reason),
        }
    }

    #[cold]
    fn report_too_big(
        &mut self,
        packet: &mut Packet<'_>,
        headers: &Headers,
        mtu: u16,
        context: &Context<'_>,
    ) -> Verdict {
        match self.answer_icmp(packet, headers, IcmpAnswer::TooBig { mtu }, context) {
            Verdict::Drop(DropReason::Unanswerable) => Verdict::Drop(DropReason::TooBig),
            reported => reported,
        }
    }

    /// Whether the flow that a packet belongs to goes on. If not, it has been removed, and the
    /// packet opens a new one.
    #[inline]
    pub(super) fn is_current(
        &mut self,
        hit: Hit,
        headers: &Headers,
        context: &Context<'_>,
    ) -> bool {
        let over = match headers.tuple.protocol {
            Protocol::Tcp => headers.tcp_flags.syn() && self.is_reopened(hit, headers, context),
            Protocol::Udp => {
                self.flows.generation(hit.id) != context.snapshot.generation
                    && self.is_stranded(hit, headers, context.snapshot)
            }
        };
        if over {
            let removed = self.flows.remove(hit.id);
            forget(&mut self.fingerprints, &mut self.counters, &removed);
        }
        !over
    }

    /// A client's SYN opens a new connection if the old one is closing, or if its backend is gone
    /// and the client has forgotten it: it never had an answer, or it has been silent and begins
    /// anew.
    ///
    /// When a backend answers a SYN on ports that were closed, that SYN did not come through the
    /// Service: the client has taken the port again, to reach the backend directly.
    #[cold]
    fn is_reopened(&self, hit: Hit, headers: &Headers, context: &Context<'_>) -> bool {
        let answers = headers.tcp_flags.ack();
        if hit.direction == Direction::Reply {
            return answers && self.flows.accepts_new_syn(hit.id);
        }
        if answers {
            return false;
        }
        if self.flows.accepts_new_syn(hit.id) {
            return true;
        }
        let flow = self.flows.get(hit.id);
        let quiet_ms = context.now_ms.saturating_sub(flow.last_packet_ms);
        (flow.reply_packets == 0 || quiet_ms >= STRAY_SYN_MS)
            && !self.is_served(hit, headers, context.snapshot).unwrap_or(false)
    }

    /// UDP has no end of its own: a flow whose backend is gone would talk to nobody as long as its
    /// client keeps its port. Looked at once a flow and snapshot, when the client sends: replies of
    /// a backend that is gone still reach the client who asked for them.
    #[cold]
    fn is_stranded(&mut self, hit: Hit, headers: &Headers, snapshot: &Snapshot) -> bool {
        if hit.direction == Direction::Reply {
            return false;
        }
        // A Service without any backend keeps what it has: it may only be on its way from one set
        // to the next.
        let stranded = !self.is_served(hit, headers, snapshot).unwrap_or(true);
        if !stranded {
            self.flows.set_generation(hit.id, snapshot.generation);
        }
        stranded
    }

    /// Whether the flow's backend may go on serving the client of this packet; `None` if the
    /// Service has no backend at all.
    fn is_served(&self, hit: Hit, headers: &Headers, snapshot: &Snapshot) -> Option<bool> {
        let backend = self.flows.translation(hit.id, Direction::Forward).destination;
        match snapshot.services.lookup(&Frontend::of(&headers.tuple)) {
            Lookup::Service(service) if service.backends().is_empty() => None,
            Lookup::Service(service) => Some(service.serves(&backend)),
            Lookup::UnknownPort | Lookup::NotAService => Some(false),
        }
    }
}
