//! The process is killed while clients write: what it acknowledged is there when it is back.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::client::Client;
use crate::standalone::Standalone;

const WRITERS: usize = 4;
const ROUNDS: usize = 5;
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// What a writer was told is so, by name: the last value, or that it is deleted.
type Told = BTreeMap<String, Option<u64>>;

/// Creates, changes and deletes objects of its own until somebody stops it or the server goes. The
/// last request may have been carried out or not: its object is left out.
fn write(machine: &Standalone, writer: usize, round: usize, stop: &AtomicBool) -> Told {
    let mut told = Told::new();
    let Ok(mut client) = Client::connect(machine) else { return told };
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let name = format!("w{writer}-r{round}-{number}");
        let path = format!("{CONFIG_MAPS}/{name}");
        let object =
            |value: u64| json!({"metadata": {"name": name}, "data": {"value": value.to_string()}});
        let mut write = |method: &str, path: &str, value: Option<u64>| {
            let body = value.map(|value| object(value).to_string()).unwrap_or_default();
            let answer = client.ask(method, path, &body);
            match answer {
                Ok(answer) => {
                    assert!(matches!(answer.code, 200 | 201), "{method} {path}: {answer:?}");
                    told.insert(name.clone(), value);
                    true
                }
                Err(_) => {
                    told.remove(&name);
                    false
                }
            }
        };
        let deleted = number % 3 == 0;
        let went_on = write("POST", CONFIG_MAPS, Some(1))
            && write("PUT", &path, Some(2))
            && (!deleted || write("DELETE", &path, None));
        if !went_on {
            break;
        }
    }
    told
}

#[test]
fn what_was_acknowledged_stays() {
    let Some(mut machine) = Standalone::start("what_was_acknowledged_stays") else { return };
    let mut told = Told::new();
    for round in 0..ROUNDS {
        let stop = AtomicBool::new(false);
        let before = told.len();
        let shared = &machine;
        let agent = machine.process();
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    scope.spawn({
                        let stop = &stop;
                        move || write(shared, writer, round, stop)
                    })
                })
                .collect();
            // At any moment: a different one each time.
            std::thread::sleep(Duration::from_millis(300 + 137 * round as u64));
            nix::sys::signal::kill(agent, nix::sys::signal::Signal::SIGKILL).expect("it runs");
            std::thread::sleep(Duration::from_millis(50));
            stop.store(true, Ordering::Relaxed);
            for writer in writers {
                told.extend(writer.join().expect("no panic"));
            }
        });
        assert!(told.len() > before, "something was written in round {round}");
        machine.kill();
        machine.restart();
        let list = machine.kubectl().json("get configmaps");
        let there: BTreeMap<_, _> = list["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|item| {
                (item["metadata"]["name"].as_str().expect("a name"), &item["data"]["value"])
            })
            .collect();
        for (name, value) in &told {
            let found = there.get(name.as_str()).and_then(|value| value.as_str());
            assert_eq!(found.map(str::to_owned), value.map(|value| value.to_string()), "{name}");
        }
    }
    assert!(told.len() > 50, "{} writes were told of", told.len());
}

/// Versions go on from where they were, so that clients that followed go on, too.
#[test]
fn versions_never_go_back() {
    let Some(mut machine) = Standalone::start("versions_never_go_back") else { return };
    let version = |machine: &Standalone| -> u64 {
        let raw = machine.kubectl().run("get --raw '/api/v1/configmaps?limit=1'");
        let list: serde_json::Value = serde_json::from_str(&raw).expect("JSON");
        list["metadata"]["resourceVersion"].as_str().expect("a version").parse().expect("a number")
    };
    machine.kubectl().run("create configmap one");
    let before = version(&machine);
    let ip = |machine: &Standalone| {
        machine
            .kubectl()
            .run("get service kubernetes -o jsonpath='{.spec.clusterIP} {.metadata.uid}'")
    };
    let kubernetes = ip(&machine);
    machine.kill();
    machine.restart();
    assert!(version(&machine) >= before);
    assert_eq!(ip(&machine), kubernetes);
    machine.kubectl().run("create configmap two");
    assert!(version(&machine) > before);
}

/// A damaged file is reported; nothing starts over empty in its place.
#[test]
fn a_damaged_store_is_reported() {
    let Some(mut machine) = Standalone::start("a_damaged_store_is_reported") else { return };
    machine.kubectl().run("create configmap precious");
    machine.kill();
    let damaged = machine.damage_store();
    let told = machine.does_not_restart();
    assert!(told.contains("error: ") && told.contains(&damaged), "{damaged}: {told}");
}
