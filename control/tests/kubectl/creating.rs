//! `create`, `apply`, `expose`, `run` and what they make: defaults, addresses, names.

use serde_json::json;

use crate::kubectl::contains;
use crate::standalone::Standalone;

const WEB: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
";

#[test]
fn apply_says_what_it_did() {
    let Some(machine) = Standalone::start("apply_says_what_it_did") else { return };
    let kubectl = machine.kubectl();
    assert_eq!(kubectl.feed("apply -f -", WEB), "service/web created\n");
    let version = || kubectl.run("get service web -o jsonpath='{.metadata.resourceVersion}'");
    let first = version();
    assert_eq!(kubectl.feed("apply -f -", WEB), "service/web unchanged\n");
    assert_eq!(version(), first, "nothing was written");
    let other = WEB.replace("port: 80", "port: 81");
    assert_eq!(kubectl.feed("apply -f -", &other), "service/web configured\n");
    // Merged by number: the old one is gone, and the new one is defaulted.
    let ports = kubectl.json("get service web")["spec"]["ports"].clone();
    assert_eq!(ports, json!([{"name": "http", "port": 81, "protocol": "TCP", "targetPort": 81}]));
    let said = kubectl.feed("apply -f - --prune -l app=web --prune-allowlist=core/v1/Service", WEB);
    assert_eq!(said, "service/web configured\n");
    assert_eq!(kubectl.feed("delete -f -", WEB).split('"').nth(1), Some("web"));
    contains(
        &kubectl.refused("get service web"),
        &["Error from server (NotFound): services \"web\" not found"],
    );
}

#[test]
fn applying_what_was_created_is_warned_of() {
    let Some(machine) = Standalone::start("applying_what_was_created_is_warned_of") else { return };
    let kubectl = machine.kubectl();
    assert_eq!(kubectl.feed("create -f -", WEB), "service/web created\n");
    let said = kubectl.try_feed("apply -f -", WEB);
    assert_eq!((said.code, said.stdout.as_str()), (0, "service/web configured\n"));
    contains(
        &said.stderr,
        &[
            "Warning: resource services/web is missing the kubectl.kubernetes.io/last-applied-configuration",
        ],
    );
}

#[test]
fn services_of_every_kind() {
    let Some(machine) = Standalone::start("services_of_every_kind") else { return };
    let kubectl = machine.kubectl();
    for (line, name) in [
        ("create service clusterip plain --tcp=80:8080", "plain"),
        ("create service clusterip bodiless --clusterip=None --tcp=80", "bodiless"),
        ("create service nodeport node --tcp=80 --node-port=30080", "node"),
        ("create service loadbalancer balanced --tcp=443:8443", "balanced"),
        ("create service externalname outside --external-name example.org", "outside"),
    ] {
        assert_eq!(kubectl.run(line), format!("service/{name} created\n"));
    }
    let spec = |name: &str| kubectl.json(&format!("get service {name}"))["spec"].clone();
    let plain = spec("plain");
    assert_eq!(
        plain["ports"],
        json!([{"name": "80-8080", "port": 80, "protocol": "TCP", "targetPort": 8080}])
    );
    assert_eq!(
        (&plain["ipFamilies"], &plain["ipFamilyPolicy"]),
        (&json!(["IPv4"]), &json!("SingleStack"))
    );
    assert_eq!(plain["clusterIPs"], json!([plain["clusterIP"]]));
    assert_eq!(spec("bodiless")["clusterIPs"], json!(["None"]));
    assert_eq!(spec("node")["ports"][0]["nodePort"], 30080);
    let balanced = spec("balanced");
    assert_eq!(balanced["allocateLoadBalancerNodePorts"], true);
    assert!(
        balanced["ports"][0]["nodePort"]
            .as_u64()
            .is_some_and(|port| (30_000..32_768).contains(&port))
    );
    assert_eq!(balanced["externalTrafficPolicy"], "Cluster");
    assert!(spec("outside").get("clusterIP").is_none());
    // Nobody has an address that somebody else has, and what is deleted is given back.
    let mut ips: Vec<_> =
        ["plain", "node", "balanced"].map(|name| spec(name)["clusterIP"].to_string()).into();
    ips.sort_unstable();
    ips.dedup();
    assert_eq!(ips.len(), 3);
    kubectl.run("delete service node");
    kubectl.run("create service nodeport again --tcp=80 --node-port=30080");
}

