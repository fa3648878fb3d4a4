//! The pipeline in memory, measured: what programs read of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

fn engine(arguments: &str) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_maglane-bench"))
        .args(format!("engine -o json {arguments}").split_ascii_whitespace())
        .output()
        .expect("maglane-bench");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("an array")
}

#[test]
fn every_case_is_measured_and_allocates_nothing() {
    let results = engine("--flows 1,1024 --services 10 --family 4,6 --rounds 5");
    let cases = |flows: u64, family: u64| -> Vec<&str> {
        let of = results.iter().filter(|one| one["flows"] == flows && one["family"] == family);
        of.map(|one| one["case"].as_str().expect("a case")).collect()
    };
    for family in [4, 6] {
        // One flow cannot expire more than once a round.
        assert_eq!(cases(1, family), ["established", "reply", "new", "reject"]);
        assert_eq!(cases(1_024, family), ["established", "reply", "new", "reject", "expired"]);
    }
    for one in &results {
        assert_eq!(one["allocations_per_packet"], 0.0, "{one}");
        assert_eq!(one["services"], 10);
        assert_eq!(one["interrupted"], false);
        let ns = one["ns_per_packet"].as_f64().expect("nanoseconds");
        assert!(ns > 1.0, "{one}");
        let stages = one["stages"].as_array().expect("stages");
        let total: f64 = stages.iter().map(|stage| stage["ns"].as_f64().expect("ns")).sum();
        assert!(stages.is_empty() || total >= ns * 0.99, "{one}");
    }
}

#[test]
fn a_list_of_cases_is_kept_to() {
    let results = engine("--flows 600 --services 2 --case new,expired --rounds 3 --size 600");
    let cases: Vec<&Value> = results.iter().map(|one| &one["case"]).collect();
    assert_eq!(cases, ["new", "expired"]);
    assert!(results.iter().all(|one| one["packet_bytes"] == 600));
}

#[test]
fn what_was_measured_before_a_signal_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut child = Command::new(env!("CARGO_BIN_EXE_maglane-bench"))
        .args("engine -o json --flows 1 --services 2,3 --case reject --rounds 2000".split(' '))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("maglane-bench");
    // Once the second world is there, the first has been measured.
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let second = lines.any(|line| line.expect("a line").starts_with("2 of 2"));
    assert!(second, "the second world is said");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("a signal");
    lines.for_each(drop);
    let output = child.wait_with_output().expect("an end");
    assert!(output.status.success());
    let results: Vec<Value> = serde_json::from_slice(&output.stdout).expect("an array");
    assert_eq!(results.len(), 1);
    assert_eq!((&results[0]["services"], &results[0]["interrupted"]), (&2.into(), &true.into()));
    fs::write(directory.path().join("cut-short.json"), &output.stdout).expect("saved");
    let report = Command::new(env!("CARGO_BIN_EXE_maglane-bench"))
        .arg("report")
        .arg(directory.path())
        .output()
        .expect("maglane-bench");
    assert!(report.status.success());
    let page = fs::read_to_string(directory.path().join("report.html")).expect("a page");
    // With the figures, and with the command.
    assert_eq!(page.matches("Interrupted: this is what was measured until then.").count(), 2);
}

#[test]
fn a_size_that_ipv6_has_not_is_refused_and_the_default_is_the_smallest_it_has() {
    let refused = Command::new(env!("CARGO_BIN_EXE_maglane-bench"))
        .args("engine --size 60,590 --family 4,6".split(' '))
        .output()
        .expect("maglane-bench");
    assert_eq!(refused.status.code(), Some(2));
    let message = "error: --size: 60 bytes are too few for TCP over IPv6, which takes 74; measure \
                   them with --family 4\n";
    assert_eq!(String::from_utf8_lossy(&refused.stderr), message);
    let results = engine("--flows 1 --services 2 --case reply --family 4,6 --rounds 3");
    let sizes: Vec<&Value> = results.iter().map(|one| &one["packet_bytes"]).collect();
    assert_eq!(sizes, [60, 74]);
}
