//! Creating and updating.

use serde_json::json;

use super::*;
use crate::apiserver::registry::options::FieldValidation;
use crate::apiserver::resource::Subresource;

#[test]
fn a_new_object_gets_what_the_server_says_of_it() {
    let fixture = Fixture::new();
    let body = json!({"metadata": {
        "name": "a", "uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z",
        "deletionTimestamp": "2001-01-01T00:00:00Z", "managedFields": [{"manager": "me"}],
    }});
    let written = fixture.create("configmaps", body).unwrap();
    assert!(written.created);
    let object = written.object.value();
    assert_eq!(object["kind"], "ConfigMap");
    assert_eq!(object["apiVersion"], "v1");
    let metadata = &object["metadata"];
    assert_eq!(metadata["namespace"], "default");
    assert_eq!(metadata["uid"].as_str().unwrap().len(), 36);
    assert_ne!(metadata["creationTimestamp"], "2001-01-01T00:00:00Z");
    assert_eq!(metadata["deletionTimestamp"], json!(null));
    assert_eq!(metadata["managedFields"], json!(null));
    assert_eq!(metadata["resourceVersion"], fixture.revision().to_string());
    assert_eq!(fixture.get("configmaps", "a").unwrap(), object);
}

#[test]
fn names_are_made_up_from_a_prefix() {
    let fixture = Fixture::new();
    let body = json!({"metadata": {"generateName": "web-"}});
    let first = fixture.create("configmaps", body.clone()).unwrap().object;
    let second = fixture.create("configmaps", body).unwrap().object;
    assert_ne!(first.name(), second.name());
    let suffix = first.name().strip_prefix("web-").unwrap();
    assert_eq!(suffix.len(), 5);
    assert!(suffix.chars().all(|each| "bcdfghjklmnpqrstvwxz2456789".contains(each)), "{suffix}");
    let long = "x".repeat(100);
    let body = json!({"metadata": {"generateName": long}});
    assert_eq!(fixture.create("configmaps", body).unwrap().object.name().len(), 63);
}

#[test]
fn a_bad_new_object_is_refused() {
    let fixture = Fixture::new();
    fixture.config_map("taken", &json!({}));
    for (code, body, expected) in [
        (409, json!({"metadata": {"name": "taken"}}), "configmaps \"taken\" already exists"),
        (
            422,
            json!({"metadata": {}}),
            "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is \
             required",
        ),
        (
            400,
            json!({"metadata": {"name": "a", "namespace": "other"}}),
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            500,
            json!({"metadata": {"name": "a", "resourceVersion": "7"}}),
            "resourceVersion should not be set on objects to be created",
        ),
        (
            400,
            json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}}),
            "Pod in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Pod) to \
             (core.ConfigMap): unknown conversion",
        ),
        (
            400,
            json!({"kind": "ConfigMap", "apiVersion": "v2", "metadata": {"name": "a"}}),
            "ConfigMap in version \"v2\" cannot be handled as a ConfigMap: no kind \"ConfigMap\" is \
             registered for version \"v2\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
        ),
        (
            400,
            json!([]),
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get \
             version/kind; json parse error: json: cannot unmarshal array into Go value of type \
             struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \
             \"json:\\\"kind,omitempty\\\"\" } (5b5d)",
        ),
        (
            422,
            json!({"metadata": {"name": "a", "labels": {"a": "-"}, "finalizers": ["a b"]}}),
            "ConfigMap \"a\" is invalid: [metadata.labels: Invalid value: \"-\": a valid label",
        ),
        (
            422,
            json!({"metadata": {"name": "a", "ownerReferences": [{
                "apiVersion": "v1", "kind": "", "name": "b", "uid": "c",
            }]}}),
            "ConfigMap \"a\" is invalid: metadata.ownerReferences[0].kind: Required value: must \
             not be empty",
        ),
    ] {
        let message = refused(fixture.create("configmaps", body), code);
        assert!(message.starts_with(expected), "{message}");
    }
    let large = json!({"metadata": {"name": "a"}, "secrets": [{"name": "x".repeat(1_600_000)}]});
    let message = refused(fixture.create("serviceaccounts", large), 413);
    assert_eq!(message, "Request entity too large: limit is 1572864");
    let elsewhere = json!({"metadata": {"name": "a"}});
    let options = WriteOptions::default();
    let nowhere = fixture.registry.create(of("configmaps"), "nowhere", elsewhere, &options);
    assert_eq!(refused(nowhere, 404), "namespaces \"nowhere\" not found");
}

