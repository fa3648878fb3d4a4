//! Packets that become their own answer.

use super::{Context, DropReason, Origin, Packet, Pipeline, Verdict, Via, route::Route};
use crate::wire::{
    Address, EchoRequest, Headers, IcmpAnswer, Protocol, answer_echo, answer_icmp, answer_tcp_reset,
};

/// Answers a worker gives in a second at most (RFC 4443, section 2.4 (f)), and at once.
const ANSWERS_PER_MS: u64 = 10;
const ANSWERS_AT_ONCE: u64 = 1_000;

/// A token bucket.
pub(super) struct AnswerLimit {
    tokens: u64,
    filled_at_ms: u64,
}

impl Default for AnswerLimit {
    fn default() -> Self {
        Self { tokens: ANSWERS_AT_ONCE, filled_at_ms: 0 }
    }
}

impl AnswerLimit {
    fn allows_one(&mut self, now_ms: u64) -> bool {
        let passed_ms = now_ms.saturating_sub(self.filled_at_ms);
        self.filled_at_ms = now_ms;
        let filled = self.tokens.saturating_add(passed_ms.saturating_mul(ANSWERS_PER_MS));
        self.tokens = filled.min(ANSWERS_AT_ONCE);
        self.tokens > 0
    }

    fn take(&mut self) {
        self.tokens = self.tokens.saturating_sub(1);
    }
}

impl Pipeline {
    /// Nothing is offered here: TCP reset, or ICMP port unreachable.
    #[cold]
    pub(super) fn reject(
        &mut self,
        packet: &mut Packet<'_>,
        headers: &Headers,
        context: &Context<'_>,
    ) -> Verdict {
        if headers.tuple.protocol == Protocol::Udp {
            let answer = IcmpAnswer::PortUnreachable;
            return self.answer_icmp(packet, headers, answer, context);
        }
        let (length, offset) = (packet.length, headers.network_offset);
        let client = headers.tuple.source.address;
        self.answer(packet, &client, offset, context, |buffer| {
            answer_tcp_reset(buffer, length, headers)
        })
    }

    /// An ICMP error about the packet, to its sender, from whom it was sent to.
    #[cold]
    pub(super) fn answer_icmp(
        &mut self,
        packet: &mut Packet<'_>,
        headers: &Headers,
        answer: IcmpAnswer,
        context: &Context<'_>,
    ) -> Verdict {
        let (length, offset) = (packet.length, headers.network_offset);
        let client = headers.tuple.source.address;
        let from = headers.tuple.destination.address;
        self.answer(packet, &client, offset, context, |buffer| {
            answer_icmp(buffer, length, offset, answer, from)
        })
    }

    /// An echo reply from a virtual IP.
    #[cold]
    pub(super) fn answer_echo(
        &mut self,
        packet: &mut Packet<'_>,
        echo: &EchoRequest,
        context: &Context<'_>,
    ) -> Verdict {
        let length = packet.length;
        self.answer(packet, &echo.source, echo.network_offset, context, |buffer| {
            answer_echo(buffer, length, echo)
        })
    }

    fn answer(
        &mut self,
        packet: &mut Packet<'_>,
        client: &Address,
        network_offset: u16,
        context: &Context<'_>,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Verdict {
        if !self.answers.allows_one(context.now_ms) {
            return Verdict::Drop(DropReason::AnswerLimit);
        }
        let Some(length) = write(packet.buffer) else {
            return Verdict::Drop(DropReason::Unanswerable);
        };
        // Only now: a flood of what is never answered must not silence the answers to others.
        self.answers.take();
        packet.length = length;
        let sent = match (Route::back(client, context), context.origin) {
            // Its Ethernet addresses are swapped already.
            (Route::Kernel(_), Origin::Port(interface)) => Ok(Via::port(interface)),
            (route, _) => self.count_hop_and_send(packet, route, network_offset),
        };
        match sent {
            Ok(via) => Verdict::Answer(via),
            Err(reason) => Verdict::Drop(reason),
        }
    }
}
