//! Pods that run: their state, logs, and commands in them.

use std::process::Stdio;

use crate::kubectl::{await_that, contains, squeezed};
use crate::lab::Lab;

const TALKER: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: talker, labels: {app: talker}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: first
      image: debian
      command: [sh, -c, 'echo one; echo two >&2; echo three; exec sleep infinity']
      env: [{name: COLOUR, value: blue}]
    - name: second
      image: debian
      command: [sh, -c, 'echo from second; exec sleep infinity']
"#;

#[test]
fn logs_and_commands() {
    let Some(lab) = Lab::up("logs_and_commands") else { return };
    let kubectl = lab.kubectl();
    kubectl.feed("apply -f -", TALKER);
    assert_eq!(
        kubectl.run("wait --for=condition=Ready pod talker --timeout=30s"),
        "pod/talker condition met\n"
    );
    let row = squeezed(&kubectl.run("get pod talker -o wide --no-headers"));
    assert!(row.starts_with("talker 2/2 Running 0 "), "{row}");
    await_that("it has written", || kubectl.run("logs talker -c first").lines().count() == 3);
    let log = kubectl.run("logs talker -c first");
    for word in ["one", "two", "three"] {
        contains(&log, &[&format!("{word}\n")]);
    }
    assert_eq!(kubectl.run("logs talker -c first --tail=1").lines().count(), 1);
    assert_eq!(kubectl.run("logs talker -c second"), "from second\n");
    contains(
        &kubectl.run("logs talker --all-containers --prefix"),
        &["[pod/talker/second] from second\n"],
    );
    let (log, told) = kubectl.warned("logs talker");
    contains(&log, &["one\n"]);
    contains(&told, &["Defaulted container \"first\" out of: first, second\n"]);
    contains(
        &kubectl.refused("logs talker -c third"),
        &["container third is not valid for pod talker"],
    );
    contains(&kubectl.refused("logs nobody"), &["pods \"nobody\" not found"]);
    let stamped = kubectl.refused("logs talker -c second --timestamps");
    contains(&stamped, &["a lab does not keep when containers wrote what"]);

    let exec = |rest: &str| kubectl.try_run(&format!("exec talker -c first {rest}"));
    assert_eq!(exec("-- sh -c 'echo $COLOUR; echo $HOSTNAME'").stdout, "blue\ntalker\n");
    let said = exec("-- sh -c 'echo out; echo err >&2; exit 7'");
    assert_eq!((said.code, said.stdout.as_str()), (7, "out\n"));
    contains(&said.stderr, &["err\n", "command terminated with exit code 7"]);
    let addresses = exec("-- ip -br -4 address show eth0").stdout;
    let ip = kubectl.run("get pod talker -o jsonpath='{.status.podIP}'");
    contains(&addresses, &[&format!("{ip}/32")]);
    let mut fed = kubectl.command("exec -i talker -c first -- sort");
    let mut child = fed.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh");
    let mut stdin = child.stdin.take().expect("it is a pipe");
    std::io::Write::write_all(&mut stdin, b"b\nc\na\n").expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "a\nb\nc\n");
    let many = exec("-- seq 200000").stdout;
    assert_eq!((many.lines().count(), many.lines().last()), (200_000, Some("200000")));
    contains(&exec("-- no-such-program").stderr, &["no-such-program"]);
    let described = squeezed(&kubectl.run("describe pod talker"));
    contains(
        &described,
        &["Status: Running\n", "State: Running\n", "Ready: True\n", &format!("IP: {ip}\n")],
    );
    let deleted = kubectl.run("delete pod talker");
    contains(&deleted, &["pod \"talker\" deleted"]);
    let namespaces = std::fs::read_dir("/run/netns").expect("a folder").filter_map(Result::ok);
    let left: Vec<_> = namespaces
        .map(|entry| entry.file_name())
        .filter(|name| name.to_string_lossy().contains("talker"))
        .collect();
    assert_eq!(left, [""; 0], "its namespace went with it");
}

/// A container that ends is started again, and the count says so.
#[test]
fn containers_that_end() {
    let Some(lab) = Lab::up("containers_that_end") else { return };
    let kubectl = lab.kubectl();
    kubectl.run("run once --image=debian --restart=Never --command -- sh -c 'echo done; exit 0'");
    kubectl.run("run bad --image=debian --restart=Never --command -- sh -c 'exit 3'");
    kubectl.run("run again --image=debian --command -- sh -c 'echo $$; sleep 0.2'");
    let status = |name: &str| kubectl.rows(&format!("get pod {name}"))[0][2].clone();
    await_that("it is over", || status("once") == "Completed");
    await_that("it failed", || status("bad") == "Error");
    assert_eq!(kubectl.run("logs once"), "done\n");
    let restarts = || {
        let line = "get pod again -o jsonpath='{.status.containerStatuses[0].restartCount}'";
        kubectl.run(line).parse::<u32>().expect("a number")
    };
    await_that("it is started again", || restarts() >= 1);
}
