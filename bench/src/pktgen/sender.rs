//! Which packet is next, and when. No rings and no clock: time is an argument, so that a seed and
//! a schedule say what is sent, down to the byte.
//!
//! A trial goes through phases: every flow is opened; it warms up; packets count; TCP closes its
//! connections.

use std::collections::VecDeque;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::frame::{Kind, Link, Shape, Template};
use super::meter::count_step;
use super::packet::Tcp;
use super::schedule::{Pace, Rate};
use super::slot::{Progress, Slot, State};
use super::stamp::{Direction, Run, Stamp};
use super::tuples::Tuples;

/// Flows are opened no faster than this before the trial, unless asked for.
pub(crate) const OPEN_RATE_PPS: f64 = 100_000.0;
/// A segment that got no answer is sent again after so long.
const RETRY_NS: u64 = 300_000_000;
/// How often all flows that did not open are tried.
const OPEN_PASSES: u32 = 4;
/// Flows that are looked at for one that can send.
const TRIES: usize = 64;
/// When no flow could send for so long, none ever will.
const STALLED_NS: u64 = 2_000_000_000;
/// What is late by so much when the time is over is not sent any more.
const GRACE_NS: u64 = 20_000_000;

/// What a trial's sender is to do.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Load {
    /// How fast.
    pub(crate) pace: Pace,
    /// How long, unless `count` comes first.
    pub(crate) duration_ns: u64,
    /// How many packets, if not as many as the time has.
    pub(crate) count: Option<u64>,
    /// Packets before those that count.
    pub(crate) warm_up_ns: u64,
    /// How fast flows are opened before.
    pub(crate) open_rate: Rate,
    /// Flows that take another's place, each second.
    pub(crate) new_flows: Option<Rate>,
}

/// What flows there are, and what their packets look like.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    /// IPv4 or 6, UDP or TCP.
    pub(crate) shape: Shape,
    /// Frame sizes in turn.
    pub(crate) sizes: Vec<usize>,
    /// Ethernet's addresses.
    pub(crate) link: Link,
    /// All that may be.
    pub(crate) tuples: Tuples,
    /// At a time.
    pub(crate) flows: u32,
    /// Of every choice.
    pub(crate) seed: u64,
}

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

/// What was sent in a trial.
#[derive(Clone, Debug, Default)]
pub(crate) struct SenderReport {
    /// Packets that count.
    pub(crate) sent: u64,
    /// Packets that were due and could not be sent in time.
    pub(crate) missed: u64,
    /// Of frames that count, without the frame check sequence.
    pub(crate) bytes: u64,
    /// From the first to the end of the last packet's place in the schedule.
    pub(crate) elapsed_ns: u64,
    /// Flows that were opened while packets counted.
    pub(crate) new_flows: u64,
    /// TCP segments that got no answer in time and were sent again.
    pub(crate) retries: u64,
    /// TCP flows that never opened.
    pub(crate) never_open: u64,
    /// Packets by the step in which they were to be sent.
    pub(crate) steps: Vec<u64>,
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

    /// What came of it.
    pub(crate) fn finish(mut self) -> SenderReport {
        if self.phase == Phase::Measure {
            // Somebody ended it before its time.
            self.report.elapsed_ns = self.progress_ns.saturating_sub(self.phase_start_ns).max(1);
        }
        self.report
    }

