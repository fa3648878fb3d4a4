//! A kubelet and its API, with a node in a namespace of its own beside any other. No agent, and no
//! controllers. These need root, and say so when they skip.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, ContainerStatus, Event, Namespace, Node, Pod};
use kube::api::{Api, DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::apiserver::registry::Settings;
use crate::apiserver::server::{ApiServer, ApiServerOptions};
use crate::lab::kubelet::record::{PodRecord, Sandbox};
use crate::lab::options::LabOptions;
use crate::lab::state::{Process, State};
use crate::lab::{Site, down, kubelet, node};
use crate::net::namespace;

/// Longer than anything here takes unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

struct Lab {
    site: Site,
    server: Option<ApiServer>,
    client: Client,
    _directory: tempfile::TempDir,
}

impl Lab {
    /// `None`, with a line that says so, where the test cannot run.
    async fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: needs root");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("mgltest-kubelet-{}-{number}-", std::process::id());
        let site = Site::for_test(directory.path().join("lab"), prefix, PathBuf::new());
        for made in [site.api(), site.pods(), site.logs()] {
            std::fs::create_dir_all(made).unwrap();
        }
        let options =
            LabOptions { node_ips: vec!["192.168.0.2".parse().unwrap()], ..LabOptions::for_test() };
        State::new(options.clone(), 0).save(&site).unwrap();
        node::create(&site, &options.node_ips).unwrap();
        let server = start(&site);
        let client = connect(&site).await;
        let lab = Self { site, server: Some(server), client, _directory: directory };
        lab.until("the Node is there", async |lab| {
            let nodes: Api<Node> = Api::all(lab.client.clone());
            nodes.get_opt("maglane-node").await.unwrap()
        })
        .await;
        Some(lab)
    }

    /// The agent is killed and comes back.
    async fn restart(&mut self) {
        drop(self.server.take());
        self.server = Some(start(&self.site));
        self.client = connect(&self.site).await;
    }

    fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn create(&self, namespace: &str, name: &str, rest: &str) {
        let text = format!("{{metadata: {{name: {name}}}, {rest}}}");
        let pod: Pod = serde_yaml_ng::from_str(&text).unwrap();
        self.pods(namespace).create(&PostParams::default(), &pod).await.unwrap();
    }

    async fn make_namespace(&self, name: &str) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace: Namespace =
            serde_yaml_ng::from_str(&format!("{{metadata: {{name: {name}}}}}")).unwrap();
        namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    }

    async fn delete(&self, namespace: &str, name: &str) {
        self.pods(namespace).delete(name, &DeleteParams::default()).await.unwrap();
        self.until("the Pod is gone", async |lab| {
            lab.pods(namespace).get_opt(name).await.unwrap().is_none().then_some(())
        })
        .await;
    }

    /// Waits until there is something.
    async fn until<T>(&self, what: &str, look: impl AsyncFn(&Self) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look(self).await {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: {:#?}", self.all().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn all(&self) -> Vec<Pod> {
        let pods: Api<Pod> = Api::all(self.client.clone());
        pods.list(&ListParams::default()).await.unwrap().items
    }

    async fn until_pod(&self, name: &str, what: &str, holds: impl Fn(&Pod) -> bool) -> Pod {
        self.until(what, async |lab| {
            lab.pods("default").get_opt(name).await.unwrap().filter(|pod| holds(pod))
        })
        .await
    }

    /// Waits for an Event of a Pod.
    async fn event(&self, pod: &str, reason: &str) -> Event {
        let events: Api<Event> = Api::all(self.client.clone());
        self.until(reason, async |_| {
            let all = events.list(&ListParams::default()).await.unwrap().items;
            let of_pod = |event: &Event| event.involved_object.name.as_deref() == Some(pod);
            all.into_iter().find(|one| of_pod(one) && one.reason.as_deref() == Some(reason))
        })
        .await
    }

    fn record(&self, name: &str) -> PodRecord {
        let records = PodRecord::load_all(&self.site).unwrap();
        records.into_iter().find(|record| record.name == name).unwrap()
    }

    fn network_namespaces(&self) -> Vec<String> {
        let names = namespace::list(self.site.prefix()).unwrap();
        names.iter().map(|name| name[self.site.prefix().len()..].to_owned()).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.server.take());
        let _ = down::clear(&self.site);
    }
}

