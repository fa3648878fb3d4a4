//! Whatever objects say: no panic, and a history of changes leads where its last state leads.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::World;
use crate::model::{Object, ObjectId};

fn ip() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0u8..4, 0u8..4).prop_map(|(a, b)| format!("10.180.{a}.{b}")),
        2 => (0u8..4).prop_map(|a| format!("172.30.0.{a}")),
        2 => (0u8..4).prop_map(|a| format!("fd00:10:96::{a}")),
        2 => (0u8..4).prop_map(|a| format!("fd00:10::{a}")),
        1 => "[0-9a-f:.%/ ]{0,20}",
        1 => Just("::ffff:10.180.0.1".to_owned()),
        1 => Just("None".to_owned()),
        1 => "\\PC{0,6}",
    ]
}

fn number() -> impl Strategy<Value = i32> {
    prop_oneof![4 => 79..83, 1 => any::<i32>(), 1 => Just(0), 1 => Just(65_536)]
}

fn word() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        Just(None),
        Just(Some(String::new())),
        Just(Some("a".to_owned())),
        Just(Some("b".to_owned()))
    ]
}

fn protocol() -> impl Strategy<Value = Option<&'static str>> {
    prop::sample::select(vec![None, Some("TCP"), Some("UDP"), Some("SCTP"), Some("tcp"), Some("")])
}

fn ports() -> impl Strategy<Value = Value> {
    let target = prop_oneof![
        Just(Value::Null),
        number().prop_map(|number| json!(number)),
        word().prop_map(|word| json!(word.unwrap_or_default()))
    ];
    let port = (word(), number(), protocol(), target).prop_map(|(name, port, protocol, target)| {
        json!({"name": name, "port": port, "protocol": protocol, "targetPort": target})
    });
    prop::collection::vec(port, 0..4).prop_map(Value::from)
}

fn metadata(prefix: &'static str) -> impl Strategy<Value = Value> {
    let namespace = prop::sample::select(vec![None, Some(""), Some("default"), Some("x")]);
    let time = prop::sample::select(vec![None, Some("2026-01-01T00:00:00Z")]);
    let label = prop::sample::select(vec![
        json!({"app": "a", "kubernetes.io/service-name": format!("{prefix}0")}),
        json!({"kubernetes.io/service-name": "svc1", "app": "b"}),
        json!({"service.kubernetes.io/service-proxy-name": ""}),
        Value::Null,
    ]);
    (namespace, 0..3, time, label).prop_map(move |(namespace, number, time, labels)| {
        json!({"namespace": namespace, "name": format!("{prefix}{number}"), "labels": labels,
               "creationTimestamp": time, "deletionTimestamp": time})
    })
}

fn service() -> impl Strategy<Value = Value> {
    let kind = prop::sample::select(vec![None, Some("ClusterIP"), Some("ExternalName"), Some("")]);
    let ips = prop::collection::vec(ip(), 0..3);
    let selector = prop::sample::select(vec![Value::Null, json!({}), json!({"app": "a"})]);
    let spec = (kind, ips, ip(), ports(), selector, any::<Option<bool>>());
    (metadata("svc"), spec).prop_map(|(metadata, (kind, ips, single, ports, selector, publish))| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {
            "type": kind, "clusterIPs": ips, "clusterIP": single, "ports": ports,
            "selector": selector, "publishNotReadyAddresses": publish}})
    })
}

fn slice() -> impl Strategy<Value = Value> {
    let family = prop::sample::select(vec!["IPv4", "IPv6", "FQDN", ""]);
    let conditions = any::<Option<(Option<bool>, Option<bool>, Option<bool>)>>();
    let endpoint = (prop::collection::vec(ip(), 0..3), conditions).prop_map(|(ips, conditions)| {
        let conditions = conditions.map(|(ready, serving, terminating)| {
            json!({"ready": ready, "serving": serving, "terminating": terminating})
        });
        json!({"addresses": ips, "conditions": conditions})
    });
    let endpoints = prop::collection::vec(endpoint, 0..4);
    (metadata("svc"), family, ports(), endpoints).prop_map(
        |(metadata, family, ports, endpoints)| {
            json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
               "metadata": metadata, "addressType": family, "ports": ports,
               "endpoints": endpoints})
        },
    )
}

