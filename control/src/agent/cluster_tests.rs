//! From a cluster's objects to the dataplane: what is put in force, and when.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::controller::Controller;
use super::feed::{ClusterFeed, Feed};
use super::tests::{Recorder, policy, problems};
use crate::model::Settings;
use crate::source::cluster::tests::server::{CIDRS, Fault, SERVICES, SLICES, Server};
use crate::source::cluster::tests::{options, service, slice, start};

/// How long anything may take that does not wait on purpose.
const SOON: Duration = Duration::from_secs(10);

struct Agent<'a> {
    controller: Controller<&'a mut Recorder>,
    feed: Feed,
    /// What was to be routed, each time.
    routed: Vec<String>,
}

impl<'a> Agent<'a> {
    async fn start(server: &Server, directory: &Path, recorder: &'a mut Recorder) -> Self {
        let settings = Settings { allocated_elsewhere: true, ..Settings::default() };
        let mut controller = Controller::new(recorder, settings, policy());
        let cluster = start(&options(server, directory)).await;
        let mut feed = Feed::Cluster(Box::new(ClusterFeed::new(cluster, Vec::new(), None)));
        feed.begin(&mut controller);
        controller.settle().expect("nothing is put in force yet");
        Self { controller, feed, routed: Vec::new() }
    }

    /// As the event loop does it, until this many Services are served and nothing more comes.
    async fn until_served(&mut self, services: usize) {
        let deadline = tokio::time::Instant::now() + SOON;
        while self.feed.incomplete().is_some() || self.controller.served() != services {
            assert!(tokio::time::Instant::now() < deadline, "{:?}", self.feed.problems());
            self.step(Duration::from_millis(100)).await;
        }
        while self.step(Duration::from_millis(100)).await {}
    }

    /// Waits for something, takes it in and settles; false when nothing came.
    async fn step(&mut self, patience: Duration) -> bool {
        if tokio::time::timeout(patience, self.feed.changed()).await.is_err() {
            return false;
        }
        let routed = self.feed.take_in(&mut self.controller).await.expect("it goes on");
        self.routed.extend(routed.map(|cidrs| format!("{cidrs:?}")));
        self.controller.settle().expect("the recorder takes it");
        true
    }
}

/// A server with this many Services, each with one endpoint.
async fn world(services: usize) -> (Server, tempfile::TempDir) {
    let server = Server::start().await;
    for index in 1..=services {
        server.put(SERVICES, &format!("s{index}"), service(&format!("10.96.0.{index}")));
        server.put(SLICES, &format!("s{index}-a"), slice(&format!("s{index}"), &["10.1.0.1"]));
    }
    (server, tempfile::tempdir().expect("a directory"))
}

#[tokio::test]
async fn a_cluster_is_put_in_force_once_and_whole() {
    let (server, directory) = world(20).await;
    // The slices come long after the Services.
    server.fail(SLICES, Fault::Status(503, None));
    let mut recorder = Recorder::default();
    let mut agent = Agent::start(&server, directory.path(), &mut recorder).await;
    agent.until_served(20).await;
    assert_eq!(agent.routed, ["[10.96.0.0/16]"]);
    assert_eq!(recorder.calls, ["publish 20 services, 0 hops"]);
    let snapshot = recorder.published.expect("it was published");
    assert!(snapshot.services.frontends().all(|(_, service)| service.backends().len() == 1));
}