#[test]
fn unknown_fields_are_dropped_told_or_refused() {
    let fixture = Fixture::new();
    for (validation, warnings) in [
        (FieldValidation::Ignore, &[][..]),
        (FieldValidation::Warn, &["unknown field \"metadata.nam\"", "unknown field \"spec\""]),
    ] {
        let body = json!({"metadata": {"generateName": "a", "nam": "b"}, "spec": 1});
        let options = WriteOptions { field_validation: validation, ..WriteOptions::default() };
        let written = fixture.registry.create(of("configmaps"), "default", body, &options).unwrap();
        assert_eq!(written.warnings, warnings);
        assert_eq!(written.object.value()["spec"], json!(null));
    }
    let body = json!({"metadata": {"name": "a", "nam": "b"}, "spec": 1});
    let options =
        WriteOptions { field_validation: FieldValidation::Strict, ..WriteOptions::default() };
    let message =
        refused(fixture.registry.create(of("configmaps"), "default", body, &options), 400);
    assert_eq!(
        message,
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: \
         unknown field \"metadata.nam\", unknown field \"spec\""
    );
}

#[test]
fn an_update_must_be_of_the_latest() {
    let fixture = Fixture::new();
    let first = fixture.config_map("a", &json!({}));
    let mut second = first.clone();
    second["data"] = json!({"b": "c"});
    let written = fixture.update("configmaps", second.clone()).unwrap();
    assert!(!written.created);
    assert_eq!(written.object.revision(), fixture.revision());
    let message = refused(fixture.update("configmaps", second.clone()), 409);
    assert_eq!(
        message,
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please \
         apply your changes to the latest version and try again"
    );
    // Without a version it is meant for whatever is there.
    second["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    second["data"] = json!({"b": "d"});
    fixture.update("configmaps", second.clone()).unwrap();
    // What changes nothing is not written.
    let revision = fixture.revision();
    let written = fixture.update("configmaps", second.clone()).unwrap();
    assert_eq!(fixture.revision(), revision);
    assert_eq!(written.object.revision(), revision);
    second["metadata"]["uid"] = "another".into();
    let message = refused(fixture.update("configmaps", second), 409);
    assert!(message.contains("Precondition failed: UID in precondition: another"), "{message}");
}

#[test]
fn an_update_cannot_change_what_an_object_is() {
    let fixture = Fixture::new();
    let object = fixture.config_map("a", &json!({}));
    let mut changed = object.clone();
    for field in ["creationTimestamp", "generation", "deletionTimestamp"] {
        changed["metadata"][field] = json!(null);
    }
    changed["data"] = json!({"a": "b"});
    let now = fixture.update("configmaps", changed).unwrap().object.value();
    for field in ["creationTimestamp", "generation", "deletionTimestamp", "uid"] {
        assert_eq!(now["metadata"][field], object["metadata"][field], "{field}");
    }
    let options = WriteOptions::default();
    let update = |name: &str, body| {
        fixture.registry.update(of("configmaps"), "default", name, None, body, &options)
    };
    assert_eq!(
        refused(update("b", object.clone()), 400),
        "the name of the object (a) does not match the name on the URL (b)"
    );
    let missing = json!({"metadata": {"name": "b"}});
    assert_eq!(refused(update("b", missing), 404), "configmaps \"b\" not found");
}

#[test]
fn a_put_makes_services_that_are_not_there() {
    let fixture = Fixture::new();
    let body = json!({"metadata": {"name": "a"}, "subsets": []});
    assert!(fixture.update("endpoints", body).unwrap().created);
    let body = json!({"metadata": {"name": "b", "uid": "of-another"}});
    assert!(refused(fixture.update("endpoints", body), 409).contains("Precondition failed"));
}

#[test]
fn each_side_of_an_object_is_written_by_itself() {
    let fixture = Fixture::new();
    let body = json!({"metadata": {"name": "a"}, "spec": {"unschedulable": false}});
    let node = fixture.create("nodes", body).unwrap().object.value();
    let mut changed = node.clone();
    changed["metadata"]["labels"] = json!({"a": "b"});
    changed["spec"] = json!({"unschedulable": true});
    changed["status"] = json!({"nodeInfo": null, "phase": "Running"});
    let options = WriteOptions::default();
    let status = fixture
        .registry
        .update(of("nodes"), "", "a", Some(Subresource::Status), changed, &options)
        .unwrap();
    let object = status.object.value();
    assert_eq!(object["status"]["phase"], "Running");
    assert_eq!(object["spec"], node["spec"]);
    assert_eq!(object["metadata"]["labels"], json!(null));
}

#[test]
fn replicas_are_set_by_the_scale() {
    let fixture = Fixture::new();
    let body = json!({"metadata": {"name": "a"}, "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "a"}, "matchExpressions": [
            {"key": "x", "operator": "In", "values": ["2", "1"]}, {"key": "y", "operator": "Exists"},
        ]},
        "template": {
            "metadata": {"labels": {"app": "a", "x": "1", "y": ""}},
            "spec": {"containers": [{"name": "a", "image": "a"}]},
        },
    }});
    fixture.create("deployments", body).unwrap();
    let of = of("deployments");
    let scale = fixture.registry.get_scale(of, "default", "a").unwrap().value();
    assert_eq!(scale["kind"], "Scale");
    assert_eq!(scale["spec"]["replicas"], 2);
    assert_eq!(scale["status"]["selector"], "app=a,x in (1,2),y");
    let put = |scale| {
        let options = WriteOptions::default();
        fixture.registry.update(of, "default", "a", Some(Subresource::Scale), scale, &options)
    };
    let mut more = scale.clone();
    more["spec"]["replicas"] = json!(5);
    let written = put(more.clone()).unwrap().object.value();
    assert_eq!((&written["kind"], &written["spec"]["replicas"]), (&json!("Scale"), &json!(5)));
    assert_eq!(fixture.get("deployments", "a").unwrap()["spec"]["replicas"], 5);
    assert!(refused(put(more), 409).contains("the object has been modified"));
    let less = json!({"metadata": {"name": "a"}, "spec": {"replicas": -1}});
    assert_eq!(
        refused(put(less), 422),
        "Scale.autoscaling \"a\" is invalid: spec.replicas: Invalid value: -1: must be greater \
         than or equal to 0"
    );
}

