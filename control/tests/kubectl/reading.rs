//! `kubectl get` and `explain`, in all the ways people look at things.

use serde_json::json;

use crate::kubectl::{contains, squeezed};
use crate::standalone::Standalone;

const TWO: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web, tier: front}}
spec:
  clusterIP: 10.96.0.50
  selector: {app: web, tier: front}
  ports: [{name: http, port: 80, targetPort: http}, {name: metrics, port: 9090}]
---
apiVersion: v1
kind: Service
metadata: {name: dns, labels: {app: dns}}
spec:
  type: NodePort
  clusterIP: 10.96.0.53
  selector: {app: dns}
  ports: [{port: 53, protocol: UDP, nodePort: 30053}]
---
apiVersion: v1
kind: Service
metadata: {name: outside}
spec: {type: ExternalName, externalName: example.org}
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80}]}
";

fn with_services(test: &str) -> Option<Standalone> {
    let machine = Standalone::start(test)?;
    machine.kubectl().feed("create -f -", TWO);
    Some(machine)
}

/// The columns as people know them, but for the age.
fn without_age(table: &str) -> Vec<String> {
    let lines = squeezed(table);
    let age = |line: &str| line.rsplit_once(' ').map_or(line, |(rest, _)| rest).to_owned();
    lines.lines().map(age).collect()
}

#[test]
fn services_have_the_columns_that_people_know() {
    let Some(machine) = with_services("services_have_the_columns_that_people_know") else { return };
    let table = machine.kubectl().run("get services");
    assert!(squeezed(&table).starts_with("NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE\n"));
    assert_eq!(
        without_age(&table)[1..],
        [
            "dns NodePort 10.96.0.53 <none> 53:30053/UDP",
            "headless ClusterIP None <none> 80/TCP",
            "kubernetes ClusterIP 10.96.0.1 <none> 443/TCP",
            "outside ExternalName <none> example.org <none>",
            "web ClusterIP 10.96.0.50 <none> 80/TCP,9090/TCP",
        ]
    );
    let age = table.lines().nth(1).and_then(|row| row.split_whitespace().last());
    assert!(age.is_some_and(|age| age.ends_with('s')), "{table}");
}

#[test]
fn wide_labels_and_selectors() {
    let Some(machine) = with_services("wide_labels_and_selectors") else { return };
    let kubectl = machine.kubectl();
    let wide = squeezed(&kubectl.run("get service web -o wide"));
    assert!(wide.starts_with("NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE SELECTOR\n"), "{wide}");
    assert!(wide.ends_with(" app=web,tier=front"), "{wide}");
    let labels = squeezed(&kubectl.run("get services -l app=web --show-labels"));
    assert!(labels.starts_with("NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE LABELS\n"));
    assert!(labels.ends_with(" app=web,tier=front"), "{labels}");
    let column = squeezed(&kubectl.run("get services -l app -L tier"));
    assert!(column.starts_with("NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE TIER\n"), "{column}");
    for (selector, names) in [
        ("app=web", vec!["web"]),
        ("app!=web,app", vec!["dns"]),
        ("'app in (web, dns)'", vec!["dns", "web"]),
        ("'!app'", vec!["headless", "kubernetes", "outside"]),
    ] {
        let rows = kubectl.rows(&format!("get services -l {selector}"));
        let found: Vec<_> = rows.iter().map(|row| row[0].as_str()).collect();
        // `kubernetes` has labels of its own.
        let found: Vec<_> = found.into_iter().filter(|name| names.contains(name)).collect();
        assert_eq!(found, names, "{selector}");
    }
    let fields = kubectl.run("get services --field-selector metadata.name=web -o name");
    assert_eq!(fields, "service/web\n");
    let (nothing, told) = kubectl.warned("get services -l app=nobody");
    assert_eq!(
        (nothing.as_str(), told.as_str()),
        ("", "No resources found in default namespace.\n")
    );
}

#[test]
fn outputs_for_programs() {
    let Some(machine) = with_services("outputs_for_programs") else { return };
    let kubectl = machine.kubectl();
    let yaml = kubectl.run("get service web -o yaml");
    contains(&yaml, &["apiVersion: v1\nkind: Service\n", "  clusterIP: 10.96.0.50\n"]);
    contains(
        &yaml,
        &["  sessionAffinity: None\n  type: ClusterIP\n", "  internalTrafficPolicy: Cluster\n"],
    );
    let json = kubectl.json("get service web");
    assert_eq!(
        json["spec"]["ports"][0],
        json!({"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"})
    );
    assert_eq!(json["spec"]["ports"][1]["targetPort"], 9090);
    assert_eq!(json["spec"]["clusterIPs"], json!(["10.96.0.50"]));
    assert_eq!(json["status"], json!({"loadBalancer": {}}));
    let list = kubectl.json("get services,namespaces");
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("List"), &json!("v1")));
    assert_eq!(kubectl.run("get service web -o jsonpath='{.spec.clusterIP}'"), "10.96.0.50");
    let ports = "get services -o jsonpath='{range .items[?(@.spec.clusterIP==\"10.96.0.53\")]}\
                 {.metadata.name}:{.spec.ports[0].nodePort}{end}'";
    assert_eq!(kubectl.run(ports), "dns:30053");
    let columns = "get services -o custom-columns=NAME:.metadata.name,IP:.spec.clusterIP";
    assert_eq!(
        squeezed(&kubectl.run(columns)),
        "NAME IP\ndns 10.96.0.53\nheadless None\nkubernetes 10.96.0.1\noutside <none>\nweb 10.96.0.50"
    );
    let template = "get service web -o go-template='{{range .spec.ports}}{{.name}} {{end}}'";
    assert_eq!(kubectl.run(template), "http metrics ");
    let sorted = kubectl.run("get services --sort-by=.metadata.name -o name --no-headers");
    assert_eq!(sorted.lines().last(), Some("service/web"));
}