fn start(site: &Site) -> ApiServer {
    let options = ApiServerOptions {
        data_directory: site.api(),
        listeners: vec![TcpListener::bind("127.0.0.1:0").unwrap()],
        settings: Settings::default(),
    };
    let site = site.clone();
    let server = ApiServer::start(options, move |inside| async move {
        kubelet::run(inside.client, site, inside.pods).await.unwrap();
    });
    server.unwrap()
}

async fn connect(site: &Site) -> Client {
    let kubeconfig = Kubeconfig::read_from(site.kubeconfig()).unwrap();
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    config.proxy_url = None;
    Client::try_from(config).unwrap()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True")
}

fn container(pod: &Pod) -> ContainerStatus {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.into_iter().next().cloned().unwrap_or_default()
}

const SLEEP: &str = "spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: x,
    command: [sh, -c, 'echo $(ME) on $(NODE); exec sleep 300'], env: [
    {name: ME, valueFrom: {fieldRef: {fieldPath: status.podIPs}}},
    {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]}]}";

#[tokio::test]
async fn a_pod_comes_and_goes() {
    let Some(lab) = Lab::new().await else { return };
    lab.create("default", "web", SLEEP).await;
    let pod = lab.until_pod("web", "ready", is_ready).await;
    let status = pod.status.clone().unwrap();
    assert_eq!(pod.spec.as_ref().unwrap().node_name.as_deref(), Some("maglane-node"));
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert_eq!(status.pod_ip.as_deref(), Some("10.244.0.1"));
    assert_eq!(status.host_ip.as_deref(), Some("192.168.0.2"));
    assert_eq!(lab.network_namespaces(), ["default-web", "node"]);
    let logs = async || lab.pods("default").logs("web", &LogParams::default()).await.unwrap();
    let expected = "10.244.0.1,fd00:10:244::1 on maglane-node\n";
    lab.until("it has written", async |_| (logs().await == expected).then_some(())).await;
    lab.event("web", "Scheduled").await;
    lab.event("web", "Started").await;
    let process = lab.record("web").containers[0].process().unwrap();
    assert!(process.runs());
    lab.delete("default", "web").await;
    assert!(!process.runs());
    assert_eq!(lab.network_namespaces(), ["node"]);
    assert!(PodRecord::load_all(&lab.site).unwrap().is_empty());
    lab.event("web", "Killing").await;
    lab.create("default", "other", SLEEP).await;
    lab.create("default", "web", SLEEP).await;
    let pod = lab.until_pod("web", "ready", is_ready).await;
    assert_eq!(pod.status.unwrap().pod_ip.as_deref(), Some("10.244.0.1"), "its address stayed");
}

#[tokio::test]
async fn pods_and_node_reach_each_other_without_waiting() {
    let Some(lab) = Lab::new().await else { return };
    let nothing = "spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: x}]}";
    for name in ["a", "b"] {
        lab.create("default", name, nothing).await;
        lab.until_pod(name, "ready", is_ready).await;
    }
    let [pod_a, pod_b] = ["a", "b"].map(|name| lab.site.pod_namespace("default", name));
    let node = lab.site.node_namespace();
    for (server, ip) in [
        (&pod_a, "10.244.0.1"),
        (&pod_a, "fd00:10:244::1"),
        (&node, "192.168.0.2"),
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

#[tokio::test]
async fn a_pod_is_ready_when_its_port_is_open() {
    let Some(lab) = Lab::new().await else { return };
    lab.create(
        "default",
        "web",
        "spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: x,
          command: [sleep, '300'], ports: [{containerPort: 8080}, {containerPort: 53, protocol: UDP}]}]}",
    )
    .await;
    let running = |pod: &Pod| pod.status.as_ref().unwrap().phase.as_deref() == Some("Running");
    let pod = lab.until_pod("web", "running", running).await;
    assert!(!is_ready(&pod) && container(&pod).started == Some(false));
    let name = lab.site.pod_namespace("default", "web");
    let bind = || TcpListener::bind("0.0.0.0:8080");
    let _listener = namespace::run_in(&name, bind).unwrap().unwrap();
    lab.until_pod("web", "ready", is_ready).await;
}

