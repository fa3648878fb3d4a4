//! Before and after packets count: flows are opened, all of it warms up, connections are closed.

use super::{Job, Phase, RETRY_NS, Role, Sender};
use crate::pktgen::schedule::Pace;
use crate::pktgen::slot::State;

/// How often all flows that did not open are tried.
const OPEN_PASSES: u32 = 4;

impl Sender {
    #[cold]
    pub(super) fn prepare(&mut self, now_ns: u64) -> Option<Job> {
        match self.phase {
            Phase::Open | Phase::Close => self.one_for_each(now_ns),
            Phase::AwaitOpen { since_ns } => {
                let missing = self.slots.len() as u64 - self.open;
                if missing == 0 || self.passes >= OPEN_PASSES {
                    self.report.never_open = missing;
                    self.enter(Phase::WarmUp, now_ns);
                } else if now_ns >= since_ns + RETRY_NS {
                    self.passes += 1;
                    self.enter(Phase::Open, now_ns);
                }
                None
            }
            Phase::AwaitClose { since_ns } => {
                if let Some((slot, role)) = self.urgent.pop_front() {
                    return Some(self.job(slot, role, now_ns));
                }
                if self.open == 0 || now_ns >= since_ns + RETRY_NS {
                    self.enter(Phase::Over, now_ns);
                }
                None
            }
            Phase::WarmUp => self.warm_up(now_ns),
            Phase::Measure | Phase::Over => None,
        }
    }

    /// Opens, or closes, each flow that is not yet open, or closed.
    fn one_for_each(&mut self, now_ns: u64) -> Option<Job> {
        let (role, from) = match (self.phase, self.traffic.shape.tcp) {
            (Phase::Close, true) => (Role::Fin, State::Open),
            (Phase::Close, false) => {
                self.enter(Phase::Over, now_ns);
                return None;
            }
            (_, true) => (Role::Syn, State::Closed),
            (_, false) => (Role::Data { first: true }, State::Closed),
        };
        if let Some((slot, role)) = self.urgent.pop_front() {
            return Some(self.job(slot, role, now_ns));
        }
        let pace = Pace::Even { pps: self.load.open_rate };
        let due_ns = self.phase_start_ns + pace.due_ns(self.phase_count).unwrap_or(0);
        if due_ns > now_ns {
            return None;
        }
        while let Some(slot) = self.order.get(self.cursor).copied() {
            self.cursor += 1;
            let state = self.slots[slot as usize].state;
            if state == from || (role == Role::Syn && state == State::Opening) {
                return Some(self.job(slot, role, due_ns));
            }
        }
        let after = match (role, self.traffic.shape.tcp) {
            (Role::Fin, _) => Phase::AwaitClose { since_ns: now_ns },
            (_, true) => Phase::AwaitOpen { since_ns: now_ns },
            (_, false) => Phase::WarmUp,
        };
        self.enter(after, now_ns);
        None
    }

    /// Once it has warmed up, packets count.
    pub(super) fn is_warm(&mut self, now_ns: u64) -> bool {
        let end_ns = self.phase_start_ns + self.load.warm_up_ns;
        if now_ns < end_ns {
            return false;
        }
        self.enter(Phase::Measure, end_ns);
        self.start_ns = Some(end_ns);
        self.progress_ns = now_ns;
        true
    }

    fn warm_up(&mut self, now_ns: u64) -> Option<Job> {
        if self.is_warm(now_ns) {
            return None;
        }
        let since_ns = self.load.pace.beginning().due_ns(self.phase_count);
        let due_ns = since_ns.map_or(now_ns, |since_ns| self.phase_start_ns + since_ns);
        if due_ns > now_ns {
            return None;
        }
        let (slot, role) = self.next_data()?;
        Some(self.job(slot, role, due_ns))
    }
}
