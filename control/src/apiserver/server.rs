//! The whole server: objects from disk, a thread of its own, sockets, a kubeconfig.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use axum::Router;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::{error, info};

use super::http::identity::{Identity, IdentityError, write_secret};
use super::http::kubeconfig::kubeconfig;
use super::http::{Api, connections, in_flight, limits, router, token};
use super::pods::{self, PodRequest};
use super::registry::{OpenError, Registry, Settings};
use super::service_ips::first_address;

/// Objects, in the data directory.
const OBJECTS_DIRECTORY: &str = "objects";
/// What clients are pointed at, in the data directory.
const KUBECONFIG_FILE: &str = "kubeconfig";
/// Of objects without a namespace, when the kind has namespaces.
const DEFAULT_NAMESPACE: &str = "default";

/// Why the server does not start.
#[derive(Debug, Error)]
pub(crate) enum ApiServerError {
    /// Its objects cannot be read.
    #[error(transparent)]
    Objects(#[from] OpenError),
    /// Its certificate, its token or its kubeconfig.
    #[error("the API cannot identify itself")]
    Identity(#[from] IdentityError),
    /// The operating system refused.
    #[error("cannot {action} for the API")]
    System {
        /// What was tried.
        action: &'static str,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// It cannot be reached without an address.
    #[error("no address to listen on")]
    Nowhere,
}

/// How to start.
pub(crate) struct ApiServerOptions {
    /// Objects, authority, token and kubeconfig are kept here. One process at a time.
    pub(crate) data_directory: PathBuf,
    /// Open listeners ([`Listen::open`](super::http::listeners::Listen::open)); the kubeconfig names
    /// the first.
    pub(crate) listeners: Vec<TcpListener>,
    /// How the objects behave.
    pub(crate) settings: Settings,
}

/// What runs beside the server, on its thread, gets.
pub(crate) struct Inside {
    /// Talks to the server without a socket and without a token.
    pub(crate) client: kube::Client,
    /// Logs and commands that clients ask for. Without a Pod runner: drop it, and they are refused.
    pub(crate) pods: mpsc::Receiver<PodRequest>,
    /// Says when to end.
    pub(crate) stop: watch::Receiver<bool>,
}

/// A server that runs. When it is dropped, it stops.
pub(crate) struct ApiServer {
    addresses: Vec<SocketAddr>,
    kubeconfig: PathBuf,
    router: Router,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl ApiServer {
    /// Starts the server, and beside it whatever belongs to it (controllers, a Pod runner), on a
    /// thread of its own. It answers from now on.
    ///
    /// # Errors
    /// What cannot be read, written or opened.
    pub(crate) fn start<F>(
        options: ApiServerOptions,
        beside: impl FnOnce(Inside) -> F + Send + 'static,
    ) -> Result<Self, ApiServerError>
    where
        F: Future<Output = ()> + 'static,
    {
        let directory = &options.data_directory;
        let system = |action| move |cause| ApiServerError::System { action, cause };
        std::fs::create_dir_all(directory).map_err(system("make the data directory"))?;
        let addresses: io::Result<Vec<_>> =
            options.listeners.iter().map(TcpListener::local_addr).collect();
        let addresses = addresses.map_err(system("ask a socket for its address"))?;
        let first = *addresses.first().ok_or(ApiServerError::Nowhere)?;

        let settings = &options.settings;
        let registry = Registry::open(&directory.join(OBJECTS_DIRECTORY), settings)?;
        // The Service `kubernetes` has the first address of each.
        let kubernetes: Vec<_> =
            registry.service_cidrs(settings).into_iter().filter_map(first_address).collect();
        let identity = Identity::load_or_create(directory)?;
        let named: Vec<_> = addresses
            .iter()
            .map(SocketAddr::ip)
            .chain(kubernetes)
            .filter(|address| !address.is_unspecified())
            .collect();
        let tls = TlsAcceptor::from(Arc::new(identity.server(&named)?));
        let kubeconfig_path = directory.join(KUBECONFIG_FILE);
        write_secret(&kubeconfig_path, &kubeconfig(&url(first), &identity))?;

        let (stop, stopping) = watch::channel(false);
        let (requests, pods) = mpsc::channel(pods::REQUESTS_WAITING);
        let api = Api::new(registry, settings.kinds, Some(requests), stopping.clone());
        let inside_router = router(api);
        let guarded = in_flight::limited(inside_router.clone());
        let guarded = token::required(guarded, identity.token());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(system("make a runtime"))?;
        let for_beside = inside_router.clone();
        let run = move || {
            runtime.block_on(async move {
                let listeners = match connections::for_tokio(options.listeners) {
                    Ok(listeners) => listeners,
                    Err(error) => return error!(%error, "cannot listen for clients of the API"),
                };
                let inside = Inside { client: client(for_beside), pods, stop: stopping.clone() };
                let serving = connections::serve(listeners, tls, guarded, stopping.clone());
                tokio::join!(serving, until_stopped(beside(inside), stopping));
            });
        };
        let thread = thread::Builder::new()
            .name("apiserver".to_owned())
            .spawn(run)
            .map_err(system("start a thread"))?;
        info!(url = url(first), kubeconfig = %kubeconfig_path.display(), "the API is served");
        Ok(Self {
            addresses,
            kubeconfig: kubeconfig_path,
            router: inside_router,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it listens, with real ports.
    #[cfg(test)]
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What the kubeconfig names.
    pub(crate) fn url(&self) -> String {
        self.addresses.first().map(|first| url(*first)).unwrap_or_default()
    }

    /// The file that clients need.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client inside of this process, of a thread other than the server's. To be made within the
    /// tokio runtime that uses it.
    pub(crate) fn client(&self) -> kube::Client {
        client(self.router.clone())
    }

    /// Stops: lets requests end, ends watches, and waits until all is done.
    #[cfg(test)]
    pub(crate) fn stop(self) {
        drop(self);
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("the thread of the API has panicked");
        }
    }
}

/// Runs until it is done; after a stop it gets [`limits::STOP`].
async fn until_stopped(beside: impl Future<Output = ()>, mut stop: watch::Receiver<bool>) {
    tokio::pin!(beside);
    tokio::select! {
        () = &mut beside => return,
        _ = stop.wait_for(|stop| *stop) => {}
    }
    let _ = timeout(limits::STOP, beside).await;
}

fn client(router: Router) -> kube::Client {
    kube::Client::new(router, DEFAULT_NAMESPACE)
}

/// At an address that can be connected to.
fn url(mut address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(_) if address.ip().is_unspecified() => address.set_ip([127, 0, 0, 1].into()),
        SocketAddr::V6(_) if address.ip().is_unspecified() => {
            address.set_ip(std::net::Ipv6Addr::LOCALHOST.into());
        }
        _ => {}
    }
    format!("https://{address}")
}
