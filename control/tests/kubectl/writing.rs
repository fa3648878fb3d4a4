//! Changing what is there: patches of every kind, labels, edits, diffs, scale.

use std::process::Stdio;

use serde_json::json;

use crate::kubectl::contains;
use crate::standalone::Standalone;

const WEB: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
";

fn with_web(test: &str) -> Option<Standalone> {
    let machine = Standalone::start(test)?;
    machine.kubectl().feed("apply -f -", WEB);
    Some(machine)
}

#[test]
fn patches() {
    let Some(machine) = with_web("patches") else { return };
    let kubectl = machine.kubectl();
    let patch = |kind: &str, patch: &str| {
        kubectl.run(&format!("patch service web --type={kind} -p '{patch}'"))
    };
    let spec = || kubectl.json("get service web")["spec"].clone();
    // Strategic: ports are merged by their number, as the real server does.
    let second = r#"{"spec":{"ports":[{"name":"metrics","port":9090}]}}"#;
    assert_eq!(patch("strategic", second), "service/web patched\n");
    let names = |spec: serde_json::Value| {
        spec["ports"]
            .as_array()
            .expect("ports")
            .iter()
            .map(|port| port["name"].to_string())
            .collect::<Vec<_>>()
    };
    let mut both = names(spec());
    both.sort_unstable();
    assert_eq!(both, ["\"http\"", "\"metrics\""]);
    assert_eq!(patch("strategic", second), "service/web patched (no change)\n");
    patch("strategic", r#"{"spec":{"ports":[{"port":9090,"$patch":"delete"}]}}"#);
    assert_eq!(names(spec()), ["\"http\""]);
    patch("merge", r#"{"spec":{"selector":{"app":null,"tier":"back"}}}"#);
    assert_eq!(spec()["selector"], json!({"tier": "back"}));
    patch(
        "json",
        r#"[{"op":"test","path":"/spec/type","value":"ClusterIP"},{"op":"add","path":"/spec/ports/-","value":{"name":"b","port":81}}]"#,
    );
    assert_eq!(names(spec()), ["\"http\"", "\"b\""]);
    let failed = kubectl.refused(r#"patch service web --type=json -p '[{"op":"test","path":"/spec/type","value":"NodePort"}]'"#);
    contains(&failed, &["The request is invalid", "/spec/type"]);
    let merged =
        kubectl.refused(r#"patch service web -p '{"spec":{"ports":[{"port":"eighty"}]}}'"#);
    contains(&merged, &["The request is invalid: patch: Invalid value", "spec.ports[2].port"]);
    contains(&kubectl.refused("patch service nobody -p '{}'"), &["services \"nobody\" not found"]);
}

#[test]
fn labels_and_annotations() {
    let Some(machine) = with_web("labels_and_annotations") else { return };
    let kubectl = machine.kubectl();
    assert_eq!(kubectl.run("label service web tier=front"), "service/web labeled\n");
    assert_eq!(kubectl.run("label service web tier=front"), "service/web not labeled\n");
    contains(
        &kubectl.refused("label service web tier=back"),
        &["'tier' already has a value (front), and --overwrite is false"],
    );
    assert_eq!(kubectl.run("label service web tier=back --overwrite"), "service/web labeled\n");
    assert_eq!(kubectl.run("label service web tier-"), "service/web unlabeled\n");
    assert_eq!(kubectl.run("annotate service web why='because of it'"), "service/web annotated\n");
    let metadata = kubectl.json("get service web")["metadata"].clone();
    assert_eq!(
        (&metadata["labels"], &metadata["annotations"]["why"]),
        (&json!({"app": "web"}), &json!("because of it"))
    );
    contains(
        &kubectl.refused("label service web 'tier=a b'"),
        &["a valid label must be an empty string or consist of alphanumeric characters"],
    );
    contains(
        &kubectl.run("label services --all colour=blue"),
        &["service/kubernetes labeled", "service/web labeled"],
    );
}

#[test]
fn an_editor() {
    let Some(machine) = with_web("an_editor") else { return };
    let kubectl = machine.kubectl();
    let edit = |script: &str| {
        let mut command = kubectl.command("edit service web");
        let output = command.env("KUBE_EDITOR", format!("sed -i {script}")).output().expect("sh");
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    };
    assert_eq!(edit("'s/port: 80$/port: 8000/'"), "service/web edited\n");
    assert_eq!(kubectl.json("get service web")["spec"]["ports"][0]["port"], 8000);
    contains(&edit("''"), &["Edit cancelled, no changes made."]);
    contains(
        &edit("'s/port: 8000$/port: 80000/'"),
        &["error: services \"web\" is invalid\n", "Edit cancelled, no valid changes were saved."],
    );
    assert_eq!(kubectl.json("get service web")["spec"]["ports"][0]["port"], 8000);
}

#[test]
fn diff_and_replace() {
    let Some(machine) = with_web("diff_and_replace") else { return };
    let kubectl = machine.kubectl();
    assert_eq!(kubectl.feed("diff -f -", WEB), "");
    let other = WEB.replace("port: 80", "port: 81");
    let said = kubectl.try_feed("diff -f -", &other);
    assert_eq!(said.code, 1, "{said:?}");
    contains(&said.stdout, &["-    port: 80\n", "+    port: 81\n"]);
    let fresh = other.replace("name: web", "name: fresh");
    let said = kubectl.try_feed("diff -f -", &fresh);
    assert_eq!(said.code, 1, "{said:?}");
    contains(&said.stdout, &["+kind: Service\n", "+  name: fresh\n"]);
    contains(&kubectl.refused("get service fresh"), &["NotFound"]);
    // `replace` of what was read goes through once: then somebody else was faster.
    let read = kubectl.run("get service web -o json");
    let changed = read.replace("\"port\": 80", "\"port\": 82");
    assert_eq!(kubectl.feed("replace -f -", &changed), "service/web replaced\n");
    let stale =
        kubectl.feed_refused("replace -f -", &changed.replace("\"port\": 82", "\"port\": 83"));
    contains(
        &stale,
        &[
            "Error from server (Conflict)",
            "Operation cannot be fulfilled on services \"web\": the object has been modified; please apply your changes to the latest version and try again",
        ],
    );
    contains(&kubectl.feed("replace --force -f -", WEB), &["service/web replaced"]);
}

#[test]
fn scale_and_its_subresource() {
    let Some(machine) = Standalone::start("scale_and_its_subresource") else { return };
    let kubectl = machine.kubectl();
    kubectl.run("create deployment web --image=registry.example/web --replicas=1");
    assert_eq!(kubectl.run("scale deployment web --replicas=3"), "deployment.apps/web scaled\n");
    let pods = || kubectl.rows("get pods -l app=web").len();
    crate::kubectl::await_that("three Pods", || {
        kubectl.run("get pods -l app=web -o name").lines().count() == 3
    });
    assert_eq!(pods(), 3);
    contains(
        &kubectl.refused("scale deployment web --replicas=5 --current-replicas=1"),
        &["Expected replicas to be 1, was 3"],
    );
    let raw = kubectl.run("get --raw /apis/apps/v1/namespaces/default/deployments/web/scale");
    let raw: serde_json::Value = serde_json::from_str(&raw).expect("JSON");
    assert_eq!((&raw["kind"], &raw["spec"]["replicas"]), (&json!("Scale"), &json!(3)));
    kubectl.run("scale deployment web --replicas=0");
    crate::kubectl::await_that("no Pods", || {
        kubectl.try_run("get pods -l app=web -o name").stdout.is_empty()
    });
    let table = crate::kubectl::squeezed(&kubectl.run("get deployments,replicasets"));
    contains(
        &table,
        &[
            "NAME READY UP-TO-DATE AVAILABLE AGE\ndeployment.apps/web 0/0 0 0",
            "NAME DESIRED CURRENT READY AGE\nreplicaset.apps/web-",
        ],
    );
}

/// Whether server-side apply is served or refused, it is one or the other, and clearly.
#[test]
fn server_side_apply() {
    let Some(machine) = with_web("server_side_apply") else { return };
    let kubectl = machine.kubectl();
    let said = kubectl.try_feed("apply --server-side -f -", &WEB.replace("name: web", "name: ssa"));
    if said.code == 0 {
        assert_eq!(said.stdout, "service/ssa serverside-applied\n");
        assert_eq!(kubectl.json("get service ssa")["spec"]["ports"][0]["port"], 80);
    } else {
        contains(&said.stderr, &["Server-side apply not available on the server"]);
        contains(&kubectl.refused("get service ssa"), &["NotFound"]);
    }
}

/// A browser's way in: no TLS and no token, on this machine alone.
#[test]
fn a_proxy() {
    let Some(machine) = with_web("a_proxy") else { return };
    let mut child =
        machine.kubectl().command("proxy --port=0").stdout(Stdio::piped()).spawn().expect("sh");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("it is a pipe");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("a line");
    let address = line.trim().rsplit(' ').next().expect("an address").to_owned();
    let url = format!("http://{address}/api/v1/namespaces/default/services/web");
    let answer =
        std::process::Command::new("curl").args(["-sS", "--max-time", "10", &url]).output();
    let _ = child.kill();
    let _ = child.wait();
    let answer = answer.expect("curl").stdout;
    let service: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!(service["metadata"]["name"], "web");
}
