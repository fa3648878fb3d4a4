//! Many objects: what is looked at grows with what there is, not with its square.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cluster::{observed, resource};
use crate::controllers::kind::Kind;
use crate::controllers::manager::{Clock, Manager};
use crate::controllers::task::Task;
use crate::controllers::world::{LabelIndex, SelectorIndex};
use crate::controllers::{Settings, execute::Outcome};
use kube::runtime::watcher::Event;

/// Labels of the object of a number: two that everybody shares, one of few, and its own.
fn labels(number: usize) -> BTreeMap<String, String> {
    let pairs = [
        ("a-team", "blue".to_owned()),
        ("app", format!("app-{number}")),
        ("tier", format!("tier-{}", number % 3)),
        ("zone", "here".to_owned()),
    ];
    pairs.map(|(label, value)| (label.to_owned(), value)).into()
}

#[test]
fn a_pod_is_not_compared_with_every_selector() {
    let mut selectors = SelectorIndex::default();
    for number in 0..1000 {
        selectors.insert("default", &format!("web-{number}"), &labels(number));
    }
    let looked_at: usize =
        (0..1000).map(|number| selectors.candidates("default", &labels(number)).count()).sum();
    // Its own, and the few that stand under what all share.
    assert!(looked_at <= 8 * 1000, "{looked_at}");
    for number in 0..1000 {
        let name = format!("web-{number}");
        assert!(selectors.candidates("default", &labels(number)).any(|of| *of == name));
        assert!(!selectors.candidates("other", &labels(number)).any(|of| *of == name));
    }
    selectors.remove("default", "web-7");
    assert!(!selectors.candidates("default", &labels(7)).any(|of| of == "web-7"));
}

#[test]
fn a_selector_is_not_compared_with_every_pod() {
    let mut pods = LabelIndex::default();
    for number in 0..1000 {
        pods.insert("default", &format!("pod-{number}"), &labels(number));
    }
    for number in 0..1000 {
        let found: Vec<_> = pods.candidates("default", &labels(number)).collect();
        assert_eq!(found, [&format!("pod-{number}")]);
    }
    pods.remove("default", "pod-7", &labels(7));
    assert_eq!(pods.candidates("default", &labels(7)).count(), 0);
    assert_eq!(pods.candidates("other", &labels(8)).count(), 0);
}

/// Each Service has ten Pods; all are told of before anything is planned, as at a start.
#[test]
fn every_service_is_planned_once_at_the_start() {
    const SERVICES: usize = 200;
    let mut manager = Manager::default();
    let mut listed = BTreeMap::from(Kind::ALL.map(|kind| (kind, Vec::new())));
    for number in 0..SERVICES {
        let service = json!({
            "metadata": named(&format!("web-{number}"), &json!({})),
            "spec": {"selector": labels(number), "ipFamilies": ["IPv4"], "clusterIP": "10.96.0.9",
                "ports": [{"port": 80, "protocol": "TCP"}]},
        });
        listed.entry(Kind::Service).or_default().push(service);
        for copy in 0..10 {
            let ip = format!("10.{}.{}.{copy}", number / 256, number % 256);
            let pod = json!({
                "metadata": named(&format!("web-{number}-{copy}"), &json!(labels(number))),
                "spec": {"nodeName": "node", "containers": []},
                "status": {"phase": "Running", "podIPs": [{"ip": ip}],
                    "conditions": [{"type": "Ready", "status": "True"}]},
            });
            listed.entry(Kind::Pod).or_default().push(pod);
        }
    }
    listed.entry(Kind::Node).or_default().push(json!({"metadata": {"name": "node"}}));
    for (kind, objects) in listed {
        assert!(!resource(kind).plural.is_empty());
        manager.observe(observed(kind, Event::Init));
        for object in objects {
            manager.observe(observed(kind, Event::InitApply(object)));
        }
        manager.observe(observed(kind, Event::InitDone));
    }
    let clock = Clock { time: jiff::Timestamp::now(), instant: tokio::time::Instant::now() };
    let mut planned = BTreeMap::new();
    while let Some(work) = manager.next(&Settings::default(), clock) {
        *planned.entry(work.task.clone()).or_insert(0) += 1;
        if let Task::Slices(_) = &work.task {
            assert_eq!(work.plan.changes.len(), 1, "one slice of ten endpoints");
        }
        manager.finish(work, Outcome::default(), clock);
    }
    let slices = planned.iter().filter(|(task, _)| matches!(task, Task::Slices(_)));
    assert!(slices.clone().all(|(_, count)| *count == 1));
    assert_eq!(slices.count(), SERVICES);
}

fn named(name: &str, labels: &Value) -> Value {
    json!({"namespace": "default", "name": name, "uid": name, "resourceVersion": "1",
        "labels": labels})
}
