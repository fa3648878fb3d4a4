//! The agent ends, one way or another, and comes back.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::http::{Server, check};
use crate::lab::{Lab, stderr, succeed};
use crate::manifest::FAMILIES;
use crate::namespace::{CLIENT, NODE, Namespace, await_that};
use crate::ping::ping;
use crate::untouched::{check_direct, manifest};

fn check_served() {
    for family in FAMILIES {
        check(CLIENT, family.service(10, 80), &["web-1"], family.pod(1));
        check(NODE, family.service(10, 80), &["web-1"], family.node());
        ping(CLIENT, family.vip(10), Duration::from_secs(5)).expect("a VIP answers");
    }
}

/// Nobody serves: what is sent to a VIP goes nowhere, and not round and round either: one packet
/// that did would cross the host port 63 times. Connections that had not ended may send theirs
/// again meanwhile.
fn check_dead(lab: &Lab) {
    let patience = Duration::from_millis(50);
    let before = lab.host_port_packets();
    for family in FAMILIES {
        for from in [CLIENT, NODE] {
            for _ in 0..5 {
                ping(from, family.vip(10), patience).expect_err("nobody serves");
            }
            from.connect_within(family.service(10, 80), patience).expect_err("nobody serves");
        }
    }
    if NODE.command("ip -br link").contains("mlg0") {
        let crossed = lab.host_port_packets() - before;
        assert!(crossed < 300, "{crossed} packets went through the host port");
    }
}

fn ends_and_returns(test: &str, workers: u32, signal: Signal) {
    let Some(lab) = Lab::with_workers(test, &manifest(), workers) else { return };
    let _server = Server::start(Namespace::Pod("web-1"), "web-1", 8080);
    check_served();
    for _ in 0..2 {
        lab.end_agent(signal);
        check_direct();
        check_dead(&lab);
        let output = lab.try_apply(&manifest());
        succeed(&output);
        assert!(stderr(&output).contains("starting the agent again"), "{}", stderr(&output));
        assert!(lab.agent().is_some(), "it runs");
        check_served();
        check_direct();
    }
    let problems = crate::lab::json(&["status"])["problems"].clone();
    assert_eq!(problems, serde_json::json!([]), "nothing is in its way");
}

#[test]
fn after_a_kill_1_worker() {
    ends_and_returns("after_a_kill_1_worker", 1, Signal::SIGKILL);
}

#[test]
fn after_a_kill_2_workers() {
    ends_and_returns("after_a_kill_2_workers", 2, Signal::SIGKILL);
}

#[test]
fn after_a_stop() {
    ends_and_returns("after_a_stop", 2, Signal::SIGTERM);
}

/// What runs in Pods is nobody's child, and the next agent finds it again.
#[test]
fn pods_outlive_a_killed_agent() {
    let manifest = "{apiVersion: v1, kind: Pod, metadata: {name: busy}, spec: \
                    {terminationGracePeriodSeconds: 1, containers: [{name: c, image: none, \
                    command: [sleep, '1004']}]}}";
    let Some(lab) = Lab::with_workers("pods_outlive_a_killed_agent", manifest, 1) else { return };
    let process = || crate::lab::json(&["lab", "ls"])["pods"][0]["processes"][0]["pid"].as_i64();
    let before = process();
    assert!(before.is_some());
    lab.end_agent(Signal::SIGKILL);
    assert_eq!(process(), before, "it runs without an agent");
    let output = lab.try_apply(manifest);
    succeed(&output);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "pod/busy unchanged\n");
    assert_eq!(process(), before, "and was not started again");
    lab.delete(manifest);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(before.expect("it ran")).expect("a pid"));
    let ended = || !std::path::Path::new(&format!("/proc/{pid}/cwd")).exists();
    await_that("it has ended", ended);
}

/// Whoever takes the host port down, or its routes away, does not take Services away for good.
#[test]
fn a_host_port_that_is_taken_down_comes_up_again() {
    let test = "a_host_port_that_is_taken_down_comes_up_again";
    let Some(_lab) = Lab::with_workers(test, &manifest(), 2) else { return };
    let _server = Server::start(Namespace::Pod("web-1"), "web-1", 8080);
    check_served();
    let routes = || {
        let text =
            NODE.command("ip route show dev mlg1") + &NODE.command("ip -6 route show dev mlg1");
        text.lines().count()
    };
    let before = routes();
    for line in [
        "ip link set mlg1 down",
        "ip link set mlg0 down",
        "ip route flush dev mlg1",
        "ip -6 route flush dev mlg1",
    ] {
        NODE.command(line);
        await_that("its routes are back", || routes() >= before);
        check_served();
    }
    let problems = crate::lab::json(&["status"])["problems"].clone();
    assert_eq!(problems, serde_json::json!([]));
}

/// Nothing reaches its sockets any more: it ends, so that whoever starts it has it made anew.
#[test]
fn without_its_host_port_the_agent_ends() {
    let test = "without_its_host_port_the_agent_ends";
    let Some(lab) = Lab::with_workers(test, &manifest(), 1) else { return };
    let _server = Server::start(Namespace::Pod("web-1"), "web-1", 8080);
    check_served();
    NODE.command("ip link del mlg0");
    await_that("the agent has ended", || lab.agent().is_none());
    let log = std::fs::read_to_string("/run/maglane/lab/agent.log").expect("it has a log");
    assert!(log.contains("the host port is gone"), "{log}");
    succeed(&lab.try_apply(&manifest()));
    check_served();
}

/// An orderly stop takes the host port and its routes with it.
#[test]
fn a_stop_leaves_nothing_on_the_node() {
    let test = "a_stop_leaves_nothing_on_the_node";
    let Some(lab) = Lab::with_workers(test, &manifest(), 1) else { return };
    let links = || NODE.command("ip -br link");
    let routes = || NODE.command("ip route") + &NODE.command("ip -6 route");
    assert!(links().contains("mlg1") && routes().contains("10.96.0.0/16"));
    lab.end_agent(Signal::SIGTERM);
    assert!(!links().contains("mlg"), "{}", links());
    for left in ["10.96.", "fd00:10:96", "169.254.77.1", "fd00:6d61"] {
        assert!(!routes().contains(left), "{left}: {}", routes());
    }
}
