//! Throughput at a stated loss, and latency at shares of it.

mod mlr;
mod report;

use clap::Args;

use crate::error::{BenchError, Result};
use crate::interrupt::Interrupt;
use crate::output::{self, Format, progress};
use crate::pktgen::{
    Bias, Content, Load, NOT_SEEN, Pace, Rate, Session, SessionPlan, TrafficArgs, TrafficInfo,
    TrialResult, bias, ns, seconds,
};
use crate::result::Origin;
pub(crate) use mlr::{Bounds, Goal, Next, Range, Trial};
pub(crate) use report::{GoalResult, LatencyResult, SearchResult};

/// What nobody would call a load.
const NO_LOAD_PPS: f64 = 1_000.0;
const LATENCY_SHARES: [f64; 3] = [0.1, 0.5, 0.9];
const WARM_UP_NS: u64 = 100_000_000;
const MIN_LOAD_PPS: f64 = 100.0;
/// Trials at a load in which the generator may send nothing at all.
const START_TRIES: usize = 4;
/// Trials of one search: one that goes on for longer measures the weather.
const MAX_TRIALS: usize = 400;
const PERCENT: f64 = 0.01;

/// Options of `search`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    traffic: TrafficArgs,
    /// Loss in percent, one search for each: 0 is known as NDR, 0.5 as PDR. Latencies are measured
    /// at shares of the last.
    #[arg(long, value_name = "%,%", value_delimiter = ',', default_values_t = [0.0, 0.5], value_parser = percent)]
    loss: Vec<f64>,
    /// Seconds of a trial that counts in full. Shorter ones come before.
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = seconds)]
    trial: f64,
    /// How close the bounds are to be, in percent.
    #[arg(long, value_name = "%", default_value_t = 0.5, value_parser = percent)]
    width: f64,
    /// The highest load to try [default: what the generator sends as fast as it goes].
    #[arg(long, value_name = "RATE")]
    max_rate: Option<Rate>,
    /// Seconds of each measurement of latency.
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    latency: f64,
    /// Throughput only.
    #[arg(long)]
    no_latency: bool,
    /// Do not measure the generator's own bias, back to back, before.
    #[arg(long)]
    no_bias: bool,
    /// Text for people, or JSON for programs.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

fn percent(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(percent) if (0.0..=50.0).contains(&percent) => Ok(percent),
        _ => Err("expected percent, from 0 to 50".to_owned()),
    }
}

/// Searches, and prints what it found.
///
/// # Errors
/// What stopped it.
pub(crate) fn run(args: &SearchArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    let result = search(args, interrupt)?;
    output::print(args.output, &result, SearchResult::text)
}

fn search(args: &SearchArgs, interrupt: &Interrupt) -> Result<SearchResult> {
    let origin = Origin::now("search");
    if let Some(pps) = args.max_rate {
        args.traffic.check_new_flows(Pace::Even { pps })?;
    }
    let plan = args.traffic.session()?;
    let traffic = args.traffic.flows(&plan)?;
    let longest = if args.no_latency { args.trial } else { args.trial.max(args.latency) };
    args.traffic.check_tuples(&traffic, longest)?;
    let described = args.traffic.describe(&traffic);
    let content = Content::Flows(traffic);
    let alone = Alone { plan: plan.clone(), content: content.clone(), interrupt };
    let mut bias = None;
    if !args.no_bias {
        bias = Some(alone.measure(&args.traffic.load(Pace::Max, ns(args.trial), WARM_UP_NS))?);
    }
    let session = Session::open(plan, content, interrupt)?;
    let path = session.path();
    let traffic = described;
    let mut search = Search {
        args,
        traffic,
        alone,
        session,
        trials: Vec::new(),
        measured: 0,
        interrupted: false,
        failure: None,
    };
    let goals = search.throughput()?;
    if !goals.iter().any(GoalResult::is_known) {
        match search.failure {
            Some(failure) => return Err(failure),
            None if goals.is_empty() => return Err(BenchError::Interrupted),
            None => {}
        }
    }
    let mut latencies = Vec::new();
    if !args.no_latency {
        search.latencies(&goals, &mut latencies);
    }
    Ok(SearchResult {
        origin,
        path,
        traffic: search.traffic,
        goals,
        latencies,
        trials: search.trials,
        bias,
        interrupted: search.interrupted,
        failure: search.failure.map(|failure| failure.to_string()),
    })
}

/// The generator by itself, at any load.
struct Alone<'a> {
    plan: SessionPlan,
    content: Content,
    interrupt: &'a Interrupt,
}

impl Alone<'_> {
    fn measure(&self, load: &Load) -> Result<Bias> {
        bias::measure(&self.plan, &self.content, load, self.interrupt)
    }
}

struct Search<'a> {
    args: &'a SearchArgs,
    traffic: TrafficInfo,
    alone: Alone<'a>,
    session: Session,
    trials: Vec<Trial>,
    measured: usize,
    interrupted: bool,
    /// What ended it: what was found before is kept.
    failure: Option<BenchError>,
}

