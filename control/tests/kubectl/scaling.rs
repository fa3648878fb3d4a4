//! A Deployment behind a Service: everybody answers, and who stays keeps every connection.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::kubectl::await_that;
use crate::lab::Lab;
use crate::turn::program;

/// Asks all the time, over connections that it keeps and over new ones (`client.py load`).
struct Load {
    child: std::process::Child,
    output: std::path::PathBuf,
}

impl Load {
    fn start(lab: &Lab, address: &str) -> Self {
        let output = lab.directory().join("load");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/client.py");
        let mut command = program();
        command.args(["lab", "exec", "client", "--", "python3", script, "load", address, "80"]);
        command.stdout(std::fs::File::create(&output).expect("a file")).stdin(Stdio::null());
        Self { child: command.spawn().expect("maglane"), output }
    }

    /// Ends it; lines of what it saw, by their kind.
    fn end(mut self) -> BTreeMap<String, Vec<String>> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        kill(pid, Signal::SIGTERM).expect("it runs");
        assert!(self.child.wait().expect("wait").success());
        let text = std::fs::read_to_string(&self.output).expect("UTF-8");
        let mut lines = BTreeMap::<String, Vec<String>>::new();
        for line in text.lines() {
            let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
            lines.entry(kind.to_owned()).or_default().push(rest.to_owned());
        }
        lines
    }
}

#[test]
fn every_replica_answers_and_nobody_who_stays_loses_one() {
    let test = "every_replica_answers_and_nobody_who_stays_loses_one";
    let Some(lab) = Lab::up(test) else { return };
    let kubectl = lab.kubectl();
    let begun = std::time::Instant::now();
    kubectl.run("apply -f deploy/examples/service.yaml");
    let vip = lab.address("hello");
    let three = lab.await_answers(&vip, 3);
    assert!(begun.elapsed() < Duration::from_secs(15), "that took {:?}", begun.elapsed());

    let load = Load::start(&lab, &vip);
    std::thread::sleep(Duration::from_secs(1)); // it opens what it keeps
    for (replicas, pause) in [(6, 2), (2, 3), (5, 2)] {
        kubectl.run(&format!("scale deployment hello --replicas={replicas}"));
        let ready = || kubectl.run("get deployment hello -o jsonpath='{.status.readyReplicas}'");
        await_that("as many as asked for", || ready() == replicas.to_string());
        std::thread::sleep(Duration::from_secs(pause));
    }
    let seen = load.end();
    let of = |kind: &str| seen.get(kind).cloned().unwrap_or_default();
    assert_eq!(of("failure"), Vec::<String>::new(), "connections that failed");
    assert_eq!(of("moved"), Vec::<String>::new(), "connections whose Pod changed");
    let kept: u64 = of("kept")[0].parse().expect("a number");
    assert!(kept > 200, "{kept} requests on kept connections");
    // Only those that left have closed connections, as they say when they go.
    let there = kubectl.run("get pods -l app=hello -o jsonpath='{.items[*].metadata.name}'");
    let stayed: Vec<_> = three.iter().filter(|name| there.contains(name.as_str())).collect();
    assert!(!stayed.is_empty(), "of {three:?} somebody stays: {there}");
    for name in of("hung_up") {
        assert!(!stayed.contains(&&name), "{name} stayed, and closed a connection");
    }
    assert_eq!(lab.await_answers(&vip, 5).len(), 5);
    kubectl.run("delete -f deploy/examples/service.yaml");
}
