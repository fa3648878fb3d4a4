//! Packets a second: as fast as it goes, and without loss.

use super::Bench;
use crate::error::{BenchError, Result};
use crate::lab::LabArgs;
use crate::lab::book::Book;
use crate::lab::metric::Metric;
use crate::lab::subject::Subject;
use crate::pktgen::{Pace, Rate, Session, TrialResult};
use crate::search::{Bounds, Goal, Next, Range, Trial};

/// How close the bounds of the throughput are.
const WIDTH: f64 = 0.04;
/// Loads that are tried, over what one burst sent: more than that burst's noise. A search that begins
/// far above needs twice the trials.
const HEADROOM: f64 = 1.1;
/// Trials in a measurement's time.
const TRIALS: f64 = 2.0;
const MIN_LOAD_PPS: f64 = 1_000.0;
const MAX_TRIALS: usize = 80;
/// Trials in which the generator may send nothing at all before that is an error.
const START_TRIES: usize = 3;

/// Length of one trial.
fn trial_seconds(args: &LabArgs) -> f64 {
    args.seconds / TRIALS
}

/// How throughput without loss is searched.
pub(in crate::lab) fn goal(args: &LabArgs) -> Goal {
    Goal::best_of_three(0.0, trial_seconds(args), WIDTH)
}

impl Bench<'_> {
    pub(super) fn throughput(
        &self,
        subject: &Subject,
        session: &mut Session,
        book: &mut Book<'_>,
    ) -> Result<()> {
        let fastest = self.fastest(session)?;
        if self.args.measures(Metric::Max) {
            book.note(subject, Metric::Max, fastest.forward.received_pps);
        }
        if !self.args.measures(Metric::Ndr) {
            return Ok(());
        }
        match self.without_loss(session, HEADROOM * fastest.forward.sent_pps)? {
            (Some(pps), is_limited) => book.note_ndr(subject, pps, is_limited),
            (None, _) => {
                book.unfit(subject, "throughput without loss", "packets were lost at any load");
            }
        }
        Ok(())
    }

    /// As fast as it goes.
    fn fastest(&self, session: &mut Session) -> Result<TrialResult> {
        for _ in 0..START_TRIES {
            let seconds = trial_seconds(self.args);
            let result = TrialResult::of(&self.trial(session, Pace::Max, seconds, None)?);
            if result.forward.received > 0 {
                return Ok(result);
            }
            if result.forward.sent > 0 {
                let (subject, sent) = ("this way", result.forward.sent);
                return Err(BenchError::NothingArrived { subject, sent, hint: "" });
            }
            // The generator did not get its turn: others had the core for all of a short trial.
        }
        Err(BenchError::NothingSent { never_open: 0 })
    }

    /// The highest load without loss, if there is one, and whether the generator can do no more.
    fn without_loss(&self, session: &mut Session, max_pps: f64) -> Result<(Option<f64>, bool)> {
        let goal = goal(self.args);
        let range = Range { min_pps: MIN_LOAD_PPS, max_pps };
        let mut trials = Vec::new();
        while let Some(Next { load_pps, seconds }) = goal.next(&trials, range) {
            if trials.len() >= MAX_TRIALS {
                break;
            }
            let pace = Pace::Even { pps: Rate::new(load_pps) };
            let outcome = self.trial(session, pace, seconds, None)?;
            let result = TrialResult::of(&outcome);
            trials.push(Trial {
                load_pps,
                seconds,
                loss_ratio: result.unserved_share(),
                generator_share: result.generator_share(),
            });
        }
        let Bounds { lower_pps, upper_pps } = goal.result(&trials);
        Ok((lower_pps, upper_pps.is_none() || goal.is_limited_by_generator(&trials)))
    }
}
