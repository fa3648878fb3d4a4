//! What a lab leaves behind: nothing, however it ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::http::{Server, ask};
use crate::lab::{Lab, Turn, maglane, program, stderr, succeed};
use crate::manifest::{FAMILIES, client};
use crate::namespace::{CLIENT, Namespace, await_that};
use crate::untouched::manifest;

/// Everything of the machine that a lab might change.
#[derive(PartialEq, Eq, Debug)]
struct Machine {
    links: String,
    addresses: String,
    routes: String,
    namespaces: Vec<String>,
    mounts: Vec<String>,
    processes: Vec<String>,
    directory: bool,
}

impl Machine {
    fn look() -> Self {
        let ip = |args: &str| {
            let output = Command::new("ip").args(args.split(' ')).output().expect("ip");
            succeed(&output);
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        let ours = |line: &&str| line.contains("maglane");
        Self {
            links: ip("-br link"),
            addresses: ip("-br addr"),
            routes: ip("route") + &ip("-6 route"),
            namespaces: namespaces(),
            mounts: mounts.lines().filter(ours).map(str::to_owned).collect(),
            processes: processes(),
            directory: Path::new("/run/maglane/lab").exists(),
        }
    }
}

fn namespaces() -> Vec<String> {
    let entries = fs::read_dir("/run/netns").into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.starts_with("maglane-")).collect()
}

/// Command lines that run the program under test.
fn processes() -> Vec<String> {
    let program = Path::new(env!("CARGO_BIN_EXE_maglane")).canonicalize().expect("the program");
    let entries = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let ours =
        |process: &PathBuf| fs::read_link(process.join("exe")).is_ok_and(|exe| exe == program);
    let lines = entries.map(|entry| entry.path()).filter(ours);
    let lines = lines.filter_map(|process| fs::read(process.join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}

#[test]
fn down_leaves_nothing() {
    let test = "down_leaves_nothing";
    let Some(turn) = Turn::take(test) else { return };
    let before = Machine::look();
    assert_eq!((before.namespaces.len(), before.directory), (0, false), "no lab is up");
    drop(turn);
    let with_processes = manifest()
        + "---\n{apiVersion: v1, kind: Pod, metadata: {name: busy}, spec: {containers: [{name: c, image: none, \
           command: [sh, -c, 'trap \"\" TERM; sleep 1000 & sleep 1001; sleep 1002']}]}}\n";
    let Some(lab) = Lab::with_workers(test, &with_processes, 2) else { return };
    let up = Machine::look();
    assert_eq!(up.namespaces.len(), 4, "the node and three Pods: {:?}", up.namespaces);
    assert_eq!((&up.links, &up.addresses), (&before.links, &before.addresses));
    assert_eq!(up.routes, before.routes);
    assert!(!up.processes.is_empty(), "the agent");
    let server = Server::start(Namespace::Pod("web-1"), "web-1", 8080);
    ask(CLIENT, FAMILIES[0].service(10, 80)).expect("it serves");
    drop(server);
    succeed(&maglane(["lab", "down"]));
    assert_eq!(Machine::look(), before);
    assert!(!runs("sleep 1000") && !runs("sleep 1002"), "the Pod's processes ended");
    let again = maglane(["lab", "down"]);
    succeed(&again);
    assert_eq!(stderr(&again), "no lab is up\n");
    drop(lab);
}

fn runs(command: &str) -> bool {
    let entries = fs::read_dir("/proc").expect("/proc");
    let mut lines = entries.filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    lines.any(|line| String::from_utf8_lossy(&line).replace('\0', " ").trim() == command)
}

/// After the agent was killed there is nobody to take down what it had set up.
#[test]
fn down_after_a_kill_leaves_nothing() {
    let test = "down_after_a_kill_leaves_nothing";
    let Some(turn) = Turn::take(test) else { return };
    let before = Machine::look();
    drop(turn);
    let Some(lab) = Lab::with_workers(test, &manifest(), 2) else { return };
    lab.end_agent(Signal::SIGKILL);
    succeed(&maglane(["lab", "down"]));
    assert_eq!(Machine::look(), before);
}

/// When to press Ctrl-C.
enum Moment {
    /// So long after the command was typed.
    After(Duration),
    /// When it says this.
    Says(&'static str),
}

/// Presses Ctrl-C during `lab up`. True when it had finished before.
fn interrupt(turn: &Turn, moment: &Moment) -> bool {
    // A Pod whose port never opens keeps the last step going.
    let waiting = "---\n{apiVersion: v1, kind: Pod, metadata: {name: late}, spec: {containers: \
                   [{name: c, image: none, command: [sleep, '1003'], ports: [{containerPort: 9}]}]}}\n";
    let file = turn.file(
        "lab.yaml",
        &(manifest()
            + &client()
                .replace("name: client", "name: other")
                .replace("10.244.0.1,fd00:10:244::1", "10.244.0.77,fd00:10:244::77")
            + waiting),
    );
    let mut command = program();
    command.args(["lab", "up", "-f", file.to_str().expect("UTF-8")]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("maglane");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    match moment {
        Moment::After(time) => std::thread::sleep(*time),
        Moment::Says(line) => {
            assert!(lines.any(|said| said.is_ok_and(|said| said.contains(line))), "{line}");
        }
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    kill(pid, Signal::SIGINT).expect("it still runs, or is to be waited for");
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let status = child.wait().expect("wait");
    match status.code() {
        Some(130) => false,
        Some(0) => true,
        // Before it listens to signals they do what they always do.
        None => false,
        _ => panic!("{status}: {rest:?}"),
    }
}

#[test]
fn ctrl_c_during_up_leaves_nothing() {
    let Some(turn) = Turn::take("ctrl_c_during_up_leaves_nothing") else { return };
    let before = Machine::look();
    let after = [0, 5, 20, 50, 100, 200, 400].map(Duration::from_millis).map(Moment::After);
    let says = ["making the node", "starting the agent", "starting processes"].map(Moment::Says);
    let mut interrupted = 0;
    for moment in after.iter().chain(&says) {
        if interrupt(&turn, moment) {
            succeed(&maglane(["lab", "down"]));
        } else {
            interrupted += 1;
        }
        await_that("nothing is left", || Machine::look() == before);
        assert!(!runs("sleep 1003"), "the Pod's processes ended");
    }
    assert!(interrupted >= 3, "of ten only {interrupted} came in the middle");
}
