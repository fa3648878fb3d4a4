//! Maglane.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that panics has failed"))]

mod lab;
mod net;

/// The command line.
mod cli {
    pub(crate) mod lab;
}

use clap::Parser;

#[derive(Parser)]
enum Command {
    #[command(subcommand)]
    Lab(cli::lab::LabCommand),
}

fn main() -> std::process::ExitCode {
    let Command::Lab(command) = Command::parse();
    cli::lab::run(command).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        std::process::ExitCode::FAILURE
    })
}
