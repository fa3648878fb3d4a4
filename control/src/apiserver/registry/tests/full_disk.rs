//! A disk that is full for a while: writes are refused and undone, and later done again.
//!
//! The child is this test program, with a limit on how long its files may be, which it lifts itself
//! (`prlimit`), as if somebody had made room.

use std::path::Path;
use std::process::Command;

use super::*;

/// Says to [`child`] that it is one, and where it writes.
const DIRECTORY: &str = "MAGLANE_TEST_FULL_DISK_DIRECTORY";
/// Objects until the disk must be full: more than fit under the limit.
const MANY: usize = 200;

#[test]
fn a_full_disk_loses_nothing_but_what_it_refuses() {
    let directory = tempfile::tempdir().unwrap();
    // In blocks of 512 bytes: 4 MiB, of which an empty file takes some. The signal would end it.
    let script = "trap '' XFSZ; ulimit -S -f 8192; exec \"$0\" \"$@\"";
    let child = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "apiserver::registry::tests::full_disk::child"])
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
    assert!(said.contains("1 passed"), "{said}");
    let registry = Registry::open(directory.path(), &Settings::default()).unwrap();
    registry.get(of("configmaps"), "default", "after").unwrap();
}

/// Not a test of its own.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let registry = Registry::open(Path::new(&directory), &Settings::default()).unwrap();
    let create = |plural: &str, body: Value| {
        registry.create(of(plural), "default", body, &WriteOptions::default())
    };
    let large =
        |name: &str| json!({"metadata": {"name": name}, "data": {"x": "y".repeat(100_000)}});
    let mut written = Vec::new();
    let refusal = (0..MANY).find_map(|index| {
        let name = format!("a{index}");
        let refusal = create("configmaps", large(&name)).err();
        written.push(name);
        refusal
    });
    let refusal = refusal.unwrap();
    assert_eq!((refusal.code, refusal.reason), (500, "InternalError"));
    assert!(refusal.message.contains("objects.redb"), "{}", refusal.message);
    let lost = written.pop().unwrap();
    assert!(!written.is_empty());

    // What is there can be read, and what was refused is not there.
    let there = registry.list(of("configmaps"), Some("default"), &ListOptions::default()).unwrap();
    assert_eq!(there.items.len(), written.len());
    let services = |name: &str| {
        let spec = json!({"ports": [{"port": 80}], "clusterIP": "10.96.0.7"});
        let annotations = json!({"x": "y".repeat(200_000)});
        json!({"metadata": {"name": name, "annotations": annotations}, "spec": spec})
    };
    refused(create("services", services("a")), 500);
    refused(registry.get(of("services"), "default", "a"), 404);

    let id = std::process::id().to_string();
    let lifted = Command::new("prlimit").args(["--pid", &id, "--fsize=unlimited"]).status();
    assert!(lifted.unwrap().success());
    create("services", services("b")).unwrap();
    create("configmaps", json!({"metadata": {"name": "after"}})).unwrap();
    let of = of("configmaps");
    refused(registry.get(of, "default", &lost), 404);
    let revision = registry.read(|state| state.revision);
    drop(registry);
    let registry = Registry::open(Path::new(&directory), &Settings::default()).unwrap();
    assert_eq!(registry.read(|state| state.revision), revision);
    refused(registry.get(of, "default", &lost), 404);
    for name in written {
        registry.get(of, "default", &name).unwrap();
    }
}