#[tokio::test]
async fn what_keeps_ending_is_held_back() {
    let Some(lab) = Lab::new().await else { return };
    lab.create(
        "default",
        "bad",
        "spec: {containers: [{name: c, image: x, command: [sh, -c, 'echo run; exit 3']}]}",
    )
    .await;
    let held = |pod: &Pod| {
        let state = container(pod).state.unwrap_or_default();
        state.waiting.is_some_and(|it| it.reason.as_deref() == Some("CrashLoopBackOff"))
    };
    let pod = lab.until_pod("bad", "held back", held).await;
    let container = container(&pod);
    assert_eq!((container.restart_count, container.ready), (1, false));
    assert_eq!(container.last_state.unwrap().terminated.unwrap().exit_code, 3);
    lab.event("bad", "BackOff").await;
    let previous = LogParams { previous: true, ..LogParams::default() };
    assert_eq!(lab.pods("default").logs("bad", &previous).await.unwrap(), "run\n");

    let spec = "spec: {containers: [{name: c, image: x, command: [/nowhere]}]}";
    lab.create("default", "nowhere", spec).await;
    let event = lab.event("nowhere", "Failed").await;
    let message = event.message.unwrap();
    assert!(message.contains("command: cannot run \"/nowhere\": No such file"), "{message}");

    lab.create(
        "default",
        "once",
        "spec: {restartPolicy: Never, initContainers: [{name: i, image: x, command: ['true']}],
          containers: [{name: c, image: x, command: ['true']}]}",
    )
    .await;
    let done = |pod: &Pod| pod.status.as_ref().unwrap().phase.as_deref() == Some("Succeeded");
    lab.until_pod("once", "succeeded", done).await;
}

#[tokio::test]
async fn processes_outlive_the_agent() {
    let Some(mut lab) = Lab::new().await else { return };
    lab.create("default", "web", SLEEP).await;
    lab.create("default", "goes", SLEEP).await;
    for name in ["web", "goes"] {
        lab.until_pod(name, "ready", is_ready).await;
    }
    let process = |lab: &Lab, name| lab.record(name).containers[0].process().unwrap();
    let (stays, goes) = (process(&lab, "web"), process(&lab, "goes"));
    let since = lab.pods("default").get("web").await.unwrap().status;
    drop(lab.server.take());
    assert!(stays.runs(), "nobody ended it");
    // While no agent runs, a process ends. An agent that came before was killed while it made a
    // network; and somebody else has one of his own.
    nix::sys::signal::kill(goes.pid(), nix::sys::signal::Signal::SIGKILL).unwrap();
    let [half, foreign] = ["half", "foreign"].map(|name| lab.site.pod_namespace("default", name));
    namespace::create(&half).unwrap();
    namespace::create(&foreign).unwrap();
    let mut record = lab.record("goes");
    (record.uid, record.name) = ("half".to_owned(), "half".to_owned());
    record.containers.clear();
    record.unfinished = record.sandbox.take().map(|of| Sandbox {
        network_namespace: half.clone(),
        interface: Some("mlphalf".to_owned()),
        ..of
    });
    record.save(&lab.site).unwrap();
    lab.restart().await;
    let restarted = |pod: &Pod| container(pod).restart_count == 1 && is_ready(pod);
    let pod = lab.until_pod("goes", "started again", restarted).await;
    let last = container(&pod).last_state.unwrap().terminated.unwrap();
    assert_eq!(last.reason.as_deref(), Some("ContainerStatusUnknown"));
    assert_eq!(process(&lab, "web"), stays, "found again");
    assert_eq!(lab.pods("default").get("web").await.unwrap().status, since, "nothing has changed");
    lab.until("removed", async |_| (!namespace::exists(&half)).then_some(())).await;
    assert!(namespace::exists(&foreign));
    namespace::delete(&foreign).unwrap();
    lab.delete("default", "web").await;
    assert!(!stays.runs());
}

