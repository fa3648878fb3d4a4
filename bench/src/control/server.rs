//! An API server that has nothing else to do: lists in pages, and watches, over TLS.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::cluster::{Cluster, NODE_NAME, SERVICE_CIDR, node};

/// What the API serves, and who watches it.
pub(super) struct World {
    pub(super) cluster: Mutex<Cluster>,
    watchers: Mutex<Vec<UnboundedSender<Bytes>>>,
    /// When an event was last given to the connection, in nanoseconds since `started`.
    written_ns: AtomicU64,
    started: Instant,
}

/// A running server's own certificate, as a kubeconfig takes it.
pub(super) struct Certificate {
    pub(super) pem: String,
    acceptor: TlsAcceptor,
}

impl World {
    pub(super) fn new(cluster: Cluster) -> Arc<Self> {
        Arc::new(Self {
            cluster: Mutex::new(cluster),
            watchers: Mutex::default(),
            written_ns: AtomicU64::new(0),
            started: Instant::now(),
        })
    }

    pub(super) fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has everybody who watches EndpointSlices told of a change.
    pub(super) fn tell(&self, slice: &str) {
        let line = Bytes::from(format!("{{\"type\":\"MODIFIED\",\"object\":{slice}}}\n"));
        self.watchers().retain(|watcher| watcher.send(line.clone()).is_ok());
    }

    /// How many watch EndpointSlices now.
    pub(super) fn watching(&self) -> usize {
        let mut watchers = self.watchers();
        watchers.retain(|watcher| !watcher.is_closed());
        watchers.len()
    }

    /// When the newest event was given to the connection.
    pub(super) fn written(&self) -> Instant {
        self.started + Duration::from_nanos(self.written_ns.load(Ordering::Acquire))
    }

    fn watchers(&self) -> MutexGuard<'_, Vec<UnboundedSender<Bytes>>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Certificate {
    /// A new one for this machine's loopback.
    pub(super) fn new() -> anyhow::Result<Self> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
            .map_err(anyhow::Error::msg)?;
        let chain = vec![CertificateDer::from(made.cert.der().to_vec())];
        let mut config =
            ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { pem: made.cert.pem(), acceptor: TlsAcceptor::from(Arc::new(config)) })
    }
}

/// Serves for as long as it is polled.
pub(super) async fn serve(listener: TcpListener, certificate: &Certificate, world: Arc<World>) {
    let router = Router::new().fallback(answer).with_state(world);
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let (acceptor, service) =
            (certificate.acceptor.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            // One that is cut off before it has shaken hands has nothing to say.
            if let Ok(stream) = acceptor.accept(stream).await {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            }
        });
    }
}

/// A kubeconfig that leads to the server.
pub(super) fn kubeconfig(address: SocketAddr, authority: &std::path::Path) -> String {
    serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "bench",
        "clusters": [{"name": "bench", "cluster": {
            "server": format!("https://{address}"), "certificate-authority": authority,
        }}],
        "users": [{"name": "bench", "user": {"token": "bench"}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
    })
    .to_string()
}

async fn answer(
    State(world): State<Arc<World>>,
    Query(query): Query<BTreeMap<String, String>>,
    request: Request,
) -> Response {
    let path = request.uri().path();
    let resource = path.rsplit('/').next().unwrap_or_default();
    if query.contains_key("watch") {
        return watch(&world, resource, &query);
    }
    let cluster = world.cluster();
    let number = |name: &str| query.get(name).and_then(|text| text.parse::<usize>().ok());
    let (limit, from) = (number("limit").unwrap_or(usize::MAX), number("continue").unwrap_or(0));
    let services = cluster.services();
    let page = from..services.min(from.saturating_add(limit));
    let (items, more) = match resource {
        "services" => (page.clone().map(|index| cluster.service(index)).collect(), true),
        "endpointslices" => (page.clone().map(|index| cluster.slice(index)).collect(), true),
        "servicecidrs" => (vec![SERVICE_CIDR.to_owned()], false),
        "nodes" => (vec![node()], false),
        _ => (Vec::new(), false),
    };
    let token = if more && page.end < services { page.end.to_string() } else { String::new() };
    let (version, items) = (cluster.version(), items.join(","));
    format!(
        r#"{{"kind":"List","apiVersion":"v1","metadata":{{"resourceVersion":"{version}","continue":"{token}"}},"items":[{items}]}}"#
    )
    .into_response()
}

fn watch(world: &Arc<World>, resource: &str, query: &BTreeMap<String, String>) -> Response {
    let seconds = query.get("timeoutSeconds").and_then(|text| text.parse().ok()).unwrap_or(300);
    let ends = tokio::time::Instant::now() + Duration::from_secs(seconds);
    let (sender, receiver) = unbounded_channel();
    let kept = if resource == "endpointslices" {
        world.watchers().push(sender);
        None
    } else {
        Some(sender)
    };
    Body::from_stream(lines(world.clone(), receiver, ends, kept)).into_response()
}

/// What is told, noting when, until the time is over.
fn lines(
    world: Arc<World>,
    receiver: UnboundedReceiver<Bytes>,
    ends: tokio::time::Instant,
    kept: Option<UnboundedSender<Bytes>>,
) -> impl futures::Stream<Item = Result<Bytes, Infallible>> {
    futures::stream::unfold(
        (world, receiver, kept),
        move |(world, mut receiver, kept)| async move {
            let line = tokio::time::timeout_at(ends, receiver.recv()).await.ok()??;
            world.written_ns.store(world.started.elapsed().as_nanos() as u64, Ordering::Release);
            Some((Ok(line), (world, receiver, kept)))
        },
    )
}

/// What the agent is told it runs on.
pub(super) fn node_name() -> &'static str {
    NODE_NAME
}
