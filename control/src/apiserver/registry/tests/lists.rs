//! Lists: selected, in pages, of now and of a while ago.

use super::*;

fn with_labels(labels: &str) -> ListOptions {
    ListOptions { label_selector: labels.to_owned(), ..ListOptions::default() }
}

fn with_fields(fields: &str) -> ListOptions {
    ListOptions { field_selector: fields.to_owned(), ..ListOptions::default() }
}

#[test]
fn objects_are_selected_by_labels_and_fields() {
    let fixture = Fixture::new();
    fixture.config_map("a", &json!({"app": "web", "tier": "front"}));
    fixture.config_map("b", &json!({"app": "web"}));
    fixture.config_map("c", &json!({}));
    for (options, expected) in [
        (ListOptions::default(), &["a", "b", "c"][..]),
        (with_labels("app=web"), &["a", "b"]),
        (with_labels("app=web,!tier"), &["b"]),
        (with_labels("tier notin (front)"), &["b", "c"]),
        (with_fields("metadata.name=b"), &["b"]),
        (with_fields("metadata.name!=b,metadata.namespace==default"), &["a", "c"]),
        (with_fields("metadata.namespace=other"), &[]),
    ] {
        let list = fixture.list("configmaps", &options).unwrap();
        assert_eq!(names(&list), expected, "{options:?}");
        assert_eq!(list.revision, fixture.revision());
    }
    for (options, expected) in [
        (with_labels("a="), None),
        (with_labels("a b"), Some("unable to parse requirement: found 'b', expected: in, notin")),
        (
            with_fields("spec.x=1"),
            Some(
                "\"spec.x\" is not a known field selector: only \"metadata.name\", \
                 \"metadata.namespace\"",
            ),
        ),
        (with_fields("spec"), Some("invalid selector: 'spec'; can't understand 'spec'")),
        (with_fields("metadata.name=a\\"), Some("invalid field selector: invalid escape sequence")),
    ] {
        match expected {
            Some(expected) => {
                let message = refused(fixture.list("configmaps", &options), 400);
                assert!(message.starts_with(expected), "{message}");
            }
            None => assert!(fixture.list("configmaps", &options).is_ok()),
        }
    }
}

#[test]
fn pods_are_selected_by_what_they_do() {
    let fixture = Fixture::new();
    for (name, on_host) in [("a", None), ("b", Some(true)), ("c", Some(false))] {
        let mut body = json!({"metadata": {"name": name},
            "spec": {"containers": [{"name": "a", "image": "i"}], "nodeName": name}});
        if let Some(on_host) = on_host {
            body["spec"]["hostNetwork"] = on_host.into();
        }
        fixture.create("pods", body).unwrap();
    }
    for (fields, expected) in [
        ("status.phase=Pending", &["a", "b", "c"][..]),
        ("spec.nodeName=b", &["b"]),
        ("spec.hostNetwork=true", &["b"]),
        ("spec.hostNetwork=false", &["a", "c"]),
        ("spec.hostNetwork!=false", &["b"]),
    ] {
        let list = fixture.list("pods", &with_fields(fields)).unwrap();
        assert_eq!(names(&list), expected, "{fields}");
    }
}

#[test]
fn namespaces_are_listed_apart_and_together() {
    let fixture = Fixture::new();
    let options = WriteOptions::default();
    for namespace in ["default", "kube-system"] {
        let body = json!({"metadata": {"name": "a"}});
        fixture.registry.create(of("configmaps"), namespace, body, &options).unwrap();
    }
    let all = fixture.registry.list(of("configmaps"), None, &ListOptions::default()).unwrap();
    let places: Vec<_> = all.items.iter().map(Object::namespace).collect();
    assert_eq!(places, ["default", "kube-system"]);
    assert_eq!(fixture.list("configmaps", &ListOptions::default()).unwrap().items.len(), 1);
    let namespaces =
        fixture.registry.list(of("namespaces"), None, &ListOptions::default()).unwrap();
    assert_eq!(names(&namespaces), ["default", "kube-node-lease", "kube-public", "kube-system"]);
}

