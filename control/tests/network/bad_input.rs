//! Mistakes: one line each that names file, object and field, and the rest goes on.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::http::{Server, ask};
use crate::lab::{Lab, Turn, json, maglane, program, stderr};
use crate::manifest::{FAMILIES, client, pod, service};
use crate::namespace::{CLIENT, Namespace, await_that};

/// Checks that a command failed with exactly one complaint that says all this.
fn complains(output: &Output, says: &[&str]) {
    let said = stderr(output);
    assert!(!output.status.success(), "{said}");
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("error")).collect();
    assert_eq!(lines.len(), 1, "one line: {said}");
    for part in says {
        assert!(lines[0].contains(part), "{part:?} is not in {:?}", lines[0]);
    }
    assert!(!said.contains("panicked"), "{said}");
}

/// Each with what its line must say besides the file.
const MISTAKES: [(&str, &[&str]); 9] = [
    ("{apiVersion: v1, kind: Service, metadata: {name: broken", &["YAML"]),
    ("{apiVersion: v1, kind: Gizmo, metadata: {name: odd}}", &["Gizmo default/odd", "not known"]),
    (
        "{apiVersion: v1, kind: Service, metadata: {name: zero}, spec: {ports: [{port: 0}]}}",
        &["Service default/zero", "spec.ports[0].port", "0"],
    ),
    (
        "{apiVersion: v1, kind: Service, metadata: {name: big}, spec: {ports: [{port: 70000}]}}",
        &["Service default/big", "spec.ports[0].port", "70000", "65535"],
    ),
    (
        "{apiVersion: v1, kind: Service, metadata: {name: words}, spec: {ports: [{port: http}]}}",
        &["Service default/words", "spec.ports[0].port", "http"],
    ),
    (
        "{apiVersion: v1, kind: Service, metadata: {name: far}, spec: {clusterIP: 172.30.0.1, \
         ports: [{port: 80}]}}",
        &["Service default/far", "spec.clusterIP", "172.30.0.1", "10.96.0.0/16"],
    ),
    (
        "{apiVersion: v1, kind: Service, metadata: {name: web-too}, spec: {clusterIP: 10.96.0.10, \
         ports: [{port: 80}]}}",
        &["Service default/web-too", "spec.clusterIP", "10.96.0.10", "Service default/web"],
    ),
    (
        "{apiVersion: v1, kind: Pod, metadata: {name: web-9, annotations: {maglane.io/pod-ips: \
         10.244.0.11}}, spec: {containers: [{name: c, image: none}]}}",
        &["Pod default/web-9", "metadata.annotations", "10.244.0.11", "Pod default/web-1"],
    ),
    (
        "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: lost, labels: \
         {kubernetes.io/service-name: lost}}, addressType: IPv4, ports: [{port: 80}], endpoints: \
         [{addresses: [10.244.0.999]}]}",
        &["EndpointSlice default/lost", "endpoints[0].addresses[0]", "10.244.0.999"],
    ),
];

fn web() -> String {
    service("web", 10, "[{port: 80, targetPort: 8080}]") + &client() + &pod("web-1", 11, "web")
}

fn serves() {
    for family in FAMILIES {
        assert_eq!(ask(CLIENT, family.service(10, 80)).expect("it serves").name, "web-1");
    }
}

