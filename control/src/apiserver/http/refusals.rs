//! Refusals of the protocol itself, in the words of the real server
//! (k8s.io/apimachinery/pkg/api/errors, k8s.io/apiserver/pkg/endpoints/handlers/negotiation).

use serde_json::json;

use super::limits;
use crate::apiserver::status::Refusal;

/// 404: no such path.
pub(super) fn no_such_path() -> Refusal {
    let message = "the server could not find the requested resource";
    Refusal { details: json!({}), ..Refusal::new(404, "NotFound", message) }
}

/// 405.
pub(super) fn method_not_allowed() -> Refusal {
    let message = "the server does not allow this method on the requested resource";
    Refusal { details: json!({}), ..Refusal::new(405, "MethodNotAllowed", message) }
}

/// 401: no token, or a wrong one.
pub(super) fn unauthorized() -> Refusal {
    Refusal::new(401, "Unauthorized", "Unauthorized")
}

/// 406: the client wants none of what there is.
pub(super) fn not_acceptable(accepted: &str) -> Refusal {
    let message = format!("only the following media types are accepted: {accepted}");
    Refusal::new(406, "NotAcceptable", message)
}

/// 415: the body is of a type that is not read.
pub(super) fn unsupported_media_type(accepted: &str) -> Refusal {
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: {accepted}"
    );
    Refusal::new(415, "UnsupportedMediaType", message)
}

/// 413: the body is too long.
pub(super) fn too_large() -> Refusal {
    let message = format!("Request entity too large: limit is {}", limits::BODY_BYTES);
    Refusal::new(413, "RequestEntityTooLarge", message)
}

/// 429: all places are taken; the client comes again.
pub(super) fn too_many() -> Refusal {
    let message = "too many requests, please try again later";
    Refusal {
        details: json!({"retryAfterSeconds": 1}),
        ..Refusal::new(429, "TooManyRequests", message)
    }
}

/// 504: the client was too slow.
pub(super) fn timeout() -> Refusal {
    let message = "Timeout: request did not complete within the allotted timeout";
    Refusal { details: json!({}), ..Refusal::new(504, "Timeout", message) }
}

/// 500: our own mistake.
pub(super) fn internal(what: impl std::fmt::Display) -> Refusal {
    Refusal::new(500, "InternalError", format!("Internal error occurred: {what}"))
}

/// 422: a query parameter makes no sense.
pub(super) fn invalid_option(options: &str, field: &str, message: String, reason: &str) -> Refusal {
    Refusal {
        details: json!({
            "group": "meta.k8s.io", "kind": options,
            "causes": [{"reason": reason, "message": message, "field": field}],
        }),
        ..Refusal::new(
            422,
            "Invalid",
            format!("{options}.meta.k8s.io \"\" is invalid: {field}: {message}"),
        )
    }
}
