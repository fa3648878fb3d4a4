//! Which load to try next, after the Multiple Loss Ratio search of the IETF's benchmarking group
//! (draft-ietf-bmwg-mlrsearch): several goals in one search, short trials first and long ones only
//! near the answer, and a load judged by all of its trials together, so that one that others
//! disturbed decides nothing. No I/O.

use serde::{Deserialize, Serialize};

use crate::output::short;

/// Loss and confidence that a load is asked for.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Goal {
    /// Share of packets that a good trial may lose.
    pub(crate) loss_ratio: f64,
    /// Share of the time of all trials at a load that may be of bad ones.
    pub(crate) exceed_ratio: f64,
    /// Seconds of a trial that counts in full.
    pub(crate) final_trial_s: f64,
    /// Seconds of such trials that decide on a load.
    pub(crate) duration_sum_s: f64,
    /// How far apart the bounds are at last, as a share of the upper one.
    pub(crate) width: f64,
}

/// One trial.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Trial {
    /// Packets a second that were to be sent.
    pub(crate) load_pps: f64,
    /// How long.
    pub(crate) seconds: f64,
    /// Share that did not arrive, or could not be sent.
    pub(crate) loss_ratio: f64,
    /// Share of the same that the generator itself could not send, or not take in.
    #[serde(default)]
    pub(crate) generator_share: f64,
}

/// The next trial.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Next {
    /// Packets a second.
    pub(crate) load_pps: f64,
    /// How long.
    pub(crate) seconds: f64,
}

/// What is known of a load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    Lower,
    Upper,
    Undecided,
}

/// Between which loads the answer lies.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Bounds {
    /// The greatest load that meets the goal.
    pub(crate) lower_pps: Option<f64>,
    /// The least that does not.
    pub(crate) upper_pps: Option<f64>,
}

/// Loads that a search may try.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Range {
    /// Packets a second.
    pub(crate) min_pps: f64,
    /// Packets a second.
    pub(crate) max_pps: f64,
}

/// How much shorter a phase's trials are, and how much wider apart its bounds, than the next's.
const PHASE_FACTOR: f64 = 4.0;
const WIDTH_FACTOR: f64 = 3.0;
const PHASES: i32 = 3;
/// How much further each step goes while there is no bound on that side.
const EXPANSION: f64 = 2.0;

impl Goal {
    /// What all trials at a load say, those shorter than `long_s` only against it (draft, appendix
    /// "load classification").
    fn classify(&self, trials: &[Trial], load_pps: f64, long_s: f64, sum_s: f64) -> Class {
        let (mut good_long, mut bad_long, mut good_short, mut bad_short) = (0.0, 0.0, 0.0, 0.0);
        for trial in trials.iter().filter(|trial| trial.load_pps == load_pps) {
            let is_good = trial.loss_ratio <= self.loss_ratio;
            // A hair's breadth shorter is as long.
            let is_long = trial.seconds >= long_s * 0.999;
            *match (is_good, is_long) {
                (true, true) => &mut good_long,
                (false, true) => &mut bad_long,
                (true, false) => &mut good_short,
                (false, false) => &mut bad_short,
            } += trial.seconds;
        }
        let balance = good_short * self.exceed_ratio / (1.0 - self.exceed_ratio);
        let bad: f64 = bad_long + f64::max(0.0, bad_short - balance);
        let whole = f64::max(good_long + bad, sum_s);
        let allowed = whole * self.exceed_ratio;
        let optimistic = bad <= allowed;
        let pessimistic = whole - good_long <= allowed;
        match (optimistic, pessimistic) {
            (true, true) => Class::Lower,
            (false, false) => Class::Upper,
            _ => Class::Undecided,
        }
    }

    fn bounds(&self, trials: &[Trial], long_s: f64, sum_s: f64) -> Bounds {
        let mut loads: Vec<f64> = trials.iter().map(|trial| trial.load_pps).collect();
        loads.sort_by(f64::total_cmp);
        loads.dedup();
        let of = |load: &f64| self.classify(trials, *load, long_s, sum_s);
        let upper_pps = loads.iter().copied().find(|load| of(load) == Class::Upper);
        // One above an upper bound is luck.
        let mut below =
            loads.iter().copied().filter(|load| upper_pps.is_none_or(|upper| *load < upper));
        let lower_pps = below.rfind(|load| of(load) == Class::Lower);
        Bounds { lower_pps, upper_pps }
    }

    /// Decided by three trials, of which one may be bad: others may have disturbed it.
    pub(crate) fn best_of_three(loss_ratio: f64, trial_s: f64, width: f64) -> Self {
        // A hair's breadth more than a third, or one of three would be too many.
        let (exceed_ratio, duration_sum_s) = (0.34, 3.0 * trial_s);
        Self { loss_ratio, exceed_ratio, final_trial_s: trial_s, duration_sum_s, width }
    }