#[test]
fn objects_with_mistakes() {
    let test = "objects_with_mistakes";
    let Some(lab) = Lab::with_workers(test, &web(), 1) else { return };
    let _server = Server::start(Namespace::Pod("web-1"), "web-1", 8080);
    serves();
    for (number, (mistake, says)) in (30..).zip(MISTAKES) {
        let valid = service(&format!("valid-{number}"), number, "[{port: 80}]");
        let output = lab.try_apply(&format!("{valid}---\n{mistake}\n"));
        complains(&output, &[says, &["apply.yaml"]].concat());
        serves();
        let services = json(&["services"]);
        let names: Vec<_> =
            services.as_array().expect("an array").iter().map(|one| &one["name"]).collect();
        assert!(names.contains(&&format!("valid-{number}").into()), "{mistake}: {names:?}");
        let refused = ["zero", "big", "words", "far", "web-too"].map(serde_json::Value::from);
        assert!(!refused.iter().any(|name| names.contains(&name)), "{mistake}: {names:?}");
    }
    // What is refused never reaches the agent.
    assert_eq!(json(&["status"])["problems"].as_array().expect("an array").len(), 0);
    // A Pod that cannot be made is there, says so, and comes once it can.
    lab.delete(&pod("web-1", 11, "web"));
    await_that("the other one has its address", || {
        let listing = json(&["lab", "ls"]);
        let pods = listing["pods"].as_array().expect("an array").iter();
        pods.filter(|pod| pod["name"] == "web-9").any(|pod| pod["addresses"][0] == "10.244.0.11")
    });
}

#[test]
fn a_lab_of_valid_objects_comes_up_beside_mistakes() {
    let Some(turn) = Turn::take("a_lab_of_valid_objects_comes_up_beside_mistakes") else { return };
    let all: Vec<String> =
        MISTAKES[1..].iter().map(|(mistake, _)| format!("---\n{mistake}\n")).collect();
    let file = turn.file("lab.yaml", &(web() + &all.concat()));
    let output = maglane(["lab", "up", "-f", file.to_str().expect("UTF-8")]);
    let said = stderr(&output);
    assert!(!output.status.success(), "{said}");
    let errors = said.lines().filter(|line| line.starts_with("error: "));
    assert_eq!(errors.count(), MISTAKES.len() - 1, "{said}");
    let _server = Server::start(Namespace::Pod("web-1"), "web-1", 8080);
    serves();
}

/// `lab up` with something that stops it.
#[test]
fn a_lab_that_cannot_come_up() {
    let Some(turn) = Turn::take("a_lab_that_cannot_come_up") else { return };
    let good = turn.file("good.yaml", &web());
    let broken = turn.file("broken.yaml", "{{{");
    let (good, broken) = (good.to_str().expect("UTF-8"), broken.to_str().expect("UTF-8"));
    let up = |args: &[&str]| maglane(["lab", "up", "-f"].iter().chain(args));
    complains(&up(&[good, "--mtu", "9000"]), &["--mtu 9000", "1280 to "]);
    complains(&up(&[good, "--workers", "0"]), &["--workers 0"]);
    for (file, says) in [("/nonexistent.yaml", "No such file"), (broken, "YAML")] {
        let output = up(&[file]);
        let said = stderr(&output);
        assert!(!output.status.success(), "{said}");
        let first = said.lines().next().expect("a line");
        assert!(first.contains(file) && first.contains(says), "{first}");
        assert_eq!(
            said.lines().nth(1),
            Some("error: nothing to bring up: none of the given objects can be used")
        );
    }
    assert!(!Path::new("/run/maglane/lab").exists(), "nothing is set up");
    assert!(!Path::new("/run/netns/maglane-node").exists(), "nothing is set up");
    complains(&maglane(["lab", "apply", "-f", good]), &["no lab is up", "lab up"]);
}

/// Two addresses are all that a /30 has to give, and the first is the Service `kubernetes`'s.
#[test]
fn a_service_cidr_that_is_full() {
    let Some(turn) = Turn::take("a_service_cidr_that_is_full") else { return };
    let of = |name: &str, rest: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{{rest}}}}}\n"
        )
    };
    let manifest = client()
        + &pod("web-1", 11, "web")
        + &of("a", "selector: {app: web}, ports: [{port: 80, targetPort: 8080}]")
        + &of("b", "ports: [{port: 80}]");
    let file = turn.file("lab.yaml", &manifest);
    let file = file.to_str().expect("UTF-8");
    let output = maglane(["lab", "up", "-f", file, "--service-cidr", "10.96.0.0/30"]);
    complains(&output, &["lab.yaml", "Service default/b", "failed to allocate", "range is full"]);
    let _server = Server::start(Namespace::Pod("web-1"), "web-1", 8080);
    let services = json(&["services"]);
    let address = services[0]["cluster_ips"][0].as_str().expect("an address");
    let to = format!("{address}:80").parse().expect("an address");
    assert_eq!(ask(CLIENT, to).expect("it serves").name, "web-1");
}

