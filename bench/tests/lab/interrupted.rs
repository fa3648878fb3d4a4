//! Ctrl-C: what was measured is kept, what was cut short is no failure, and nothing is left.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;

use super::{is_there, turn};

/// Longer than it takes to put everything away, shorter than any measurement here.
const SOON: Duration = Duration::from_secs(8);
const PATIENCE: Duration = Duration::from_secs(30);

/// The comparison in a session of its own, as a terminal would have it: all that it starts stays in
/// the session, whatever its process group.
struct Session {
    child: Child,
    steps: BufReader<ChildStderr>,
    result: File,
}

impl Session {
    fn start(arguments: &[&str]) -> Self {
        let result = tempfile::tempfile().expect("a file");
        let mut command = Command::new("setsid");
        command.args([env!("CARGO_BIN_EXE_maglane-bench"), "lab", "-o", "json"]).args(arguments);
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child =
            command.stdout(result.try_clone().expect("a file")).spawn().expect("setsid");
        let steps = BufReader::new(child.stderr.take().expect("standard error"));
        Self { child, steps, result }
    }

    /// Waits for a line that begins so.
    fn wait_for(&mut self, beginning: &str) {
        let mut line = String::new();
        while !line.starts_with(beginning) {
            line.clear();
            assert_ne!(self.steps.read_line(&mut line).expect("a line"), 0, "no {beginning:?}");
        }
    }

    /// Waits until it runs a program.
    fn wait_for_program(&self, name: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.programs().iter().any(|program| program == name) {
            assert!(Instant::now() < deadline, "it does not start {name}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// As Ctrl-C on a terminal does, to the whole group. What came of it: how it ended, what it
    /// said since, what it printed.
    fn interrupt(mut self) -> (ExitStatus, String, String) {
        let namespaces = self.namespaces();
        assert!(namespaces.len() >= 3, "{namespaces:?}");
        let start = Instant::now();
        killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).expect("a signal");
        let (mut steps, mut result) = (String::new(), String::new());
        self.steps.read_to_string(&mut steps).expect("standard error");
        let status = self.child.wait().expect("a status");
        assert!(start.elapsed() < SOON, "it took {:?}: {steps}", start.elapsed());
        self.result.rewind().expect("a file");
        self.result.read_to_string(&mut result).expect("a result");
        assert_eq!(self.programs(), [""; 0], "left behind");
        for (stat, _) in processes() {
            let namespace = fs::read_link(stat.with_file_name("ns/net")).unwrap_or_default();
            assert!(!namespaces.contains(&namespace), "{stat:?} is in {namespace:?}");
        }
        for interface in ["n0", "n1", "c0", "s0", "mlg0", "mlg1"] {
            let path = PathBuf::from("/sys/class/net").join(interface);
            assert!(!path.exists(), "{interface} is in the machine's own namespace");
        }
        (status, steps, result)
    }

    /// The namespaces that it holds.
    fn namespaces(&self) -> Vec<PathBuf> {
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("open files");
        let targets = open.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        targets.filter(|target| target.to_string_lossy().starts_with("net:[")).collect()
    }

    /// What runs in the session.
    fn programs(&self) -> Vec<String> {
        let session = self.child.id().to_string();
        let of_session = |(_, stat): (PathBuf, String)| {
            // `pid (name) state ppid pgrp session …`, proc_pid_stat(5).
            let (head, tail) = stat.rsplit_once(") ")?;
            let fields: Vec<&str> = tail.split(' ').take(4).collect();
            let runs = fields[0] != "Z" && fields[3] == session;
            runs.then(|| head.split_once('(').expect("a name").1.to_owned())
        };
        processes().filter_map(of_session).collect()
    }
}

fn processes() -> impl Iterator<Item = (PathBuf, String)> {
    let entries = fs::read_dir("/proc").expect("processes").flatten();
    entries.filter_map(|entry| {
        let stat = entry.path().join("stat");
        let text = fs::read_to_string(&stat).ok()?;
        text.starts_with(|first: char| first.is_ascii_digit()).then_some((stat, text))
    })
}

/// Interrupted in its first round, when the kernel's path has been measured and a program runs that
/// sets up another.
fn check(subject: &str, program: &str) {
    let mut session = Session::start(&[
        "--rounds",
        "5",
        "--seconds",
        "1",
        "--rate",
        "5k",
        "--flows",
        "64",
        "--services",
        "2000",
        "--only",
        "max,change,churn",
        "--subject",
        "kernel",
        "--subject",
        subject,
    ]);
    session.wait_for("round 1 of 5, 1 of 2: kernel");
    session.wait_for_program(program);
    let (status, steps, result) = session.interrupt();
    assert!(status.success(), "{status}: {steps}");
    let result: Value = serde_json::from_str(&result).expect("JSON");
    assert_eq!(result["interrupted"], true);
    assert_eq!(result["skipped"], Value::Array(Vec::new()), "{steps}");
    let figures = result["figures"].as_array().expect("figures");
    let kernel = figures.iter().find(|figure| figure["subject"] == "kernel, no translation");
    let median = kernel.and_then(|figure| figure["figure"]["median"].as_f64());
    assert!(median.is_some_and(|pps| pps > 0.0), "{figures:?}");
}

#[test]
fn what_was_measured_until_a_signal_is_kept() {
    let Some(_turn) = turn() else { return };
    // The comparison itself, run once more through /proc/self/exe.
    check("Maglane, host port, 1 worker, adaptive", "exe");
    if is_there("nft") && is_there("conntrack") {
        check("nftables", "nft");
    }
}

#[test]
fn a_signal_ends_real_clients_and_servers_too() {
    let Some(_turn) = turn() else { return };
    if !(is_there("wrk") && is_there("nginx")) {
        return;
    }
    let more = ["--rounds", "1", "--seconds", "60", "--only", "requests", "--subject", "kernel"];
    let session = Session::start(&more);
    session.wait_for_program("wrk");
    let (status, steps, result) = session.interrupt();
    assert_eq!(status.code(), Some(130), "{steps}");
    assert_eq!(steps.trim(), "interrupted before anything was measured");
    assert_eq!(result, "");
}
