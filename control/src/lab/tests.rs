//! A whole lab, in namespaces of its own beside any other. Its agent is a process that sleeps; what
//! it would answer is answered by the test. These need root, and say so when they skip.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::interrupt::Interrupt;
use super::options::LabOptions;
use super::report::Report;
use super::{LabError, Site, apply, down, listing, up};
use crate::net::namespace;

struct TestLab {
    directory: tempfile::TempDir,
    site: Site,
    prefix: String,
}

impl TestLab {
    /// `None`, with a line that says so, where the test cannot run.
    fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: needs root");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let agent = directory.path().join("agent");
        fs::write(&agent, "#!/bin/sh\necho agent \"$@\"\nexec sleep 300\n").unwrap();
        fs::set_permissions(&agent, fs::Permissions::from_mode(0o700)).unwrap();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("mgltest-lab-{}-{number}-", std::process::id());
        let site = Site::for_test(directory.path().join("lab"), prefix.clone(), agent);
        Some(Self { directory, site, prefix })
    }

    fn manifest(&self, text: &str) -> PathBuf {
        let path = self.directory.path().join("m.yaml");
        fs::write(&path, text).unwrap();
        path
    }

    /// Answers every request on the agent's socket with this, from now on.
    fn answer(&self, body: &'static str) {
        fs::create_dir_all(self.site.directory()).unwrap();
        let listener = UnixListener::bind(self.site.agent_socket()).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut request = [0; 512];
                let length = stream.read(&mut request).unwrap_or(0);
                assert!(request[..length].starts_with(b"POST /sync HTTP/1.1\r\n"));
                let length = body.len();
                let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            }
        });
    }

    fn up(
        &self,
        text: &str,
        change: impl FnOnce(&mut LabOptions),
    ) -> (Report, Result<(), LabError>) {
        let mut options = LabOptions::for_test();
        change(&mut options);
        let mut report = Report::new(|_| {});
        let files = [self.manifest(text)];
        let result = up::up(&self.site, options, &files, &Interrupt::default(), &mut report);
        (report, result)
    }

    fn namespaces(&self) -> Vec<String> {
        namespace::list(&self.prefix).unwrap()
    }
}

impl Drop for TestLab {
    fn drop(&mut self) {
        let _ = down::down(&self.site);
    }
}

/// What a process writes first, once it has.
fn first_line(log: PathBuf) -> String {
    for _ in 0..500 {
        let text = fs::read_to_string(&log).unwrap();
        if text.ends_with('\n') {
            return text;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("nothing is written to {}", log.display());
}

fn lines(report: &Report) -> Vec<String> {
    let changes = report.changes.iter();
    changes.map(|(key, change)| format!("{key} {}", change.as_str())).collect()
}

const TWO_PODS: &str = "
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c,
  command: [sh, -c, 'echo $(WEB_SERVICE_HOST) $(ME); exec sleep 300'],
  env: [{name: ME, valueFrom: {fieldRef: {fieldPath: status.podIPs}}}]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: b}, spec: {containers: [{name: c, image: x}]}}
";

