//! The agent, measured in a lab: it is stopped and started in turn with others in its place, and the
//! lab is put away.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;

/// One test at a time has the machine's lab, those of other crates included.
const TURN: &str = "/run/maglane-test.lock";

/// Runs `work` with a lab for itself. Skips where there can be none, or nothing to measure.
fn with_a_lab(work: impl FnOnce()) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: a lab needs root");
        return;
    }
    let directory = Path::new(env!("CARGO_BIN_EXE_maglane-bench")).parent().expect("a directory");
    for program in ["maglane", "examples/bare_forwarder"] {
        if !directory.join(program).is_file() {
            eprintln!("SKIPPED: {program} is not built; cargo test --workspace does");
            return;
        }
    }
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).open(TURN).expect(TURN);
    let _turn = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno).expect(TURN);
    work();
    for left in ["/run/maglane/lab", "/run/netns/maglane-node"] {
        assert!(!Path::new(left).exists(), "{left} is left");
    }
}

fn bench(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maglane-bench"));
    command.args(arguments.split(' ')).stdin(Stdio::null());
    command
}

/// What every result says of itself.
fn check_origin(result: &Value, line: &str) {
    assert_eq!(result["benchmark"].as_str(), line.split(' ').next());
    assert_eq!(result["command"], format!("maglane-bench {line}"));
    assert_eq!(result["format"], 3);
    assert!(result["began"].is_string() && result["version"].is_string(), "{result}");
}

#[test]
fn the_agent_and_a_bare_forwarder_take_turns() {
    with_a_lab(|| {
        let line = "host-port --rounds 2 --seconds 1 --workers 1 --flows 64 -o json";
        let output = bench(line).output().expect("maglane-bench");
        let steps = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{steps}");
        let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        check_origin(&result, line);
        let rounds = result["configurations"][0]["rounds"].as_array().expect("rounds");
        assert_eq!(rounds.len(), 2, "{steps}");
        for round in rounds {
            for side in ["bare", "maglane"] {
                let figure = |path: &str| round[side].pointer(path).and_then(Value::as_f64);
                for path in ["/delivered_pps", "/cpu/forwarder_ns", "/cpu/sender_ns"] {
                    assert!(figure(path).is_some_and(|one| one > 0.0), "{side}{path} in {round}");
                }
            }
            let translated = &round["bare_counters"];
            assert!(translated.as_object().is_some_and(|counters| !counters.is_empty()), "{round}");
        }
    });
}

#[test]
fn a_signal_puts_the_lab_away() {
    with_a_lab(|| {
        let line = "direct --rounds 100 --seconds 1 -o json";
        let mut command = bench(line);
        let command = command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("maglane-bench");
        let mut steps = BufReader::new(child.stderr.take().expect("standard error"));
        let mut step = String::new();
        while !step.starts_with("round 1 of 100") {
            step.clear();
            assert_ne!(steps.read_line(&mut step).expect("a line"), 0, "no round");
        }
        killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("a signal");
        let mut more = String::new();
        steps.read_to_string(&mut more).expect("standard error");
        let output = child.wait_with_output().expect("a result");
        assert!(output.status.success(), "{more}");
        let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(result["interrupted"], true);
        check_origin(&result, line);
        assert!(result["ratio"]["median"].as_f64().is_some_and(|ratio| ratio > 0.0), "{result}");
    });
}
