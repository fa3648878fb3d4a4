//! Watches.

use std::time::Duration;

use super::*;
use crate::apiserver::registry::watch::{EventKind, Watch};

/// What a watch has to tell now, as `ADDED a`; an error as its code.
async fn told(watch: &mut Watch) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        let next = tokio::select! {
            biased;
            next = watch.next() => next,
            () = std::future::ready(()) => return told,
        };
        match next {
            None => {
                told.push("end".to_owned());
                return told;
            }
            Some(Ok(event)) if event.kind == EventKind::Bookmark => {
                let value = event.object.value();
                let end = &value["metadata"]["annotations"]["k8s.io/initial-events-end"];
                told.push(format!("BOOKMARK {}", end.as_str().unwrap_or_default()));
            }
            Some(Ok(event)) => {
                told.push(format!("{} {}", event.kind.as_str(), event.object.name()))
            }
            Some(Err(refusal)) => told.push(refusal.code.to_string()),
        }
    }
}

fn watch(fixture: &Fixture, options: &ListOptions) -> Watch {
    fixture.registry.watch(of("configmaps"), Some("default"), options).unwrap()
}

fn from(revision: u64) -> ListOptions {
    ListOptions { resource_version: revision.to_string(), ..ListOptions::default() }
}

#[tokio::test]
async fn changes_are_told_as_they_happen() {
    let fixture = Fixture::new();
    fixture.config_map("a", &json!({}));
    let mut all = watch(&fixture, &ListOptions::default());
    let mut late = watch(&fixture, &from(fixture.revision()));
    assert_eq!(told(&mut all).await, ["ADDED a"]);
    assert_eq!(told(&mut late).await, [""; 0]);
    fixture.config_map("b", &json!({}));
    let elsewhere = json!({"metadata": {"name": "c"}});
    let options = WriteOptions::default();
    fixture.registry.create(of("configmaps"), "kube-system", elsewhere, &options).unwrap();
    fixture.update("configmaps", json!({"metadata": {"name": "a"}, "data": {"x": "y"}})).unwrap();
    fixture.delete("configmaps", "a", &DeleteOptions::default()).unwrap();
    let expected = ["ADDED b", "MODIFIED a", "DELETED a"];
    assert_eq!(told(&mut all).await, expected);
    assert_eq!(told(&mut late).await, expected);
}

#[tokio::test]
async fn a_watch_wakes_up() {
    let fixture = Fixture::new();
    let mut watch = watch(&fixture, &ListOptions::default());
    let registry = fixture.registry.clone();
    let waiting = tokio::spawn(async move { watch.next().await });
    tokio::task::yield_now().await;
    let body = json!({"metadata": {"name": "a"}});
    registry.create(of("configmaps"), "default", body, &WriteOptions::default()).unwrap();
    let event = waiting.await.unwrap().unwrap().unwrap();
    assert_eq!((event.kind, event.object.name()), (EventKind::Added, "a"));
}

#[tokio::test]
async fn an_object_that_leaves_the_selector_is_deleted_to_the_watcher() {
    let fixture = Fixture::new();
    let options = ListOptions { label_selector: "app=web".into(), ..ListOptions::default() };
    let mut watch = watch(&fixture, &options);
    fixture.config_map("a", &json!({}));
    assert_eq!(told(&mut watch).await, [""; 0]);
    let labelled = |app: &str| {
        let body = json!({"metadata": {"name": "a", "labels": {"app": app}}});
        fixture.update("configmaps", body).unwrap();
    };
    labelled("web");
    assert_eq!(told(&mut watch).await, ["ADDED a"]);
    labelled("other");
    let event = watch.next().await.unwrap().unwrap();
    assert_eq!(event.kind, EventKind::Deleted);
    let value = event.object.value();
    assert_eq!(value["metadata"]["labels"]["app"], "web");
    assert_eq!(value["metadata"]["resourceVersion"], fixture.revision().to_string());
    fixture.delete("configmaps", "a", &DeleteOptions::default()).unwrap();
    assert_eq!(told(&mut watch).await, [""; 0]);
}