#[tokio::test]
async fn a_burst_makes_one_change_and_nothing_makes_none() {
    let (server, directory) = world(30).await;
    let mut recorder = Recorder::default();
    let mut agent = Agent::start(&server, directory.path(), &mut recorder).await;
    agent.until_served(30).await;
    // Thirty endpoints move at once.
    for index in 1..=30 {
        server.put(SLICES, &format!("s{index}-a"), slice(&format!("s{index}"), &["10.1.0.2"]));
    }
    while agent.step(Duration::from_millis(300)).await {}
    let generation = agent.controller.status().generation;
    assert!((2..=4).contains(&generation), "thirty changes, few publications: {generation}");
    // Only what packets do not notice: versions, labels, annotations, managers, status, a place.
    let mut touched: Value = service("10.96.0.1");
    touched["metadata"] = json!({
        "labels": {"team": "a"}, "annotations": {"note": "b"},
        "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
    });
    touched["status"] = json!({"loadBalancer": {}});
    server.put(SERVICES, "s1", touched);
    let mut moved = slice("s1", &["10.1.0.2"]);
    moved["endpoints"][0]["nodeName"] = "node-2".into();
    moved["endpoints"][0]["targetRef"] = json!({"kind": "Pod", "name": "p"});
    server.put(SLICES, "s1-a", moved);
    assert!(agent.step(Duration::from_secs(5)).await, "the events come");
    while agent.step(Duration::from_millis(300)).await {}
    assert_eq!(agent.controller.status().generation, generation, "packets notice none of it");
    let snapshot = recorder.published.as_ref().expect("it was published");
    let moved = |(_, service): (_, &maglane_dataplane::service::Service)| {
        service.backends()[0].endpoint.address.to_ip().to_string() == "10.1.0.2"
    };
    assert!(snapshot.services.frontends().all(moved));
}

#[tokio::test]
async fn forwarding_goes_on_without_the_server_and_after_a_new_list() {
    let (mut server, directory) = world(5).await;
    let mut recorder = Recorder::default();
    let mut agent = Agent::start(&server, directory.path(), &mut recorder).await;
    agent.until_served(5).await;
    server.kill().await;
    while agent.step(Duration::from_millis(500)).await {}
    assert_eq!(agent.controller.served(), 5);
    // It is back, has forgotten what changed, and one Service is gone.
    server.delete(SERVICES, "s5");
    server.forget();
    server.restart().await;
    agent.until_served(4).await;
    assert_eq!(
        recorder.calls,
        ["publish 5 services, 0 hops", "publish 4 services, 0 hops"],
        "never fewer than there are"
    );
}

#[tokio::test]
async fn a_service_of_another_proxy_is_let_go_and_taken_back() {
    let (server, directory) = world(2).await;
    let mut recorder = Recorder::default();
    let mut agent = Agent::start(&server, directory.path(), &mut recorder).await;
    agent.until_served(2).await;
    // A server that ignores selectors would say it so; ours says DELETED, which is the same.
    let mut foreign = service("10.96.0.1");
    foreign["metadata"]["labels"] = json!({"service.kubernetes.io/service-proxy-name": "other"});
    server.put(SERVICES, "s1", foreign);
    agent.until_served(1).await;
    server.put(SERVICES, "s1", service("10.96.0.1"));
    agent.until_served(2).await;
}

#[tokio::test]
async fn service_cidrs_come_and_go() {
    let (server, directory) = world(1).await;
    server.put(SERVICES, "far", service("10.97.0.1"));
    let mut recorder = Recorder::default();
    let mut agent = Agent::start(&server, directory.path(), &mut recorder).await;
    agent.until_served(2).await;
    let told = problems(&mut agent.controller);
    assert_eq!(
        told,
        ["Service default/far: spec.clusterIPs[0]: Invalid value: \"10.97.0.1\": is not in the \
          Service CIDRs 10.96.0.0/16: served to Pods; the node's own processes have no route to it"]
    );
    server.put(CIDRS, "more", json!({"spec": {"cidrs": ["10.97.0.0/16"]}}));
    while agent.step(Duration::from_millis(500)).await {}
    assert_eq!(problems(&mut agent.controller), [""; 0]);
    server.delete(CIDRS, "more");
    while agent.step(Duration::from_millis(500)).await {}
    assert_eq!(agent.routed, ["[10.96.0.0/16]", "[10.96.0.0/16, 10.97.0.0/16]", "[10.96.0.0/16]"]);
    assert_eq!(problems(&mut agent.controller).len(), 1);
}
