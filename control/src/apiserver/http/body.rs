//! Bodies of requests: read whole, within limits, and understood.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{limits, protobuf, refusals};
use crate::apiserver::resource::Resource;
use crate::apiserver::status::Refusal;

/// What objects may be written as.
const OBJECT_TYPES: &str =
    "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// The whole body.
///
/// # Errors
/// 413 when it is too long, 504 when it takes too long, 400 when it breaks off.
pub(super) async fn read(body: Body, room: &Semaphore) -> Result<Bytes, Refusal> {
    let reading = async {
        // Never closed.
        let _place = room.acquire().await;
        read_within(body).await
    };
    timeout(limits::BODY, reading).await.unwrap_or_else(|_| Err(refusals::timeout()))
}

/// What is too much is read and dropped, up to a point: many clients see an answer only when they
/// could send everything.
async fn read_within(mut body: Body) -> Result<Bytes, Refusal> {
    let mut kept = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| Refusal::bad_request(format!("unable to read the body: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length > limits::DROPPED_BODY_BYTES {
            break;
        }
        if length > limits::BODY_BYTES {
            kept = BytesMut::new();
        } else {
            kept.extend_from_slice(&data);
        }
    }
    if length > limits::BODY_BYTES { Err(refusals::too_large()) } else { Ok(kept.freeze()) }
}

/// `application/json` of a `Content-Type`; empty when there is none.
pub(super) fn media_type(headers: &HeaderMap) -> &str {
    let text = headers.get(CONTENT_TYPE).and_then(|text| text.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim()
}

/// An object of a kind; `apiVersion` and `kind` are there afterwards.
///
/// # Errors
/// 415 for other content types, 400 for what is no object or one of another kind.
pub(super) fn object(
    headers: &HeaderMap,
    bytes: &[u8],
    version: &str,
    kind: &str,
) -> Result<Value, Refusal> {
    let mut object = value(headers, bytes).map_err(|fault| fault.of(bytes, kind))?;
    if !object.is_object() {
        return Err(Fault::Syntax(
            "couldn't get version/kind; json parse error: json: cannot unmarshal into Go value of \
             type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \
             \"json:\\\"kind,omitempty\\\"\" }"
                .to_owned(),
        )
        .of(bytes, kind));
    }
    let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
    let (their_version, their_kind) = (text("apiVersion"), text("kind"));
    if !their_kind.is_empty() && their_kind != kind {
        let their_version = if their_version.is_empty() { version } else { &their_version };
        return Err(Refusal::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): \
             {their_kind} in version {their_version:?} cannot be handled as a {kind}"
        )));
    }
    if !their_version.is_empty() && their_version != version {
        return Err(Refusal::bad_request(format!(
            "the API version in the data ({their_version}) does not match the expected API \
             version ({version})"
        )));
    }
    object["apiVersion"] = version.into();
    object["kind"] = kind.into();
    Ok(object)
}

/// An object of a kind that is served.
pub(super) fn object_of(
    headers: &HeaderMap,
    bytes: &[u8],
    of: &Resource,
) -> Result<Value, Refusal> {
    object(headers, bytes, &of.api_version(), of.kind)
}

/// Options in a body, where there may be none.
pub(super) fn options(headers: &HeaderMap, bytes: &[u8]) -> Result<Option<Value>, Refusal> {
    if bytes.is_empty() {
        return Ok(None);
    }
    value(headers, bytes).map(Some).map_err(|fault| fault.of(bytes, "DeleteOptions"))
}

/// Why bytes are no value.
enum Fault {
    MediaType,
    Syntax(String),
}

impl Fault {
    fn of(self, bytes: &[u8], kind: &str) -> Refusal {
        match self {
            Self::MediaType => refusals::unsupported_media_type(OBJECT_TYPES),
            Self::Syntax(message) => Refusal::bad_request(format!(
                "the object provided is unrecognized (must be of type {kind}): {message} ({})",
                summary(bytes)
            )),
        }
    }
}

