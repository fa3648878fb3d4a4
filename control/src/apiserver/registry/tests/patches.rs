//! Patches of every kind.

use super::*;
use crate::apiserver::registry::options::{FieldValidation, Patch};
use crate::apiserver::resource::Subresource;

fn patch(fixture: &Fixture, plural: &str, patch: &Patch) -> Result<Value, Refusal> {
    let options =
        WriteOptions { field_validation: FieldValidation::Strict, ..WriteOptions::default() };
    let written = fixture.registry.patch(of(plural), "default", "a", None, patch, &options)?;
    Ok(written.object.value())
}

#[test]
fn objects_are_changed_by_patches() {
    let fixture = Fixture::new();
    fixture.config_map("a", &json!({"app": "web"}));
    for (change, expected) in [
        (Patch::Merge(json!({"data": {"b": "c", "d": "e"}})), json!({"b": "c", "d": "e"})),
        (Patch::Merge(json!({"data": {"b": null}})), json!({"d": "e"})),
        (
            Patch::Json(json!([
                {"op": "test", "path": "/data/d", "value": "e"},
                {"op": "copy", "from": "/data/d", "path": "/data/f"},
                {"op": "remove", "path": "/data/d"},
            ])),
            json!({"f": "e"}),
        ),
        (Patch::Strategic(json!({"data": {"$patch": "replace", "g": "h"}})), json!({"g": "h"})),
    ] {
        let object = patch(&fixture, "configmaps", &change).unwrap();
        assert_eq!(object["data"], expected, "{change:?}");
        assert_eq!(fixture.get("configmaps", "a").unwrap(), object);
    }
}

#[test]
fn a_patch_that_changes_nothing_writes_nothing() {
    let fixture = Fixture::new();
    fixture.config_map("a", &json!({"app": "web"}));
    let revision = fixture.revision();
    patch(&fixture, "configmaps", &Patch::Merge(json!({"metadata": {"labels": {"app": "web"}}})))
        .unwrap();
    patch(&fixture, "configmaps", &Patch::Json(json!([]))).unwrap();
    assert_eq!(fixture.revision(), revision);
}

#[test]
fn lists_are_merged_by_their_kinds_keys() {
    let fixture = Fixture::new();
    let body = json!({"metadata": {"name": "a"}, "spec": {
        "clusterIP": "None", "ports": [{"name": "a", "port": 80}],
    }});
    fixture.create("services", body).unwrap();
    let change =
        json!({"spec": {"ports": [{"name": "b", "port": 81}, {"port": 80, "appProtocol": "x"}]}});
    let object = patch(&fixture, "services", &Patch::Strategic(change)).unwrap();
    let ports = object["spec"]["ports"].as_array().unwrap();
    assert_eq!(ports.len(), 2);
    assert_eq!((&ports[0]["name"], &ports[0]["appProtocol"]), (&json!("a"), &json!("x")));
}

#[test]
fn bad_patches_are_refused() {
    let fixture = Fixture::new();
    fixture.config_map("a", &json!({}));
    let add = json!({"op": "add", "path": "/data", "value": {"a": "b"}});
    // Each of the first doubles the object, each of the others nests it.
    let double =
        |index: usize| json!({"op": "copy", "from": "/data", "path": format!("/data/{index}")});
    let nest = |_| json!({"op": "copy", "from": "/data", "path": "/data/x"});
    let many = |each: &dyn Fn(usize) -> Value| {
        Patch::Json(std::iter::once(add.clone()).chain((0..400).map(each)).collect())
    };
    for (code, change, expected) in [
        (400, Patch::Merge(json!([])), "error decoding patch"),
        (400, Patch::Json(json!({})), "error decoding patch"),
        (400, Patch::Strategic(json!({"data": {"$patch": "x"}})), "unknown patch type found: x"),
        (
            422,
            Patch::Json(json!([{"op": "test", "path": "/data", "value": 1}])),
            "the server rejected our request due to an error in our request",
        ),
        (422, Patch::Merge(json!({"spec": 1})), " \"\" is invalid: patch: Invalid value:"),
        (422, Patch::Merge(json!({"kind": "Pod"})), " \"\" is invalid: patch: Invalid value:"),
        (
            422,
            Patch::Merge(json!({"metadata": {"name": "b"}})),
            "ConfigMap \"a\" is invalid: metadata.name: Invalid value: \"b\": field is immutable",
        ),
        (
            400,
            Patch::Merge(json!({"metadata": {"namespace": "b"}})),
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            409,
            Patch::Merge(json!({"metadata": {"resourceVersion": "1"}})),
            "Operation cannot be fulfilled on configmaps \"a\": the object has been modified",
        ),
        (
            422,
            many(&double),
            "the server rejected our request due to an error in our request: Unable to complete \
             the copy",
        ),
        (
            422,
            many(&nest),
            "the server rejected our request due to an error in our request: the object would be \
             nested deeper than 256",
        ),
    ] {
        let message = refused(patch(&fixture, "configmaps", &change), code);
        assert!(message.starts_with(expected), "{message}");
    }
    let missing = Patch::Merge(json!({}));
    assert_eq!(refused(patch(&fixture, "pods", &missing), 404), "pods \"a\" not found");
}

#[test]
fn subresources_are_patched_too() {
    let fixture = Fixture::new();
    let body = json!({"metadata": {"name": "a"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"app": "a"}},
        "template": {
            "metadata": {"labels": {"app": "a"}},
            "spec": {"containers": [{"name": "a", "image": "a"}]},
        },
    }});
    fixture.create("replicasets", body).unwrap();
    let patch = |subresource, change: Value| {
        let (change, options) = (Patch::Merge(change), WriteOptions::default());
        let of = of("replicasets");
        fixture.registry.patch(of, "default", "a", Some(subresource), &change, &options).unwrap()
    };
    let scale = patch(Subresource::Scale, json!({"spec": {"replicas": 3}})).object.value();
    assert_eq!((&scale["kind"], &scale["spec"]["replicas"]), (&json!("Scale"), &json!(3)));
    patch(Subresource::Status, json!({"spec": {"replicas": 9}, "status": {"replicas": 2}}));
    let object = fixture.get("replicasets", "a").unwrap();
    assert_eq!(
        (&object["spec"]["replicas"], &object["status"]["replicas"]),
        (&json!(3), &json!(2))
    );
}
