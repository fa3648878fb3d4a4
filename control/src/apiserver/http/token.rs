//! Who may ask: clients that have the token.

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::{Router, middleware};
use hyper::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use hyper::{Request, Response, header::HeaderValue};
use subtle::ConstantTimeEq;

use super::{answer, refusals};

/// What everybody may ask: whether the server is well, and what it is.
const OPEN: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];

/// Lets only those through who have the token.
pub(crate) fn required(router: Router, token: &str) -> Router {
    let expected: std::sync::Arc<str> = token.into();
    router.layer(middleware::from_fn_with_state(expected, check))
}

async fn check(
    State(expected): State<std::sync::Arc<str>>,
    request: Request<Body>,
    next: Next,
) -> Response<Body> {
    let path = request.uri().path();
    if OPEN.iter().any(|open| path.trim_end_matches('/') == *open) || has(&request, &expected) {
        return next.run(request).await;
    }
    let mut response = refusals::unauthorized().into_response();
    let challenge = HeaderValue::from_static("Bearer realm=\"maglane\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    answer::finish(&mut response, request.headers());
    response
}

fn has(request: &Request<Body>, expected: &str) -> bool {
    let Some(value) = request.headers().get(AUTHORIZATION) else { return false };
    let Some((scheme, token)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return false;
    };
    scheme.eq_ignore_ascii_case("Bearer")
        && bool::from(token.trim().as_bytes().ct_eq(expected.as_bytes()))
}
