//! What clients read before they ask for objects.

use serde_json::json;

use super::*;

#[tokio::test]
async fn discovery_says_the_same_in_both_forms() {
    let served = Served::start();
    let accept =
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let mut aggregated = Vec::new();
    for path in ["/api", "/apis"] {
        let answer = served.get_as(path, accept).await;
        let content_type = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        assert_eq!(answer.headers["content-type"], content_type);
        for group in answer.json()["items"].as_array().unwrap() {
            let group_name = group["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            for version in group["versions"].as_array().unwrap() {
                for of in version["resources"].as_array().unwrap() {
                    let version = version["version"].as_str().unwrap();
                    let plural = of["resource"].as_str().unwrap();
                    aggregated.push(format!("{group_name}/{version} {plural}"));
                }
            }
        }
    }
    // Python's client asks with a slash at the end.
    let mut legacy = Vec::new();
    let groups = served.get("/apis/").await.json()["groups"].clone();
    let mut versions = vec![("".to_owned(), "/api/v1/".to_owned())];
    for group in groups.as_array().unwrap() {
        let name = group["name"].as_str().unwrap();
        assert_eq!(served.get(&format!("/apis/{name}/")).await.json()["kind"], "APIGroup");
        for version in group["versions"].as_array().unwrap() {
            let path = format!("/apis/{}", version["groupVersion"].as_str().unwrap());
            versions.push((name.to_owned(), path));
        }
    }
    for (group, path) in versions {
        let list = served.get(&path).await.json();
        let version = list["groupVersion"].as_str().unwrap().rsplit('/').next().unwrap();
        for of in list["resources"].as_array().unwrap() {
            let name = of["name"].as_str().unwrap();
            if !name.contains('/') {
                legacy.push(format!("{group}/{version} {name}"));
            }
        }
    }
    assert_eq!(aggregated, legacy);
    assert!(legacy.contains(&"discovery.k8s.io/v1 endpointslices".to_owned()));
    let legacy = served.get("/api/").await.json();
    assert_eq!((&legacy["kind"], &legacy["versions"]), (&json!("APIVersions"), &json!(["v1"])));
}

#[tokio::test]
async fn openapi_says_what_kubectl_asks_it() {
    let served = Served::start();
    let index = served.get("/openapi/v3").await.json();
    let url = index["paths"]["api/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    let answer = served.get(&url).await;
    assert_eq!(answer.headers["cache-control"], "public, immutable, max-age=31536000");
    let tag = answer.headers["etag"].clone();
    let request = served.builder("GET", &url).header("If-None-Match", tag);
    assert_eq!(served.send(request.body(Full::default()).unwrap()).await.code, 304);
    let moved = served.get("/openapi/v3/api/v1?hash=OLD").await;
    assert_eq!((moved.code, moved.headers["location"].to_str().unwrap()), (301, url.as_str()));

    let document = answer.json();
    let patch = &document["paths"]["/api/v1/namespaces/{namespace}/services/{name}"]["patch"];
    let of = json!({"group": "", "version": "v1", "kind": "Service"});
    assert_eq!(patch["x-kubernetes-group-version-kind"], of);
    let names: Vec<_> =
        patch["parameters"].as_array().unwrap().iter().map(|each| &each["name"]).collect();
    assert!(names.contains(&&json!("dryRun")) && names.contains(&&json!("fieldValidation")));

    let schemas = &document["components"]["schemas"];
    let service = &schemas["io.k8s.api.core.v1.Service"];
    assert_eq!(service["x-kubernetes-group-version-kind"], json!([of]));
    let ports = &schemas["io.k8s.api.core.v1.ServiceSpec"]["properties"]["ports"];
    assert_eq!(ports["x-kubernetes-patch-merge-key"], "port");
    assert_eq!(ports["x-kubernetes-patch-strategy"], "merge");
    assert_eq!(ports["description"].as_str().unwrap().split(' ').next(), Some("The"));
    every_reference_leads_somewhere(schemas, &document);
}

fn every_reference_leads_somewhere(schemas: &Value, value: &Value) {
    if let Some(name) = value["$ref"].as_str() {
        let name = name.strip_prefix("#/components/schemas/").unwrap();
        assert!(schemas[name].is_object(), "{name}");
    }
    match value {
        Value::Object(fields) => {
            fields.values().for_each(|each| every_reference_leads_somewhere(schemas, each))
        }
        Value::Array(items) => {
            items.iter().for_each(|each| every_reference_leads_somewhere(schemas, each))
        }
        _ => {}
    }
}

#[tokio::test]
async fn every_document_is_whole() {
    let served = Served::start();
    let index = served.get("/openapi/v3").await.json();
    for path in index["paths"].as_object().unwrap().keys() {
        let document = served.get(&format!("/openapi/v3/{path}")).await.json();
        every_reference_leads_somewhere(&document["components"]["schemas"], &document);
        assert!(!document["paths"].as_object().unwrap().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn reviews_are_answered() {
    let served = Served::start();
    for (path, kind, pointer, expected) in [
        (
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            "SelfSubjectAccessReview",
            "/status/allowed",
            json!(true),
        ),
        (
            "/apis/authentication.k8s.io/v1/selfsubjectreviews",
            "SelfSubjectReview",
            "/status/userInfo/username",
            json!("maglane"),
        ),
        (
            "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
            "SelfSubjectRulesReview",
            "/status/incomplete",
            json!(false),
        ),
    ] {
        let answer = served.post(path, &json!({"kind": kind, "spec": {}})).await;
        assert_eq!((answer.code, answer.json().pointer(pointer)), (201, Some(&expected)), "{path}");
    }
}