#[test]
fn a_dry_run_does_everything_but_write() {
    let fixture = Fixture::new();
    let revision = fixture.revision();
    let options = WriteOptions { dry_run: true, ..WriteOptions::default() };
    let body = json!({"metadata": {"name": "a"}});
    let written =
        fixture.registry.create(of("configmaps"), "default", body.clone(), &options).unwrap();
    assert!(!written.object.value()["metadata"]["uid"].is_null());
    assert_eq!(fixture.revision(), revision);
    refused(fixture.get("configmaps", "a"), 404);
    fixture.config_map("a", &json!({}));
    let again = fixture.registry.create(of("configmaps"), "default", body, &options);
    refused(again, 409);
    let delete = DeleteOptions { dry_run: true, ..DeleteOptions::default() };
    assert!(fixture.delete("configmaps", "a", &delete).unwrap().gone);
    fixture.get("configmaps", "a").unwrap();
}

#[test]
fn services_get_addresses_that_are_given_back() {
    let fixture = Fixture::new();
    let ip = |object: &Value| object["spec"]["clusterIP"].as_str().unwrap().to_owned();
    let body = |name: &str, ip: &str| {
        let spec = json!({"ports": [{"port": 80}], "clusterIP": ip});
        json!({"metadata": {"name": name}, "spec": spec})
    };
    let dry_run = WriteOptions { dry_run: true, ..WriteOptions::default() };
    let services = of("services");
    let tried = fixture.registry.create(services, "default", body("a", "10.96.0.9"), &dry_run);
    assert_eq!(ip(&tried.unwrap().object.value()), "10.96.0.9");
    let first = fixture.create("services", body("a", "10.96.0.9")).unwrap().object.value();
    assert_eq!(ip(&first), "10.96.0.9");
    let message = refused(fixture.create("services", body("b", "10.96.0.9")), 422);
    assert!(message.contains("provided IP is already allocated"), "{message}");
    let second = fixture.create("services", body("b", "")).unwrap().object.value();
    assert_eq!(ip(&second), "10.96.1.1");
    fixture.delete("services", "a", &DeleteOptions::default()).unwrap();
    fixture.create("services", body("c", "10.96.0.9")).unwrap();
}

#[test]
fn all_objects_together_are_bounded() {
    let fixture = Fixture::with(Settings { most_bytes: 1 << 20, ..Settings::default() });
    let body = |name: &str| json!({"metadata": {"name": name}, "data": {"x": "y".repeat(400_000)}});
    fixture.create("configmaps", body("a")).unwrap();
    fixture.create("configmaps", body("b")).unwrap();
    let message = refused(fixture.create("configmaps", body("c")), 500);
    assert!(message.ends_with("objects may take 1 MiB together, delete some"), "{message}");
    // What makes no more of it goes on.
    let labelled = json!({"metadata": {"name": "a", "labels": {"a": "b"}}, "data": {"x": "z"}});
    fixture.update("configmaps", labelled).unwrap();
    fixture.create("configmaps", body("c")).unwrap();
    fixture.delete("configmaps", "b", &DeleteOptions::default()).unwrap();
    fixture.delete("configmaps", "c", &DeleteOptions::default()).unwrap();
    let left = fixture.registry.read(|state| state.bytes);
    let kinds = |state: &super::super::state::State| -> usize {
        let objects = state.kinds.iter().flat_map(|kind| kind.objects.values());
        objects.map(|object| object.json().len()).sum()
    };
    assert_eq!(left, fixture.registry.read(kinds));
}
