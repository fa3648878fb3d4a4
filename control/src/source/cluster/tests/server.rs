//! An API server that does what a test tells it, over real HTTP on a real socket.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Paths of the resources.
pub(crate) const SERVICES: &str = "/api/v1/services";
pub(crate) const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";
pub(crate) const NODES: &str = "/api/v1/nodes";
pub(crate) const CIDRS: &str = "/apis/networking.k8s.io/v1/servicecidrs";

/// What the server does to one request instead of answering it.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// A status, and what `Retry-After` says.
    Status(u16, Option<u32>),
    /// 200, and this.
    Body(&'static str),
    /// Nothing at all.
    Silence,
}

/// What the server has, and how it behaves.
#[derive(Default)]
pub(crate) struct World {
    version: u64,
    objects: BTreeMap<&'static str, BTreeMap<String, Value>>,
    /// Version, path, type, object; what is older than `forgotten` cannot be asked for.
    log: Vec<(u64, &'static str, &'static str, Value)>,
    forgotten: u64,
    /// Next faults by path, used up one by one.
    pub(crate) faults: BTreeMap<&'static str, VecDeque<Fault>>,
    /// Resources that are not served.
    pub(crate) unserved: Vec<&'static str>,
    /// Watches say nothing, and do not end.
    pub(crate) hangs: bool,
    /// What was asked for.
    pub(crate) requests: Vec<String>,
    /// What a client has to say; anything when empty.
    pub(crate) token: String,
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    world: Arc<Mutex<World>>,
    news: Arc<Notify>,
    task: Option<JoinHandle<()>>,
}

type Shared = (Arc<Mutex<World>>, Arc<Notify>);

impl Server {
    /// With no objects but one ServiceCIDR and the Node `node-1`.
    pub(crate) async fn start() -> Self {
        let (world, news) = (Arc::new(Mutex::new(World::default())), Arc::new(Notify::new()));
        let mut server = Self { address: ([127, 0, 0, 1], 0).into(), world, news, task: None };
        server.put(CIDRS, "kubernetes", json!({"spec": {"cidrs": ["10.96.0.0/16"]}}));
        let labels = json!({"topology.kubernetes.io/zone": "a"});
        server.put(NODES, "node-1", json!({"metadata": {"labels": labels}}));
        server.restart().await;
        server
    }

    /// Serves, on the address of before if there was one. Connections of before are cut.
    pub(crate) async fn restart(&mut self) {
        self.kill().await;
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let router =
            Router::new().fallback(answer).with_state((self.world.clone(), self.news.clone()));
        self.task = Some(tokio::spawn(serve(listener, router)));
    }

