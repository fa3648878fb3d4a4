//! A Service that does not work, and the way people find out why: "Debug Services" of the
//! Kubernetes documentation, step by step.

use crate::kubectl::{await_that, contains, squeezed};
use crate::lab::Lab;
use crate::turn::{json, maglane};

#[test]
fn from_a_client_to_the_endpoints() {
    let Some(lab) = Lab::up("from_a_client_to_the_endpoints") else { return };
    let kubectl = lab.kubectl();
    // The Service's selector and its target port are both wrong.
    let manifest = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../deploy/examples/service.yaml"
    ));
    let manifest = manifest.expect("an example");
    let broken = manifest
        .replacen("  selector:\n    app: hello\n", "  selector:\n    app: helo\n", 1)
        .replacen("targetPort: http", "targetPort: 8081", 1);
    kubectl.feed("apply -f -", &broken);
    kubectl.run("rollout status deployment hello --timeout=60s");

    // From a Pod, by the Service's address: refused at once, not left to hang.
    let vip = lab.address("hello");
    let ask = || lab.in_client(&format!("curl -sS --max-time 5 http://{vip}"));
    let said = ask();
    assert_eq!(said.code, 7, "curl could not connect: {said:?}");
    // Does the Service exist, and is it defined correctly?
    let row = squeezed(&kubectl.run("get service hello --no-headers"));
    contains(&row, &[&format!("hello ClusterIP {vip} <none> 80/TCP")]);
    let described = squeezed(&kubectl.run("describe service hello"));
    contains(&described, &["Selector: app=helo\n"]);
    let endpoints = described.lines().find_map(|line| line.strip_prefix("Endpoints:"));
    assert!(["", " <none>"].contains(&endpoints.expect("a line")), "{described}");
    // Does it have endpoints? None, so the selector is compared with the Pods' labels.
    let slices = squeezed(
        &kubectl.run("get endpointslices -l kubernetes.io/service-name=hello --no-headers"),
    );
    contains(&slices, &["IPv4 <unset> <unset> "]);
    assert_eq!(kubectl.run("get pods -l app=hello --no-headers").lines().count(), 3);
    kubectl.run(r#"patch service hello -p '{"spec":{"selector":{"app":"hello"}}}'"#);
    let addresses = || {
        let line = "get endpointslices -l kubernetes.io/service-name=hello -o jsonpath='{.items[*].endpoints[*].addresses[0]}'";
        let mut ips: Vec<_> = kubectl.run(line).split(' ').map(str::to_owned).collect();
        ips.sort_unstable();
        ips
    };
    await_that("there are endpoints", || addresses().len() == 3);
    let ips = kubectl.run("get pods -l app=hello -o jsonpath='{.items[*].status.podIP}'");
    let mut ips: Vec<_> = ips.split(' ').map(str::to_owned).collect();
    ips.sort_unstable();
    assert_eq!(addresses(), ips);

    // Still refused, now by the Pods themselves. Do they work? On 8080 they do, on 8081 not.
    assert_eq!(ask().code, 7);
    for ip in &ips {
        assert_eq!(lab.in_client(&format!("curl -sS --max-time 5 http://{ip}:8080")).code, 0);
        assert_eq!(lab.in_client(&format!("curl -sS --max-time 5 http://{ip}:8081")).code, 7);
    }
    kubectl.run(r#"patch service hello --type=json -p '[{"op":"replace","path":"/spec/ports/0/targetPort","value":"http"}]'"#);
    await_that("it works", || ask().code == 0);
    lab.await_answers(&vip, 3);

    // Is the proxy working, and does it know?
    let problems = json(&["status"])["problems"].clone();
    assert_eq!(problems, serde_json::json!([]));
    let services = String::from_utf8(maglane(["services"]).stdout).expect("UTF-8");
    contains(&services, &[&vip]);
    for ip in &ips {
        contains(&services, &[ip]);
    }
    // A Pod reaches itself by its own Service.
    let pod = kubectl.run("get pods -l app=hello -o jsonpath='{.items[0].metadata.name}'");
    let line = format!(
        "exec {pod} -- sh -c 'for i in $(seq 40); do curl -sS --max-time 5 http://{vip}; done'"
    );
    let answers = kubectl.run(&line);
    let own = answers.lines().find(|line| line.starts_with(&pod)).expect("it met itself");
    let own_ip = kubectl.run(&format!("get pod {pod} -o jsonpath='{{.status.podIP}}'"));
    assert!(!own.ends_with(&format!(" {own_ip}")), "as somebody else: {own}");
    // Pods are told of the Services that were there before them.
    contains(
        &kubectl.run(&format!("exec {pod} -- env")),
        &[&format!("HELLO_SERVICE_HOST={vip}\n"), "HELLO_SERVICE_PORT_HTTP=80\n"],
    );
}
