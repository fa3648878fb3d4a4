//! The watches against a server that does what it is told, over real HTTP.

mod own_server;
pub(crate) mod server;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::model::{Kind, Object, ObjectId};
use server::{CIDRS, Fault, NODES, SERVICES, SLICES, Server};

/// How long anything may take that does not wait on purpose.
const SOON: Duration = Duration::from_secs(10);

pub(crate) fn options(server: &Server, directory: &Path) -> ClusterOptions {
    let access = Access::Kubeconfig {
        file: server.kubeconfig(directory, "secret"),
        context: None,
        api_server: None,
    };
    let followed = Followed { node_name: "node-1".to_owned(), service_proxy_name: None };
    ClusterOptions { access, followed }
}

fn patience() -> Patience {
    Patience {
        answer: Duration::from_secs(2),
        watch_s: 2..3,
        watch_without_ping_s: 2..3,
        grace: Duration::from_millis(500),
        backoff: super::backoff::Backoff::new(
            Duration::from_millis(20),
            Duration::from_millis(500),
        ),
    }
}

pub(crate) async fn start(options: &ClusterOptions) -> Cluster {
    let ping = Ping { interval: Duration::from_secs(1), limit: Duration::from_secs(1) };
    let (connection, url) = Connection::open(options.access.clone(), ping).await.unwrap();
    Cluster::follow(&options.followed, connection, (url.to_string(), None), &patience())
}

pub(crate) fn service(ip: &str) -> Value {
    json!({"spec": {"clusterIP": ip, "clusterIPs": [ip], "ports": [{"port": 80}]}})
}

pub(crate) fn slice(service: &str, addresses: &[&str]) -> Value {
    let endpoints: Vec<_> = addresses
        .iter()
        .map(|address| json!({"addresses": [address], "nodeName": "node-1", "zone": "a"}))
        .collect();
    json!({
        "metadata": {"labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "ports": [{"port": 8080}], "endpoints": endpoints,
    })
}

/// What a consumer makes of the updates.
struct Watching {
    server: Server,
    cluster: Cluster,
    objects: BTreeMap<ObjectId, Object>,
    unreadable: Vec<String>,
    deleted: Vec<String>,
    cidrs: Vec<Option<Vec<IpNet>>>,
    _directory: tempfile::TempDir,
}

impl Watching {
    async fn start(prepare: impl FnOnce(&Server)) -> Self {
        let server = Server::start().await;
        prepare(&server);
        let directory = tempfile::tempdir().unwrap();
        let cluster = start(&options(&server, directory.path())).await;
        Self {
            server,
            cluster,
            objects: BTreeMap::new(),
            unreadable: Vec::new(),
            deleted: Vec::new(),
            cidrs: Vec::new(),
            _directory: directory,
        }
    }

    /// Takes updates in until this is true.
    async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + SOON;
        while !done(self) {
            let late = tokio::time::Instant::now() > deadline;
            assert!(!late, "waited for {what}; {:?}", self.cluster.problems());
            // Not all that is waited for is an update.
            self.quiet(Duration::from_millis(20)).await;
        }
    }

    /// Takes updates in for a moment; there should be none that matter.
    async fn quiet(&mut self, moment: Duration) {
        let end = tokio::time::Instant::now() + moment;
        while tokio::time::timeout_at(end, self.cluster.changed()).await.is_ok() {
            while let Some(update) = self.cluster.take() {
                self.note(update);
            }
        }
    }

    fn note(&mut self, update: Update) {
        match update {
            Update::Model(Change::Applied(Item::Object(object))) => {
                self.objects.insert(object.id(), object);
            }
            Update::Model(Change::Deleted(what, key)) => self.delete(what, &key),
            Update::Model(Change::Listed(what, seen)) => {
                let of_kind = |id: &&ObjectId| Some(id.kind) == what.kind();
                let gone = self.objects.keys().filter(of_kind).filter(|id| !seen.contains(&id.key));
                let gone: Vec<_> = gone.map(|id| id.key.clone()).collect();
                gone.iter().for_each(|key| self.delete(what, key));
            }
            Update::Model(Change::Unreadable(_, _, problem)) => {
                self.unreadable.push(problem.to_string());
            }
            Update::ServiceCidrs(cidrs) => {
                self.cidrs.push(cidrs);
                self.cluster.list();
            }
            Update::Nothing => {}
            other => panic!("not for the model: {other:?}"),
        }
    }

    fn delete(&mut self, what: Watched, key: &ObjectKey) {
        let id = ObjectId { kind: what.kind().unwrap(), key: key.clone() };
        self.objects.remove(&id);
        self.deleted.push(id.to_string());
    }

    fn has(&self, kind: Kind, name: &str) -> bool {
        self.objects.contains_key(&ObjectId { kind, key: ObjectKey::new("default", name) })
    }

    fn has_service(&self, name: &str) -> bool {
        self.has(Kind::Service, name)
    }
}