#[test]
fn dual_stack_and_asked_for_addresses() {
    let Some(machine) = Standalone::start("dual_stack_and_asked_for_addresses") else { return };
    let kubectl = machine.kubectl();
    let dual =
        WEB.replace("spec: {", "spec: {ipFamilyPolicy: PreferDualStack, clusterIP: 10.96.0.77, ");
    kubectl.feed("create -f -", &dual);
    let spec = kubectl.json("get service web")["spec"].clone();
    assert_eq!(spec["ipFamilies"], json!(["IPv4", "IPv6"]));
    assert_eq!(spec["clusterIPs"][0], "10.96.0.77");
    assert!(spec["clusterIPs"][1].as_str().is_some_and(|ip| ip.starts_with("fd00:10:96::")));
    let taken = kubectl.refused("create service clusterip other --tcp=80 --clusterip=10.96.0.77");
    contains(
        &taken,
        &[
            "error: failed to create ClusterIP service: Service \"other\" is invalid: spec.clusterIPs: Invalid value:",
            "failed to allocate IP 10.96.0.77: provided IP is already allocated",
        ],
    );
    let outside = kubectl.refused("create service clusterip other --tcp=80 --clusterip=192.0.2.1");
    contains(&outside, &["failed to allocate IP 192.0.2.1: "]);
    kubectl.run("delete service web");
    kubectl.run("create service clusterip other --tcp=80 --clusterip=10.96.0.77");
    // Down to one family and up again.
    let policy = |policy: &str| {
        format!("patch service other -p '{{\"spec\":{{\"ipFamilyPolicy\":\"{policy}\"}}}}'")
    };
    kubectl.run(&policy("RequireDualStack"));
    assert_eq!(
        kubectl.json("get service other")["spec"]["clusterIPs"].as_array().map(Vec::len),
        Some(2)
    );
}

#[test]
fn expose_run_and_generated_names() {
    let Some(machine) = Standalone::start("expose_run_and_generated_names") else { return };
    let kubectl = machine.kubectl();
    let made = kubectl
        .run("create deployment web --image=registry.example/web:1 --replicas=2 --port=8080");
    assert_eq!(made, "deployment.apps/web created\n");
    assert_eq!(
        kubectl.run("expose deployment web --port=80 --target-port=8080"),
        "service/web exposed\n"
    );
    let spec = kubectl.json("get service web")["spec"].clone();
    assert_eq!(
        (&spec["selector"], &spec["ports"][0]["targetPort"]),
        (&json!({"app": "web"}), &json!(8080))
    );
    // In any order.
    let exposed = kubectl.run("run one --image=registry.example/one --port=80 --expose");
    contains(&exposed, &["service/one created\n", "pod/one created\n"]);
    let job = "{apiVersion: v1, kind: ConfigMap, metadata: {generateName: part-}}";
    let (first, second) = (kubectl.feed("create -f -", job), kubectl.feed("create -f -", job));
    assert!(first.starts_with("configmap/part-") && first != second, "{first}{second}");
    contains(&kubectl.feed_refused("apply -f -", job), &["cannot use generate name with apply"]);
    kubectl.run("create namespace team");
    kubectl.run("-n team create configmap settings --from-literal=a=1 --from-literal=b=2");
    assert_eq!(kubectl.json("-n team get configmap settings")["data"], json!({"a": "1", "b": "2"}));
    contains(&kubectl.run("delete namespace team"), &["namespace \"team\" deleted"]);
    contains(&kubectl.refused("-n team get configmap settings"), &["NotFound"]);
    contains(&kubectl.refused("-n team create configmap late"), &["namespaces \"team\" not found"]);
}

#[test]
fn nothing_happens_in_a_dry_run() {
    let Some(machine) = Standalone::start("nothing_happens_in_a_dry_run") else { return };
    let kubectl = machine.kubectl();
    assert_eq!(
        kubectl.feed("create --dry-run=server -f -", WEB),
        "service/web created (server dry run)\n"
    );
    assert_eq!(
        kubectl.feed("apply --dry-run=server -f -", WEB),
        "service/web created (server dry run)\n"
    );
    contains(&kubectl.refused("get service web"), &["NotFound"]);
    // It is validated and defaulted all the same.
    let shown = kubectl.feed("create --dry-run=server -o json -f -", WEB);
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["spec"]["sessionAffinity"], "None");
    let bad = WEB.replace("port: 80", "port: 70000");
    contains(
        &kubectl.feed_refused("create --dry-run=server -f -", &bad),
        &["must be between 1 and 65535, inclusive"],
    );
    kubectl.feed("apply -f -", WEB);
    let other = WEB.replace("port: 80", "port: 81");
    assert_eq!(
        kubectl.feed("apply --dry-run=server -f -", &other),
        "service/web configured (server dry run)\n"
    );
    contains(
        &kubectl.run("delete service web --dry-run=server"),
        &["service \"web\" deleted", "(server dry run)"],
    );
    assert_eq!(kubectl.json("get service web")["spec"]["ports"][0]["port"], 80);
    // An address that a dry run showed is not taken.
    let asked =
        WEB.replace("spec: {", "spec: {clusterIP: 10.96.0.88, ").replace("name: web", "name: dry");
    kubectl.feed("create --dry-run=server -f -", &asked);
    kubectl.run("create service clusterip real --tcp=80 --clusterip=10.96.0.88");
}
