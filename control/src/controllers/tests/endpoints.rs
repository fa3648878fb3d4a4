//! Endpoints of Services.

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::{replica_set, run, service};
use crate::apiserver::registry::options::Propagation;
use crate::controllers::kind::Kind;

/// A cluster with a Service and three Pods that are ready.
fn cluster() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.create(Kind::Service, "default", service());
    cluster.create(Kind::ReplicaSet, "default", replica_set(3));
    run(&mut cluster);
    cluster
}

/// The slices of the Service `web`.
fn slices(cluster: &Cluster) -> Vec<Value> {
    let slices = cluster.list(Kind::EndpointSlice).into_iter();
    slices
        .filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == "web")
        .collect()
}

/// `address:port ready/serving/terminating`, sorted.
fn endpoints(cluster: &Cluster) -> Vec<String> {
    let mut texts = Vec::new();
    for slice in slices(cluster) {
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            let state = &endpoint["conditions"];
            texts.push(format!(
                "{}:{} {}/{}/{}",
                endpoint["addresses"][0].as_str().unwrap(),
                slice["ports"][0]["port"],
                state["ready"],
                state["serving"],
                state["terminating"]
            ));
        }
    }
    texts.sort();
    texts
}

fn subsets(cluster: &Cluster) -> Value {
    cluster.get(Kind::Endpoints, "default", "web").map_or(Value::Null, |of| of["subsets"].clone())
}

