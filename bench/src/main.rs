//! Measures Maglane beside what it is to be compared with, both sides in one run, in turn.
//!
//! | module | what |
//! |---|---|
//! | [`cli`] | what people type |
//! | [`rig`] | a lab to measure in: Pods, the agent, the bare forwarder in its place |
//! | [`host_port`] | packets a second through the host port: Maglane beside a bare forwarder |
//! | [`direct`] | bytes a second past it: Pod to Pod, with the agent and without |
//! | [`figures`] | medians and spreads |
//!
//! A lab is made through the `maglane` command alone, as a user would, so that nothing here needs
//! to change when its insides do.

mod cli;
mod direct;
mod error;
mod figures;
mod host_port;
mod interrupt;
mod output;
mod rig;

use std::process::ExitCode;

use clap::Parser;
use error::BenchError;

/// What a shell reports for a process that Ctrl-C ended.
const EXIT_INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if matches!(error.downcast_ref(), Some(BenchError::Interrupted)) => {
            output::progress("interrupted: the lab is put away");
            ExitCode::from(EXIT_INTERRUPTED)
        }
        Err(error) => {
            output::progress(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
