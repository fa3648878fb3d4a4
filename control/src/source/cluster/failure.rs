use std::error::Error;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

/// Why a list or a watch did not go on.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server no longer knows what changed since the version that we have: 410.
    #[error("the server has forgotten what changed since then")]
    Gone,
    /// The server answered, and not with what was asked for.
    #[error("{code} {}: {message}", StatusCode::from_u16(*code).ok().and_then(|code| code.canonical_reason()).unwrap_or("Unknown"))]
    Refused {
        /// HTTP status code.
        code: u16,
        /// In its words.
        message: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// There is no connection, or no longer.
    #[error("{0}")]
    Unreachable(String),
    /// Nothing came, and something should have.
    #[error("nothing came for {} s", .0.as_secs())]
    Silent(Duration),
    /// What came is no answer of a Kubernetes API.
    #[error("the answer makes no sense: {0}")]
    Garbage(String),
}

/// `v1 Status`, as far as it matters.
#[derive(Deserialize, Default)]
struct Status {
    #[serde(default)]
    code: Option<u16>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

/// The longest text of a server's that is passed on.
const MESSAGE_LIMIT: usize = 300;

impl Failure {
    /// Whether the server does not have what was asked for.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code: 404, .. })
    }

    /// An answer that is a Status, or, where something stands between, any text.
    pub(super) fn refused(code: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let status: Status = serde_json::from_slice(body).unwrap_or_default();
        let code = status.code.filter(|code| *code >= 400).unwrap_or(code);
        if code == 410 || matches!(status.reason.as_deref(), Some("Expired" | "Gone")) {
            return Self::Gone;
        }
        let message = status.message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
        let line = message.lines().next().unwrap_or_default().trim();
        let message = line.chars().take(MESSAGE_LIMIT).collect();
        Self::Refused { code, message, retry_after }
    }

    /// Of a request that got no answer.
    pub(super) fn unreachable(error: &dyn Error) -> Self {
        Self::Unreachable(chain(error))
    }

    /// Whether other credentials, another certificate or another address may help.
    pub(super) fn is_of_the_connection(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Silent(_) => true,
            Self::Refused { code, .. } => *code == 401,
            Self::Gone | Self::Garbage(_) => false,
        }
    }

    /// Whether the server may answer the same request in a moment: otherwise a watch begins again
    /// with a list.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Silent(_) => true,
            // 504 is what comes for a version that the server has not reached: as when its state
            // was put back to an older one.
            Self::Refused { code, .. } => matches!(code, 401 | 429 | 500..=503),
            Self::Gone | Self::Garbage(_) => false,
        }
    }

    /// When the server wants to be asked again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// An error with its causes, each said once.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_speaks_for_itself() {
        let body = br#"{"kind":"Status","code":403,"reason":"Forbidden","message":"no\nmore"}"#;
        let failure = Failure::refused(200, body, None);
        assert_eq!(failure.to_string(), "403 Forbidden: no");
        let expired = br#"{"kind":"Status","code":410,"reason":"Expired"}"#;
        assert_eq!(Failure::refused(200, expired, None), Failure::Gone);
        assert_eq!(Failure::refused(410, b"", None), Failure::Gone);
    }

    #[test]
    fn a_proxys_page_is_cut_short() {
        let page = "x".repeat(10_000);
        let Failure::Refused { message, .. } = Failure::refused(502, page.as_bytes(), None) else {
            panic!("not a refusal");
        };
        assert_eq!(message.len(), MESSAGE_LIMIT);
    }
}