#[tokio::test]
async fn what_an_environment_is_made_of_is_waited_for() {
    let Some(lab) = Lab::new().await else { return };
    let spec = "spec: {restartPolicy: Never, containers: [{name: c, image: x,
        command: [sh, -c, 'test $COLOUR = blue'], env: [{name: COLOUR,
        valueFrom: {configMapKeyRef: {name: later, key: colour}}}]}]}";
    lab.create("default", "web", spec).await;
    let waiting = |pod: &Pod| container(pod).state.and_then(|state| state.waiting);
    let lacks = |pod: &Pod| {
        waiting(pod).and_then(|of| of.reason).as_deref() == Some("CreateContainerConfigError")
    };
    lab.until_pod("web", "lacks", lacks).await;
    let maps: Api<ConfigMap> = Api::namespaced(lab.client.clone(), "default");
    let map = serde_yaml_ng::from_str("{metadata: {name: later}, data: {colour: blue}}").unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    let over = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        phase == Some("Succeeded")
    };
    let pod = lab.until_pod("web", "over", over).await;
    assert_eq!(container(&pod).restart_count, 0);
}

#[tokio::test]
async fn a_grace_period_that_is_cut_short_cuts_hooks_short() {
    let Some(lab) = Lab::new().await else { return };
    let spec = "spec: {terminationGracePeriodSeconds: 100, containers: [{name: c, image: x,
        command: [sleep, '300'], lifecycle: {preStop: {sleep: {seconds: 90}}}}]}";
    lab.create("default", "web", spec).await;
    lab.until_pod("web", "ready", is_ready).await;
    let pods = lab.pods("default");
    pods.delete("web", &DeleteParams::default()).await.unwrap();
    lab.event("web", "Killing").await;
    pods.delete("web", &DeleteParams::default().grace_period(1)).await.unwrap();
    lab.until("gone", async |_| pods.get_opt("web").await.unwrap().is_none().then_some(())).await;
}

#[tokio::test]
async fn the_node_is_made_again_and_can_be_cordoned() {
    let Some(lab) = Lab::new().await else { return };
    let nodes: Api<Node> = Api::all(lab.client.clone());
    nodes.delete(node::NODE_NAME, &DeleteParams::default()).await.unwrap();
    lab.until("there again", async |_| nodes.get_opt(node::NODE_NAME).await.unwrap()).await;
    let cordon = |yes: bool| serde_json::json!({"spec": {"unschedulable": yes}});
    let parameters = PatchParams::default();
    let set = Patch::Merge(cordon(true));
    nodes.patch(node::NODE_NAME, &parameters, &set).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    lab.create("default", "web", SLEEP).await;
    let event = lab.event("web", "FailedScheduling").await;
    assert!(event.message.unwrap().contains("1 node(s) were unschedulable"));
    nodes.patch(node::NODE_NAME, &parameters, &Patch::Merge(cordon(false))).await.unwrap();
    lab.until_pod("web", "ready", is_ready).await;
}

#[tokio::test]
async fn a_probe_that_takes_too_long_leaves_nothing_running() {
    let Some(lab) = Lab::new().await else { return };
    let file = lab.site.directory().join("probe");
    let probe = format!("sleep 300 & echo $! > {}; wait", file.display());
    let spec = format!(
        "spec: {{terminationGracePeriodSeconds: 1, containers: [{{name: c, image: x,
        command: [sleep, '300'], readinessProbe: {{timeoutSeconds: 1, periodSeconds: 60,
        exec: {{command: [sh, -c, '{probe}']}}}}}}]}}"
    );
    lab.create("default", "web", &spec).await;
    let started = lab.until("started", async |_| {
        let pid = std::fs::read_to_string(&file).ok()?.trim_end().parse().ok()?;
        Process::of(pid)
    });
    let started = started.await;
    assert!(lab.event("web", "Unhealthy").await.message.unwrap().contains("no answer within 1 s"));
    lab.until("ended", async |_| (!started.runs()).then_some(())).await;
}

