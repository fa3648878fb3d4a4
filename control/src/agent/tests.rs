//! The controller over a dataplane that remembers.

use std::collections::BTreeMap;
use std::sync::Arc;

use maglane_dataplane::engine::EngineStatus;
use maglane_dataplane::flow::FlowRecord;
use maglane_dataplane::service::{Deliver, Masquerade, NextHop, Snapshot};

use super::controller::{Controller, Policy};
use super::dataplane::Dataplane;
use crate::model::Settings;
use crate::net::link::Interface;
use crate::net::neighbourhood::{Neighbourhood, PodInterface};
use crate::source::manifest;

#[derive(Debug, thiserror::Error)]
#[error("no memory")]
pub(super) struct Failed;

/// Remembers what it was told, and fails when it is told to.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) calls: Vec<String>,
    pub(super) published: Option<Snapshot>,
    generation: u32,
    /// How often each call fails from now on.
    failures: BTreeMap<&'static str, u32>,
}

impl Recorder {
    fn call(&mut self, name: &'static str, text: String) -> Result<(), Failed> {
        self.calls.push(text);
        match self.failures.get_mut(name) {
            Some(left) if *left > 0 => {
                *left -= 1;
                Err(Failed)
            }
            _ => Ok(()),
        }
    }
}

impl Dataplane for &mut Recorder {
    type Error = Failed;

    fn attach_pod(&mut self, interface: u32) -> Result<(), Failed> {
        self.call("attach", format!("attach {interface}"))
    }

    fn detach_pod(&mut self, interface: u32) {
        self.calls.push(format!("detach {interface}"));
    }

    fn attach_uplink(&mut self, interface: u32) -> Result<(), Failed> {
        self.call("attach uplink", format!("attach uplink {interface}"))
    }

    fn detach_uplink(&mut self, interface: u32) {
        self.calls.push(format!("detach uplink {interface}"));
    }

    fn publish(&mut self, snapshot: Snapshot) -> Result<u32, Failed> {
        let services = snapshot.services.frontends().count();
        let hops = snapshot.forwarding.iter().count();
        self.call("publish", format!("publish {services} services, {hops} hops"))?;
        self.published = Some(snapshot);
        self.generation += 1;
        Ok(self.generation)
    }

    fn status(&self) -> EngineStatus {
        EngineStatus { generation: self.generation, ..EngineStatus::default() }
    }

    fn flows(&self, _limit: usize) -> Vec<FlowRecord> {
        Vec::new()
    }

    fn now_ms(&self) -> u64 {
        0
    }
}

fn controller(recorder: &mut Recorder) -> Controller<&mut Recorder> {
    Controller::new(recorder, Settings::default(), policy())
}

pub(super) fn policy() -> Policy {
    Policy { masquerade: Masquerade::default(), deliver: Deliver::Peer, mtu_limit: 3498 }
}

fn service(name: &str, ip: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n\
         spec: {{clusterIP: {ip}, ports: [{{port: 80}}]}}\n"
    )
}

fn manifest(text: &str) -> manifest::Manifest {
    manifest::parse(text, &Arc::from("svc.yaml"))
}

fn pod(index: u32, mtu: u32) -> PodInterface {
    PodInterface {
        index,
        name: format!("veth{index}"),
        mtu,
        mac: None,
        node_mac: None,
        addresses: vec![[10, 1, 0, index as u8].into()],
    }
}

fn neighbourhood(pods: impl IntoIterator<Item = PodInterface>) -> Neighbourhood {
    Neighbourhood { pods: pods.into_iter().collect(), ..Neighbourhood::default() }
}

fn take(calls: &mut Vec<String>) -> Vec<String> {
    std::mem::take(calls)
}

/// Puts in force what is known: what is wrong with it.
pub(super) fn problems(control: &mut Controller<&mut Recorder>) -> Vec<String> {
    control.settle().expect("the recorder takes it");
    control.problems().iter().map(ToString::to_string).collect()
}

#[test]
fn only_changes_are_published() {
    let mut recorder = Recorder::default();
    let mut control = controller(&mut recorder);
    assert_eq!(control.settle().expect("published"), 1, "an empty world is put in force, too");
    let text = service("web", "10.96.0.1");
    control.take_manifest(manifest(&text));
    assert_eq!(control.settle().expect("published"), 2);
    control.take_manifest(manifest(&format!("# a comment\n{text}")));
    assert_eq!(control.settle().expect("nothing to do"), 2);
    control.take_neighbourhood(&neighbourhood([pod(7, 1500)]));
    assert_eq!(control.settle().expect("published"), 3);
    control.take_neighbourhood(&neighbourhood([pod(7, 1500)]));
    assert_eq!(control.settle().expect("nothing to do"), 3);
    control.take_manifest(manifest(""));
    assert_eq!(control.settle().expect("published"), 4);
    assert_eq!(
        recorder.calls,
        [
            "publish 0 services, 0 hops",
            "publish 1 services, 0 hops",
            "attach 7",
            "publish 1 services, 1 hops",
            "publish 0 services, 1 hops",
        ]
    );
}