fn endpoints() -> impl Strategy<Value = Value> {
    let addresses = || prop::collection::vec(ip().prop_map(|ip| json!({"ip": ip})), 0..3);
    let subset = (addresses(), addresses(), ports()).prop_map(|(ready, unready, ports)| {
        json!({"addresses": ready, "notReadyAddresses": unready, "ports": ports})
    });
    let subsets = prop::collection::vec(subset, 0..3);
    (metadata("svc"), subsets).prop_map(|(metadata, subsets)| {
        json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets})
    })
}

fn pod() -> impl Strategy<Value = Value> {
    let phase = prop::sample::select(vec![None, Some("Running"), Some("Pending"), Some("Failed")]);
    let ready = prop::sample::select(vec!["True", "False", "Unknown", ""]);
    let ips = prop::collection::vec(ip().prop_map(|ip| json!({"ip": ip})), 0..3);
    let port = (word(), number(), protocol()).prop_map(
        |(name, port, protocol)| json!({"name": name, "containerPort": port, "protocol": protocol}),
    );
    let ports = prop::collection::vec(port, 0..3);
    (metadata("pod"), phase, ready, ips, ports).prop_map(|(metadata, phase, ready, ips, ports)| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
               "spec": {"containers": [{"name": "c", "ports": ports}]},
               "status": {"phase": phase, "podIPs": ips,
                          "conditions": [{"type": "Ready", "status": ready}]}})
    })
}

fn object() -> impl Strategy<Value = Object> {
    let typed = |value: Value| match value["kind"].as_str() {
        Some("Service") => Object::Service(serde_json::from_value(value).expect("a Service")),
        Some("Endpoints") => Object::Endpoints(serde_json::from_value(value).expect("Endpoints")),
        Some("Pod") => Object::Pod(serde_json::from_value(value).expect("a Pod")),
        _ => Object::EndpointSlice(serde_json::from_value(value).expect("an EndpointSlice")),
    };
    prop_oneof![3 => service(), 3 => slice(), 1 => endpoints(), 2 => pod()].prop_map(typed)
}

/// Everything that can be told of a model.
fn portrait(world: &World) -> (Vec<String>, Vec<crate::model::ServiceInfo>, Vec<String>) {
    let table = world.model.table();
    let mut frontends: Vec<_> = table
        .frontends()
        .map(|(frontend, service)| format!("{frontend:?} {}", super::backends(service)))
        .chain(table.addresses().map(|address| address.to_string()))
        .collect();
    frontends.sort();
    (frontends, world.model.services(), world.problems())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_history_leads_where_its_last_state_leads(
        steps in prop::collection::vec((object(), prop::bool::weighted(0.2), any::<bool>()), 0..24)
    ) {
        let origin: Arc<str> = "test".into();
        let mut world = World::new();
        let mut last: BTreeMap<ObjectId, Object> = BTreeMap::new();
        for (object, delete, update) in steps {
            if delete {
                world.model.delete(&object.id());
                last.remove(&object.id());
            } else {
                world.model.apply(&object, &origin);
                last.insert(object.id(), object);
            }
            if update {
                let before = portrait(&world);
                let noticed = world.model.update();
                let after = portrait(&world);
                prop_assert!(noticed || before.0 == after.0, "a change went unnoticed");
            }
        }
        world.model.update();
        prop_assert!(!world.model.update(), "nothing is left to do");
        let mut fresh = World::new();
        last.values().for_each(|object| fresh.model.apply(object, &origin));
        fresh.model.update();
        prop_assert_eq!(portrait(&world), portrait(&fresh));
    }
}
