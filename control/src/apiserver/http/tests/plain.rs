//! What clients do every day.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, PostParams};
use serde_json::json;

use super::*;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn a_rust_client_creates_and_reads() {
    let served = Served::start();
    let maps: Api<ConfigMap> = Api::default_namespaced(served.client().await);
    let map: ConfigMap = serde_json::from_value(config_map("a")).unwrap();
    let created = maps.create(&PostParams::default(), &map).await.unwrap();
    assert_eq!(maps.get("a").await.unwrap(), created);
    let listed = maps.list(&ListParams::default()).await.unwrap();
    assert!(listed.items.contains(&created));
    // The same without a socket and without a token.
    let inside: Api<ConfigMap> = Api::default_namespaced(served.server.client());
    assert_eq!(inside.get("a").await.unwrap(), created);
}

#[tokio::test]
async fn every_answer_has_its_headers() {
    let served = Served::start();
    let answer = served.post(MAPS, &config_map("a")).await;
    assert_eq!(answer.code, 201);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["cache-control"], "no-cache, private");
    assert_eq!(answer.headers["audit-id"].len(), 36);
    assert!(answer.headers.contains_key("date"));
    let request = served.builder("GET", "/version").header("Audit-ID", "mine");
    let answer = served.send(request.body(Full::default()).unwrap()).await;
    assert_eq!(answer.headers["audit-id"], "mine");
}

#[tokio::test]
async fn lists_come_in_the_form_that_is_asked_for() {
    let served = Served::start();
    for name in ["a", "b"] {
        assert_eq!(served.post(MAPS, &config_map(name)).await.code, 201);
    }
    let names = |list: &Value, items: &str, name: &str| -> Vec<String> {
        let all = list[items].as_array().unwrap().iter();
        all.filter_map(|item| item.pointer(name).unwrap().as_str())
            .filter(|name| ["a", "b"].contains(name))
            .map(str::to_owned)
            .collect()
    };
    let list =
        served.get_as(MAPS, "application/vnd.kubernetes.protobuf,application/json").await.json();
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("ConfigMapList"), &json!("v1")));
    assert!(list["metadata"]["resourceVersion"].is_string());
    assert_eq!(names(&list, "items", "/metadata/name"), ["a", "b"]);

    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let list = served.get_as(MAPS, table).await.json();
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
    assert_eq!(list["columnDefinitions"][0]["name"], "Name");
    assert_eq!(names(&list, "rows", "/cells/0"), ["a", "b"]);
    assert_eq!(names(&list, "rows", "/object/metadata/name"), ["a", "b"]);
    assert_eq!(list["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let list = served.get_as(&format!("{MAPS}?includeObject=None"), table).await.json();
    assert_eq!(list["rows"][0].get("object"), None);

    let metadata = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let list = served.get_as(MAPS, metadata).await.json();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(names(&list, "items", "/metadata/name"), ["a", "b"]);
    assert_eq!(list["items"][0].get("data"), None);

    let yaml = served.get_as(&format!("{MAPS}/a"), "application/yaml").await;
    assert_eq!(yaml.headers["content-type"], "application/yaml");
    let read: Value = serde_yaml_ng::from_slice(&yaml.body).unwrap();
    assert_eq!(read["metadata"]["name"], "a");
    let pretty = served.get(&format!("{MAPS}/a?pretty=true")).await.text();
    assert!(pretty.starts_with("{\n  \""), "{pretty}");
    let not_acceptable = served.get_as(MAPS, "application/vnd.kubernetes.protobuf").await.status();
    assert_eq!((not_acceptable.0, not_acceptable.1.as_str()), (406, "NotAcceptable"));
}

#[tokio::test]
async fn long_lists_come_whole() {
    let served = Served::start();
    let mut map = config_map("");
    map["data"]["long"] = "x".repeat(1_000).into();
    for number in 0..100 {
        map["metadata"]["name"] = format!("map-{number}").into();
        assert_eq!(served.post(MAPS, &map).await.code, 201);
    }
    let list = served.get(&format!("{MAPS}?fieldSelector=metadata.namespace=default")).await;
    assert!(list.body.len() > 2 * super::super::limits::CHUNK_BYTES);
    let items = list.json()["items"].as_array().unwrap().len();
    assert!(items >= 100, "{items}");
}

#[tokio::test]
async fn identity_and_objects_outlive_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let first = start_in(directory.path(), |_| std::future::ready(()));
    let kubeconfig = std::fs::read_to_string(first.kubeconfig()).unwrap();
    let address = first.addresses()[0];
    assert!(kubeconfig.contains(&format!("server: https://{address}")), "{kubeconfig}");
    first.stop();
    let second = start_in(directory.path(), |_| std::future::ready(()));
    let again = std::fs::read_to_string(second.kubeconfig()).unwrap();
    let line = |text: &str, name: &str| {
        text.lines().find(|line| line.contains(name)).map(str::to_owned).unwrap()
    };
    for name in ["certificate-authority-data", "token"] {
        assert_eq!(line(&kubeconfig, name), line(&again, name));
    }
}

#[tokio::test]
async fn both_protocols_and_all_names_are_served() {
    let served = Served::start();
    for name in ["localhost", "kubernetes.default.svc", "127.0.0.1", "::1", "10.96.0.1"] {
        let stream = served.tls(name, &[b"h2", b"http/1.1"]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()), "{name}");
    }
    assert!(served.tls("example.com", &[]).await.is_err());
}

/// Typed clients read one or the other, by kind.
#[tokio::test]
async fn a_deletion_answers_with_the_object_or_with_a_status() {
    let served = Served::start();
    let json = "application/json";
    let service = r#"{"metadata":{"name":"a"},"spec":{"ports":[{"port":80}]}}"#;
    for (path, object, kind) in [
        ("/api/v1/namespaces/default/services", service, "Service"),
        (
            "/api/v1/namespaces/default/serviceaccounts",
            r#"{"metadata":{"name":"a"}}"#,
            "ServiceAccount",
        ),
        (MAPS, r#"{"metadata":{"name":"a"}}"#, "Status"),
    ] {
        assert_eq!(served.request("POST", path, json, object).await.code, 201);
        let deleted = served.request("DELETE", &format!("{path}/a"), "", "").await;
        assert_eq!((deleted.code, &deleted.json()["kind"]), (200, &kind.into()));
    }
}
