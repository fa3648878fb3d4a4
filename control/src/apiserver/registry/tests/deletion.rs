//! How objects end.

use super::*;
use crate::apiserver::registry::options::{Patch, Propagation};
use crate::apiserver::resource::Subresource;

fn now() -> DeleteOptions {
    DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() }
}

fn pod(name: &str, node: Option<&str>) -> Value {
    let spec = json!({
        "containers": [{"name": "a", "image": "a"}],
        "nodeName": node, "terminationGracePeriodSeconds": 30,
    });
    json!({"metadata": {"name": name}, "spec": spec})
}

#[test]
fn most_objects_are_gone_at_once() {
    let fixture = Fixture::new();
    fixture.config_map("a", &json!({}));
    let before = fixture.revision();
    let deleted = fixture.delete("configmaps", "a", &DeleteOptions::default()).unwrap();
    assert!(deleted.gone);
    assert_eq!(deleted.object.revision(), before + 1);
    assert_eq!(refused(fixture.get("configmaps", "a"), 404), "configmaps \"a\" not found");
    refused(fixture.delete("configmaps", "a", &DeleteOptions::default()), 404);
}

#[test]
fn preconditions_protect_the_next_of_the_name() {
    let fixture = Fixture::new();
    let object = fixture.config_map("a", &json!({}));
    let base = DeleteOptions::default;
    let wrong = DeleteOptions { uid: Some("b".into()), ..base() };
    let message = refused(fixture.delete("configmaps", "a", &wrong), 409);
    assert!(
        message.contains("the UID in the precondition (b) does not match the UID"),
        "{message}"
    );
    let wrong = DeleteOptions { resource_version: Some("1".into()), ..base() };
    refused(fixture.delete("configmaps", "a", &wrong), 409);
    let text = |field: &str| Some(object["metadata"][field].as_str().unwrap().to_owned());
    let right =
        DeleteOptions { uid: text("uid"), resource_version: text("resourceVersion"), ..base() };
    assert!(fixture.delete("configmaps", "a", &right).unwrap().gone);
}

#[test]
fn a_pod_that_runs_gets_time() {
    let fixture = Fixture::new();
    fixture.create("pods", pod("waiting", None)).unwrap();
    assert!(fixture.delete("pods", "waiting", &DeleteOptions::default()).unwrap().gone);

    fixture.create("pods", pod("a", Some("node"))).unwrap();
    let deleted = fixture.delete("pods", "a", &DeleteOptions::default()).unwrap();
    assert!(!deleted.gone);
    let metadata = &deleted.object.value()["metadata"];
    assert_eq!(metadata["deletionGracePeriodSeconds"], 30);
    assert!(metadata["deletionTimestamp"].is_string());
    // A longer period is not granted, a shorter one is.
    let revision = fixture.revision();
    let longer = DeleteOptions { grace_period_seconds: Some(60), ..DeleteOptions::default() };
    assert!(!fixture.delete("pods", "a", &longer).unwrap().gone);
    assert_eq!(fixture.revision(), revision);
    let shorter = DeleteOptions { grace_period_seconds: Some(5), ..DeleteOptions::default() };
    let deleted = fixture.delete("pods", "a", &shorter).unwrap();
    assert_eq!(deleted.object.value()["metadata"]["deletionGracePeriodSeconds"], 5);
    let message = refused(fixture.create("pods", pod("a", None)), 409);
    assert_eq!(message, "object is being deleted: pods \"a\" already exists");
    assert!(fixture.delete("pods", "a", &now()).unwrap().gone);
    refused(fixture.get("pods", "a"), 404);
}

#[test]
fn finalizers_are_waited_for() {
    let fixture = Fixture::new();
    let body = json!({"metadata": {"name": "a", "finalizers": ["a.b/c"]}});
    fixture.create("configmaps", body).unwrap();
    let deleted = fixture.delete("configmaps", "a", &now()).unwrap();
    assert!(!deleted.gone);
    assert_eq!(deleted.object.value()["metadata"]["deletionGracePeriodSeconds"], 0);
    let revision = fixture.revision();
    assert!(!fixture.delete("configmaps", "a", &now()).unwrap().gone);
    assert_eq!(fixture.revision(), revision);
    let mut more = deleted.object.value();
    more["metadata"]["finalizers"] = json!(["a.b/c", "a.b/d"]);
    let message = refused(fixture.update("configmaps", more), 422);
    assert!(message.contains("found new finalizers []string{\"a.b/d\"}"), "{message}");
    let mut done = deleted.object.value();
    done["metadata"]["finalizers"] = json!([]);
    fixture.update("configmaps", done).unwrap();
    refused(fixture.get("configmaps", "a"), 404);
}

#[test]
fn the_garbage_collector_is_told() {
    let fixture = Fixture::new();
    for (name, propagation, expected) in
        [("f", Propagation::Foreground, "foregroundDeletion"), ("o", Propagation::Orphan, "orphan")]
    {
        fixture.config_map(name, &json!({}));
        let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
        let deleted = fixture.delete("configmaps", name, &options).unwrap();
        assert!(!deleted.gone);
        assert_eq!(deleted.object.value()["metadata"]["finalizers"], json!([expected]));
        let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        let options = WriteOptions::default();
        fixture.registry.patch(of("configmaps"), "default", name, None, &patch, &options).unwrap();
        refused(fixture.get("configmaps", name), 404);
    }
}

#[test]
fn many_go_together() {
    let fixture = Fixture::new();
    for (name, app) in [("a", "x"), ("b", "x"), ("c", "y")] {
        fixture.config_map(name, &json!({"app": app}));
    }
    let selected = ListOptions { label_selector: "app=x".into(), ..ListOptions::default() };
    let gone = fixture
        .registry
        .delete_collection(of("configmaps"), Some("default"), &DeleteOptions::default(), &selected)
        .unwrap();
    assert_eq!(names(&gone), ["a", "b"]);
    assert_eq!(names(&fixture.list("configmaps", &ListOptions::default()).unwrap()), ["c"]);
}

#[test]
fn a_namespace_ends_when_it_is_empty() {
    let fixture = Fixture::new();
    let (namespaces, options) = (of("namespaces"), WriteOptions::default());
    let registry = &fixture.registry;
    let body = json!({"metadata": {"name": "a"}, "spec": {"finalizers": ["kubernetes"]}});
    registry.create(namespaces, "", body, &options).unwrap();
    let deleted = registry.delete(namespaces, "", "a", &DeleteOptions::default()).unwrap();
    assert!(!deleted.gone);
    let mut namespace = deleted.object.value();
    assert_eq!(namespace["status"]["phase"], "Terminating");
    let again = registry.delete(namespaces, "", "a", &DeleteOptions::default()).unwrap();
    assert!(!again.gone);
    let body = json!({"metadata": {"name": "late"}});
    let message = refused(registry.create(of("configmaps"), "a", body, &options), 403);
    assert_eq!(
        message,
        "configmaps \"late\" is forbidden: unable to create new content in namespace a because it \
         is being terminated"
    );
    namespace["spec"]["finalizers"] = json!([]);
    let finalize = Some(Subresource::Finalize);
    registry.update(namespaces, "", "a", finalize, namespace, &options).unwrap();
    refused(registry.get(namespaces, "", "a"), 404);
    let message =
        refused(registry.delete(namespaces, "", "default", &DeleteOptions::default()), 403);
    assert_eq!(message, "namespaces \"default\" is forbidden: this namespace may not be deleted");
}