    /// How a load is decided on.
    pub(crate) fn rule(&self) -> String {
        let trials = self.duration_sum_s / self.final_trial_s;
        format!(
            "by up to {trials:.0} trials of {} s, of which {} may be bad",
            short(&self.final_trial_s),
            (trials * self.exceed_ratio).floor()
        )
    }

    /// What all trials say at last.
    pub(crate) fn result(&self, trials: &[Trial]) -> Bounds {
        self.bounds(trials, self.final_trial_s, self.duration_sum_s)
    }

    /// Whether the least load that fails does so only for what the generator itself could not
    /// send, or not take in: the bound is the generator's, not that of what is measured.
    pub(crate) fn is_limited_by_generator(&self, trials: &[Trial]) -> bool {
        let Some(upper) = self.result(trials).upper_pps else { return false };
        let mut bad = trials
            .iter()
            .filter(|trial| trial.load_pps == upper && trial.loss_ratio > self.loss_ratio);
        bad.all(|trial| trial.loss_ratio - trial.generator_share <= self.loss_ratio)
    }

    /// The next trial for this goal; `None` when it is met.
    pub(crate) fn next(&self, trials: &[Trial], range: Range) -> Option<Next> {
        for phase in (0..PHASES).rev() {
            let seconds = self.final_trial_s / PHASE_FACTOR.powi(phase);
            let sum_s = self.duration_sum_s / PHASE_FACTOR.powi(phase);
            let width = (self.width * WIDTH_FACTOR.powi(phase)).min(0.5);
            let bounds = self.bounds(trials, seconds, sum_s);
            let next = |load_pps| Some(Next { load_pps, seconds });
            let undecided = |load: f64| {
                let tried = trials.iter().any(|trial| trial.load_pps == load);
                tried && self.classify(trials, load, seconds, sum_s) == Class::Undecided
            };
            let inside = |load: &f64| {
                bounds.lower_pps.is_none_or(|lower| *load > lower)
                    && bounds.upper_pps.is_none_or(|upper| *load < upper)
            };
            // What an earlier phase found first, from its bounds inwards.
            let open = trials.iter().map(|trial| trial.load_pps).filter(inside);
            let started = open.filter(|load| undecided(*load)).min_by(|one, other| {
                let far = |load: &f64| distance(*load, &bounds, range);
                far(one).total_cmp(&far(other))
            });
            if let Some(load) = started {
                return next(load);
            }
            match (bounds.lower_pps, bounds.upper_pps) {
                (Some(lower), Some(upper)) if (upper - lower) / upper > width => {
                    return next((lower * upper).sqrt());
                }
                (Some(_), Some(_)) => {}
                (Some(lower), None) if lower < range.max_pps => {
                    let step = 1.0 + width * steps(trials, seconds, |load| load <= lower);
                    return next((lower * step).min(range.max_pps));
                }
                (None, Some(upper)) if upper > range.min_pps => {
                    let step = 1.0 + width * steps(trials, seconds, |load| load >= upper);
                    let forwarded = forwarded(trials, upper).unwrap_or(upper);
                    return next(f64::min(forwarded, upper / step).max(range.min_pps));
                }
                (None, None) => return next(range.max_pps),
                _ => {}
            }
        }
        None
    }
}

/// How far a load is from the middle of the bounds, by ratio.
fn distance(load: f64, bounds: &Bounds, range: Range) -> f64 {
    let lower = bounds.lower_pps.unwrap_or(range.min_pps);
    let upper = bounds.upper_pps.unwrap_or(range.max_pps);
    (load / (lower * upper).sqrt()).ln().abs()
}

/// Grows with every load that was tried in vain, for as long as now or longer.
fn steps(trials: &[Trial], seconds: f64, in_vain: impl Fn(f64) -> bool) -> f64 {
    let long = trials.iter().filter(|trial| trial.seconds >= seconds * 0.999);
    let mut tried: Vec<f64> =
        long.map(|trial| trial.load_pps).filter(|load| in_vain(*load)).collect();
    tried.sort_by(f64::total_cmp);
    tried.dedup();
    EXPANSION.powi(tried.len().min(12) as i32 - 1)
}

