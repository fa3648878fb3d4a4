//! Which packet is next, and when. No rings and no clock: time is an argument, so that a seed and
//! a schedule say what is sent, down to the byte. Here is the pace; `prepare` opens and
//! closes connections, `flows` says whose turn it is, `fill` what a packet's bytes are, `load` what
//! is asked for and what came of it.
//!
//! A trial goes through phases: every flow is opened; it warms up; packets count; TCP closes its
//! connections.

mod fill;
mod flows;
mod load;
mod prepare;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::frame::{Kind, Template};
use super::meter::count_step;
use super::schedule::Pace;
use super::slot::Slot;
use super::stamp::Run;
use super::translation::Former;
pub(crate) use load::{Load, OPEN_RATE_PPS, SenderReport, Traffic};

/// A segment that got no answer is sent again after so long.
const RETRY_NS: u64 = 300_000_000;
/// When no flow could send for so long, none ever will.
pub(crate) const STALLED_NS: u64 = 2_000_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Open,
    AwaitOpen { since_ns: u64 },
    WarmUp,
    Measure,
    Close,
    AwaitClose { since_ns: u64 },
    Over,
}

/// What a packet does for its flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Data { first: bool },
    Syn,
    Fin,
    LastAck,
}

/// One packet to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Job {
    slot: u32,
    role: Role,
    due_ns: u64,
    sequence: u64,
}

impl Job {
    /// The flow's place: packets of one flow leave through one queue.
    pub(crate) fn slot(&self) -> u32 {
        self.slot
    }
}

/// The sending side of a trial.
pub(crate) struct Sender {
    traffic: Traffic,
    load: Load,
    run: Run,
    data: Vec<Template>,
    syn: Template,
    control: Template,
    pattern: Vec<u8>,
    slots: Vec<Slot>,
    order: Vec<u32>,
    former: Former,
    /// Flows made so far: the next one's place among all tuples.
    made: u64,
    phase: Phase,
    phase_start_ns: u64,
    /// Packets of this phase.
    phase_count: u64,
    progress_ns: u64,
    passes: u32,
    cursor: usize,
    churn_cursor: usize,
    churned: u64,
    sequence: u64,
    start_ns: Option<u64>,
    urgent: VecDeque<(u32, Role)>,
    waiting: VecDeque<(u64, u32)>,
    open: u64,
    report: SenderReport,
}

impl Sender {
    /// Begins at `now_ns`. `made` flows were used up by trials before.
    pub(crate) fn new(traffic: Traffic, load: Load, run: Run, made: u64, now_ns: u64) -> Self {
        let template = |kind| Template::new(traffic.shape, kind, traffic.link, traffic.seed);
        let mut random = StdRng::seed_from_u64(traffic.seed);
        let mut distinct = traffic.sizes.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let mut pattern: Vec<u8> = traffic
            .sizes
            .iter()
            .map(|size| distinct.binary_search(size).unwrap_or_default() as u8)
            .collect();
        pattern.shuffle(&mut random);
        let slots = (0..traffic.flows)
            .map(|slot| Slot::new(traffic.tuples.nth(made + u64::from(slot)), random.random()))
            .collect();
        let mut order: Vec<u32> = (0..traffic.flows).collect();
        order.shuffle(&mut random);
        let control = |kind| if traffic.shape.tcp { kind } else { Kind::Data(0) };
        Self {
            data: distinct.iter().map(|size| template(Kind::Data(*size))).collect(),
            syn: template(control(Kind::Syn)),
            control: template(control(Kind::Control)),
            pattern,
            slots,
            order,
            former: Former::new(load.new_flows.is_some()),
            made: made + u64::from(traffic.flows),
            phase: Phase::Open,
            phase_start_ns: now_ns,
            phase_count: 0,
            progress_ns: 0,
            passes: 0,
            cursor: 0,
            churn_cursor: 0,
            churned: 0,
            sequence: 0,
            start_ns: None,
            urgent: VecDeque::new(),
            waiting: VecDeque::new(),
            open: 0,
            report: SenderReport::default(),
            traffic,
            load,
            run,
        }
    }

    /// When packets begin to count, once that is known.
    pub(crate) fn start_ns(&self) -> Option<u64> {
        self.start_ns
    }

    /// Whether all was sent.
    pub(crate) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Packets so far that count.
    pub(crate) fn sent(&self) -> u64 {
        self.report.sent
    }

    /// Flows used up, for the next trial.
    pub(crate) fn made(&self) -> u64 {
        self.made
    }

    /// Ends it before its time: nothing more is sent, and no connection is closed.
    pub(crate) fn stop(&mut self, now_ns: u64) {
        if self.phase == Phase::Measure {
            let since_ns = now_ns.saturating_sub(self.phase_start_ns);
            let due = self.load.pace.due_before(since_ns.saturating_sub(self.load.grace_ns()));
            let most = self.load.count.unwrap_or(u64::MAX);
            self.end_measuring(due.map(|due| due.min(most)), now_ns);
        }
        if self.phase != Phase::Over {
            self.enter(Phase::Over, now_ns);
        }
    }