    /// Ends, with all connections.
    pub(crate) async fn kill(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Creates or replaces an object of the namespace `default`.
    pub(crate) fn put(&self, path: &'static str, name: &str, mut object: Value) {
        let mut world = self.world();
        world.version += 1;
        let version = world.version;
        object["metadata"]["name"] = name.into();
        if matches!(path, SERVICES | SLICES) {
            object["metadata"]["namespace"] = "default".into();
        }
        object["metadata"]["resourceVersion"] = version.to_string().into();
        let known = world.objects.entry(path).or_default().insert(name.to_owned(), object.clone());
        let what = if known.is_some() { "MODIFIED" } else { "ADDED" };
        world.log.push((version, path, what, object));
        drop(world);
        self.news.notify_waiters();
    }

    pub(crate) fn delete(&self, path: &'static str, name: &str) {
        let mut world = self.world();
        world.version += 1;
        let version = world.version;
        if let Some(object) = world.objects.entry(path).or_default().remove(name) {
            world.log.push((version, path, "DELETED", object));
        }
        drop(world);
        self.news.notify_waiters();
    }

    /// Forgets every change so far: who asks for them is told 410.
    pub(crate) fn forget(&self) {
        let mut world = self.world();
        world.version += 1;
        world.forgotten = world.version;
        world.log.clear();
        drop(world);
        self.news.notify_waiters();
    }

    /// The next request for this resource goes wrong.
    pub(crate) fn fail(&self, path: &'static str, fault: Fault) {
        self.world().faults.entry(path).or_default().push_back(fault);
    }

    /// How many requests so far had all of these words in them.
    pub(crate) fn asked(&self, words: &[&str]) -> usize {
        let has = |request: &&String| words.iter().all(|word| request.contains(word));
        self.world().requests.iter().filter(has).count()
    }

    /// Writes a kubeconfig that leads here.
    pub(crate) fn kubeconfig(&self, directory: &Path, token: &str) -> PathBuf {
        let file = directory.join("kubeconfig");
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        std::fs::write(&file, text.to_string()).unwrap();
        file
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// As `axum::serve`, but its connections end with it.
async fn serve(listener: TcpListener, router: Router) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        let io = hyper_util::rt::TokioIo::new(stream);
        connections.spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
    }
}

async fn answer(
    State((world, news)): State<Shared>,
    Query(query): Query<BTreeMap<String, String>>,
    request: Request,
) -> Response {
    let path = request.uri().path().to_owned();
    let fault = {
        let mut world = world.lock().unwrap();
        world.requests.push(request.uri().to_string());
        let said = request.headers().get("authorization").map(|value| value.to_str().unwrap());
        if !world.token.is_empty() && said != Some(&format!("Bearer {}", world.token)) {
            return status(401, "Unauthorized");
        }
        if world.unserved.iter().any(|unserved| *unserved == path) {
            return status(404, "the server could not find the requested resource");
        }
        let faults = world.faults.iter_mut().find(|(of, _)| **of == path);
        faults.and_then(|(_, faults)| faults.pop_front())
    };
    match fault {
        None if query.contains_key("watch") => watch(world, news, path, &query),
        None => list(&world.lock().unwrap(), &path, &query),
        Some(Fault::Status(code, retry_after)) => {
            let mut response = status(code, "as it was told");
            if let Some(seconds) = retry_after {
                response.headers_mut().insert("retry-after", seconds.into());
            }
            response
        }
        Some(Fault::Body(text)) => text.into_response(),
        Some(Fault::Silence) => std::future::pending().await,
    }
}

fn status(code: u16, message: &str) -> Response {
    let body = json!({"kind": "Status", "code": code, "message": message}).to_string();
    (StatusCode::from_u16(code).unwrap(), body).into_response()
}

fn list(world: &World, path: &str, query: &BTreeMap<String, String>) -> Response {
    let number = |name: &str| query.get(name).and_then(|text| text.parse::<usize>().ok());
    let (limit, from) = (number("limit").unwrap_or(usize::MAX), number("continue").unwrap_or(0));
    let all: Vec<_> = world.objects.get(path).into_iter().flat_map(BTreeMap::values).collect();
    let items: Vec<_> = all.iter().skip(from).take(limit).collect();
    let after = from + items.len();
    let token = if after < all.len() { after.to_string() } else { String::new() };
    let metadata = json!({"resourceVersion": world.version.to_string(), "continue": token});
    json!({"kind": "List", "metadata": metadata, "items": items}).to_string().into_response()
}

fn watch(
    world: Arc<Mutex<World>>,
    news: Arc<Notify>,
    path: String,
    query: &BTreeMap<String, String>,
) -> Response {
    let mut from: u64 = query["resourceVersion"].parse().unwrap();
    let ends =
        tokio::time::Instant::now() + Duration::from_secs(query["timeoutSeconds"].parse().unwrap());
    let lines = async_lines(move |sender| async move {
        loop {
            let waiting = news.notified();
            let (lines, over) = {
                let world = world.lock().unwrap();
                if world.hangs {
                    (Vec::new(), false)
                } else if from < world.forgotten {
                    let status = json!({"kind": "Status", "code": 410, "reason": "Expired"});
                    (vec![json!({"type": "ERROR", "object": status}).to_string()], true)
                } else {
                    let new = world.log.iter().filter(|(at, of, ..)| *at > from && **of == path);
                    let line = |what: &str, object: &Value| {
                        json!({"type": what, "object": object}).to_string()
                    };
                    let lines = new.map(|(_, _, what, object)| line(what, object)).collect();
                    from = world.version;
                    (lines, false)
                }
            };
            for line in lines {
                if sender.send(line + "\n").await.is_err() {
                    return;
                }
            }
            let hangs = world.lock().unwrap().hangs;
            tokio::select! {
                () = waiting => {}
                () = tokio::time::sleep_until(ends), if !hangs => return,
            }
            if over {
                return;
            }
        }
    });
    Body::from_stream(lines).into_response()
}

/// A stream of what a task sends.
fn async_lines<F: Future<Output = ()> + Send + 'static>(
    work: impl FnOnce(tokio::sync::mpsc::Sender<String>) -> F,
) -> impl futures::Stream<Item = Result<Bytes, Infallible>> {
    let (sender, receiver) = tokio::sync::mpsc::channel::<String>(16);
    let task = tokio::spawn(work(sender));
    let end = AbortOnDrop(task);
    futures::stream::unfold((receiver, end), |(mut receiver, end)| async move {
        let line = receiver.recv().await?;
        Some((Ok(Bytes::from(line)), (receiver, end)))
    })
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
