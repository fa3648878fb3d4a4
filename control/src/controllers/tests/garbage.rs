//! What goes with what.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::{deployment, pods, replica_set, run, service};
use crate::apiserver::registry::options::{DeleteOptions, Propagation};
use crate::controllers::kind::Kind;

fn deployed() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.create(Kind::Deployment, "default", deployment(2, "one"));
    run(&mut cluster);
    cluster
}

#[test]
fn background_deletion_takes_everything_below() {
    let mut cluster = deployed();
    cluster.delete(Kind::Deployment, "web", Propagation::Background);
    assert_eq!(cluster.get(Kind::Deployment, "default", "web"), None);
    run(&mut cluster);
    assert!(cluster.list(Kind::ReplicaSet).is_empty());
    assert!(cluster.list(Kind::Pod).is_empty());
}

#[test]
fn foreground_deletion_ends_at_the_top() {
    let mut cluster = deployed();
    cluster.delete(Kind::Deployment, "web", Propagation::Foreground);
    cluster.settle();
    assert!(pods(&cluster).is_empty());
    assert_eq!(cluster.list(Kind::Pod).len(), 2, "they are still running");
    assert!(cluster.get(Kind::Deployment, "default", "web").is_some());
    assert_eq!(cluster.list(Kind::ReplicaSet).len(), 1);
    run(&mut cluster);
    assert!(cluster.list(Kind::Pod).is_empty());
    assert!(cluster.list(Kind::ReplicaSet).is_empty());
    assert_eq!(cluster.get(Kind::Deployment, "default", "web"), None);
}

#[test]
fn orphans_stay_and_can_be_adopted() {
    let mut cluster = deployed();
    let before = pods(&cluster);
    cluster.delete(Kind::Deployment, "web", Propagation::Orphan);
    run(&mut cluster);
    assert_eq!(cluster.get(Kind::Deployment, "default", "web"), None);
    let sets = cluster.list(Kind::ReplicaSet);
    assert_eq!(sets.len(), 1);
    assert_eq!(sets[0]["metadata"]["ownerReferences"], Value::Null);
    cluster.create(Kind::Deployment, "default", deployment(2, "one"));
    run(&mut cluster);
    assert_eq!(cluster.list(Kind::ReplicaSet).len(), 1, "the same template");
    assert_eq!(pods(&cluster), before);
}

#[test]
fn owners_are_told_apart_by_uid() {
    let mut cluster = Cluster::new();
    let config =
        |name: &str, owners: Value| json!({"metadata": {"name": name, "ownerReferences": owners}});
    let owner = cluster.create(Kind::ConfigMap, "default", config("owner", json!([])));
    let reference = |uid: &Value, kind: &str| json!({"apiVersion": "v1", "kind": kind, "name": "owner", "uid": uid});
    let own = reference(&owner["metadata"]["uid"], "ConfigMap");
    let gone = reference(&json!("of-another-one"), "ConfigMap");
    let unknown = reference(&json!("of-what"), "Unheard");
    for (name, owners) in [
        ("kept", json!([own])),
        ("half", json!([own, gone])),
        ("lost", json!([gone])),
        ("unknown", json!([unknown])),
    ] {
        cluster.create(Kind::ConfigMap, "default", config(name, owners));
    }
    cluster.settle();
    let get = |cluster: &Cluster, name: &str| cluster.get(Kind::ConfigMap, "default", name);
    assert!(get(&cluster, "kept").is_some());
    assert_eq!(get(&cluster, "half").unwrap()["metadata"]["ownerReferences"], json!([own]));
    assert_eq!(get(&cluster, "lost"), None);
    assert!(get(&cluster, "unknown").is_some());
    cluster.delete(Kind::ConfigMap, "owner", Propagation::Background);
    cluster.settle();
    assert_eq!(get(&cluster, "kept"), None);
    assert_eq!(get(&cluster, "half"), None);
}

#[test]
fn an_owner_that_was_not_seen_yet_is_looked_for() {
    let mut cluster = Cluster::new();
    let owner = cluster.create(Kind::ConfigMap, "default", json!({"metadata": {"name": "owner"}}));
    // The watch of what is owned is ahead.
    let late = cluster.unsaid.pop_back().unwrap();
    let owners = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner",
        "uid": owner["metadata"]["uid"]}]);
    let secret = json!({"metadata": {"name": "owned", "ownerReferences": owners}});
    cluster.create(Kind::Secret, "default", secret);
    cluster.settle();
    cluster.wait(1);
    assert!(cluster.get(Kind::Secret, "default", "owned").is_some());
    cluster.unsaid.push_back(late);
    cluster.settle();
    assert!(cluster.get(Kind::Secret, "default", "owned").is_some());
}

