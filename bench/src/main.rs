//! Measures Maglane beside what it is to be compared with, both sides in one run, in turn.
//!
//! | module | what |
//! |---|---|
//! | [`cli`] | what people type |
//! | [`engine`] | the pipeline in memory: time, allocations, stages |
//! | [`pktgen`] | the packet generator, for any dataplane |
//! | [`search`] | throughput at a stated loss, latency at shares of it |
//! | [`maglev`] | lookup tables: time, memory, imbalance, disruption |
//! | [`report`] | one page of all saved results |
//! | [`rig`] | a lab to measure in: Pods, the agent, the bare forwarder in its place |
//! | [`host_port`] | packets a second through the host port: Maglane beside a bare forwarder |
//! | [`control`] | what a cluster costs the control plane, and how soon changes are in force |
//! | [`direct`] | bytes a second past it: Pod to Pod, with the agent and without |
//! | [`figures`] | medians and spreads |
//!
//! A lab is made through the `maglane` command alone, as a user would, so that nothing here needs
//! to change when its insides do.

mod allocations;
mod cli;
mod control;
mod direct;
mod engine;
mod error;
mod figures;
mod host_port;
mod interrupt;
mod lab;
mod maglev;
mod namespace;
mod output;
mod pktgen;
mod report;
mod result;
mod rig;
mod search;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use error::BenchError;

/// What a shell reports for a process that Ctrl-C ended.
const EXIT_INTERRUPTED: u8 = 130;
/// As clap has it.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if matches!(error.downcast_ref(), Some(BenchError::Interrupted)) => {
            output::progress("interrupted before anything was measured");
            ExitCode::from(EXIT_INTERRUPTED)
        }
        Err(error) if matches!(error.downcast_ref(), Some(BenchError::Usage { .. })) => {
            output::progress(&format!("error: {error}"));
            ExitCode::from(EXIT_USAGE)
        }
        Err(error) => {
            output::progress(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Says what is wrong with what was typed: one line where one value is.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        let text = error.render().to_string();
        output::progress(text.lines().next().unwrap_or_default());
        return ExitCode::from(EXIT_USAGE);
    }
    // Help and version come this way, too, and succeed.
    error.exit()
}