#[test]
fn whole_clusters_and_raw_paths() {
    let Some(machine) = with_services("whole_clusters_and_raw_paths") else { return };
    let kubectl = machine.kubectl();
    let all = squeezed(&kubectl.run("get all -A"));
    contains(
        &all,
        &["NAMESPACE NAME TYPE CLUSTER-IP", "default service/kubernetes ClusterIP 10.96.0.1"],
    );
    let namespaces = kubectl.run("get namespaces -o name");
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        contains(&namespaces, &[&format!("namespace/{name}\n")]);
    }
    let nodes = squeezed(&kubectl.run("get nodes"));
    assert!(nodes.starts_with("NAME STATUS ROLES AGE VERSION\n"), "{nodes}");
    contains(&nodes, &["node-1 Ready"]);
    let cidrs = squeezed(&kubectl.run("get servicecidrs"));
    assert!(
        cidrs.starts_with("NAME CIDRS AGE\nkubernetes 10.96.0.0/16,fd00:10:96::/112 "),
        "{cidrs}"
    );
    let raw = kubectl.run("get --raw /api/v1/namespaces/default/services/web");
    let raw: serde_json::Value = serde_json::from_str(&raw).expect("JSON");
    assert_eq!(raw["metadata"]["name"], "web");
    assert_eq!(kubectl.run("get --raw /livez"), "ok");
    contains(
        &kubectl.warned("version -o json").0,
        &["\"serverVersion\"", "\"gitVersion\": \"v1.34"],
    );
    contains(&kubectl.run("cluster-info"), &["https://127.0.0.1:"]);
    let resources = squeezed(&kubectl.run("api-resources"));
    contains(
        &resources,
        &[
            "NAME SHORTNAMES APIVERSION NAMESPACED KIND\n",
            "\nservices svc v1 true Service",
            "\nendpointslices discovery.k8s.io/v1 true EndpointSlice",
            "\ndeployments deploy apps/v1 true Deployment",
            "\nnodes no v1 false Node",
        ],
    );
    contains(&kubectl.run("api-versions"), &["apps/v1\n", "discovery.k8s.io/v1\n", "\nv1\n"]);
    assert_eq!(kubectl.run("auth can-i create services"), "yes\n");
    contains(&kubectl.refused("get foos"), &["the server doesn't have a resource type \"foos\""]);
}

/// Pages are no different from the whole.
#[test]
fn lists_in_pages() {
    let Some(machine) = Standalone::start("lists_in_pages") else { return };
    let kubectl = machine.kubectl();
    let one = |number: u32| {
        format!("---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: page-{number:03}}}}}\n")
    };
    kubectl.feed("create -f -", &(0..30).map(one).collect::<String>());
    let whole = kubectl.run("get configmaps -o name --chunk-size=0");
    assert_eq!(kubectl.run("get configmaps -o name --chunk-size=7"), whole);
    let table = |size: u32| {
        kubectl.run(&format!(
            "get configmaps --no-headers --chunk-size={size} -o custom-columns=N:.metadata.name"
        ))
    };
    assert_eq!(table(7), table(500));
    let raw = kubectl.run("get --raw '/api/v1/namespaces/default/configmaps?limit=7'");
    let page: serde_json::Value = serde_json::from_str(&raw).expect("JSON");
    assert_eq!(page["items"].as_array().map(Vec::len), Some(7));
    assert!(page["metadata"]["continue"].as_str().is_some_and(|token| !token.is_empty()), "{raw}");
    assert!(page["metadata"]["remainingItemCount"].as_u64().is_some(), "{raw}");
    contains(
        &kubectl.refused("get --raw '/api/v1/configmaps?limit=7&continue=nonsense'"),
        &["continue"],
    );
}

#[test]
fn explain_from_the_schema() {
    let Some(machine) = Standalone::start("explain_from_the_schema") else { return };
    let kubectl = machine.kubectl();
    let spec = squeezed(&kubectl.run("explain service.spec"));
    contains(
        &spec,
        &[
            "KIND: Service\nVERSION: v1\n",
            "FIELD: spec <ServiceSpec>",
            "clusterIP <string>",
            "ports <[]ServicePort>",
            "sessionAffinityConfig <SessionAffinityConfig>",
            "clusterIP is the IP address of the service",
        ],
    );
    let port = squeezed(&kubectl.run("explain service.spec.ports.targetPort"));
    contains(&port, &["FIELD: targetPort <IntOrString>"]);
    let slices = squeezed(&kubectl.run("explain endpointslices.endpoints.conditions"));
    contains(
        &slices,
        &["GROUP: discovery.k8s.io\nKIND: EndpointSlice\nVERSION: v1\n", "ready <boolean>"],
    );
    let tree = kubectl.run("explain deployment --recursive");
    contains(&tree, &["maxUnavailable", "<IntOrString>", "progressDeadlineSeconds"]);
    contains(&kubectl.refused("explain service.spec.nope"), &["field \"nope\" does not exist"]);
}