fn value(headers: &HeaderMap, bytes: &[u8]) -> Result<Value, Fault> {
    match media_type(headers) {
        "" | "application/json" | "*/*" => serde_json::from_slice(bytes).map_err(|error| {
            Fault::Syntax(format!(
                "couldn't get version/kind; json parse error: {}",
                json_error(&error)
            ))
        }),
        "application/yaml" | "application/x-yaml" | "text/yaml" => serde_yaml_ng::from_slice(bytes)
            .map_err(|error| Fault::Syntax(format!("yaml: {error}"))),
        protobuf::MEDIA_TYPE => {
            protobuf::object(bytes).map_err(|error| Fault::Syntax(error.to_string()))
        }
        _ => Err(Fault::MediaType),
    }
}

/// In Go's words where they are the same.
pub(super) fn json_error(error: &serde_json::Error) -> String {
    if error.is_eof() { "unexpected end of JSON input".to_owned() } else { error.to_string() }
}

/// The beginning of a body, for people; one that is no JSON in hexadecimal.
fn summary(bytes: &[u8]) -> String {
    const LENGTH: usize = 30;
    let beginning = &bytes[..bytes.len().min(LENGTH)];
    let more = if bytes.len() > LENGTH { " ..." } else { "" };
    match bytes.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(beginning)),
        Some(_) => {
            let hexadecimal: String = beginning.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{hexadecimal}{more}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(content_type: &str, body: &str) -> Result<Value, (u16, String)> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        object(&headers, body.as_bytes(), "v1", "Service")
            .map_err(|refusal| (refusal.code, refusal.message))
    }

    #[test]
    fn json_and_yaml_are_read() {
        let expected = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}});
        let yaml = "kind: Service\nmetadata:\n  name: a\n";
        assert_eq!(service("application/yaml", yaml), Ok(expected.clone()));
        let json = r#"{"apiVersion":"v1","metadata":{"name":"a"}}"#;
        assert_eq!(service("application/json; charset=utf-8", json), Ok(expected));
    }

    #[test]
    fn other_things_are_refused() {
        for (content_type, body, code, message) in [
            (
                "application/json",
                "{",
                400,
                "the object provided is unrecognized (must be of type Service): couldn't get \
                 version/kind; json parse error: unexpected end of JSON input ({)",
            ),
            (
                "application/json",
                r#"{"kind":"Pod"}"#,
                400,
                "the object provided is unrecognized (must be of type Service): Pod in version \
                 \"v1\" cannot be handled as a Service",
            ),
            (
                "application/json",
                r#"{"apiVersion":"v2","kind":"Service"}"#,
                400,
                "the API version in the data (v2) does not match the expected API version (v1)",
            ),
            (
                "application/vnd.kubernetes.protobuf",
                "k8s\0\x0a",
                400,
                "the object provided is unrecognized (must be of type Service): provided data is \
                 no protobuf message of this kind (6b3873000a)",
            ),
            (
                "text/plain",
                "k8s\0",
                415,
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json, application/yaml, application/vnd.kubernetes.protobuf",
            ),
        ] {
            assert_eq!(service(content_type, body), Err((code, message.to_owned())));
        }
        let (code, message) = service("application/json", "").unwrap_err();
        assert_eq!(code, 400);
        assert!(message.ends_with("unexpected end of JSON input (<empty>)"), "{message}");
    }

    #[tokio::test]
    async fn long_bodies_are_refused() {
        let room = Semaphore::new(1);
        let body = Body::from(vec![b' '; limits::BODY_BYTES + 1]);
        let refusal = read(body, &room).await.unwrap_err();
        assert_eq!((refusal.code, refusal.reason), (413, "RequestEntityTooLarge"));
        assert_eq!(refusal.message, "Request entity too large: limit is 3145728");
        let body = Body::from(vec![b' '; limits::BODY_BYTES]);
        assert_eq!(read(body, &room).await.unwrap().len(), limits::BODY_BYTES);
    }
}