    /// What came of it.
    pub(crate) fn finish(self) -> SenderReport {
        self.report
    }

    /// The next packet, if one is due.
    #[inline]
    pub(crate) fn next(&mut self, now_ns: u64) -> Option<Job> {
        let job = match self.phase {
            Phase::Measure => self.measure(now_ns),
            Phase::Over => None,
            _ => self.prepare(now_ns),
        };
        if job.is_some() {
            self.progress_ns = now_ns;
        }
        job
    }

    /// There is no room for a packet. Time passes all the same: a phase ends when its time is over,
    /// and one that has none when nothing could leave for too long.
    #[cold]
    pub(crate) fn blocked(&mut self, now_ns: u64) {
        let stalled = now_ns >= self.progress_ns + STALLED_NS;
        match self.phase {
            Phase::WarmUp => _ = self.is_warm(now_ns),
            Phase::Measure if self.is_measured(now_ns) || stalled && self.load.count.is_some() => {
                self.end_measuring(self.planned(), now_ns);
                self.enter(Phase::Close, now_ns);
            }
            Phase::Measure | Phase::Over => {}
            _ if stalled => self.enter(Phase::Over, now_ns),
            Phase::Close if !self.traffic.shape.tcp => self.enter(Phase::Over, now_ns),
            _ => {}
        }
    }

    /// When the next packet is due, as far as that is known: nobody needs to look before.
    pub(crate) fn next_due_ns(&self) -> u64 {
        let pace = match self.phase {
            Phase::Measure => self.load.pace,
            Phase::WarmUp => self.load.pace.beginning(),
            Phase::Open | Phase::Close => Pace::Even { pps: self.load.open_rate },
            _ => return self.phase_start_ns,
        };
        self.phase_start_ns + pace.due_ns(self.phase_count).unwrap_or(0)
    }

    #[inline]
    fn measure(&mut self, now_ns: u64) -> Option<Job> {
        if self.is_measured(now_ns) {
            self.end_measuring(self.planned(), now_ns);
            self.enter(Phase::Close, now_ns);
            return None;
        }
        let due_ns = match self.load.pace.due_ns(self.phase_count) {
            Some(due_ns) => self.phase_start_ns + due_ns,
            None => now_ns,
        };
        if due_ns > now_ns {
            return None;
        }
        self.retry(now_ns);
        let (slot, role) = match self.urgent.pop_front() {
            Some(urgent) => urgent,
            None => match self.churn(due_ns).or_else(|| self.next_data()) {
                Some(next) => next,
                None => return self.stalled(now_ns),
            },
        };
        count_step(&mut self.report.steps, due_ns - self.phase_start_ns);
        self.report.sent += 1;
        Some(self.job(slot, role, due_ns))
    }

    /// Packets that are to count, if that is known.
    #[inline]
    fn planned(&self) -> Option<u64> {
        let load = &self.load;
        load.count.or_else(|| load.pace.due_before(load.duration_ns))
    }

    /// Whether all packets that count were sent, or their time is over.
    #[inline]
    fn is_measured(&self, now_ns: u64) -> bool {
        let load = &self.load;
        if self.planned().is_some_and(|planned| self.phase_count >= planned) {
            return true;
        }
        let grace_ns = if load.pace == Pace::Max { 0 } else { load.grace_ns() };
        let since_ns = now_ns.saturating_sub(self.phase_start_ns);
        load.count.is_none() && since_ns >= load.duration_ns + grace_ns
    }

    /// No more packets count, of so many that were due.
    fn end_measuring(&mut self, due: Option<u64>, now_ns: u64) {
        let since_ns = now_ns.saturating_sub(self.phase_start_ns);
        self.report.missed = due.unwrap_or(0).saturating_sub(self.phase_count);
        // Who was late took longer than the schedule says.
        self.report.elapsed_ns =
            self.load.pace.due_ns(self.phase_count).unwrap_or(0).max(since_ns).max(1);
    }

    /// No flow can send: all wait for an answer.
    #[cold]
    fn stalled(&mut self, now_ns: u64) -> Option<Job> {
        if now_ns >= self.progress_ns + STALLED_NS {
            self.report.elapsed_ns = now_ns - self.phase_start_ns;
            self.enter(Phase::Close, now_ns);
        }
        None
    }

    fn enter(&mut self, phase: Phase, now_ns: u64) {
        self.phase = phase;
        self.phase_start_ns = now_ns;
        self.phase_count = 0;
        self.cursor = 0;
    }

    fn job(&mut self, slot: u32, role: Role, due_ns: u64) -> Job {
        let sequence = self.sequence;
        self.sequence += 1;
        self.phase_count += 1;
        Job { slot, role, due_ns, sequence }
    }
}
