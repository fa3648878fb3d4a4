//! Controllers against the real registry, without sockets and without waiting.

mod cluster;
mod endpoints;
mod garbage;
mod live;
mod many;
mod queue;
mod stale;
mod workloads;

use std::fmt::Write as _;

use serde_json::{Value, json};

use self::cluster::Cluster;
use super::kind::Kind;

/// A Deployment of Pods `app: web`.
fn deployment(replicas: i32, image: &str) -> Value {
    json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": pod_template(image),
        },
    })
}

fn replica_set(replicas: i32) -> Value {
    json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": pod_template("one"),
        },
    })
}

fn pod_template(image: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [container(image)]},
    })
}

fn container(image: &str) -> Value {
    json!({"name": "web", "image": image, "ports": [{"name": "http", "containerPort": 8080}]})
}

/// A Service of Pods `app: web`, with a named target port.
fn service() -> Value {
    json!({
        "metadata": {"name": "web", "labels": {"team": "blue"}},
        "spec": {
            "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    })
}

/// Has Pods run and controllers work until nothing changes any more.
fn run(cluster: &mut Cluster) {
    cluster.settle();
    while cluster.run_pods() > 0 {
        cluster.settle();
    }
}

/// `web-xyz:2` for each ReplicaSet that has or wants Pods, by the image of its template.
fn images(cluster: &Cluster) -> String {
    let mut text = String::new();
    let mut sets = cluster.list(Kind::ReplicaSet);
    sets.sort_by_key(|set| set["spec"]["template"]["spec"]["containers"][0]["image"].to_string());
    for set in sets {
        let image = set["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap();
        let _ = write!(text, "{image}:{} ", set["spec"]["replicas"]);
    }
    text.trim_end().to_owned()
}

/// Names of the Pods that are not about to go.
fn pods(cluster: &Cluster) -> Vec<String> {
    let pods = cluster.list(Kind::Pod).into_iter();
    let staying = pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    staying.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// A condition of an object, as `True/Reason`.
fn condition(object: &Value, type_: &str) -> String {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|of| of["type"] == type_);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    found.map_or_else(String::new, |of| format!("{}/{}", text(&of["status"]), text(&of["reason"])))
}