impl Search<'_> {
    fn throughput(&mut self) -> Result<Vec<GoalResult>> {
        let range = self.range()?;
        let mut results = Vec::new();
        for loss in &self.args.loss {
            let (trial_s, width) = (self.args.trial, self.args.width * PERCENT);
            let goal = Goal::best_of_three(loss * PERCENT, trial_s, width);
            while let Some(next) = goal.next(&self.trials, range) {
                if self.is_ended() || self.measured >= MAX_TRIALS {
                    break;
                }
                if let Err(failure) = self.one(next) {
                    self.fail(failure);
                }
            }
            if self.trials.is_empty() {
                break;
            }
            // Ended before its time, it still says how far the bounds have come.
            let result = GoalResult::new(goal, &self.trials, range);
            progress(&result.text());
            results.push(result);
            if self.is_ended() {
                break;
            }
        }
        Ok(results)
    }

    /// By a signal, or by what went wrong.
    fn is_ended(&self) -> bool {
        self.interrupted || self.failure.is_some()
    }

    fn fail(&mut self, failure: BenchError) {
        progress(&format!("ended: {failure}"));
        self.failure = Some(failure);
    }

    /// What can be tried: the fastest that the generator is, unless that is given.
    fn range(&mut self) -> Result<Range> {
        let min_pps = MIN_LOAD_PPS;
        if let Some(max) = self.args.max_rate {
            return Ok(Range { min_pps, max_pps: max.pps().max(min_pps) });
        }
        let trial = self.trial(Pace::Max, self.args.trial / 4.0)?;
        progress(&format!(
            "as fast as it goes: {:.4} Mpps sent, {:.4} received",
            trial.forward.sent_pps / 1e6,
            trial.forward.received_pps / 1e6
        ));
        if !self.interrupted && trial.forward.received == 0 {
            let (subject, sent) = ("what is measured", trial.forward.sent);
            return Err(BenchError::NothingArrived { subject, sent, hint: NOT_SEEN });
        }
        Ok(Range { min_pps, max_pps: trial.forward.sent_pps.max(min_pps) })
    }

    fn one(&mut self, next: Next) -> Result<()> {
        let Next { load_pps, seconds } = next;
        let result = self.trial(Pace::Even { pps: Rate::new(load_pps) }, seconds)?;
        if self.interrupted {
            return Ok(());
        }
        let loss_ratio = result.unserved_share();
        self.measured += 1;
        progress(&format!(
            "trial {}: {:.4} Mpps for {seconds:.2} s: {:.4}% lost{}{}",
            self.measured,
            load_pps / 1e6,
            loss_ratio / PERCENT,
            if result.missed > 0 { ", the generator was too slow" } else { "" },
            if load_pps < self.traffic.least_load_pps() { ", with fewer new flows" } else { "" }
        ));
        let generator_share = result.generator_share();
        self.trials.push(Trial { load_pps, seconds, loss_ratio, generator_share });
        Ok(())
    }

    fn latencies(&mut self, goals: &[GoalResult], results: &mut Vec<LatencyResult>) {
        let mut loads = vec![("no load".to_owned(), NO_LOAD_PPS)];
        if let Some(goal) = goals.last()
            && let Some(lower) = goal.lower_pps
        {
            loads.extend(
                LATENCY_SHARES.map(|share| {
                    (format!("{:.0}% of {}", share * 100.0, goal.name), share * lower)
                }),
            );
        }
        for (at, load_pps) in loads {
            if self.is_ended() {
                break;
            }
            match self.latency(at, load_pps) {
                Ok(Some(result)) => {
                    progress(&result.text());
                    results.push(result);
                }
                Ok(None) => {}
                Err(failure) => self.fail(failure),
            }
        }
    }

    /// At one load; none when a signal came.
    fn latency(&mut self, at: String, load_pps: f64) -> Result<Option<LatencyResult>> {
        let pace = Pace::Even { pps: Rate::new(load_pps) };
        let trial = self.trial(pace, self.args.latency)?;
        if self.interrupted {
            return Ok(None);
        }
        let bias = self.bias(pace)?;
        Ok(Some(LatencyResult { at, load_pps, trial, bias }))
    }

    /// The generator's own at such a load.
    fn bias(&mut self, pace: Pace) -> Result<Option<Bias>> {
        if self.args.no_bias {
            return Ok(None);
        }
        let load = self.args.traffic.load(pace, ns(self.args.latency), WARM_UP_NS);
        match self.alone.measure(&load) {
            // What was measured is kept.
            Err(BenchError::Interrupted) => {
                self.interrupted = true;
                Ok(None)
            }
            bias => bias.map(Some),
        }
    }

    fn trial(&mut self, pace: Pace, seconds: f64) -> Result<TrialResult> {
        let load = self.args.traffic.load(pace, ns(seconds), WARM_UP_NS);
        for _ in 0..START_TRIES {
            let outcome = self.session.trial(load, |_| {})?;
            self.interrupted |= outcome.interrupted;
            let result = TrialResult::of(&outcome);
            if let Some(interface) = result.links_down.first() {
                return Err(BenchError::LinkDown { interface: interface.clone() });
            }
            if result.forward.sent > 0 || self.interrupted {
                return Ok(result);
            }
            if result.never_open > 0 {
                return Err(BenchError::NothingSent { never_open: result.never_open });
            }
        }
        Err(BenchError::NoTurn { tries: START_TRIES })
    }
}