#[test]
fn pods_come_and_go() {
    let mut recorder = Recorder::default();
    let mut control = controller(&mut recorder);
    control.take_neighbourhood(&neighbourhood([pod(7, 1500), pod(8, 1500)]));
    control.take_neighbourhood(&neighbourhood([pod(8, 1500), pod(9, 1500)]));
    let renamed = PodInterface { name: "other".into(), ..pod(8, 1500) };
    control.take_neighbourhood(&neighbourhood([renamed, pod(9, 1500)]));
    assert_eq!(control.status().pods, ["other", "veth9"]);
    let expect = ["attach 7", "attach 8", "detach 7", "attach 9", "detach 8", "attach 8"];
    assert_eq!(recorder.calls, expect);
}

#[test]
fn a_pod_with_too_large_an_mtu_is_named_and_left_out() {
    let mut recorder = Recorder::default();
    let mut control = controller(&mut recorder);
    control.take_neighbourhood(&neighbourhood([pod(7, 9000), pod(8, 3498)]));
    assert_eq!(
        problems(&mut control),
        ["interface veth7: MTU 9000 is over 3498 bytes, the most that the host port takes: not \
          attached, its Pod reaches no Service"]
    );
    assert!(!control.unsettled(), "it would not help to try again");
    control.take_neighbourhood(&neighbourhood([pod(7, 1500), pod(8, 9000)]));
    assert_eq!(problems(&mut control).len(), 1, "now it is the other");
    let calls = take(&mut recorder.calls);
    let expect = ["attach 8", "publish 0 services, 1 hops", "detach 8", "attach 7"];
    assert_eq!(calls[..4], expect);
    let snapshot = recorder.published.expect("it was published");
    let hop = |last| snapshot.forwarding.lookup(&std::net::IpAddr::from([10, 1, 0, last]).into());
    assert!(matches!(hop(7), Some(NextHop::Pod { interface: 7, .. })));
    assert!(hop(8).is_none());
}

#[test]
fn what_failed_is_tried_again() {
    let failures = BTreeMap::from([("attach", 1), ("publish", 1)]);
    let mut recorder = Recorder { failures, ..Recorder::default() };
    let mut control = controller(&mut recorder);
    control.take_neighbourhood(&neighbourhood([pod(7, 1500), pod(8, 1500)]));
    assert!(control.settle().is_err());
    assert!(control.unsettled());
    assert_eq!(
        control.incomplete().as_deref(),
        Some("the dataplane did not take it: no memory"),
        "not ready"
    );
    let told = control.problems()[0].to_string();
    assert!(told.starts_with("the dataplane did not take the last change"), "{told}");
    assert_eq!(control.status().services, 0, "nothing is in force");
    assert_eq!(problems(&mut control), ["interface veth7: cannot be attached: no memory"]);
    assert_eq!(control.incomplete(), None);
    assert!(control.unsettled(), "one Pod is missing");
    control.retry();
    assert_eq!(problems(&mut control), [""; 0]);
    assert!(!control.unsettled());
    assert_eq!(
        recorder.calls,
        [
            "attach 7",
            "attach 8",
            "publish 0 services, 1 hops",
            "publish 0 services, 1 hops",
            "attach 7",
            "publish 0 services, 2 hops",
        ]
    );
}

#[test]
fn all_problems_are_told() {
    let mut recorder = Recorder::default();
    let mut control = controller(&mut recorder);
    let text = service("web", "10.96.0.1").replace("port: 80", "port: 70000");
    control.take_manifest(manifest(&format!("{text}---\nkind: Pod\n")));
    control.take_neighbourhood(&neighbourhood([pod(7, 9000)]));
    let problems = problems(&mut control);
    assert_eq!(problems[0], "svc.yaml:7: apiVersion: Required value");
    assert!(problems[1].starts_with("interface veth7: MTU 9000"), "{problems:?}");
    assert!(problems[2].starts_with("svc.yaml: Service default/web: spec.ports[0].port: Invalid"));
    assert_eq!(control.status().services, 1, "the address is in force");
}

#[test]
fn uplinks_are_followed_as_they_come_and_go() {
    let uplink = |index: u32| Interface {
        index,
        name: format!("eth{index}"),
        mac: Some([2; 6]),
        mtu: 1500,
        rx_queues: 1,
        up: true,
        veth: false,
        peer_elsewhere: false,
        xdp: false,
    };
    let with = |uplinks: Vec<Interface>| Neighbourhood { uplinks, ..Neighbourhood::default() };
    let mut recorder = Recorder::default();
    recorder.failures.insert("attach uplink", 1);
    let mut controller = controller(&mut recorder);
    controller.take_neighbourhood(&with(vec![uplink(2), uplink(3)]));
    assert!(controller.unsettled());
    let told = problems(&mut controller);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("interface eth2"), "{told:?}");
    controller.retry();
    assert_eq!(problems(&mut controller), [""; 0]);
    controller.take_neighbourhood(&with(vec![uplink(3)]));
    let expected = ["attach uplink 2", "attach uplink 3", "attach uplink 2", "detach uplink 2"];
    let calls: Vec<_> =
        recorder.calls.iter().filter(|call| call.contains("uplink")).cloned().collect();
    assert_eq!(calls, expected);
}
