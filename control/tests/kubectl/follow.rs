//! What watches see: `get -w`, `wait`, and a client that follows with `--raw`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use crate::kubectl::{Kubectl, PATIENCE, contains, squeezed};
use crate::standalone::Standalone;

/// A `kubectl` that goes on, line by line.
struct Following {
    child: Child,
    lines: Receiver<String>,
}

impl Following {
    fn start(kubectl: &Kubectl, line: &str) -> Self {
        let mut child = kubectl.command(line).stdout(Stdio::piped()).spawn().expect("sh");
        let stdout = BufReader::new(child.stdout.take().expect("it is a pipe"));
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if send.send(squeezed(&line)).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line, without its last word: the age.
    fn next(&self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line.rsplit_once(' ').map_or(line.clone(), |(rest, _)| rest.to_owned()),
            Err(RecvTimeoutError::Timeout) => panic!("nothing came within {PATIENCE:?}"),
            Err(RecvTimeoutError::Disconnected) => panic!("kubectl ended"),
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_table_that_goes_on() {
    let Some(machine) = Standalone::start("a_table_that_goes_on") else { return };
    let kubectl = machine.kubectl();
    let following = Following::start(kubectl, "get services -w");
    assert_eq!(following.next(), "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S)");
    assert_eq!(following.next(), "kubernetes ClusterIP 10.96.0.1 <none> 443/TCP");
    kubectl.run("create service clusterip web --tcp=80 --clusterip=10.96.0.60");
    assert_eq!(following.next(), "web ClusterIP 10.96.0.60 <none> 80/TCP");
    kubectl.run("patch service web --type=json -p '[{\"op\":\"replace\",\"path\":\"/spec/ports/0/port\",\"value\":81}]'");
    assert_eq!(following.next(), "web ClusterIP 10.96.0.60 <none> 81/TCP");
    kubectl.run("delete service web");
    assert_eq!(following.next(), "web ClusterIP 10.96.0.60 <none> 81/TCP", "as it last was");
}

#[test]
fn only_what_was_selected() {
    let Some(machine) = Standalone::start("only_what_was_selected") else { return };
    let kubectl = machine.kubectl();
    let following = Following::start(
        kubectl,
        "get configmaps -l seen=yes -w --output-watch-events --no-headers -o custom-columns=E:.type,N:.object.metadata.name",
    );
    kubectl.run("create configmap other");
    kubectl.run("create configmap mine");
    kubectl.run("label configmap mine seen=yes");
    kubectl.run("annotate configmap mine note=1");
    kubectl.run("label configmap mine seen-");
    // Label and annotation changes are told; what no longer matches is gone, as far as it goes.
    for event in ["ADDED", "MODIFIED", "DELETED"] {
        assert_eq!(following.next(), event);
    }
}

#[test]
fn waiting_for_something() {
    let Some(machine) = Standalone::start("waiting_for_something") else { return };
    let kubectl = machine.kubectl();
    kubectl.run("create configmap goes");
    let mut waits = kubectl
        .command("wait --for=delete configmap/goes --timeout=30s")
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh");
    kubectl.run("delete configmap goes");
    assert!(waits.wait().expect("wait").success());
    kubectl.run("create service clusterip web --tcp=80");
    let met = kubectl.run("wait --for=jsonpath='{.spec.type}'=ClusterIP service/web --timeout=30s");
    assert_eq!(met, "service/web condition met\n");
    let late =
        kubectl.refused("wait --for=jsonpath='{.spec.type}'=NodePort service/web --timeout=1s");
    contains(&late, &["timed out waiting for the condition on services/web"]);
}

/// A version that is long gone is told as 410, and one that never was as well.
#[test]
fn versions_that_nobody_remembers() {
    let Some(machine) = Standalone::start("versions_that_nobody_remembers") else { return };
    let kubectl = machine.kubectl();
    let raw = "get --raw '/api/v1/configmaps?watch=1&timeoutSeconds=2&resourceVersion";
    let ahead = kubectl.try_run(&format!("{raw}=999999999'"));
    contains(&format!("{}{}", ahead.stdout, ahead.stderr), &["Expired"]);
    let nonsense = kubectl.refused(&format!("{raw}=nonsense'"));
    contains(&nonsense, &["nonsense"]);
}
