//! The comparison: who forwards how many packets, at what cost, how late, all in one lab, in turn.
//!
//! | module | what |
//! |---|---|
//! | `args` | what people type |
//! | `place` | namespaces and veths, which nobody else sees |
//! | `subject` | who forwards, started and stopped |
//! | `forwarder` | Maglane's engine and bare forwarders, in processes of their own |
//! | `rules` | what kube-proxy would write |
//! | `metric` | what can be measured |
//! | `measure`, `apps`, `server`, `cpu` | how it is measured |
//! | `book`, `compare`, `ratio`, `result` | figures over all rounds, and who wins |
//! | `conditions` | how they were measured, in words |
//! | `repeat` | the command that measures a figure again |

mod apps;
mod args;
mod book;
mod compare;
mod conditions;
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

use crate::error::{BenchError, Result};
use crate::interrupt::Interrupt;
use crate::output::{self, progress};
use crate::result::Origin;
use crate::rig::BareProgram;
pub(crate) use args::LabArgs;
use book::Book;
pub(crate) use forwarder::run as forward;
use measure::Bench;
use place::Place;
pub(crate) use ratio::{LabRatio, Winner, times, wins};
pub(crate) use result::{LabFigure, LabResult};
pub(crate) use subject::Kind;
use subject::Subject;

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
    let mut subjects = args.subjects()?;
    let mut book = Book::new(args);
    let is_bare = |subject: &Subject| subject.kind == Kind::BareHostPort;
    let bare = match args.bare.path() {
        Ok(path) => BareProgram(path),
        Err(error) if args.bare.given().is_some() => return Err(error),
        Err(error) => {
            if subjects.iter().any(is_bare) {
                progress(&format!("left out: {error}"));
                book.skip(&error);
            }
            subjects.retain(|subject| !is_bare(subject));
            BareProgram(Default::default())
        }
    };
    if subjects.is_empty() {
        return book.finish(origin, false);
    }
    let wants_generator_only = subjects.iter().all(|one| one.kind == Kind::Generator);
    let place = Place::make(interrupt)?;
    let mut bench = Bench::new(args, &place, interrupt)?;
    for round in 1..=args.rounds {
        book.begin(round);
        match bench.begin_round(&mut book) {
            Ok(()) => {}
            // What was measured in rounds before is kept.
            Err(BenchError::Interrupted) => break,
            Err(error) => {
                progress(&format!("round {round} is left out: {error}"));
                book.skip(&format!("round {round}: {error}"));
                continue;
            }
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
    if !wants_generator_only && book.knows_the_generator_only() {
        return Err(book.nothing(interrupted));
    }
    book.finish(origin, interrupted)
}
