//! Everything in `deploy/` is taken as it is, with strict validation.

use std::path::Path;

use crate::kubectl::{await_that, contains};
use crate::standalone::{Follower, Standalone};

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

#[test]
fn examples_are_taken_and_taken_again() {
    let Some(machine) = Standalone::start("examples_are_taken_and_taken_again") else { return };
    let kubectl = machine.kubectl();
    let mut examples: Vec<_> = std::fs::read_dir(folder("examples"))
        .expect("a folder")
        .map(|entry| entry.expect("a file").path())
        .collect();
    examples.sort();
    assert!(examples.len() >= 6, "{examples:?}");
    for example in &examples {
        let file = example.display();
        let dry = kubectl.run(&format!("apply --dry-run=server -f {file}"));
        assert!(dry.lines().all(|line| line.ends_with(" created (server dry run)")), "{dry}");
        let first = kubectl.run(&format!("apply -f {file}"));
        assert!(first.lines().all(|line| line.ends_with(" created")), "{first}");
        let second = kubectl.run(&format!("apply -f {file}"));
        assert_eq!(second, first.replace(" created", " unchanged"));
        assert_eq!(kubectl.run(&format!("diff -f {file}")), "", "{file}");
    }
    for example in &examples {
        kubectl.run(&format!("delete -f {} --wait=false", example.display()));
    }
}

#[test]
fn the_daemon_set_is_taken() {
    let Some(machine) = Standalone::start("the_daemon_set_is_taken") else { return };
    let kubectl = machine.kubectl();
    let folder = folder("kubernetes");
    let dry = kubectl.run(&format!("apply -k {} --dry-run=server", folder.display()));
    for made in [
        "serviceaccount/maglane created (server dry run)\n",
        "clusterrole.rbac.authorization.k8s.io/maglane created (server dry run)\n",
        "clusterrolebinding.rbac.authorization.k8s.io/maglane created (server dry run)\n",
        "configmap/maglane-",
        "daemonset.apps/maglane created (server dry run)\n",
    ] {
        contains(&dry, &[made]);
    }
    contains(&kubectl.refused("-n kube-system get daemonset maglane"), &["NotFound"]);
    kubectl.run(&format!("apply -k {}", folder.display()));
    let set =
        kubectl.json("-n kube-system get daemonset maglane")["spec"]["template"]["spec"].clone();
    assert_eq!(set["hostNetwork"], true);
    let context = &set["containers"][0]["securityContext"];
    assert!(context.get("privileged").is_none() && context["allowPrivilegeEscalation"] == false);
    // The address of the API server is what the ConfigMap says, and the Pod reads that one.
    let from = &set["containers"][0]["env"][0]["valueFrom"]["configMapKeyRef"]["name"];
    let line = format!(
        "-n kube-system get configmap {} -o jsonpath='{{.data.api-server}}'",
        from.as_str().expect("a name")
    );
    contains(&kubectl.run(&line), &["https://"]);
    contains(&kubectl.run("-n kube-system get daemonset maglane"), &["maglane"]);
}

/// The probes run `maglane status` with these words.
#[test]
fn the_probes_tell_alive_from_ready() {
    let Some(machine) = Standalone::start("the_probes_tell_alive_from_ready") else { return };
    let text = std::fs::read_to_string(folder("kubernetes").join("daemon-set.yaml"));
    let set: serde_json::Value = serde_yaml_ng::from_str(&text.expect("a file")).expect("YAML");
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    let command = |probe: &str| container[probe]["exec"]["command"].clone();
    assert_eq!(command("livenessProbe"), serde_json::json!(["maglane", "status"]));
    assert_eq!(command("readinessProbe"), serde_json::json!(["maglane", "status", "--ready"]));
    await_that("it is ready", || machine.status(&["--ready"]).status.success());
    // Another one that does not reach it lives, and is not ready.
    let follower = Follower::start(&machine.kubeconfig());
    assert!(follower.status(&[]).status.success());
    let refused = follower.status(&["--ready"]);
    assert!(!refused.status.success());
    contains(&String::from_utf8_lossy(&refused.stderr), &["error: not ready: ", "are not listed"]);
}
