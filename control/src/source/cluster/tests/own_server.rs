//! The watches against Maglane's own API server, over real HTTP and TLS.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::apiserver::registry::Settings;
use crate::apiserver::server::{ApiServer, ApiServerOptions};

/// An API server, its directory, and who follows it.
struct Rig {
    server: Option<ApiServer>,
    directory: tempfile::TempDir,
    address: SocketAddr,
}

impl Rig {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut rig = Self { server: None, directory, address: ([127, 0, 0, 1], 0).into() };
        rig.start();
        rig
    }

    /// Starts the server where it was before, if it was anywhere.
    fn start(&mut self) {
        let listener = TcpListener::bind(self.address).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.address = listener.local_addr().unwrap();
        let options = ApiServerOptions {
            data_directory: self.data(),
            listeners: vec![listener],
            // Few changes are remembered, so that it can be made to forget.
            settings: Settings { history_changes: 8, ..Settings::default() },
        };
        self.server = Some(ApiServer::start(options, |_| async {}).unwrap());
    }

    /// Ends the server, with its connections.
    async fn stop(&mut self) {
        let server = self.server.take();
        tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
    }

    fn data(&self) -> std::path::PathBuf {
        self.directory.path().join("data")
    }

    fn options(&self, api_server: Option<SocketAddr>) -> ClusterOptions {
        let access = Access::Kubeconfig {
            file: self.data().join("kubeconfig"),
            context: None,
            api_server: api_server.map(|address| format!("https://{address}")),
        };
        let followed = Followed { node_name: "node-1".to_owned(), service_proxy_name: None };
        ClusterOptions { access, followed }
    }

    fn services(&self) -> Api<Service> {
        Api::namespaced(self.server.as_ref().unwrap().client(), "default")
    }

    async fn create(&self, name: &str) {
        let service = json!({
            "metadata": {"name": name}, "spec": {"ports": [{"port": 80}]},
        });
        let service = serde_json::from_value(service).unwrap();
        self.services().create(&PostParams::default(), &service).await.unwrap();
    }

    async fn delete(&self, name: &str) {
        self.services().delete(name, &DeleteParams::default()).await.unwrap();
    }
}

/// What a consumer knows.
struct Seen {
    cluster: Cluster,
    services: BTreeSet<String>,
    relisted: usize,
}

impl Seen {
    async fn start(options: &ClusterOptions) -> Self {
        let cluster = start(options).await;
        Self { cluster, services: BTreeSet::new(), relisted: 0 }
    }

    async fn until(&mut self, names: &[&str]) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        let is = |of: &Self| {
            of.cluster.is_complete() && of.services.iter().map(String::as_str).eq(names.to_vec())
        };
        while !is(self) {
            let late = tokio::time::Instant::now() > deadline;
            assert!(!late, "{:?}, not {names:?}; {:?}", self.services, self.cluster.problems());
            let _ = tokio::time::timeout(Duration::from_millis(20), self.cluster.changed()).await;
            while let Some(update) = self.cluster.take() {
                self.note(update);
            }
        }
    }

    fn note(&mut self, update: Update) {
        match update {
            Update::Model(Change::Applied(Item::Object(Object::Service(service)))) => {
                self.services.extend(service.metadata.name);
            }
            Update::Model(Change::Deleted(Watched::Services, key)) => {
                self.services.remove(&*key.name);
            }
            Update::Model(Change::Listed(Watched::Services, seen)) => {
                self.relisted += 1;
                self.services.retain(|name| seen.iter().any(|key| *key.name == **name));
            }
            Update::ServiceCidrs(_) => self.cluster.list(),
            _ => {}
        }
    }
}

#[tokio::test]
async fn first_lists_and_changes_over_tls() {
    let rig = Rig::new();
    rig.create("a").await;
    let mut seen = Seen::start(&rig.options(None)).await;
    seen.until(&["a"]).await;
    rig.create("b").await;
    rig.delete("a").await;
    seen.until(&["b"]).await;
    assert_eq!(seen.relisted, 1);
    let all = seen.cluster.states.lock().unwrap().clone();
    assert!(all.values().all(|state| state.version == Some(http::Version::HTTP_2)), "{all:?}");
}

#[tokio::test]
async fn a_server_that_was_killed_and_has_forgotten() {
    let mut rig = Rig::new();
    for name in ["a", "b"] {
        rig.create(name).await;
    }
    let mut seen = Seen::start(&rig.options(Some(rig.address))).await;
    seen.until(&["a", "b"]).await;
    rig.stop().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(seen.cluster.problems().iter().any(|of| of.message.contains("stays in force")));
    assert_eq!(seen.services.len(), 2, "what was known stays");
    // Elsewhere more happens than it remembers; then it is back.
    let home = std::mem::replace(&mut rig.address, ([127, 0, 0, 1], 0).into());
    rig.start();
    rig.delete("a").await;
    for index in 0..20 {
        rig.create(&format!("c{index:02}")).await;
        rig.delete(&format!("c{index:02}")).await;
    }
    rig.create("d").await;
    rig.stop().await;
    rig.address = home;
    rig.start();
    seen.until(&["b", "d"]).await;
    assert!(seen.relisted >= 2, "a watch cannot have told it all");
}

#[tokio::test]
async fn a_connection_that_dies_in_silence() {
    let rig = Rig::new();
    rig.create("a").await;
    let (proxy, hangs) = proxy(rig.address).await;
    let mut seen = Seen::start(&rig.options(Some(proxy))).await;
    seen.until(&["a"]).await;
    hangs.store(true, Ordering::SeqCst);
    rig.create("b").await;
    let begun = tokio::time::Instant::now();
    let connected = |of: &Seen| of.cluster.view().watches.iter().any(|watch| watch.connected);
    while connected(&seen) {
        assert!(begun.elapsed() < Duration::from_secs(10), "nobody notices");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    hangs.store(false, Ordering::SeqCst);
    seen.until(&["a", "b"]).await;
}

#[tokio::test]
async fn a_new_certificate_authority_and_a_new_token() {
    let mut rig = Rig::new();
    rig.create("a").await;
    let mut seen = Seen::start(&rig.options(None)).await;
    seen.until(&["a"]).await;
    let before = std::fs::read_to_string(rig.data().join("kubeconfig")).unwrap();
    rig.stop().await;
    for entry in std::fs::read_dir(rig.data()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::remove_file(path).unwrap();
        }
    }
    rig.start();
    assert_ne!(std::fs::read_to_string(rig.data().join("kubeconfig")).unwrap(), before);
    rig.create("b").await;
    seen.until(&["a", "b"]).await;
}

/// Passes connections on to `server`, and while it hangs, no byte of them.
async fn proxy(server: SocketAddr) -> (SocketAddr, Arc<AtomicBool>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hangs = Arc::new(AtomicBool::new(false));
    let flag = hangs.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(server).await else { continue };
            let (client, server) = (client.into_split(), server.into_split());
            tokio::spawn(pass(client.0, server.1, flag.clone()));
            tokio::spawn(pass(server.0, client.1, flag.clone()));
        }
    });
    (address, hangs)
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    hangs: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        // What comes while it hangs is lost, and with it the connection.
        if hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