#[tokio::test]
async fn both_lists_come_before_anything_is_complete() {
    let mut followed = Watching::start(|server| {
        server.put(SERVICES, "web", service("10.96.0.1"));
        server.put(SLICES, "web-1", slice("web", &["10.1.0.1"]));
        // The other list takes three tries.
        server.fail(SLICES, Fault::Status(500, None));
        server.fail(SLICES, Fault::Status(503, None));
    })
    .await;
    followed.until("the Service", |of| of.has_service("web")).await;
    assert!(!followed.cluster.is_complete(), "the EndpointSlices are missing");
    followed.until("both", |of| of.cluster.is_complete()).await;
    assert!(followed.has(Kind::EndpointSlice, "web-1"));
    assert_eq!(followed.cidrs, [Some(vec!["10.96.0.0/16".parse().unwrap()])]);
    followed.until("the Node", |of| of.cluster.node().is_some()).await;
    assert_eq!(followed.cluster.node().unwrap().zone.as_deref(), Some("a"));
}

#[tokio::test]
async fn the_selectors_are_kube_proxys() {
    let mut followed = Watching::start(|_| {}).await;
    followed.until("both", |of| of.cluster.is_complete()).await;
    let selector = "labelSelector=%21service.kubernetes.io%2Fservice-proxy-name%2C\
                    %21service.kubernetes.io%2Fheadless";
    for path in [SERVICES, SLICES] {
        assert_eq!(followed.server.asked(&[path, selector, "limit=500"]), 1, "{path}");
    }
    assert!(followed.server.asked(&[NODES, "fieldSelector=metadata.name%3Dnode-1"]) >= 1);
    let mut options = options(&followed.server, followed._directory.path()).followed;
    options.service_proxy_name = Some("maglane".to_owned());
    let named = Watched::Services.label_selector(&options).unwrap();
    assert_eq!(
        named,
        "service.kubernetes.io/service-proxy-name=maglane,!service.kubernetes.io/headless"
    );
}

#[tokio::test]
async fn long_lists_come_in_pages() {
    let mut followed = Watching::start(|server| {
        for index in 0..1201 {
            server.put(SERVICES, &format!("s{index:04}"), service("10.96.0.1"));
        }
    })
    .await;
    followed.until("all", |of| of.cluster.is_complete()).await;
    assert_eq!(followed.objects.len(), 1201);
    assert_eq!(followed.server.asked(&[SERVICES, "continue="]), 2);
}

#[tokio::test]
async fn a_forgetful_server_is_listed_again_by_difference() {
    let mut followed = Watching::start(|server| {
        server.put(SERVICES, "stays", service("10.96.0.1"));
        server.put(SERVICES, "goes", service("10.96.0.2"));
    })
    .await;
    followed.until("both", |of| of.cluster.is_complete()).await;
    // Connections are cut, so that nobody hears of the deletion; then the server forgets it.
    followed.server.kill().await;
    followed.server.delete(SERVICES, "goes");
    followed.server.put(SERVICES, "new", service("10.96.0.3"));
    followed.server.forget();
    followed.server.restart().await;
    followed.until("the difference", |of| of.has_service("new") && !of.has_service("goes")).await;
    assert!(followed.has_service("stays"));
    assert_eq!(followed.deleted, ["Service default/goes"], "nothing else was ever gone");
    assert!(followed.server.asked(&[SERVICES, "watch=true"]) >= 2, "first it asked what changed");
}

