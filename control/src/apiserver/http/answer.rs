//! Answers, and the headers that all of them have.

use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WARNING};
use hyper::{HeaderMap, Response, StatusCode};
use serde_json::Value;
use uuid::Uuid;

use super::accept::Encoding;
use crate::apiserver::status::Refusal;

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
/// Of one `Warning` header, as in the real server (KEP-1693).
const WARNING_CHARACTERS: usize = 256;
/// Of all of them.
const WARNINGS_CHARACTERS: usize = 4 * 1024;

/// With a body of some type.
pub(super) fn with(code: u16, content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A value.
pub(super) fn value(code: u16, encoding: Encoding, value: &Value) -> Response<Body> {
    with(code, encoding.content_type(), encode(encoding, value))
}

/// JSON that is written already.
pub(super) fn json(code: u16, encoding: Encoding, json: &Bytes) -> Response<Body> {
    if encoding == Encoding::Json {
        return with(code, encoding.content_type(), json.clone());
    }
    // It was written from a `Value`, so it reads as one.
    value(code, encoding, &serde_json::from_slice(json).unwrap_or_default())
}

/// Writes a value.
pub(super) fn encode(encoding: Encoding, value: &Value) -> Bytes {
    let text = match encoding {
        Encoding::Json => value.to_string() + "\n",
        Encoding::PrettyJson => format!("{value:#}\n"),
        // Every JSON text is YAML as well.
        Encoding::Yaml => serde_yaml_ng::to_string(value).unwrap_or_else(|_| value.to_string()),
    };
    text.into()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        let mut response = value(self.code, Encoding::Json, &self.to_status());
        if let Some(seconds) = self.details["retryAfterSeconds"].as_u64() {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Adds what every answer has.
pub(super) fn finish(response: &mut Response<Body>, request: &HeaderMap) {
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
    let theirs = request.get(AUDIT_ID).filter(|id| id.len() <= 64).cloned();
    let id = theirs.or_else(|| HeaderValue::from_str(&Uuid::new_v4().to_string()).ok());
    if let Some(id) = id {
        headers.entry(AUDIT_ID).or_insert(id);
    }
}

/// Tells a client what it should know although it got what it wanted (RFC 7234 section 5.5).
pub(super) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    let mut room = WARNINGS_CHARACTERS;
    for text in warnings {
        let quoted: String = text
            .chars()
            .filter(|each| !each.is_control())
            .take(WARNING_CHARACTERS.min(room))
            .flat_map(|each| matches!(each, '"' | '\\').then_some('\\').into_iter().chain([each]))
            .collect();
        room -= text.chars().count().min(room);
        if let Ok(header) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            response.headers_mut().append(WARNING, header);
        }
        if room == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_quoted_and_bounded() {
        let mut response = Response::new(Body::empty());
        warn(&mut response, &["unknown field \"spec.prot\"\n".to_owned(), "ü".repeat(10_000)]);
        let texts: Vec<_> = response
            .headers()
            .get_all(WARNING)
            .iter()
            .map(|header| String::from_utf8(header.as_bytes().to_vec()).unwrap())
            .collect();
        assert_eq!(texts[0], r#"299 - "unknown field \"spec.prot\"""#);
        assert_eq!(texts[1], format!("299 - \"{}\"", "ü".repeat(WARNING_CHARACTERS)));
    }
}