#[test]
fn without_root() {
    let Some(turn) = Turn::take("without_root") else { return };
    // Where anybody may look, whatever the umask of whoever built it.
    let copy = Path::new("/run/maglane-test-without-root");
    std::fs::copy(env!("CARGO_BIN_EXE_maglane"), copy).expect("copy");
    let nobody = |args: &[&str]| {
        let output = Command::new(copy).args(args).uid(65_534).gid(65_534).output();
        output.expect("maglane")
    };
    let outputs = [
        nobody(&["lab", "up", "-f", "whatever.yaml"]),
        nobody(&["agent", "--manifests", "/proc", "--socket", "/tmp/none.sock"]),
    ];
    std::fs::remove_file(copy).expect("remove");
    for output in outputs {
        complains(&output, &["needs root", "sudo"]);
    }
    drop(turn);
}

/// A namespace of a test's own, with a veth pair.
struct Bench;

const BENCH: Namespace<'_> = Namespace::Named("mgltest-ports");

impl Bench {
    fn new() -> Self {
        let made = Command::new("ip").args(["netns", "add", "mgltest-ports"]).status();
        assert!(made.expect("ip").success());
        let bench = Self;
        BENCH.command("ip link set lo up");
        BENCH.command("ip link add nic0 type veth peer name wire0");
        BENCH.command("ip addr add 192.168.7.7/24 dev nic0");
        BENCH.command("ip link set nic0 up");
        BENCH.command("ip link set wire0 up");
        bench
    }

    /// Runs an agent there that must not stay.
    fn agent(&self, turn: &Turn, args: &[&str]) -> Output {
        let socket = turn.directory().join("agent.sock");
        let mut command = program();
        command.arg("agent").arg("--manifests").arg(turn.directory());
        command.arg("--socket").arg(socket).args(["--node-ip", "192.168.7.7"]).args(args);
        BENCH.run(|| command.output()).expect("maglane")
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", "mgltest-ports"]).status();
    }
}

#[test]
fn an_xdp_port_that_is_not_there() {
    let Some(turn) = Turn::take("an_xdp_port_that_is_not_there") else { return };
    let bench = Bench::new();
    complains(&bench.agent(&turn, &["--xdp-port", "nope0"]), &["nope0"]);
    let links = BENCH.command("ip -br link");
    assert!(!links.contains("mlg"), "nothing is left: {links}");
}

#[test]
fn an_xdp_port_with_somebody_elses_program() {
    let test = "an_xdp_port_with_somebody_elses_program";
    let Some(turn) = Turn::take(test) else { return };
    let source = turn.file(
        "foreign.c",
        "__attribute__((section(\"xdp\"), used)) int foreign(void *ctx) { return 2; }\n\
         __attribute__((section(\"license\"), used)) char LICENSE[] = \"GPL\";\n",
    );
    let object = turn.directory().join("foreign.o");
    let compiled = Command::new("clang")
        .args(["-O2", "-g", "-target", "bpf", "-c"])
        .arg(source)
        .arg("-o")
        .arg(&object)
        .status();
    if !compiled.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED {test}: needs clang with a BPF target");
        return;
    }
    let bench = Bench::new();
    let object = object.to_str().expect("UTF-8");
    BENCH.command(&format!("ip link set dev nic0 xdpdrv obj {object} sec xdp"));
    let attached = || {
        let links: serde_json::Value =
            serde_json::from_str(&BENCH.command("ip -j -d link show nic0")).expect("JSON");
        links[0]["xdp"]["prog"]["id"].as_u64().expect("a program")
    };
    let before = attached();
    complains(&bench.agent(&turn, &["--xdp-port", "nic0"]), &["nic0", "XDP"]);
    assert_eq!(attached(), before, "it is still there");
    let links = BENCH.command("ip -br link");
    assert!(!links.contains("mlg"), "nothing is left: {links}");
}