#[test]
fn a_namespace_is_emptied_and_goes() {
    let mut cluster = Cluster::new();
    let mut namespace = json!({"metadata": {"name": "shop"}});
    namespace["spec"] = json!({"finalizers": ["kubernetes"]});
    cluster.create(Kind::Namespace, "", namespace);
    let mut set = replica_set(2);
    set["metadata"]["namespace"] = "shop".into();
    cluster.create(Kind::ReplicaSet, "shop", set);
    cluster.create(Kind::Service, "shop", service());
    cluster.create(Kind::ConfigMap, "shop", json!({"metadata": {"name": "settings"}}));
    cluster.settle();
    assert!(cluster.get(Kind::ConfigMap, "shop", "settings").is_some());
    cluster.delete(Kind::Namespace, "shop", Propagation::Background);
    cluster.settle();
    cluster.wait(10);
    assert_eq!(cluster.get(Kind::Namespace, "", "shop"), None);
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_namespaced()) {
        let options = crate::apiserver::registry::options::ListOptions::default();
        let of = super::cluster::resource(kind);
        let list = cluster.registry.list(of, Some("shop"), &options).unwrap();
        assert!(list.items.is_empty(), "{kind:?}");
    }
}

#[test]
fn a_service_cidr_stays_while_services_have_its_addresses() {
    let mut cluster = Cluster::new();
    let cidr =
        |name: &str, cidrs: Value| json!({"metadata": {"name": name}, "spec": {"cidrs": cidrs}});
    cluster.create(Kind::ServiceCidr, "", cidr("more", json!(["10.97.0.0/24"])));
    cluster.settle();
    let mut web = service();
    web["spec"]["clusterIP"] = json!("10.97.0.200");
    cluster.create(Kind::Service, "default", web.clone());
    cluster.settle();
    cluster.delete(Kind::ServiceCidr, "more", Propagation::Background);
    cluster.settle();
    let more = cluster.get(Kind::ServiceCidr, "", "more").expect("it is in use");
    assert_eq!(more["status"]["conditions"][0]["reason"], "Terminating");
    // Another one covers it.
    cluster.create(Kind::ServiceCidr, "", cidr("wide", json!(["10.97.0.0/16"])));
    cluster.settle();
    assert_eq!(cluster.get(Kind::ServiceCidr, "", "more"), None);
    cluster.delete(Kind::ServiceCidr, "wide", Propagation::Background);
    cluster.settle();
    assert!(cluster.get(Kind::ServiceCidr, "", "wide").is_some());
    cluster.delete(Kind::Service, "web", Propagation::Background);
    cluster.settle();
    assert_eq!(cluster.get(Kind::ServiceCidr, "", "wide"), None, "nobody needs it any more");
}

#[test]
fn old_events_go_and_there_are_only_so_many() {
    let mut cluster = Cluster::new();
    let event = |name: &str, at: &str| {
        json!({
            "metadata": {"name": name},
            "involvedObject": {"kind": "Pod", "namespace": "default", "name": "web"},
            "reason": "Tested", "message": "a test", "type": "Normal", "lastTimestamp": at,
        })
    };
    let now = cluster.clock.time;
    let ago = |minutes: i64| (now - SignedDuration::from_mins(minutes)).to_string();
    cluster.create(Kind::Event, "default", event("old", &ago(61)));
    cluster.create(Kind::Event, "default", event("older-soon", &ago(50)));
    cluster.create(Kind::Event, "default", event("new", &ago(0)));
    cluster.settle();
    let names = |cluster: &Cluster| -> Vec<String> {
        let events = cluster.list(Kind::Event).into_iter();
        events.map(|of| of["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&cluster), ["new", "older-soon"]);
    cluster.wait(11 * 60);
    assert_eq!(names(&cluster), ["new"]);
}

#[test]
fn a_pod_is_not_deleted_twice() {
    let mut cluster = deployed();
    let name = pods(&cluster)[0].clone();
    let of = super::cluster::resource(Kind::Pod);
    cluster.registry.delete(of, "default", &name, &DeleteOptions::default()).unwrap();
    // Nobody has seen that yet.
    cluster.patch(Kind::Deployment, "web", json!({"spec": {"replicas": 1}}));
    cluster.relist(Kind::Pod);
    run(&mut cluster);
    assert_eq!(pods(&cluster).len(), 1);
}
