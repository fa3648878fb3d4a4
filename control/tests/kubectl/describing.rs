//! `kubectl describe`, and the endpoints that it shows.

use serde_json::json;

use crate::kubectl::{await_that, contains, squeezed};
use crate::standalone::Standalone;

const BY_HAND: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec: {clusterIP: 10.96.0.50, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints:
  - {addresses: [198.51.100.1], conditions: {ready: true}}
  - {addresses: [198.51.100.2], conditions: {ready: false}}
";

#[test]
fn a_service_and_its_endpoints() {
    let Some(machine) = Standalone::start("a_service_and_its_endpoints") else { return };
    let kubectl = machine.kubectl();
    kubectl.feed("apply -f -", BY_HAND);
    let told = squeezed(&kubectl.run("describe service web"));
    contains(
        &told,
        &[
            "Name: web\nNamespace: default\nLabels: app=web\nAnnotations: <none>\nSelector: <none>\nType: ClusterIP\n\
         IP Family Policy: SingleStack\nIP Families: IPv4\nIP: 10.96.0.50\nIPs: 10.96.0.50\nPort: http 80/TCP\n\
         TargetPort: 8080/TCP\n",
            "Endpoints: 198.51.100.1:8080\nSession Affinity: None\n",
            "Internal Traffic Policy: Cluster\nEvents: <none>",
        ],
    );
    let slices = squeezed(&kubectl.run("get endpointslices -l kubernetes.io/service-name=web"));
    assert!(
        slices.starts_with(
            "NAME ADDRESSTYPE PORTS ENDPOINTS AGE\nweb-1 IPv4 8080 198.51.100.1,198.51.100.2 "
        ),
        "{slices}"
    );
    let slice = squeezed(&kubectl.run("describe endpointslice web-1"));
    contains(
        &slice,
        &[
            "AddressType: IPv4\n",
            "Name Port Protocol\n",
            "http 8080 TCP\n",
            "- Addresses: 198.51.100.1\nConditions:\nReady: true\n",
        ],
    );
    let kubernetes = squeezed(&kubectl.run("describe service kubernetes"));
    contains(
        &kubernetes,
        &["Labels: component=apiserver\nprovider=kubernetes\n", "Port: https 443/TCP\n"],
    );
}

/// Hand-written Endpoints become a slice, as the mirroring controller makes it.
#[test]
fn endpoints_by_hand_are_mirrored() {
    let Some(machine) = Standalone::start("endpoints_by_hand_are_mirrored") else { return };
    let kubectl = machine.kubectl();
    kubectl.run("create service clusterip web --tcp=80 -o yaml --dry-run=client");
    kubectl.feed(
        "create -f -",
        "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}",
    );
    let endpoints = "{apiVersion: v1, kind: Endpoints, metadata: {name: web}, subsets: [{addresses: \
        [{ip: 198.51.100.7}], notReadyAddresses: [{ip: 198.51.100.8}], ports: [{port: 8080}]}]}";
    let said = kubectl.try_feed("create -f -", endpoints);
    assert_eq!(said.stdout, "endpoints/web created\n");
    contains(&said.stderr, &["Warning: v1 Endpoints is deprecated in v1.33+"]);
    let line = "get endpointslices -l kubernetes.io/service-name=web";
    let slices = || kubectl.json(line)["items"].clone();
    await_that("it is mirrored", || slices().as_array().is_some_and(|items| items.len() == 1));
    let slice = slices()[0].clone();
    let label = &slice["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"];
    assert_eq!(label, "endpointslicemirroring-controller.k8s.io");
    let ready: Vec<_> = slice["endpoints"]
        .as_array()
        .expect("endpoints")
        .iter()
        .map(|endpoint| (endpoint["addresses"][0].clone(), endpoint["conditions"]["ready"].clone()))
        .collect();
    assert!(ready.contains(&(json!("198.51.100.7"), json!(true))), "{slice}");
    assert!(ready.contains(&(json!("198.51.100.8"), json!(false))), "{slice}");
    let (table, _) = kubectl.warned("get endpoints web");
    assert!(squeezed(&table).starts_with("NAME ENDPOINTS AGE\nweb 198.51.100.7:8080 "), "{table}");
    let (told, _) = kubectl.warned("describe endpoints web");
    contains(
        &squeezed(&told),
        &[
            "Subsets:\nAddresses: 198.51.100.7\nNotReadyAddresses: 198.51.100.8\nPorts:\nName Port Protocol\n---- ---- --------\n<unset> 8080 TCP",
        ],
    );
    kubectl.warned("delete endpoints web");
    await_that("the mirror goes", || slices().as_array().is_some_and(Vec::is_empty));
}

#[test]
fn pods_nodes_and_deployments() {
    let Some(machine) = Standalone::start("pods_nodes_and_deployments") else { return };
    let kubectl = machine.kubectl();
    kubectl.run("create deployment web --image=registry.example/web:1 --port=8080");
    await_that("a Pod", || !kubectl.try_run("get pods -l app=web -o name").stdout.is_empty());
    let pods = squeezed(&kubectl.run("get pods -o wide"));
    assert!(
        pods.starts_with(
            "NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES\nweb-"
        ),
        "{pods}"
    );
    // Nobody runs it here.
    contains(&pods, &[" 0/1 Pending 0 "]);
    let pod = squeezed(&kubectl.run("describe pod -l app=web"));
    contains(
        &pod,
        &[
            "Namespace: default\n",
            "Status: Pending\n",
            "Controlled By: ReplicaSet/web-",
            "Image: registry.example/web:1\n",
            "Port: 8080/TCP\n",
        ],
    );
    let deployment = squeezed(&kubectl.run("describe deployment web"));
    contains(
        &deployment,
        &[
            "Replicas: 1 desired | 1 updated | 1 total | 0 available | 1 unavailable\n",
            "StrategyType: RollingUpdate\n",
            "RollingUpdateStrategy: 25% max unavailable, 25% max surge\n",
            "NewReplicaSet: web-",
        ],
    );
    let node = squeezed(&kubectl.run("describe node node-1"));
    contains(&node, &["Name: node-1\n", "Addresses:\n", "Non-terminated Pods:"]);
    let (events, told) = kubectl.warned("get events");
    contains(&format!("{events}{told}"), &["ScalingReplicaSet"]);
}
