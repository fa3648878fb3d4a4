//! What one end of a trial has to do, and what packets that arrive there mean. No sockets.

use super::answer::turn_round;
use super::meter::{self, Meter, count_step};
use super::shared::Shared;
use super::source::Source;
use super::stamp::{Direction, Found, Run, Stamp};

/// What one end has to do in a trial, and what came of it.
pub(crate) struct Part {
    /// What starts here.
    pub(crate) source: Option<Source>,
    /// Packets of the sender that arrive here.
    pub(crate) forward: Option<Meter>,
    /// Answers that arrive here.
    pub(crate) reply: Option<Meter>,
    /// Answers sent.
    pub(crate) answers: Answers,
    /// Packets without stamps, when a capture is replayed.
    pub(crate) unstamped: u64,
    /// Packets that came and may be of this run: all but those that are known not to be.
    pub(crate) arrived: u64,
    /// Whether packets have stamps.
    pub(crate) run: Option<Run>,
}

/// What a responder sent.
#[derive(Clone, Default, Debug)]
pub(crate) struct Answers {
    sequence: u64,
    /// Answers that count.
    pub(crate) sent: u64,
    /// By the step in which they were due.
    pub(crate) steps: Vec<u64>,
}

impl Part {
    /// Takes note of one packet. Returns whether it was turned into its answer.
    #[inline]
    pub(super) fn arrive(
        &mut self,
        bytes: &mut [u8],
        now_ns: u64,
        responds: bool,
        shared: &Shared,
    ) -> bool {
        let Some(run) = self.run else {
            self.unstamped += 1;
            self.arrived += 1;
            return false;
        };
        let arrival = match meter::read(bytes, run) {
            Ok(arrival) => arrival,
            Err(found) => {
                self.refuse(found);
                return false;
            }
        };
        self.arrived += 1;
        let stamp = arrival.stamp;
        match stamp.direction {
            Direction::Forward => match &mut self.forward {
                Some(meter) => {
                    if let Some(tuple) = arrival.located.tuple(bytes) {
                        meter.follow(&stamp, &tuple);
                    }
                    meter.take(&stamp, now_ns);
                }
                None => self.refuse(Found::Foreign),
            },
            Direction::Reply => {
                let (Some(meter), Some(Source::Flows(sender))) =
                    (&mut self.reply, &mut self.source)
                else {
                    self.refuse(Found::Foreign);
                    return false;
                };
                let tuple = arrival.located.tuple(bytes);
                if !tuple.is_some_and(|tuple| sender.expects(stamp.flow, &tuple)) {
                    meter.take_mistranslated(&stamp);
                    return false;
                }
                meter.take(&stamp, now_ns);
                if let Some(tcp) = &arrival.located.tcp {
                    sender.receive(stamp.flow, stamp.odd, tcp);
                }
                return false;
            }
        }
        responds && self.answer(bytes, &arrival, run, now_ns, shared)
    }

    fn answer(
        &mut self,
        bytes: &mut [u8],
        arrival: &meter::Arrival,
        run: Run,
        now_ns: u64,
        shared: &Shared,
    ) -> bool {
        let answers = &mut self.answers;
        let sequence = answers.sequence;
        let stamp =
            Stamp { direction: Direction::Reply, sequence, time_ns: now_ns, ..arrival.stamp };
        if !turn_round(bytes, &arrival.located, &stamp.bytes(run)) {
            return false;
        }
        answers.sequence += 1;
        if stamp.counts {
            answers.sent += 1;
            count_step(
                &mut answers.steps,
                now_ns.saturating_sub(shared.start_ns().unwrap_or(now_ns)),
            );
        }
        true
    }

    #[cold]
    fn refuse(&mut self, found: Found) {
        let meters = [&mut self.forward, &mut self.reply];
        if let Some(meter) = meters.into_iter().flatten().next() {
            meter.refuse(found);
        }
    }
}
