//! `kubectl rollout`, with Pods that run.

use serde_json::json;

use crate::kubectl::{await_that, contains};
use crate::lab::Lab;

#[test]
fn a_rolling_update_and_back() {
    let Some(lab) = Lab::up("a_rolling_update_and_back") else { return };
    let kubectl = lab.kubectl();
    kubectl.run("apply -f deploy/examples/service.yaml");
    let done = kubectl.run("rollout status deployment hello --timeout=60s");
    contains(&done, &["deployment \"hello\" successfully rolled out\n"]);
    let image = "set image deployment/hello server=python:3.13-slim";
    assert_eq!(kubectl.run(image), "deployment.apps/hello image updated\n");
    contains(
        &kubectl.run("rollout status deployment hello --timeout=60s"),
        &["successfully rolled out\n"],
    );
    let images = || {
        let line = "get pods -l app=hello -o jsonpath='{.items[*].spec.containers[0].image}'";
        kubectl.run(line)
    };
    await_that("only new Pods", || images() == ["python:3.13-slim"; 3].join(" "));
    let sets = kubectl.rows("get replicasets -l app=hello");
    let mut sizes: Vec<_> = sets.iter().map(|row| row[1].as_str()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, ["0", "3"]);
    contains(&kubectl.run("rollout history deployment hello"), &["REVISION", "\n1 ", "\n2 "]);
    assert_eq!(kubectl.run("rollout undo deployment hello"), "deployment.apps/hello rolled back\n");
    kubectl.run("rollout status deployment hello --timeout=60s");
    await_that("the old ones are back", || images() == ["python:3-slim"; 3].join(" "));
    let names = || kubectl.run("get pods -l app=hello -o name");
    let before = names();
    assert_eq!(
        kubectl.run("rollout restart deployment hello"),
        "deployment.apps/hello restarted\n"
    );
    kubectl.run("rollout status deployment hello --timeout=60s");
    await_that("three others", || {
        let after = names();
        after.lines().count() == 3 && !before.lines().any(|name| after.contains(name))
    });
    assert_eq!(kubectl.run("rollout pause deployment hello"), "deployment.apps/hello paused\n");
    kubectl.run(image);
    assert_eq!(kubectl.json("get deployment hello")["spec"]["paused"], json!(true));
    assert_eq!(kubectl.run("rollout resume deployment hello"), "deployment.apps/hello resumed\n");
    kubectl.run("rollout status deployment hello --timeout=60s");
    // Who deletes a Pod gets another one; who deletes the Deployment has none left.
    let one = names().lines().next().expect("a Pod").to_owned();
    kubectl.run(&format!("delete {one}"));
    await_that("another one", || names().lines().count() == 3 && !names().contains(&one));
    kubectl.run("delete deployment hello");
    await_that("none is left", || {
        kubectl.try_run("get pods,replicasets -l app=hello -o name").stdout.is_empty()
    });
}
