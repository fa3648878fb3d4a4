//! The registry over HTTP, as clients of the Kubernetes API expect it.
//!
//! | module | what |
//! |---|---|
//! | [`path`], [`query`], [`accept`], [`body`], [`protobuf`] | what a request says |
//! | [`objects`], [`lists`], [`watches`] | the verbs |
//! | [`logs`], [`exec`], [`containers`] | what whoever runs the Pods is asked |
//! | [`answer`], [`pieces`], [`table`], [`refusals`] | what is said back |
//! | [`discovery`], [`served`] | what there is to ask for |
//! | [`openapi`] | what objects look like |
//! | [`reviews`] | questions about the client itself |
//! | [`identity`], [`kubeconfig`], [`token`] | who the server is, and who may ask |
//! | [`listeners`], [`connections`], [`unread`] | sockets, TLS |
//! | [`limits`], [`in_flight`] | how much of everything a client may take |
//!
//! [`router`] needs no socket: what runs inside of this process calls it as a service, and is as
//! any other client, without a token.

mod accept;
mod answer;
mod body;
pub(crate) mod connections;
mod containers;
mod discovery;
mod exec;
pub(crate) mod identity;
pub(crate) mod in_flight;
pub(crate) mod kubeconfig;
pub(crate) mod limits;
pub(crate) mod listeners;
mod lists;
mod logs;
mod objects;
mod openapi;
mod path;
mod pieces;
mod protobuf;
mod query;
mod refusals;
mod reviews;
mod served;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod token;
mod unread;
mod watches;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use hyper::{Method, Request, Response};
use tokio::sync::{Semaphore, watch};

use self::openapi::Documents;
use self::path::Target;
use super::pods::PodRequests;
use super::registry::Registry;
use super::resource::Resource;
use super::status::Refusal;

/// What answers need. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api(Arc<Inner>);

struct Inner {
    registry: Registry,
    kinds: &'static [Resource],
    /// Places for watches.
    watches: Arc<Semaphore>,
    /// Places for bodies that are being read.
    bodies: Semaphore,
    /// OpenAPI, once somebody has asked for it.
    documents: OnceLock<Documents>,
    /// Who has logs and runs commands.
    pods: Option<PodRequests>,
    /// Ends watches when the server stops.
    stop: watch::Receiver<bool>,
}

impl Api {
    /// Of a registry of these kinds. Watches end when `stop` says so, or its sender is gone.
    pub(crate) fn new(
        registry: Registry,
        kinds: &'static [Resource],
        pods: Option<PodRequests>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let watches = Arc::new(Semaphore::new(limits::WATCHES));
        let bodies = Semaphore::new(limits::BODIES);
        let documents = OnceLock::new();
        Self(Arc::new(Inner { registry, kinds, watches, bodies, documents, pods, stop }))
    }

    /// OpenAPI documents of all kinds.
    fn documents(&self) -> &Documents {
        self.0.documents.get_or_init(|| Documents::new(self.0.kinds))
    }
}

/// The API as a service.
pub(crate) fn router(api: Api) -> Router {
    Router::new().fallback(answer_request).with_state(api)
}

async fn answer_request(State(api): State<Api>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let headers = parts.headers.clone();
    let mut response = dispatch(&api, Request::from_parts(parts, body))
        .await
        .unwrap_or_else(IntoResponse::into_response);
    answer::finish(&mut response, &headers);
    response
}

async fn dispatch(api: &Api, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let segments = path::segments(request.uri().path())?;
    let segments: Vec<_> = segments.iter().map(String::as_str).collect();
    let (group, version, rest) = match segments.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        other => {
            if !matches!(*request.method(), Method::GET | Method::HEAD) {
                return Err(refusals::method_not_allowed());
            }
            return discovery::answer(api, other, &request);
        }
    };
    if let Some(review) = reviews::find(group, version, rest) {
        return reviews::answer(api, review, request).await;
    }
    let target = Target::parse(api.0.kinds, group, version, rest)?;
    objects::answer(api, target, request).await
}
