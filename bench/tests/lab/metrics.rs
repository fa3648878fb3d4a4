//! Every figure that there is, once, in the shortest of runs: what it is in, and what measures it
//! again. How great it is depends on the machine.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{is_there, lab, turn};

struct Expected {
    /// As `--only` takes it.
    name: &'static str,
    /// How its name for people begins.
    metric: &'static str,
    unit: &'static str,
    /// Whether 0 is no figure.
    is_positive: bool,
    /// What is said where it is not measured, because packets were lost or cores taken.
    unfit: Option<&'static str>,
    needs: &'static [&'static str],
}

const fn of(name: &'static str, metric: &'static str, unit: &'static str) -> Expected {
    Expected { name, metric, unit, is_positive: true, unfit: None, needs: &[] }
}

const LATENCY: &str = "latency";

const METRICS: [Expected; 9] = [
    Expected {
        unfit: Some("throughput without loss"),
        ..of("ndr", "Throughput without loss", "pps")
    },
    of("max", "Throughput when the generator", "pps"),
    Expected {
        is_positive: false,
        unfit: Some("processor time"),
        ..of("cpu", "Processor time", "ns a packet")
    },
    Expected { unfit: Some(LATENCY), ..of(LATENCY, "", "ns") },
    of("change", "One changed backend", "ms"),
    Expected { is_positive: false, ..of("churn", "Effective blocked time", "ms") },
    Expected { needs: &["iperf3"], ..of("bulk", "One TCP connection", "Gbit/s") },
    Expected { needs: &["nginx", "wrk"], ..of("requests", "Requests on", "a second") },
    Expected { needs: &["nginx", "wrk"], ..of("connections", "Connections of", "a second") },
];

/// A run of one round.
fn run(more: &[&str]) -> Value {
    let output = lab(&[&["--rounds", "1", "--services", "1"], more].concat());
    let steps = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{steps}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn list<'a>(result: &'a Value, name: &str) -> &'a [Value] {
    result[name].as_array().expect(name)
}

/// The figure is there, and makes sense; or it is said why not.
fn check(result: &Value, subject: &str, expected: &Expected) {
    let Expected { name, metric, unfit, needs, .. } = expected;
    if !needs.iter().all(|program| is_there(program)) {
        return;
    }
    let listed = if *name == LATENCY { "latencies" } else { "figures" };
    let found = list(result, listed).iter().find(|one| {
        let is_it = || one["metric"].as_str().is_some_and(|text| text.starts_with(metric));
        one["subject"] == subject && (*name == LATENCY || is_it())
    });
    let Some(found) = found else {
        let mut skipped = list(result, "skipped").iter().filter_map(Value::as_str);
        let why = skipped.find(|why| unfit.is_some_and(|unfit| why.starts_with(unfit)));
        let why = why.unwrap_or_else(|| panic!("no {name} of {subject}: {result:#}"));
        eprintln!("SKIPPED: {why}");
        return;
    };
    if *name == LATENCY {
        check_latency(found)
    } else {
        check_figure(found, expected)
    }
    let command = found["command"].as_str().expect("a command");
    assert!(command.starts_with("maglane-bench lab "), "{command}");
    for part in [format!("--subject '{subject}'"), format!("--only {name}")] {
        assert!(command.contains(&part), "no {part} in {command}");
    }
}

fn check_latency(latency: &Value) {
    let [p50, p99] = ["p50_ns", "p99_ns"].map(|at| latency[at]["median"].as_f64());
    assert!(p50.expect("p50") > 0.0 && p99 >= p50, "{latency}");
}

fn check_figure(figure: &Value, expected: &Expected) {
    let Expected { unit, is_positive, .. } = expected;
    assert_eq!(figure["unit"], *unit);
    let rounds: Vec<f64> = list(figure, "rounds").iter().filter_map(Value::as_f64).collect();
    assert_eq!(rounds.len(), 1, "{figure}");
    assert!(rounds[0].is_finite() && rounds[0] >= 0.0, "{figure}");
    assert!(rounds[0] > 0.0 || !is_positive, "{figure}");
    assert_eq!(figure["figure"]["median"].as_f64(), Some(rounds[0]));
}

/// A metric that is new has to have its row above.
#[test]
fn every_metric_is_expected() {
    let output = lab(&["--help"]);
    let help = String::from_utf8(output.stdout).expect("text");
    let only = help.split("--only <").nth(1).and_then(|text| text.split("\n      --").next());
    let values = only.expect("--only").lines().filter_map(|line| line.trim().strip_prefix("- "));
    let names: Vec<&str> = values.filter_map(|line| line.split(':').next()).collect();
    assert_eq!(names, METRICS.map(|expected| expected.name), "{help}");
}

#[test]
fn every_figure_is_measured() {
    let Some(_turn) = turn() else { return };
    let subject = "Maglane, host port, 1 worker, adaptive";
    let result = run(&["--subject", subject]);
    for expected in &METRICS {
        check(&result, subject, expected);
    }
    let change = list(&result, "figures").iter().find(|figure| figure["unit"] == "ms");
    repeat(change.expect("a change")["command"].as_str().expect("a command"), subject);
}

/// What is said to measure a figure again does.
fn repeat(command: &str, subject: &str) {
    let program = Path::new(env!("CARGO_BIN_EXE_maglane-bench"));
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", program.parent().expect("a directory").display());
    let mut shell = Command::new("sh");
    let output = shell.args(["-c", &format!("{command} -o json")]).env("PATH", path).output();
    let output = output.expect("sh");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(list(&result, "figures").len(), 1, "{result:#}");
    assert_eq!(result["figures"][0]["subject"], subject);
    assert_eq!(result["figures"][0]["command"], command);
}

#[test]
fn second_and_busy_workers_forward_too() {
    let Some(_turn) = turn() else { return };
    let only = ["--only", "max,change", "--subject", "workers", "--subject", "busy"];
    let result = run(&only);
    for subject in [
        "Maglane, host port, 1 worker, busy",
        "Maglane, host port, 2 workers, adaptive",
        "Maglane, host port, 2 workers, busy",
    ] {
        for expected in METRICS.iter().filter(|one| ["max", "change"].contains(&one.name)) {
            check(&result, subject, expected);
        }
    }
}