    /// The next packet, if one is due.
    #[inline]
    pub(crate) fn next(&mut self, now_ns: u64) -> Option<Job> {
        match self.phase {
            Phase::Measure => self.measure(now_ns),
            Phase::Over => None,
            _ => self.prepare(now_ns),
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
        let load = self.load;
        let since_ns = now_ns.saturating_sub(self.phase_start_ns);
        let planned = load.count.or_else(|| load.pace.due_before(load.duration_ns));
        let late = load.count.is_none() && since_ns >= load.duration_ns + GRACE_NS;
        let is_over = planned.is_some_and(|planned| self.phase_count >= planned)
            || load.pace == Pace::Max && load.count.is_none() && since_ns >= load.duration_ns;
        if late || is_over {
            self.report.missed = planned.unwrap_or(0).saturating_sub(self.phase_count);
            self.report.elapsed_ns = match load.pace.due_ns(self.phase_count) {
                Some(due_ns) if !late => due_ns.max(1),
                _ => since_ns,
            };
            self.enter(Phase::Close, now_ns);
            return None;
        }
        let due_ns = match load.pace.due_ns(self.phase_count) {
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
        self.progress_ns = now_ns;
        count_step(&mut self.report.steps, due_ns - self.phase_start_ns);
        self.report.sent += 1;
        Some(self.job(slot, role, due_ns))
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

    #[cold]
    fn prepare(&mut self, now_ns: u64) -> Option<Job> {
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

    fn warm_up(&mut self, now_ns: u64) -> Option<Job> {
        let end_ns = self.phase_start_ns + self.load.warm_up_ns;
        if now_ns >= end_ns {
            self.enter(Phase::Measure, end_ns);
            self.start_ns = Some(end_ns);
            self.progress_ns = now_ns;
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

    /// The next flow that can send data.
    #[inline]
    fn next_data(&mut self) -> Option<(u32, Role)> {
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
    fn churn(&mut self, due_ns: u64) -> Option<(u32, Role)> {
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

    fn replace(&mut self, slot: u32) {
        let tuple = self.traffic.tuples.nth(self.made);
        self.made += 1;
        self.report.new_flows += 1;
        self.slots[slot as usize].replace(tuple);
    }

    /// TCP: what got no answer in time is sent again.
    #[inline]
    fn retry(&mut self, now_ns: u64) {
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::pktgen::answer::tcp_answer;
    use crate::pktgen::packet::Located;
    use crate::pktgen::stamp::Found;

    const RUN: u64 = 9;
    const STEP: u64 = 10_000;

    fn traffic(tcp: bool, flows: u32, seed: u64) -> Traffic {
        Traffic {
            shape: Shape { ipv6: false, tcp },
            sizes: vec![72, 72, 590],
            link: Link { source: [2; 6], destination: [4; 6] },
            tuples: Tuples::new(
                vec!["10.0.0.1-10.0.0.4".parse().expect("sources")],
                vec!["10.96.0.1:80".parse().expect("a destination")],
                seed,
            ),
            flows,
            seed,
        }
    }

    fn load(new_flows: Option<f64>) -> Load {
        Load {
            pace: Pace::Even { pps: Rate::new(10_000.0) },
            duration_ns: 500_000_000,
            count: None,
            warm_up_ns: 50_000_000,
            open_rate: Rate::new(20_000.0),
            new_flows: new_flows.map(Rate::new),
        }
    }

    /// Everything that is sent while a clock runs in even steps and every answer comes at once.
    fn sent(traffic: Traffic, load: Load) -> (Vec<(u64, Vec<u8>)>, SenderReport) {
        let mut sender = Sender::new(traffic, load, Run::new(RUN), 0, 0);
        let (mut now_ns, mut sent) = (0, Vec::new());
        while !sender.is_over() {
            let Some(job) = sender.next(now_ns) else {
                now_ns += STEP;
                continue;
            };
            let mut frame = vec![0; 2_048];
            let length = sender.write(&job, &mut frame);
            frame.truncate(length);
            let located = Located::find(&frame).expect("a packet");
            assert!(located.sums_are_right(&frame));
            let answer = located.tcp.and_then(|tcp| tcp_answer(&tcp));
            if let (Found::Ours(stamp), Some(answer)) = (stamp(&frame), answer) {
                sender.receive(stamp.flow, stamp.odd, &answer);
            }
            sent.push((now_ns, frame));
        }
        (sent, sender.finish())
    }

    fn stamp(frame: &[u8]) -> Found {
        let located = Located::find(frame).expect("a packet");
        Stamp::read(located.stamp(frame).expect("a stamp"), Run::new(RUN))
    }

    fn stamps(frames: &[(u64, Vec<u8>)]) -> Vec<Stamp> {
        let ours = |found| if let Found::Ours(stamp) = found { stamp } else { panic!("{found:?}") };
        frames.iter().map(|(_, frame)| ours(stamp(frame))).collect()
    }

    #[test]
    fn the_same_seed_sends_the_same_packets() {
        for tcp in [false, true] {
            let run = |seed| sent(traffic(tcp, 100, seed), load(Some(500.0))).0;
            assert_eq!(run(1), run(1));
            assert_ne!(run(1), run(2));
        }
    }

    #[test]
    fn packets_are_sent_when_they_are_due_each_flow_as_often_as_any_other() {
        let (frames, report) = sent(traffic(false, 100, 1), load(None));
        assert_eq!((report.sent, report.missed), (5_000, 0));
        assert_eq!(report.elapsed_ns, 500_000_000);
        assert_eq!(report.steps, [1_000; 5]);
        let mut of_flow = HashMap::new();
        for ((now_ns, _), stamp) in frames.iter().zip(stamps(&frames)) {
            // A phase begins with a look at the clock of its own.
            assert!((stamp.time_ns..=stamp.time_ns + STEP).contains(now_ns), "{stamp:?}");
            *of_flow.entry(stamp.flow).or_insert(0) += u32::from(stamp.counts);
        }
        assert!(of_flow.len() == 100 && of_flow.values().all(|packets| *packets == 50));
        let large = frames.iter().filter(|(_, frame)| frame.len() == 590).count();
        assert_eq!(large, frames.len() / 3);
    }

    #[test]
    fn new_flows_come_as_often_as_asked_and_are_new() {
        let (frames, report) = sent(traffic(false, 64, 1), load(Some(1_000.0)));
        assert_eq!(report.new_flows, 500);
        let ports: std::collections::HashSet<_> =
            frames.iter().map(|(_, frame)| frame[26..36].to_vec()).collect();
        assert_eq!(ports.len(), 564);
        let first = stamps(&frames).iter().filter(|stamp| stamp.first && stamp.counts).count();
        assert_eq!(first, 500);
    }

    #[test]
    fn connections_open_before_they_send_and_close_at_last() {
        let (frames, report) = sent(traffic(true, 32, 1), load(Some(100.0)));
        assert_eq!((report.never_open, report.retries, report.missed), (0, 0, 0));
        assert_eq!(report.new_flows, 50);
        let mut syns = HashMap::new();
        let mut fins = HashMap::new();
        for (_, frame) in &frames {
            let tcp = Located::find(frame).and_then(|located| located.tcp).expect("TCP");
            let client = frame[26..36].to_vec();
            match tcp.flags {
                super::super::packet::flags::SYN => *syns.entry(client).or_insert(0) += 1,
                flags if flags & super::super::packet::flags::FIN != 0 => {
                    *fins.entry(client).or_insert(0) += 1;
                }
                _ => assert!(syns.contains_key(&client), "data before SYN"),
            }
        }
        assert_eq!(syns.len(), 82);
        assert_eq!(syns, fins);
    }

    #[test]
    fn a_sender_that_is_too_slow_says_what_it_missed() {
        let mut sender = Sender::new(traffic(false, 1, 1), load(None), Run::new(RUN), 0, 0);
        let mut frame = vec![0; 2_048];
        let mut now_ns = 0;
        // One packet every 200 µs, where one is due every 100.
        while !sender.is_over() {
            if let Some(job) = sender.next(now_ns) {
                sender.write(&job, &mut frame);
            }
            now_ns += 200_000;
        }
        let report = sender.finish();
        assert!((2_500..2_700).contains(&report.sent), "{report:?}");
        assert_eq!(report.sent + report.missed, 5_000);
    }

    #[test]
    fn one_that_is_ended_before_its_time_knows_how_long_it_sent() {
        let mut sender = Sender::new(traffic(false, 1, 1), load(None), Run::new(RUN), 0, 0);
        let mut frame = vec![0; 2_048];
        let mut now_ns = 0;
        while sender.sent() < 1_000 {
            if let Some(job) = sender.next(now_ns) {
                sender.write(&job, &mut frame);
            }
            now_ns += STEP;
        }
        let report = sender.finish();
        assert_eq!((report.sent, report.missed), (1_000, 0));
        // 10,000 packets a second.
        assert!((99_000_000..=101_000_000).contains(&report.elapsed_ns), "{report:?}");
    }
}
