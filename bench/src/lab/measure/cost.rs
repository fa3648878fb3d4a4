//! Processor time a packet: of the whole machine at a fixed rate, less what the generator takes by
//! itself, other programs take meanwhile, and the machine takes when nobody does anything.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Bench, arrived};
use crate::error::Result;
use crate::lab::LabArgs;
use crate::lab::book::Book;
use crate::lab::cpu::{Busy, TICK_NS, Window};
use crate::lab::subject::Subject;
use crate::output::progress;
use crate::pktgen::{Pace, Session, Wait};

/// Processor time is measured for so long at least: the kernel counts it in hundredths of a second.
const MIN_CPU_S: f64 = 5.0;
/// A trial lasts that much longer than what is measured of it.
const MARGIN_S: f64 = 0.3;
/// With other programs on more of the cores, the caches are theirs rather than a subject's.
const MAX_OTHERS_CORES: f64 = 0.25;
/// Ticks within which the difference of three readings is noise.
const NOISE_TICKS: f64 = 4.0;

/// What is subtracted from everybody's processor time in a round.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Quiet {
    /// Cores' worth of what the machine itself does when nobody does anything.
    pub(crate) idle_cores: f64,
    /// Cores' worth of other programs, just before. They are counted anew in each measurement.
    pub(crate) others_cores: f64,
    /// For each packet, of the generator by itself.
    pub(crate) generator_ns: f64,
}

/// How long processor time is measured: what the kernel tells apart is to be little beside it.
fn cpu_seconds(args: &LabArgs) -> f64 {
    args.seconds.max(MIN_CPU_S)
}

/// What is less cannot be told from nothing.
pub(in crate::lab) fn least_cost_ns(args: &LabArgs) -> f64 {
    NOISE_TICKS * TICK_NS / (args.rate.pps() * cpu_seconds(args))
}

impl Bench<'_> {
    /// What there is without a subject; none where that is too much.
    pub(super) fn quiet(&self, generator: &Subject, book: &mut Book<'_>) -> Result<Option<Quiet>> {
        let busy = Busy::begin();
        self.interrupt.sleep(Duration::from_secs_f64(cpu_seconds(self.args)))?;
        let spent = busy.end();
        let quiet = Quiet {
            idle_cores: (spent.ours_ns() / spent.passed_ns).max(0.0),
            others_cores: spent.others_cores(),
            generator_ns: 0.0,
        };
        let found = if quiet.others_cores > MAX_OTHERS_CORES {
            Err(others_take_too_much(quiet.others_cores))
        } else {
            self.cost(self.session(generator, Wait::Adaptive)?, quiet)?
        };
        match found {
            Ok(generator_ns) => {
                let quiet = Quiet { generator_ns, ..quiet };
                book.note_quiet(quiet);
                Ok(Some(quiet))
            }
            Err(why) => {
                progress(&format!("processor time is not measured in this round: {why}"));
                book.unfit(generator, "processor time of everybody, since that", &why);
                Ok(None)
            }
        }
    }

    /// Processor time of all cores for each packet; or why it tells nothing.
    pub(super) fn cost(
        &self,
        mut session: Session,
        quiet: Quiet,
    ) -> Result<std::result::Result<f64, String>> {
        let seconds = cpu_seconds(self.args);
        let pace = Pace::Even { pps: self.args.rate };
        let load = self.load(pace, seconds + MARGIN_S);
        let mut window = Window::new(Duration::from_secs_f64(seconds));
        let outcome = session.trial(load, |[sent, _]| window.look(sent))?;
        self.interrupt.check()?;
        // Whoever drops packets has less to do with them.
        if !arrived(&outcome) {
            return Ok(Err(self.lossy()));
        }
        let Some((spent, packets)) = window.result() else {
            return Ok(Err("the generator did not get its turn".to_owned()));
        };
        if spent.others_cores() > MAX_OTHERS_CORES {
            return Ok(Err(others_take_too_much(spent.others_cores())));
        }
        let ns = (spent.ours_ns() - quiet.idle_cores * spent.passed_ns) / packets as f64;
        Ok(Ok((ns - quiet.generator_ns).max(0.0)))
    }
}

fn others_take_too_much(cores: f64) -> String {
    format!("other programs took {cores:.2} of the cores; let nothing else run")
}