#[test]
fn ready_pods_are_in_a_slice_and_in_the_endpoints() {
    let cluster = cluster();
    let slices = slices(&cluster);
    assert_eq!(slices.len(), 1);
    let slice = &slices[0];
    let name = slice["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("web-"), "{name}");
    let service = cluster.get(Kind::Service, "default", "web").unwrap();
    assert_eq!(
        slice["metadata"]["labels"],
        json!({
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            "kubernetes.io/service-name": "web",
            "team": "blue",
        })
    );
    assert_eq!(
        slice["metadata"]["ownerReferences"],
        json!([{
            "apiVersion": "v1", "kind": "Service", "name": "web",
            "uid": service["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
        }])
    );
    assert_eq!(slice["addressType"], "IPv4");
    assert_eq!(slice["ports"], json!([{"name": "http", "port": 8080, "protocol": "TCP"}]));
    assert_eq!(
        endpoints(&cluster),
        [1, 2, 3].map(|n| format!("10.244.0.{n}:8080 true/true/false"))
    );
    let endpoint = &slice["endpoints"][0];
    assert_eq!(endpoint["nodeName"], "node");
    assert_eq!(endpoint["zone"], "here");
    assert_eq!(endpoint["targetRef"]["kind"], "Pod");

    let subsets = subsets(&cluster);
    assert_eq!(subsets.as_array().unwrap().len(), 1);
    assert_eq!(subsets[0]["addresses"].as_array().unwrap().len(), 3);
    assert_eq!(subsets[0]["ports"], json!([{"name": "http", "port": 8080, "protocol": "TCP"}]));
}

#[test]
fn nothing_is_written_when_nothing_changed() {
    let mut cluster = cluster();
    let before = cluster.changes;
    for kind in [Kind::Pod, Kind::Service, Kind::EndpointSlice, Kind::Endpoints, Kind::Node] {
        cluster.relist(kind);
    }
    let pod = cluster.list(Kind::Pod)[0]["metadata"]["name"].as_str().unwrap().to_owned();
    cluster.patch(Kind::Pod, &pod, json!({"metadata": {"annotations": {"seen": "yes"}}}));
    cluster.settle();
    assert_eq!(cluster.changes, before);
}

#[test]
fn states_follow_the_pods() {
    let mut cluster = cluster();
    let pods = cluster.list(Kind::Pod);
    let name = |n: usize| pods[n]["metadata"]["name"].as_str().unwrap().to_owned();
    let ip = |n: usize| pods[n]["status"]["podIP"].as_str().unwrap().to_owned();
    cluster.set_ready(&name(0), false, &ip(0));
    cluster.delete(Kind::Pod, &name(1), Propagation::Background);
    cluster.settle();
    let mut expected = vec![
        format!("{}:8080 false/false/false", ip(0)),
        format!("{}:8080 false/true/true", ip(1)),
        format!("{}:8080 true/true/false", ip(2)),
    ];
    expected.sort();
    assert_eq!(endpoints(&cluster), expected);
    let subset = &subsets(&cluster)[0];
    assert_eq!(subset["addresses"].as_array().unwrap().len(), 1);
    assert_eq!(subset["notReadyAddresses"][0]["ip"], ip(0));

    cluster.patch(Kind::Service, "web", json!({"spec": {"publishNotReadyAddresses": true}}));
    cluster.settle();
    assert!(endpoints(&cluster).contains(&format!("{}:8080 true/true/true", ip(1))));
    assert!(endpoints(&cluster).contains(&format!("{}:8080 true/false/false", ip(0))));
}

#[test]
fn finished_pods_and_pods_of_unknown_nodes_are_no_endpoints() {
    let mut cluster = cluster();
    let pods = cluster.list(Kind::Pod);
    let name = pods[0]["metadata"]["name"].as_str().unwrap();
    cluster.set_status(Kind::Pod, name, json!({"phase": "Failed"}));
    cluster.settle();
    assert_eq!(endpoints(&cluster).len(), 2);
    cluster.delete(Kind::Node, "node", Propagation::Background);
    cluster.settle();
    assert_eq!(endpoints(&cluster).len(), 0);
    assert_eq!(slices(&cluster).len(), 1, "one stays for people to find");
}

#[test]
fn a_service_without_pods_has_an_empty_slice() {
    let mut cluster = Cluster::new();
    cluster.create(Kind::Service, "default", service());
    cluster.settle();
    let first = slices(&cluster);
    assert_eq!(first.len(), 1);
    assert!(endpoints(&cluster).is_empty());
    assert_eq!(subsets(&cluster), Value::Null);
    // It is the one that is filled.
    cluster.create(Kind::ReplicaSet, "default", replica_set(1));
    run(&mut cluster);
    let then = slices(&cluster);
    assert_eq!(then.len(), 1);
    assert_eq!(then[0]["metadata"]["uid"], first[0]["metadata"]["uid"]);
    assert_eq!(endpoints(&cluster).len(), 1);
}

#[test]
fn named_ports_of_different_numbers_make_slices_of_their_own() {
    let mut cluster = cluster();
    for (name, ports) in [
        ("other", json!([{"name": "http", "containerPort": 9090}])),
        ("none", json!([{"name": "metrics", "containerPort": 9100}])),
    ] {
        let container = json!({"name": "web", "image": "web", "ports": ports});
        let pod = json!({
            "metadata": {"name": name, "labels": {"app": "web", "odd": "yes"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Other", "name": "x", "uid": "x",
                    "controller": true}]},
            "spec": {"containers": [container]},
        });
        cluster.create(Kind::Pod, "default", pod);
    }
    run(&mut cluster);
    let mut ports: Vec<_> =
        slices(&cluster).iter().map(|slice| slice["ports"][0]["port"].clone()).collect();
    ports.sort_by_key(Value::to_string);
    assert_eq!(ports, [json!(8080), json!(9090), Value::Null]);
    // Endpoints leave out a Pod that has not the port.
    let subsets = subsets(&cluster);
    let counts: Vec<_> = subsets
        .as_array()
        .unwrap()
        .iter()
        .map(|subset| {
            (subset["ports"][0]["port"].clone(), subset["addresses"].as_array().unwrap().len())
        })
        .collect();
    assert_eq!(counts, [(json!(8080), 3), (json!(9090), 1)]);
}

#[test]
fn each_family_has_slices_of_its_own() {
    let mut cluster = Cluster::new();
    let cidr = json!({"metadata": {"name": "six"}, "spec": {"cidrs": ["fd00:10:96::/112"]}});
    cluster.create(Kind::ServiceCidr, "", cidr);
    let mut dual = service();
    dual["spec"]["clusterIP"] = "None".into();
    dual["spec"]["ipFamilies"] = json!(["IPv4", "IPv6"]);
    dual["spec"]["ipFamilyPolicy"] = "RequireDualStack".into();
    cluster.create(Kind::Service, "default", dual);
    cluster.create(Kind::ReplicaSet, "default", replica_set(2));
    run(&mut cluster);
    let name = cluster.list(Kind::Pod)[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let ips = json!([{"ip": "10.244.0.77"}, {"ip": "fd00:10:244::77"}]);
    cluster.set_status(Kind::Pod, &name, json!({"podIP": "10.244.0.77", "podIPs": ips}));
    cluster.settle();
    let mut families: Vec<_> = slices(&cluster)
        .iter()
        .map(|of| {
            let count = of["endpoints"].as_array().map_or(0, Vec::len);
            (of["addressType"].as_str().unwrap().to_owned(), count)
        })
        .collect();
    families.sort();
    assert_eq!(families, [("IPv4".to_owned(), 2), ("IPv6".to_owned(), 1)]);
    assert!(endpoints(&cluster).contains(&"fd00:10:244::77:8080 true/true/false".to_owned()));
}

#[test]
fn slices_that_somebody_deletes_or_changes_come_back() {
    let mut cluster = cluster();
    let name = slices(&cluster)[0]["metadata"]["name"].as_str().unwrap().to_owned();
    cluster.delete(Kind::EndpointSlice, &name, Propagation::Background);
    cluster.settle();
    assert_eq!(endpoints(&cluster).len(), 3);
    let name = slices(&cluster)[0]["metadata"]["name"].as_str().unwrap().to_owned();
    cluster.patch(Kind::EndpointSlice, &name, json!({"endpoints": []}));
    cluster.settle();
    assert_eq!(endpoints(&cluster).len(), 3);
    cluster.delete(Kind::Endpoints, "web", Propagation::Background);
    cluster.settle();
    assert_eq!(subsets(&cluster)[0]["addresses"].as_array().unwrap().len(), 3);
}

#[test]
fn slices_go_with_their_service() {
    let mut cluster = cluster();
    cluster.delete(Kind::Service, "web", Propagation::Background);
    cluster.settle();
    assert!(slices(&cluster).is_empty());
    assert_eq!(cluster.get(Kind::Endpoints, "default", "web"), None);
}

#[test]
fn headless_services_have_hostnames_and_need_no_ports() {
    let mut cluster = Cluster::new();
    let service = json!({
        "metadata": {"name": "web"},
        "spec": {"clusterIP": "None", "selector": {"app": "web"}},
    });
    cluster.create(Kind::Service, "default", service);
    let pod = json!({
        "metadata": {"name": "first", "labels": {"app": "web"}},
        "spec": {"hostname": "one", "subdomain": "web",
            "containers": [{"name": "web", "image": "web"}]},
    });
    cluster.create(Kind::Pod, "default", pod);
    run(&mut cluster);
    let slices = slices(&cluster);
    assert_eq!(slices.len(), 1);
    assert_eq!(slices[0]["metadata"]["labels"]["service.kubernetes.io/headless"], "");
    assert_eq!(slices[0]["endpoints"][0]["hostname"], "one");
    assert_eq!(subsets(&cluster)[0]["addresses"][0]["hostname"], "one");
}

#[test]
fn many_endpoints_are_spread_over_slices_and_move_little() {
    let mut cluster = Cluster::new();
    cluster.create(Kind::Service, "default", service());
    cluster.create(Kind::ReplicaSet, "default", replica_set(230));
    run(&mut cluster);
    let sizes = |cluster: &Cluster| {
        let mut sizes: Vec<_> = slices(cluster)
            .iter()
            .map(|slice| slice["endpoints"].as_array().map_or(0, Vec::len))
            .collect();
        sizes.sort_unstable();
        sizes
    };
    assert_eq!(sizes(&cluster).iter().sum::<usize>(), 230);
    assert!(sizes(&cluster).iter().all(|size| (1..=100).contains(size)), "{:?}", sizes(&cluster));

    let pod = cluster.list(Kind::Pod)[17].clone();
    let name = pod["metadata"]["name"].as_str().unwrap();
    let revisions = |cluster: &Cluster| -> Vec<Value> {
        slices(cluster).iter().map(|of| of["metadata"]["resourceVersion"].clone()).collect()
    };
    let before = revisions(&cluster);
    cluster.set_ready(name, false, pod["status"]["podIP"].as_str().unwrap());
    cluster.settle();
    let after = revisions(&cluster);
    assert_eq!(before.iter().filter(|revision| !after.contains(revision)).count(), 1);
}

#[test]
fn services_without_selector_are_left_alone_and_mirrored() {
    let mut cluster = Cluster::new();
    let mut service = service();
    service["spec"].as_object_mut().unwrap().remove("selector");
    cluster.create(Kind::Service, "default", service);
    cluster.settle();
    assert!(slices(&cluster).is_empty());
    let hand_written = json!({
        "metadata": {"name": "web", "labels": {"by": "hand"}},
        "subsets": [{
            "addresses": [{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}],
            "notReadyAddresses": [{"ip": "192.0.2.2"}],
            "ports": [{"name": "http", "port": 8080}],
        }],
    });
    cluster.create(Kind::Endpoints, "default", hand_written);
    cluster.settle();
    let mirrored = slices(&cluster);
    assert_eq!(mirrored.len(), 2);
    for slice in &mirrored {
        let labels = &slice["metadata"]["labels"];
        assert_eq!(
            labels["endpointslice.kubernetes.io/managed-by"],
            "endpointslicemirroring-controller.k8s.io"
        );
        assert_eq!(labels["by"], "hand");
        assert_eq!(slice["metadata"]["ownerReferences"][0]["kind"], "Endpoints");
    }
    let addresses: Vec<_> = mirrored
        .iter()
        .flat_map(|of| of["endpoints"].as_array().unwrap())
        .map(|of| (of["addresses"][0].as_str().unwrap(), of["conditions"]["ready"] == true))
        .collect();
    assert_eq!(addresses.len(), 3);
    assert!(addresses.contains(&("192.0.2.2", false)));
    assert!(addresses.contains(&("2001:db8::1", true)));

    let skip = json!({"metadata": {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}});
    cluster.patch(Kind::Endpoints, "web", skip);
    cluster.settle();
    assert!(slices(&cluster).is_empty());
    let again = json!({"metadata": {"labels": {"endpointslice.kubernetes.io/skip-mirror": null}}});
    cluster.patch(Kind::Endpoints, "web", again);
    cluster.settle();
    assert_eq!(slices(&cluster).len(), 2);
    cluster.delete(Kind::Service, "web", Propagation::Background);
    cluster.settle();
    assert!(slices(&cluster).is_empty());
    assert_eq!(cluster.get(Kind::Endpoints, "default", "web"), None);
}

#[test]
fn more_than_a_thousand_addresses_are_cut_off_the_ready_ones_last() {
    use crate::controllers::endpoints::truncate;
    use k8s_openapi::api::core::v1::{EndpointAddress, EndpointSubset};
    let many = |count: u32, from: u32| {
        let address = |n| EndpointAddress { ip: format!("a{n}"), ..EndpointAddress::default() };
        (count > 0).then(|| (from..from + count).map(address).collect::<Vec<_>>())
    };
    // Ready and not ready, before and after.
    for (before, after) in [
        (vec![(600, 400)], vec![(600, 400)]),
        (vec![(600, 500)], vec![(600, 400)]),
        (vec![(900, 100), (50, 100)], vec![(900, 25), (50, 25)]),
        (vec![(900, 10), (300, 10)], vec![(750, 0), (250, 0)]),
        (vec![(3000, 0), (1, 1)], vec![(1000, 0), (0, 0)]),
    ] {
        let subset = |(ready, not_ready): &(u32, u32)| EndpointSubset {
            addresses: many(*ready, 0),
            not_ready_addresses: many(*not_ready, 5000),
            ports: None,
        };
        let mut subsets: Vec<_> = before.iter().map(subset).collect();
        let cut = truncate(&mut subsets);
        let count = |list: &Option<Vec<EndpointAddress>>| list.as_ref().map_or(0, Vec::len);
        let counts: Vec<_> = subsets
            .iter()
            .map(|of| (count(&of.addresses), count(&of.not_ready_addresses)))
            .collect();
        assert_eq!(counts, after, "{before:?}");
        assert_eq!(
            cut,
            counts.iter().zip(&before).any(|(a, b)| { *a != (b.0 as usize, b.1 as usize) })
        );
    }
}

#[test]
fn the_service_kubernetes_is_there_and_has_endpoints_only_if_they_can_be_reached() {
    let mut cluster = Cluster::new();
    let service = cluster.get(Kind::Service, "default", "kubernetes").unwrap();
    assert_eq!(service["spec"]["clusterIP"], "10.96.0.1");
    assert_eq!(service["spec"]["ports"][0]["port"], 443);
    assert_eq!(cluster.get(Kind::EndpointSlice, "default", "kubernetes"), None);
    for namespace in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        assert!(cluster.get(Kind::Namespace, "", namespace).is_some(), "{namespace}");
    }

    cluster.settings.api = Some("192.0.2.1:6443".parse().unwrap());
    cluster.delete(Kind::Service, "kubernetes", Propagation::Background);
    cluster.settle();
    assert!(cluster.get(Kind::Service, "default", "kubernetes").is_some(), "it comes back");
    let slice = cluster.get(Kind::EndpointSlice, "default", "kubernetes").unwrap();
    assert_eq!(slice["endpoints"][0]["addresses"], json!(["192.0.2.1"]));
    let slices = cluster.list(Kind::EndpointSlice);
    assert_eq!(slices.len(), 1, "not mirrored once more");

    cluster.settings.api = Some("127.0.0.1:6443".parse().unwrap());
    cluster.delete(Kind::EndpointSlice, "kubernetes", Propagation::Background);
    cluster.settle();
    assert_eq!(cluster.get(Kind::EndpointSlice, "default", "kubernetes"), None);
    assert_eq!(cluster.get(Kind::Endpoints, "default", "kubernetes"), None);
}

#[test]
fn hints_say_for_whom_when_the_service_prefers_what_is_close() {
    let mut cluster = cluster();
    let spec = json!({"spec": {"trafficDistribution": "PreferClose"}});
    cluster.patch(Kind::Service, "web", spec);
    cluster.settle();
    let hints = |cluster: &Cluster| slices(cluster)[0]["endpoints"][0]["hints"].clone();
    assert_eq!(hints(&cluster), json!({"forZones": [{"name": "here"}]}));
    cluster.patch(Kind::Service, "web", json!({"spec": {"trafficDistribution": null}}));
    cluster.settle();
    assert_eq!(hints(&cluster), Value::Null);
}

#[test]
fn slices_say_when_what_they_tell_of_happened() {
    let mut cluster = cluster();
    let annotation = |cluster: &Cluster| {
        let name = "endpoints.kubernetes.io/last-change-trigger-time";
        slices(cluster)[0]["metadata"]["annotations"][name].clone()
    };
    cluster.wait(100);
    let pod = cluster.list(Kind::Pod)[0].clone();
    let name = pod["metadata"]["name"].as_str().unwrap();
    cluster.set_ready(name, false, pod["status"]["podIP"].as_str().unwrap());
    let at = cluster.clock.time.to_string();
    cluster.wait(5);
    assert_eq!(annotation(&cluster), at);
    // Of a change of labels it is not known.
    cluster.patch(Kind::Service, "web", json!({"metadata": {"labels": {"team": "red"}}}));
    cluster.settle();
    assert_eq!(annotation(&cluster), Value::Null);
}