#[tokio::test]
async fn a_pod_that_cannot_be_made_says_why_and_is_tried_again() {
    let Some(lab) = Lab::new().await else { return };
    lab.make_namespace("a").await;
    lab.make_namespace("a-b").await;
    let nothing = "spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: x}]}";
    lab.create("a", "b-c", nothing).await;
    lab.until("the first", async |lab| {
        Some(lab.pods("a").get("b-c").await.unwrap()).filter(is_ready)
    })
    .await;
    lab.create("a-b", "c", nothing).await;
    let event = lab.event("c", "FailedCreatePodSandBox").await;
    let message = event.message.unwrap();
    assert!(message.ends_with("a-b-c is Pod a/b-c's"), "{message}");
    lab.delete("a", "b-c").await;
    lab.until("the second", async |lab| {
        Some(lab.pods("a-b").get("c").await.unwrap()).filter(is_ready)
    })
    .await;
}

#[tokio::test]
async fn hooks_run_before_the_end() {
    let Some(lab) = Lab::new().await else { return };
    let order = lab.site.directory().join("order");
    let say = |what: &str| format!("echo {what} >> {}", order.display());
    let rest = format!(
        "spec: {{terminationGracePeriodSeconds: 5, initContainers: [{{name: i, image: x,
          command: [sh, -c, '{}']}}], containers: [{{name: c, image: x,
          command: [sh, -c, 'trap \"{}; exit\" TERM; {}; while :; do sleep 0.05; done'],
          lifecycle: {{preStop: {{exec: {{command: [sh, -c, '{}']}}}}}}}}]}}",
        say("init"),
        say("told"),
        say("main"),
        say("hook")
    );
    lab.create("default", "web", &rest).await;
    lab.until_pod("web", "ready", is_ready).await;
    let text = || std::fs::read_to_string(&order).unwrap_or_default();
    lab.until("it runs", async |_| text().contains("main").then_some(())).await;
    lab.delete("default", "web").await;
    assert_eq!(text(), "init\nmain\nhook\ntold\n");
}

#[tokio::test]
async fn probes_and_gates() {
    let Some(lab) = Lab::new().await else { return };
    let file = lab.site.directory().join("ready");
    let rest = format!(
        "spec: {{terminationGracePeriodSeconds: 0, readinessGates: [{{conditionType: x/y}}],
          containers: [{{name: c, image: x, command: [sleep, '300'], readinessProbe: {{
          periodSeconds: 1, failureThreshold: 1, exec: {{command: [test, -e, {}]}}}}}}]}}",
        file.display()
    );
    lab.create("default", "web", &rest).await;
    let event = lab.event("web", "Unhealthy").await;
    assert!(event.message.unwrap().starts_with("Readiness probe failed: "));
    std::fs::write(&file, "").unwrap();
    let ready = |wanted: &'static str| {
        move |pod: &Pod| {
            let conditions = pod.status.as_ref().unwrap().conditions.as_ref().unwrap();
            conditions.iter().any(|one| one.type_ == "ContainersReady" && one.status == wanted)
        }
    };
    let mut pod = lab.until_pod("web", "its containers are ready", ready("True")).await;
    assert!(!is_ready(&pod), "the gate is closed");
    pod.status.as_mut().unwrap().conditions.as_mut().unwrap().push(
        k8s_openapi::api::core::v1::PodCondition {
            type_: "x/y".to_owned(),
            status: "True".to_owned(),
            ..Default::default()
        },
    );
    lab.pods("default").replace_status("web", &PostParams::default(), &pod).await.unwrap();
    lab.until_pod("web", "ready", is_ready).await;
    std::fs::remove_file(&file).unwrap();
    lab.until_pod("web", "not ready", |pod| ready("False")(pod) && !is_ready(pod)).await;
}
