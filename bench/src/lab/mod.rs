//! The comparison: who forwards how many packets, at what cost, how late, all in one lab, in turn.
//!
//! | module | what |
//! |---|---|
//! | `place` | namespaces and veths, which nobody else sees |
//! | `subject` | who forwards, started and stopped |
//! | `forwarder` | Maglane's engine and bare forwarders, in processes of their own |
//! | `rules` | what kube-proxy would write |
//! | `metric` | what can be measured |
//! | `measure`, `apps`, `server`, `cpu` | how it is measured |
//! | `book`, `compare`, `ratio`, `result` | figures over all rounds, and who wins |
//! | `repeat` | the command that measures a figure again |

mod apps;
mod book;
mod compare;
mod cpu;
mod forwarder;
mod measure;
mod metric;
mod place;
mod ratio;
mod repeat;
mod result;
mod rules;
mod server;
mod subject;

use clap::Args;

use crate::error::{BenchError, Result};
use crate::interrupt::Interrupt;
use crate::output::{self, Format, progress};
use crate::pktgen::{Rate, seconds};
use crate::result::Origin;
use crate::rig::{BareForwarder, BareProgram, Poll};
use book::Book;
pub(crate) use forwarder::run as forward;
use measure::Bench;
use metric::Metric;
use place::Place;
pub(crate) use ratio::{LabRatio, Winner, times, wins};
pub(crate) use result::{LabFigure, LabResult};
pub(crate) use subject::Kind;
use subject::Subject;

const SERVICES: [u32; 4] = [1, 100, 1_000, 10_000];
/// Addresses that the lab has for Services.
const MAX_SERVICES: u32 = 60_000;

/// Options of `lab`.
#[derive(Args, Clone, Debug)]
pub(crate) struct LabArgs {
    #[command(flatten)]
    bare: BareForwarder,
    /// Rounds, each of which measures everybody once.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Seconds of each measurement.
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = seconds)]
    seconds: f64,
    /// Packets a second at which latency and processor time are measured.
    #[arg(long, value_name = "RATE", default_value = "100k")]
    rate: Rate,
    /// Flows.
    #[arg(long, value_name = "N", default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    flows: u32,
    /// Services, for those that know of Services.
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = SERVICES, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SERVICES)))]
    services: Vec<u32>,
    /// Only those whose name has this in it; may be given more than once.
    #[arg(long, value_name = "NAME")]
    subject: Vec<String>,
    /// Only these measurements.
    #[arg(long, value_enum, value_name = "METRIC", value_delimiter = ',')]
    only: Vec<Metric>,
    /// Of every random choice.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Text for people, or JSON for programs.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

impl LabArgs {
    fn subjects(&self) -> Vec<Subject> {
        let fewest = self.services.iter().min().copied().unwrap_or(1);
        let subject = |kind, workers, poll, services| Subject { kind, workers, poll, services };
        let one = |kind, services| subject(kind, 1, Poll::Adaptive, services);
        let mut subjects = vec![Subject::GENERATOR, one(Kind::Kernel, 0)];
        subjects.extend(self.services.iter().map(|services| one(Kind::HostPort, *services)));
        subjects.extend([
            subject(Kind::HostPort, 1, Poll::Busy, fewest),
            subject(Kind::HostPort, 2, Poll::Adaptive, fewest),
            subject(Kind::HostPort, 2, Poll::Busy, fewest),
            one(Kind::BareHostPort, 0),
            one(Kind::XdpPorts, fewest),
            one(Kind::BarePorts, 0),
        ]);
        subjects.extend(self.services.iter().map(|services| one(Kind::Nftables, *services)));
        subjects.extend(self.services.iter().map(|services| one(Kind::Iptables, *services)));
        let wanted = |subject: &Subject| {
            let name = subject.name().to_lowercase();
            self.subject.is_empty()
                || self.subject.iter().any(|part| name.contains(&part.to_lowercase()))
        };
        subjects.retain(wanted);
        subjects
    }

    fn measures(&self, metric: Metric) -> bool {
        self.only.is_empty() || self.only.contains(&metric)
    }
}

/// Measures, and prints.
///
/// # Errors
/// What stopped it before anything was measured.
pub(crate) fn run(args: &LabArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    let result = measure(args, interrupt)?;
    output::print(args.output, &result, LabResult::text)
}

fn measure(args: &LabArgs, interrupt: &Interrupt) -> Result<LabResult> {
    let origin = Origin::now("lab");
    let mut subjects = args.subjects();
    if subjects.is_empty() {
        let message = "nobody has such a name".to_owned();
        return Err(BenchError::Usage { option: "--subject", message });
    }
    if let Some(metric) = args.only.iter().find(|one| !subjects.iter().any(|who| one.is_of(who))) {
        let message = format!("{} is measured of none of these subjects", metric.name());
        return Err(BenchError::Usage { option: "--only", message });
    }
    let mut book = Book::new(args);
    let bare = match args.bare.path() {
        Ok(path) => BareProgram(path),
        Err(error) => {
            if subjects.iter().any(|subject| subject.kind == Kind::BareHostPort) {
                book.skip(&error);
            }
            subjects.retain(|subject| subject.kind != Kind::BareHostPort);
            BareProgram(Default::default())
        }
    };
    if subjects.is_empty() {
        return book.finish(origin, false);
    }
    let place = Place::make(interrupt)?;
    let mut bench = Bench::new(args, &place, interrupt)?;
    for round in 1..=args.rounds {
        book.begin(round);
        if let Err(error) = bench.begin_round(&mut book) {
            // What was measured in rounds before is kept.
            if !matches!(error, BenchError::Interrupted) {
                book.skip(&error);
            }
            break;
        }
        // Who comes first changes, in case that matters.
        let mut turn = subjects.clone();
        // Measured above, for everybody.
        turn.retain(|subject| subject.kind != Kind::Generator);
        if round % 2 == 0 {
            turn.reverse();
        }
        let turns = turn.len();
        for (number, subject) in turn.into_iter().enumerate() {
            let name = subject.with_services();
            match bench.round(&subject, &bare, &mut book) {
                Ok(()) => progress(&format!(
                    "round {round} of {}, {} of {}: {name}: {}",
                    args.rounds,
                    number + 1,
                    turns,
                    book.line(&subject)
                )),
                // What was measured is kept.
                Err(BenchError::Interrupted) => break,
                Err(error) => {
                    // The others can still be measured, and this one perhaps the next time.
                    progress(&format!("error: {name}: {error}"));
                    book.fail(&subject, &error);
                }
            }
        }
        if interrupt.check().is_err() {
            break;
        }
    }
    let interrupted = interrupt.check().is_err();
    book.finish(origin, interrupted)
}