#[tokio::test]
async fn a_server_that_was_killed_is_caught_up_with() {
    let mut followed = Watching::start(|server| {
        server.put(SERVICES, "web", service("10.96.0.1"));
    })
    .await;
    followed.until("both", |of| of.cluster.is_complete()).await;
    let lists = followed.server.asked(&[SERVICES, "limit="]);
    followed.server.kill().await;
    followed.quiet(Duration::from_millis(500)).await;
    let problems = followed.cluster.problems();
    let line = problems.iter().map(ToString::to_string).find(|line| line.contains("Services are"));
    let line = line.expect("it is told");
    assert!(line.contains("what was known stays in force") && line.contains("refused"), "{line}");
    assert!(followed.has_service("web"), "nothing is purged");
    followed.server.put(SERVICES, "other", service("10.96.0.2"));
    followed.server.restart().await;
    followed.until("what came meanwhile", |of| of.has_service("other")).await;
    assert_eq!(followed.server.asked(&[SERVICES, "limit="]), lists, "no list was needed");
    followed.until("the last watch", |of| of.cluster.problems().is_empty()).await;
}

#[tokio::test]
async fn a_watch_that_hangs_is_noticed() {
    let mut followed = Watching::start(|_| {}).await;
    followed.until("both", |of| of.cluster.is_complete()).await;
    followed.server.world().hangs = true;
    followed.server.put(SERVICES, "web", service("10.96.0.1"));
    followed.quiet(Duration::from_secs(4)).await;
    assert!(!followed.has_service("web"), "it was not told");
    let silent = |of: &Watching| {
        of.cluster.view().watches.iter().any(|watch| {
            watch.last_error.as_deref().is_some_and(|error| error.starts_with("nothing came for"))
        })
    };
    assert!(silent(&followed), "{:?}", followed.cluster.view());
    followed.server.world().hangs = false;
    followed.until("what it had missed", |of| of.has_service("web")).await;
}

#[tokio::test]
async fn a_busy_server_is_left_alone_for_as_long_as_it_asks() {
    let mut followed =
        Watching::start(|server| server.fail(SERVICES, Fault::Status(429, Some(1)))).await;
    let begun = std::time::Instant::now();
    followed.until("both", |of| of.cluster.is_complete()).await;
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(followed.server.asked(&[SERVICES, "limit="]), 2, "one try, and one that worked");
}

#[tokio::test]
async fn answers_that_are_none_are_asked_for_again() {
    let mut followed = Watching::start(|server| {
        for body in ["<html>busy</html>", r#"{"items": 3}"#, "{}", r#"{"items": [{"#] {
            server.fail(SERVICES, Fault::Body(body));
        }
        server.fail(SLICES, Fault::Silence);
    })
    .await;
    followed.until("both", |of| of.cluster.is_complete()).await;
    // Now in a watch.
    for line in [
        "not JSON\n",
        "{\"type\": \"ADDED\"}\n",
        "\n\n",
        "{\"type\": \"DELETED\", \"object\": {}}\n",
    ] {
        followed.server.fail(SERVICES, Fault::Body(line));
    }
    followed.server.kill().await;
    followed.server.restart().await;
    followed.server.put(SERVICES, "web", service("10.96.0.1"));
    followed.until("the Service", |of| of.has_service("web")).await;
}

#[tokio::test]
async fn objects_that_make_no_sense_are_named_and_skipped() {
    let mut followed = Watching::start(|server| {
        server.put(SERVICES, "web", service("10.96.0.1"));
        server.put(SERVICES, "bad", json!({"spec": {"ports": [{"port": "eighty"}]}}));
        server.put(SLICES, "odd", json!({"addressType": "IPv4", "endpoints": 7}));
        server.put(SLICES, "fine", slice("web", &["10.1.0.1"]));
    })
    .await;
    followed.until("both", |of| of.cluster.is_complete()).await;
    assert!(followed.has_service("web") && followed.has(Kind::EndpointSlice, "fine"));
    followed.unreadable.sort();
    let [slice, service] = followed.unreadable.as_slice() else {
        panic!("{:?}", followed.unreadable);
    };
    assert!(slice.starts_with("EndpointSlice default/odd: endpoints: invalid type"), "{slice}");
    assert!(service.starts_with("Service default/bad: spec.ports[0].port: invalid"), "{service}");
    // In a watch, too, and what was known of it stays.
    followed.server.put(SERVICES, "web", json!({"spec": "nothing"}));
    followed.until("the third", |of| of.unreadable.len() == 3).await;
    assert!(followed.has_service("web"));
    followed.server.delete(SERVICES, "web");
    followed.until("its end", |of| !of.has_service("web")).await;
}