#[test]
fn a_lab_comes_up_changes_and_goes() {
    let Some(lab) = TestLab::new() else { return };
    lab.answer(r#"{"generation":1,"problems":[]}"#);
    let (report, result) = lab.up(TWO_PODS, |_| {});
    result.unwrap();
    assert!(report.problems.is_empty() && report.warnings.is_empty(), "{report:?}");
    let created = ["Service default/web created", "Pod default/a created", "Pod default/b created"];
    assert_eq!(lines(&report), created);
    assert_eq!(lab.namespaces().len(), 3);

    let found = listing::list(&lab.site).unwrap();
    assert_eq!(found.node.agent.state, "running");
    assert_eq!(found.services[0].cluster_ips, ["10.96.1.1"]);
    let states: Vec<_> = found.pods.iter().map(|pod| pod.processes[0].state).collect();
    assert_eq!(states, ["running", "no command"]);
    let log = first_line(lab.site.logs().join("default_a_c.log"));
    assert_eq!(log, "10.96.1.1 10.244.0.1,fd00:10:244::1\n");
    let agent = first_line(lab.site.agent_log());
    for word in ["agent --manifests", "--node-ip 192.168.0.2 --node-ip fd00:192:168::2"] {
        assert!(agent.contains(word), "{agent}");
    }
    assert!(matches!(lab.up(TWO_PODS, |_| {}).1, Err(LabError::AlreadyUp)));

    let mut report = Report::new(|_| {});
    let files = [lab.manifest(
        "{apiVersion: v1, kind: Pod, metadata: {name: b, labels: {app: web}}, spec: {containers: [{name: c, image: x}]}}",
    )];
    let interrupt = Interrupt::default();
    apply::apply(&lab.site, &files, &interrupt, &mut report).unwrap();
    apply::apply(&lab.site, &files, &interrupt, &mut report).unwrap();
    apply::delete(&lab.site, &files, &interrupt, &mut report).unwrap();
    let expected =
        ["configured", "unchanged", "deleted"].map(|what| format!("Pod default/b {what}"));
    assert_eq!(lines(&report), expected);
    assert_eq!(lab.namespaces().len(), 2);
    apply::apply(&lab.site, &files, &interrupt, &mut report).unwrap();
    let found = listing::list(&lab.site).unwrap();
    assert_eq!(found.pods[1].addresses[0].to_string(), "10.244.0.2", "its address stayed");

    assert!(down::down(&lab.site).unwrap());
    assert!(lab.namespaces().is_empty() && !lab.site.directory().exists());
    assert!(!down::down(&lab.site).unwrap());
}

#[test]
fn pods_and_node_reach_each_other_without_waiting() {
    let Some(lab) = TestLab::new() else { return };
    lab.answer(r#"{"generation":1,"problems":[]}"#);
    lab.up(TWO_PODS, |options| options.mtu = 3_000).1.unwrap();
    let [pod_a, pod_b] = ["a", "b"].map(|pod| format!("{}default-{pod}", lab.prefix));
    let node = lab.site.node_namespace();
    for (server, ip) in [
        (&pod_a, "10.244.0.1"),
        (&pod_a, "fd00:10:244::1"),
        (&node, "192.168.0.2"),
        (&node, "fd00:192:168::2"),
        (&node, "169.254.1.1"),
    ] {
        let address = SocketAddr::new(ip.parse::<IpAddr>().unwrap(), 0);
        let listener = namespace::run_in(server, || TcpListener::bind(address)).unwrap().unwrap();
        let address = listener.local_addr().unwrap();
        for client in [&pod_b, &node] {
            let patience = Duration::from_millis(900); // less than a lost SYN takes
            let connected =
                namespace::run_in(client, || TcpStream::connect_timeout(&address, patience));
            connected.unwrap().unwrap_or_else(|error| panic!("{client} to {address}: {error}"));
        }
    }
}

#[test]
fn one_bad_object_does_not_hold_up_the_others() {
    let Some(lab) = TestLab::new() else { return };
    lab.answer(r#"{"generation":1,"problems":["the agent's words"]}"#);
    let text = format!(
        "{TWO_PODS}---
{{apiVersion: v1, kind: Service, metadata: {{name: far}}, spec: {{clusterIP: 10.1.2.3}}}}
---
{{apiVersion: v1, kind: Pod, metadata: {{name: c}}, spec: {{containers: [{{name: c, command: [/nowhere]}}]}}}}
"
    );
    let (report, result) = lab.up(&text, |_| {});
    result.unwrap();
    let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    let file = lab.directory.path().join("m.yaml").display().to_string();
    let expected = [
        format!(
            "{file}: Service default/far: spec.clusterIP: Invalid value: \"10.1.2.3\": is not in the Service CIDRs 10.96.0.0/16"
        ),
        "the agent's words".to_owned(),
        format!(
            "{file}: Pod default/c: spec.containers[0]: command: cannot run \"/nowhere\": No such file or directory (os error 2)"
        ),
    ];
    assert_eq!(problems, expected);
    assert_eq!(listing::list(&lab.site).unwrap().pods.len(), 3);
}

#[test]
fn what_fails_or_is_interrupted_leaves_nothing() {
    let Some(lab) = TestLab::new() else { return };
    let agent = lab.directory.path().join("agent");
    fs::write(agent, "#!/bin/sh\necho the reason why\nexit 3\n").unwrap();
    let error = lab.up(TWO_PODS, |_| {}).1.unwrap_err().to_string();
    let expected = "the agent ended (exit status: 3); its log ends:\nthe reason why";
    assert_eq!(error, expected);
    assert!(lab.namespaces().is_empty() && !lab.site.directory().exists());

    let interrupt = Interrupt::default();
    interrupt.raise();
    let mut report = Report::new(|_| {});
    let options = LabOptions::for_test();
    let files = [lab.manifest(TWO_PODS)];
    let result = up::up(&lab.site, options, &files, &interrupt, &mut report);
    assert!(matches!(result, Err(LabError::Interrupted)));
    assert!(lab.namespaces().is_empty() && !lab.site.directory().exists());
}

#[test]
fn what_a_killed_command_left_is_put_away() {
    let Some(lab) = TestLab::new() else { return };
    // Namespaces without any state, and a name that nothing was mounted on yet.
    namespace::create(&lab.site.node_namespace()).unwrap();
    namespace::create(&format!("{}default-a", lab.prefix)).unwrap();
    fs::write(namespace::path(&format!("{}default-b", lab.prefix)), "").unwrap();
    assert_eq!(lab.namespaces().len(), 3);
    assert!(down::down(&lab.site).unwrap());
    assert!(lab.namespaces().is_empty());
}
