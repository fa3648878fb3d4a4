//! Measures Maglane beside what it is to be compared with, both sides in one run, in turn.
//!
//! | module | what |
//! |---|---|
//! | [`cli`] | what people type |
//! | [`engine`] | the pipeline in memory: time, allocations, stages |
//! | [`pktgen`] | the packet generator, for any dataplane |
//! | [`search`] | throughput at a stated loss, latency at shares of it |
//! | [`maglev`] | lookup tables: time, memory, imbalance, disruption |
//! | [`lab`] | Maglane beside the kernel, kube-proxy's rules and bare forwarders, in a lab of its own |
//! | [`report`] | one page of all saved results |
//! | [`rig`] | the node of `maglane lab` to measure in: Pods, the agent, a bare forwarder in its place |
//! | [`host_port`] | packets a second through the host port: Maglane beside a bare forwarder |
//! | [`control`] | what a cluster costs the control plane, and how soon changes are in force |
//! | [`direct`] | bytes a second past it: Pod to Pod, with the agent and without |
//! | [`figures`], [`result`], [`output`] | medians and spreads; what is saved; what is printed |
//! | [`namespace`], [`interrupt`] | where it is measured, and until when |
//!
//! `host-port`, `direct` and `control` measure the agent, through the `maglane` command alone, as a
//! user would, so that nothing here needs to change when its insides do. `lab` starts the engine
//! itself.

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

/// Says what is wrong with what was typed, in one line.
fn refuse(error: &clap::Error) -> ExitCode {
    use ErrorKind::{
        DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand as MissingCommand, DisplayVersion,
    };
    if matches!(error.kind(), DisplayHelp | DisplayVersion | MissingCommand) {
        // Help and version come this way, too, and succeed.
        error.exit()
    }
    output::progress(&one_line(&error.render().to_string()));
    ExitCode::from(EXIT_USAGE)
}

/// What clap says in paragraphs: the first is the error, a later one may be a tip.
fn one_line(text: &str) -> String {
    let joined = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paragraphs = text.split("\n\n").map(joined);
    let error = paragraphs.next().unwrap_or_default();
    let tips = paragraphs.filter_map(|text| Some(format!("; {}", text.strip_prefix("tip: ")?)));
    error + &tips.collect::<String>()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[track_caller]
    fn check(typed: &str, expected: &str) {
        let words = std::iter::once("maglane-bench").chain(typed.split(' '));
        let error = cli::Cli::try_parse_from(words).expect_err(typed);
        assert_eq!(one_line(&error.render().to_string()), format!("error: {expected}"));
    }

    #[test]
    fn what_cannot_be_parsed_gets_one_line() {
        check(
            "pktgen --dst 10.0.0.1:80",
            "the following required arguments were not provided: --tx <[NS/]IFACE>",
        );
        check(
            "search --tx a --protocl tcp",
            "unexpected argument '--protocl' found; a similar argument exists: '--protocol'",
        );
        check(
            "pktgen --tx a --poll lazy",
            "invalid value 'lazy' for '--poll <POLL>' [possible values: busy, adaptive]",
        );
        check(
            "pktgen --tx a --rate -5",
            "invalid value '-5' for '--rate <RATE>': must be more than 0 packets a second",
        );
        check(
            "pktgen --tx a --rate 5 --ramp 1..2",
            "the argument '--rate <RATE>' cannot be used with '--ramp <FROM..TO>'",
        );
    }
}