#[tokio::test]
async fn a_new_token_is_read_from_the_file() {
    let mut followed = Watching::start(|server| server.world().token = "secret".to_owned()).await;
    followed.until("both", |of| of.cluster.is_complete()).await;
    followed.server.world().token = "rotated".to_owned();
    followed.server.put(SERVICES, "web", service("10.96.0.1"));
    followed.server.kubeconfig(followed._directory.path(), "rotated");
    followed.server.kill().await;
    followed.server.restart().await;
    followed.until("the Service", |of| of.has_service("web")).await;
    assert!(followed.server.asked(&[SERVICES]) > 1);
}

#[tokio::test]
async fn a_server_without_service_cidrs_is_followed_all_the_same() {
    let mut followed = Watching::start(|server| {
        server.world().unserved = vec![CIDRS];
        server.put(SERVICES, "web", service("10.96.0.1"));
    })
    .await;
    followed.until("both", |of| of.cluster.is_complete()).await;
    assert_eq!(followed.cidrs, [None]);
    assert!(followed.cluster.problems().is_empty(), "somebody may tell us");
}

#[tokio::test]
async fn a_new_service_cidr_has_everything_read_again() {
    let mut followed = Watching::start(|server| {
        server.put(SERVICES, "web", service("10.96.0.1"));
    })
    .await;
    followed.until("both", |of| of.cluster.is_complete()).await;
    let lists = followed.server.asked(&[SERVICES, "limit="]);
    followed.server.put(CIDRS, "more", json!({"spec": {"cidrs": ["10.97.0.0/16"]}}));
    followed.until("the CIDR", |of| of.cidrs.len() == 2).await;
    assert_eq!(followed.cidrs[1].as_ref().unwrap().len(), 2);
    followed.quiet(Duration::from_millis(300)).await;
    assert_eq!(followed.server.asked(&[SERVICES, "limit="]), lists + 1);
    followed.server.delete(CIDRS, "more");
    followed.until("it goes", |of| of.cidrs.len() == 3).await;
    assert_eq!(followed.deleted, [""; 0]);
}

#[tokio::test]
async fn what_makes_no_sense_is_a_problem_until_it_does() {
    let odd = json!({"spec": {"cidrs": ["10.97.0.0/16", "10.98.0.0"]}});
    let mut followed = Watching::start(|server| {
        server.put(CIDRS, "odd", odd);
        server.put(SERVICES, "web", service("10.96.0.1"));
    })
    .await;
    followed.until("both", |of| of.cluster.is_complete()).await;
    let problems = |of: &Watching| {
        of.cluster.problems().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let told = problems(&followed);
    let expected = "ServiceCIDR odd: spec.cidrs[1]: Invalid value: \"10.98.0.0\": ";
    assert!(told.starts_with(expected), "{told}");
    followed.server.put(CIDRS, "odd", json!({"spec": {"cidrs": ["10.97.0.0/16"]}}));
    followed.until("it makes sense", |of| problems(of).is_empty()).await;
    assert_eq!(followed.cidrs.last().unwrap().as_ref().unwrap().len(), 2);
}

#[tokio::test]
async fn a_node_that_is_not_there_is_a_problem() {
    let mut followed = Watching::start(|server| server.delete(NODES, "node-1")).await;
    followed.until("both", |of| of.cluster.is_complete()).await;
    let problem = "the cluster has no Node \"node-1\"";
    let told =
        |of: &Watching| of.cluster.problems().iter().any(|of| of.message.starts_with(problem));
    followed.until("the problem", told).await;
    followed.server.put(NODES, "node-1", json!({}));
    followed.until("it is there", |of| of.cluster.node().is_some()).await;
    assert!(!told(&followed));
}
