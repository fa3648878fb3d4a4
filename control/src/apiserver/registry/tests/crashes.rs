//! What was acknowledged is there after `kill -9`.
//!
//! ```text
//!  parent                             child: this test program, one test of it
//!    │ starts ─────────────────────────▶ four threads write, and print what was acknowledged
//!    │ ◀───────────────── lines ───────  …
//!    │ kills it at some line
//!    └ reads what was printed, opens the directory, compares; and again
//! ```

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use uuid::Uuid;

use super::*;

/// Says to [`child`] that it is one, and where it writes.
const DIRECTORY: &str = "MAGLANE_TEST_CRASH_DIRECTORY";
const THREADS: usize = 4;
const ROUNDS: usize = 6;

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let mut created: Vec<String> = Vec::new();
    let mut revision = 0;
    for round in 0..ROUNDS {
        let lines = run_and_kill(directory.path(), round);
        let registry = Registry::open(directory.path(), &Settings::default()).unwrap();
        let latest = registry.read(|state| state.revision);
        assert!(latest > revision, "revision {latest} after {revision}");
        let mut counted: BTreeMap<String, u64> = BTreeMap::new();
        for line in lines {
            let (name, acknowledged) = line.split_once(' ').unwrap();
            let (count, at) = acknowledged.split_once(' ').unwrap();
            revision = revision.max(at.parse().unwrap());
            match count {
                "new" => created.push(name.to_owned()),
                count => drop(counted.insert(name.to_owned(), count.parse().unwrap())),
            }
        }
        assert!(latest >= revision, "acknowledged {revision}, found {latest}");
        revision = latest;
        for name in &created {
            registry.get(of("configmaps"), "default", name).unwrap();
        }
        assert_eq!(counted.len(), THREADS);
        for (name, count) in counted {
            let object = registry.get(of("configmaps"), "default", &name).unwrap().value();
            let found: u64 = object["data"]["count"].as_str().unwrap().parse().unwrap();
            assert!((count..=count + 1).contains(&found), "{name}: {count}, found {found}");
        }
    }
    assert!(!created.is_empty());
}

/// What a child printed until it was killed, at a random moment.
fn run_and_kill(directory: &Path, round: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "apiserver::registry::tests::crashes::child", "--nocapture"])
        .args(["--test-threads", "1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let kill_at = 40 + usize::from(Uuid::new_v4().as_bytes()[0]) + round;
    let mut lines = Vec::new();
    let mut acknowledged = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while acknowledged.read_line(&mut line).unwrap() > 0 {
        // The last line may have been cut.
        if let Some(text) = line.strip_suffix('\n').and_then(|line| line.strip_prefix("> ")) {
            lines.push(text.to_owned());
            if lines.len() == kill_at {
                child.kill().unwrap();
            }
        }
        line.clear();
    }
    assert!(!child.wait().unwrap().success());
    lines
}

/// Not a test of its own: what [`run_and_kill`] runs.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let registry = Registry::open(Path::new(&directory), &Settings::default()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let registry = &registry;
            scope.spawn(move || write_for_ever(registry, &format!("counter-{thread}")));
        }
    });
}

fn write_for_ever(registry: &Registry, counter: &str) {
    let options = WriteOptions::default();
    let say = |name: &str, what: &str, revision: u64| {
        // One write, so that lines are whole.
        let line = format!("> {name} {what} {revision}\n");
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    };
    let of = of("configmaps");
    let there = registry.get(of, "default", counter).ok();
    let there = there.and_then(|object| object.value()["data"]["count"].as_str()?.parse().ok());
    if there.is_none() {
        let body = json!({"metadata": {"name": counter}, "data": {"count": "0"}});
        registry.create(of, "default", body, &options).unwrap();
    }
    for count in there.unwrap_or(0u64) + 1.. {
        let body = json!({"metadata": {"name": counter}, "data": {"count": count.to_string()}});
        let written = registry.update(of, "default", counter, None, body, &options).unwrap();
        say(counter, &count.to_string(), written.object.revision());
        let body = json!({"metadata": {"generateName": "made-"}});
        let written = registry.create(of, "default", body, &options).unwrap();
        say(written.object.name(), "new", written.object.revision());
    }
}