#[tokio::test]
async fn what_is_forgotten_is_gone() {
    let fixture = Fixture::with(Settings { history_changes: 3, ..Settings::default() });
    fixture.config_map("a", &json!({}));
    let early = fixture.revision();
    let mut slow = watch(&fixture, &from(early));
    for name in ["b", "c", "d", "e"] {
        fixture.config_map(name, &json!({}));
    }
    assert_eq!(told(&mut slow).await, ["410", "end"]);
    assert_eq!(told(&mut watch(&fixture, &from(early))).await, ["410", "end"]);
    assert_eq!(
        told(&mut watch(&fixture, &from(early + 1))).await,
        ["ADDED c", "ADDED d", "ADDED e"]
    );
    // Of another server, or of one that lost its directory.
    assert_eq!(told(&mut watch(&fixture, &from(9999))).await, ["410", "end"]);
}

#[tokio::test]
async fn a_watch_goes_on_after_a_restart_only_where_nothing_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Registry::open(directory.path(), &Settings::default()).unwrap();
    let registry = open();
    let body = json!({"metadata": {"name": "a"}});
    registry.create(of("configmaps"), "default", body, &WriteOptions::default()).unwrap();
    let revision = registry.read(|state| state.revision);
    drop(registry);
    let registry = open();
    assert_eq!(registry.read(|state| state.revision), revision);
    let watch = |revision| registry.watch(of("configmaps"), None, &from(revision)).unwrap();
    assert_eq!(told(&mut watch(revision)).await, [""; 0]);
    assert_eq!(told(&mut watch(revision - 1)).await, ["410", "end"]);
}

#[tokio::test]
async fn a_watch_list_begins_with_what_there_is() {
    let fixture = Fixture::new();
    let many: Vec<_> = (0..200).map(|index| format!("m{index:03}")).collect();
    for name in &many {
        fixture.config_map(name, &json!({}));
    }
    let options = ListOptions {
        send_initial_events: Some(true),
        resource_version_match: "NotOlderThan".into(),
        allow_watch_bookmarks: true,
        ..ListOptions::default()
    };
    let mut watch = watch(&fixture, &options);
    let first = watch.next().await.unwrap().unwrap();
    assert_eq!(first.object.name(), "m000");
    // They are of the moment at which the watch began, and then comes what happened since.
    fixture.delete("configmaps", "m199", &DeleteOptions::default()).unwrap();
    let told = told(&mut watch).await;
    let added: Vec<_> = many[1..].iter().map(|name| format!("ADDED {name}")).collect();
    assert_eq!(told[..199], added);
    assert_eq!(told[199..], ["BOOKMARK true", "DELETED m199"]);
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_every_minute_and_at_the_end() {
    let fixture = Fixture::new();
    let options = ListOptions {
        allow_watch_bookmarks: true,
        timeout: Some(Duration::from_secs(90)),
        ..from(fixture.revision())
    };
    let mut watch = watch(&fixture, &options);
    let begin = tokio::time::Instant::now();
    let mut told = Vec::new();
    while let Some(event) = watch.next().await {
        let event = event.unwrap();
        assert_eq!(event.object.revision(), fixture.revision());
        told.push((event.kind, begin.elapsed().as_secs()));
    }
    assert_eq!(told, [(EventKind::Bookmark, 60), (EventKind::Bookmark, 90)]);
}

#[test]
fn impossible_watches_are_refused() {
    let fixture = Fixture::new();
    let base = ListOptions::default;
    for (code, options, expected) in [
        (
            422,
            ListOptions { send_initial_events: Some(true), ..base() },
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (
            422,
            ListOptions { resource_version_match: "NotOlderThan".into(), ..base() },
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
        (400, ListOptions { resource_version: "x".into(), ..base() }, "resourceVersion"),
        (400, ListOptions { label_selector: "=".into(), ..base() }, "found '='"),
    ] {
        let watch = fixture.registry.watch(of("configmaps"), None, &options);
        let refusal = watch.err().unwrap();
        assert_eq!(refusal.code, code);
        assert!(refusal.message.contains(expected), "{}", refusal.message);
    }
}
