//! What the real server says when it says no: the words people search for.

use crate::kubectl::{Said, contains};
use crate::standalone::Standalone;

/// A Service whose spec is as given.
fn service(spec: &str) -> String {
    format!("{{apiVersion: v1, kind: Service, metadata: {{name: web}}, spec: {{{spec}}}}}")
}

#[test]
fn services_that_make_no_sense() {
    let Some(machine) = Standalone::start("services_that_make_no_sense") else { return };
    for (spec, said) in [
        (
            "ports: [{port: 70000}]",
            "spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        ("ports: []", "spec.ports: Required value"),
        ("ports: [{port: 80}, {port: 81}]", "spec.ports[0].name: Required value"),
        (
            "ports: [{port: 80, name: a}, {port: 81, name: a}]",
            "spec.ports[1].name: Duplicate value: \"a\"",
        ),
        (
            "ports: [{port: 80, protocol: HTTP}]",
            "spec.ports[0].protocol: Unsupported value: \"HTTP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
        ),
        (
            "ports: [{port: 80, nodePort: 30080}]",
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        ("type: Port, ports: [{port: 80}]", "spec.type: Unsupported value: \"Port\""),
        (
            "clusterIP: 10.96.0.300, ports: [{port: 80}]",
            "spec.clusterIPs[0]: Invalid value: \"10.96.0.300\": must be a valid IP address",
        ),
        (
            "type: NodePort, ports: [{port: 80, nodePort: 80}]",
            "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767",
        ),
        ("type: ExternalName", "spec.externalName: Required value"),
        (
            "sessionAffinity: Sometimes, ports: [{port: 80}]",
            "spec.sessionAffinity: Unsupported value: \"Sometimes\": supported values: \"ClientIP\", \"None\"",
        ),
        (
            "ipFamilies: [IPv5], ports: [{port: 80}]",
            "spec.ipFamilies[0]: Unsupported value: \"IPv5\": supported values: \"IPv4\", \"IPv6\"",
        ),
    ] {
        let told = machine.kubectl().feed_refused("create -f -", &service(spec));
        contains(&told, &["The Service \"web\" is invalid: ", said]);
    }
    let name = service("ports: [{port: 80}]").replace("name: web", "name: Web_1");
    contains(
        &machine.kubectl().feed_refused("create -f -", &name),
        &["metadata.name: Invalid value: \"Web_1\""],
    );
}

#[test]
fn what_may_not_change() {
    let Some(machine) = Standalone::start("what_may_not_change") else { return };
    let kubectl = machine.kubectl();
    kubectl.run("create service clusterip web --tcp=80 --clusterip=10.96.0.40");
    let patch = |patch: &str| kubectl.refused(&format!("patch service web -p '{patch}'"));
    contains(
        &patch(r#"{"spec":{"clusterIP":"10.96.0.41","clusterIPs":["10.96.0.41"]}}"#),
        &[
            "The Service \"web\" is invalid: ",
            "spec.clusterIPs[0]: Invalid value: ",
            "may not change once set",
        ],
    );
    contains(
        &patch(r#"{"spec":{"ipFamilies":["IPv6"]}}"#),
        &[
            "spec.clusterIPs[0]: Invalid value: \"10.96.0.40\": expected an IPv6 value as indicated by `ipFamilies[0]`",
        ],
    );
    contains(
        &kubectl.refused("create service clusterip web --tcp=80"),
        &["services \"web\" already exists"],
    );
    kubectl.run("create deployment web --image=registry.example/web");
    let selector =
        r#"patch deployment web -p '{"spec":{"selector":{"matchLabels":{"app":"other"}}}}'"#;
    contains(&kubectl.refused(selector), &["field is immutable"]);
    contains(
        &kubectl.refused("delete service nobody"),
        &["Error from server (NotFound): services \"nobody\" not found"],
    );
    assert_eq!(kubectl.run("delete service nobody --ignore-not-found"), "");
}

#[test]
fn fields_that_nobody_knows() {
    let Some(machine) = Standalone::start("fields_that_nobody_knows") else { return };
    let kubectl = machine.kubectl();
    let odd = service("ports: [{port: 80, colour: blue}]");
    let strict = kubectl.feed_refused("create -f -", &odd);
    contains(
        &strict,
        &[
            "Error from server (BadRequest): error when creating \"STDIN\": Service in version \"v1\" cannot be handled as a Service: strict decoding error: unknown field \"spec.ports[0].colour\"",
        ],
    );
    let warned = kubectl.try_feed("create --validate=warn -f -", &odd);
    assert_eq!((warned.code, warned.stdout.as_str()), (0, "service/web created\n"));
    contains(&warned.stderr, &["Warning: unknown field \"spec.ports[0].colour\""]);
    kubectl.run("delete service web");
    assert_eq!(kubectl.feed("create --validate=ignore -f -", &odd), "service/web created\n");
    assert!(kubectl.json("get service web")["spec"]["ports"][0].get("colour").is_none());
    let typed = service("ports: [{port: eighty}]");
    contains(&kubectl.feed_refused("create --validate=ignore -f -", &typed), &["BadRequest"]);
}

/// The server warns of what is allowed and unwise, and kubectl shows it.
#[test]
fn warnings() {
    let Some(machine) = Standalone::start("warnings") else { return };
    let kubectl = machine.kubectl();
    let headless = service("clusterIP: None, sessionAffinity: ClientIP, ports: [{port: 80}]");
    let Said { stdout, stderr, .. } = kubectl.try_feed("create -f -", &headless);
    assert_eq!(stdout, "service/web created\n");
    contains(&stderr, &["Warning: spec.SessionAffinity is ignored for headless services"]);
    let (_, told) = kubectl.warned("get endpoints");
    contains(
        &told,
        &["Warning: v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"],
    );
}

#[test]
fn who_may_not_come_in() {
    let Some(machine) = Standalone::start("who_may_not_come_in") else { return };
    let kubectl = machine.kubectl();
    // The kubeconfig's user has the token; another one has another.
    let wrong = kubectl.refused("--token=wrong --user=nobody get services");
    assert!(!wrong.is_empty());
    kubectl.run("config view");
    let config = std::fs::read_to_string(machine.kubeconfig()).expect("a kubeconfig");
    let token =
        config.lines().find_map(|line| line.trim().strip_prefix("token: ")).expect("a token");
    let other = config.replace(token.trim_matches('"'), "wrong");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), other).expect("a file");
    let line = format!("--kubeconfig {} get services", file.path().display());
    contains(
        &kubectl.refused(&line),
        &["the server has asked for the client to provide credentials"],
    );
}