#[test]
fn pages_show_one_moment() {
    let fixture = Fixture::new();
    for name in ["a", "b", "d", "e", "f"] {
        fixture.config_map(name, &json!({}));
    }
    let options = ListOptions { limit: 2, ..ListOptions::default() };
    let first = fixture.list("configmaps", &options).unwrap();
    assert_eq!((names(&first), first.remaining), (vec!["a", "b"], Some(3)));
    // None of this is seen by the pages that follow.
    fixture.config_map("c", &json!({}));
    fixture.delete("configmaps", "d", &DeleteOptions::default()).unwrap();
    let body = json!({"metadata": {"name": "e"}, "data": {"changed": "yes"}});
    fixture.update("configmaps", body).unwrap();
    let options = ListOptions { continue_token: first.continue_token, ..options };
    let second = fixture.list("configmaps", &options).unwrap();
    assert_eq!((names(&second), second.remaining), (vec!["d", "e"], Some(1)));
    assert_eq!(second.items[1].value()["data"], json!(null));
    assert_eq!(second.revision, first.revision);
    let options = ListOptions { continue_token: second.continue_token, ..options };
    let third = fixture.list("configmaps", &options).unwrap();
    assert_eq!((names(&third), third.remaining), (vec!["f"], None));
    assert_eq!(third.continue_token, "");
    let now = fixture.list("configmaps", &ListOptions::default()).unwrap();
    assert_eq!(names(&now), ["a", "b", "c", "e", "f"]);
}

#[test]
fn a_selector_leaves_the_rest_uncounted() {
    let fixture = Fixture::new();
    for name in ["a", "b", "c"] {
        fixture.config_map(name, &json!({"x": "y"}));
    }
    let options = ListOptions { limit: 2, ..with_labels("x=y") };
    let list = fixture.list("configmaps", &options).unwrap();
    assert_eq!(list.remaining, None);
    assert_ne!(list.continue_token, "");
}

#[test]
fn revisions_are_listed_while_they_are_remembered() {
    let fixture = Fixture::with(Settings { history_changes: 4, ..Settings::default() });
    fixture.config_map("a", &json!({}));
    let early = fixture.revision();
    fixture.config_map("b", &json!({}));
    let exactly = |revision: u64, wanted: &str| ListOptions {
        resource_version: revision.to_string(),
        resource_version_match: wanted.to_owned(),
        ..ListOptions::default()
    };
    let list = fixture.list("configmaps", &exactly(early, "Exact")).unwrap();
    assert_eq!((names(&list), list.revision), (vec!["a"], early));
    let list = fixture.list("configmaps", &exactly(early, "NotOlderThan")).unwrap();
    assert_eq!(names(&list), ["a", "b"]);
    let page = ListOptions { limit: 1, ..ListOptions::default() };
    let token = fixture.list("configmaps", &page).unwrap().continue_token;
    for name in ["c", "d", "e", "f", "g"] {
        fixture.config_map(name, &json!({}));
    }
    let message = refused(fixture.list("configmaps", &exactly(early, "Exact")), 410);
    assert_eq!(message, "The resourceVersion for the provided list is too old.");
    let options = ListOptions { continue_token: token, ..page };
    let message = refused(fixture.list("configmaps", &options), 410);
    assert!(message.starts_with("The provided continue parameter is too old"), "{message}");
}

#[test]
fn impossible_lists_are_refused() {
    let fixture = Fixture::new();
    let base = ListOptions::default;
    let message = |options: ListOptions, code| refused(fixture.list("configmaps", &options), code);
    assert_eq!(
        message(ListOptions { resource_version_match: "Exact".into(), ..base() }, 422),
        "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: \
         resourceVersionMatch is forbidden unless resourceVersion is provided"
    );
    assert!(
        message(ListOptions { send_initial_events: Some(true), ..base() }, 422)
            .ends_with("sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list")
    );
    assert_eq!(
        message(ListOptions { resource_version: "9999".into(), ..base() }, 504),
        format!("Timeout: Too large resource version: 9999, current: {}", fixture.revision())
    );
    assert!(
        message(ListOptions { resource_version: "x".into(), ..base() }, 400)
            .contains("resourceVersion: Invalid value: \"x\"")
    );
    for token in ["!", "e30", "bm9wZQ"] {
        let options = ListOptions { continue_token: token.into(), ..base() };
        assert!(message(options, 400).starts_with("continue key is not valid"), "{token}");
    }
}
