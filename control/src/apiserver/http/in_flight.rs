//! How many requests of clients are being answered: one counts until its answer has been read, so
//! that answers nobody reads cannot pile up.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::{Router, middleware};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::{Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{answer, limits, refusals};

/// Marks an answer that is counted elsewhere, since it goes on for as long as the client likes.
#[derive(Clone, Copy)]
pub(super) struct LongRunning;

/// Refuses requests when too many are being answered.
pub(crate) fn limited(router: Router) -> Router {
    let room = Arc::new(Semaphore::new(limits::REQUESTS));
    router.layer(middleware::from_fn_with_state(room, count))
}

async fn count(
    State(room): State<Arc<Semaphore>>,
    request: Request<Body>,
    next: Next,
) -> Response<Body> {
    let Ok(place) = room.try_acquire_owned() else {
        let mut refused = refusals::too_many().into_response();
        answer::finish(&mut refused, request.headers());
        return refused;
    };
    let response = next.run(request).await;
    if response.extensions().get::<LongRunning>().is_some() {
        return response;
    }
    response.map(|body| Body::new(Counted { body, _place: place }))
}

/// A body that holds its place until it has been read.
struct Counted {
    body: Body,
    _place: OwnedSemaphorePermit,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    async fn ask(router: &Router, path: &str) -> Response<Body> {
        let request = Request::get(path).body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn answers_count_until_they_are_read() {
        let long = || async { (axum::Extension(LongRunning), "long").into_response() };
        let router = Router::new().route("/", get(|| async { "answer" })).route("/long", get(long));
        let router = limited(router);
        let mut unread = Vec::new();
        for _ in 0..limits::REQUESTS {
            unread.push(ask(&router, "/").await);
        }
        assert_eq!(ask(&router, "/").await.status(), 429);
        unread.pop();
        let long: Vec<_> = [ask(&router, "/long").await, ask(&router, "/long").await].into();
        assert!(long.iter().all(|response| response.status() == 200));
        assert_eq!(ask(&router, "/").await.status(), 200);
    }
}
