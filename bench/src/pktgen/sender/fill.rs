//! What a packet's bytes are, once it is known which one it is.

use super::{Job, Phase, RETRY_NS, Role, Sender};
use crate::pktgen::slot::State;
use crate::pktgen::stamp::{Direction, Stamp};

impl Sender {
    /// Writes the packet. Returns its length.
    #[inline]
    pub(crate) fn write(&mut self, job: &Job, buffer: &mut [u8]) -> usize {
        let Job { slot, role, due_ns, sequence } = *job;
        let Some(flow) = self.slots.get_mut(slot as usize) else { return 0 };
        let stamp = Stamp {
            direction: Direction::Forward,
            first: matches!(role, Role::Data { first: true } | Role::Syn),
            odd: flow.odd,
            counts: self.phase == Phase::Measure,
            flow: slot,
            sequence,
            time_ns: due_ns,
        };
        let tuple = flow.tuple;
        let (template, tcp) = match role {
            Role::Data { .. } => {
                let size = self.pattern[(sequence % self.pattern.len() as u64) as usize];
                let template = &self.data[usize::from(size)];
                if !self.traffic.shape.tcp {
                    flow.state = State::Open;
                }
                (template, flow.data(template.data()))
            }
            Role::Syn => (&self.syn, flow.syn()),
            Role::Fin => (&self.control, flow.fin()),
            Role::LastAck => (&self.control, flow.last_ack()),
        };
        let length = template.write(buffer, &tuple, &stamp.bytes(self.run), &tcp);
        if self.phase == Phase::Measure {
            self.report.bytes += length as u64;
            match role {
                Role::Data { .. } => {}
                Role::Syn | Role::Fin => self.waiting.push_back((due_ns + RETRY_NS, slot)),
                Role::LastAck => {
                    self.replace(slot);
                    self.urgent.push_back((slot, Role::Syn));
                }
            }
        }
        length
    }
}