/// What a load that was too high got through: as good a guess as any, once.
fn forwarded(trials: &[Trial], load_pps: f64) -> Option<f64> {
    let at_load = trials.iter().filter(|trial| trial.load_pps == load_pps);
    let forwarded =
        at_load.map(|trial| load_pps * (1.0 - trial.loss_ratio)).min_by(f64::total_cmp)?;
    let is_new = trials.iter().all(|trial| trial.load_pps > forwarded);
    is_new.then_some(forwarded)
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    const RANGE: Range = Range { min_pps: 100.0, max_pps: 2_000_000.0 };

    fn goal(loss_ratio: f64) -> Goal {
        Goal {
            loss_ratio,
            exceed_ratio: 0.34,
            final_trial_s: 1.0,
            duration_sum_s: 3.0,
            width: 0.005,
        }
    }

    /// Searches a device that forwards so much and drops the rest, with this to disturb it.
    fn search(
        goals: &[Goal],
        capacity: f64,
        mut disturb: impl FnMut() -> f64,
    ) -> (Vec<Bounds>, Vec<Trial>) {
        let mut trials = Vec::new();
        for goal in goals {
            while let Some(Next { load_pps, seconds }) = goal.next(&trials, RANGE) {
                let capacity = capacity * (1.0 - disturb());
                let loss_ratio = (1.0 - capacity / load_pps).max(0.0);
                trials.push(Trial { load_pps, seconds, loss_ratio, generator_share: 0.0 });
                assert!(trials.len() < 200, "does not end");
            }
        }
        (goals.iter().map(|goal| goal.result(&trials)).collect(), trials)
    }

    #[track_caller]
    fn check(bounds: Bounds, answer: f64) {
        let (lower, upper) = (bounds.lower_pps.expect("lower"), bounds.upper_pps.expect("upper"));
        assert!(lower <= answer && answer <= upper, "{bounds:?}, not {answer}");
        assert!((upper - lower) / upper <= 0.005 + 1e-9, "{bounds:?}");
    }

    #[test]
    fn bounds_close_in_on_the_answer() {
        for capacity in [150.0, 20_000.0, 777_777.0, 1_900_000.0] {
            let goals = [goal(0.0), goal(0.005)];
            let (bounds, trials) = search(&goals, capacity, || 0.0);
            check(bounds[0], capacity);
            check(bounds[1], capacity / 0.995);
            let seconds: f64 = trials.iter().map(|trial| trial.seconds).sum();
            assert!(seconds < 40.0, "{seconds} s in {} trials", trials.len());
        }
    }

    #[test]
    fn a_device_that_takes_all_has_no_upper_bound() {
        let (bounds, _) = search(&[goal(0.0)], 1e9, || 0.0);
        assert_eq!(bounds, [Bounds { lower_pps: Some(RANGE.max_pps), upper_pps: None }]);
    }

    #[test]
    fn a_device_that_takes_nothing_has_no_lower_bound() {
        let (bounds, _) = search(&[goal(0.0)], 1.0, || 0.0);
        assert_eq!(bounds, [Bounds { lower_pps: None, upper_pps: Some(RANGE.min_pps) }]);
    }

    #[test]
    fn a_few_disturbed_trials_change_little() {
        let mut random = StdRng::seed_from_u64(3);
        let disturb = || if random.random_bool(0.2) { 0.3 } else { 0.0 };
        let (bounds, _) = search(&[goal(0.0)], 500_000.0, disturb);
        let lower = bounds[0].lower_pps.expect("a lower bound");
        assert!((480_000.0..=500_000.0).contains(&lower), "{bounds:?}");
    }

    #[test]
    fn short_trials_alone_prove_nothing() {
        let goal = goal(0.0);
        let short =
            Trial { load_pps: 1_000.0, seconds: 0.1, loss_ratio: 0.0, generator_share: 0.0 };
        assert_eq!(goal.result(&[short; 10]), Bounds::default());
        let long = Trial { seconds: 1.0, ..short };
        assert_eq!(goal.result(&[long, long]).lower_pps, Some(1_000.0));
    }

    #[test]
    fn two_trials_of_three_decide() {
        let goal = goal(0.0);
        let good = Trial { load_pps: 1_000.0, seconds: 1.0, loss_ratio: 0.0, generator_share: 0.0 };
        let bad = Trial { loss_ratio: 0.1, ..good };
        for undecided in [&[good][..], &[bad], &[good, bad]] {
            assert_eq!(goal.result(undecided), Bounds::default(), "{undecided:?}");
        }
        for trials in [&[good, good][..], &[good, bad, good]] {
            assert_eq!(goal.result(trials).lower_pps, Some(1_000.0), "{trials:?}");
        }
        for trials in [&[bad, bad][..], &[bad, good, bad]] {
            assert_eq!(goal.result(trials).upper_pps, Some(1_000.0), "{trials:?}");
        }
        assert_eq!(goal.rule(), "by up to 3 trials of 1.00 s, of which 1 may be bad");
    }

    #[test]
    fn what_the_generator_could_not_do_is_its_limit() {
        let goal = goal(0.0);
        let good = Trial { load_pps: 1_000.0, seconds: 1.0, loss_ratio: 0.0, generator_share: 0.0 };
        let missed = Trial { load_pps: 2_000.0, loss_ratio: 0.2, generator_share: 0.2, ..good };
        let trials = [good, good, missed, missed];
        assert_eq!(goal.result(&trials).upper_pps, Some(2_000.0));
        assert!(goal.is_limited_by_generator(&trials));
        let lost = Trial { generator_share: 0.1, ..missed };
        assert!(!goal.is_limited_by_generator(&[good, good, missed, lost, lost]));
        assert!(!goal.is_limited_by_generator(&[good, good]));
    }
}
