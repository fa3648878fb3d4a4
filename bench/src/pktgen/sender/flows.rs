//! Whose turn it is, and what became of flows that wait for an answer.

use super::{Role, Sender};
use crate::pktgen::packet::Tcp;
use crate::pktgen::schedule::Pace;
use crate::pktgen::slot::{Progress, State};
use crate::pktgen::tuples::Tuple;

/// Flows that are looked at for one that can send.
const TRIES: usize = 64;

impl Sender {
    /// The next flow that can send data.
    #[inline]
    pub(super) fn next_data(&mut self) -> Option<(u32, Role)> {
        for _ in 0..TRIES.min(self.order.len()) {
            let slot = self.order[self.cursor];
            self.cursor = if self.cursor + 1 == self.order.len() { 0 } else { self.cursor + 1 };
            if self.slots[slot as usize].state == State::Open {
                return Some((slot, Role::Data { first: false }));
            }
        }
        None
    }

    /// A flow gives its place to another, if it is time for that.
    #[inline]
    pub(super) fn churn(&mut self, due_ns: u64) -> Option<(u32, Role)> {
        let pace = Pace::Even { pps: self.load.new_flows? };
        if self.phase_start_ns + pace.due_ns(self.churned)? > due_ns {
            return None;
        }
        let slot = self.order[self.churn_cursor];
        self.churn_cursor = (self.churn_cursor + 1) % self.order.len();
        self.churned += 1;
        if self.slots[slot as usize].state != State::Open {
            return None;
        }
        if self.traffic.shape.tcp {
            return Some((slot, Role::Fin));
        }
        self.replace(slot);
        Some((slot, Role::Data { first: true }))
    }

    pub(super) fn replace(&mut self, slot: u32) {
        let tuple = self.traffic.tuples.nth(self.made);
        self.made += 1;
        self.report.new_flows += 1;
        let flow = &mut self.slots[slot as usize];
        self.former.add(slot, &flow.tuple);
        flow.replace(tuple);
    }

    /// Whether a reply is one to its flow, or to one that had the place before: it comes from where
    /// that was sent, and for whom it was.
    #[inline]
    pub(crate) fn expects(&self, slot: u32, reply: &Tuple) -> bool {
        let asked = reply.reversed();
        let Some(flow) = self.slots.get(slot as usize) else { return false };
        flow.tuple == asked || self.former.has(slot, &asked)
    }

    /// TCP: what got no answer in time is sent again.
    #[inline]
    pub(super) fn retry(&mut self, now_ns: u64) {
        while let Some((at_ns, slot)) = self.waiting.front().copied() {
            if at_ns > now_ns {
                return;
            }
            self.waiting.pop_front();
            let role = match self.slots[slot as usize].state {
                State::Opening => Role::Syn,
                State::Closing => Role::Fin,
                State::Closed | State::Open => continue,
            };
            self.report.retries += 1;
            self.urgent.push_back((slot, role));
        }
    }

    /// Something of a flow came back.
    pub(crate) fn receive(&mut self, slot: u32, odd: bool, tcp: &Tcp) {
        let Some(flow) = self.slots.get_mut(slot as usize) else { return };
        if flow.odd != odd {
            return;
        }
        match flow.receive(tcp) {
            Progress::None => {}
            Progress::Opened => self.open += 1,
            Progress::Closed => {
                self.open -= 1;
                self.urgent.push_back((slot, Role::LastAck));
            }
        }
    }
}
