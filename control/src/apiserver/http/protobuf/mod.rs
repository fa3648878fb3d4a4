//! Bodies that are Protocol Buffers. Clients in Go write objects of the API's own kinds so, since
//! client-go 0.32, and do not try JSON when they are refused: `kubectl create configmap` is one.
//! Answers are JSON, which the same clients take.
//!
//! ```text
//!   "k8s\0"  Unknown { typeMeta: {apiVersion, kind}, raw: the object }
//! ```
//!
//! (k8s.io/apimachinery/pkg/runtime/serializer/protobuf)

mod decode;
mod schema;
#[cfg(test)]
mod tests;
pub(super) mod wire;

use serde_json::{Map, Value};
use thiserror::Error;

use decode::{bytes_of, text};
use schema::SCHEMA;
use wire::{Fields, Wire};

/// Its `Content-Type`.
pub(super) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// What every body begins with.
const PREFIX: &[u8] = b"k8s\0";

/// Why bytes are no object.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum ProtobufError {
    /// They do not begin as they should.
    #[error(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
    )]
    Prefix,
    /// They break off, or are something else.
    #[error("provided data is no protobuf message of this kind")]
    Malformed,
    /// A kind that is not in the schema.
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    Kind {
        /// As it says.
        api_version: String,
        /// As it says.
        kind: String,
    },
}

/// The object, as it would be in JSON.
pub(super) fn object(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let envelope = bytes.strip_prefix(PREFIX).ok_or(ProtobufError::Prefix)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Fields::of(envelope) {
        match field? {
            (1, wire) => (api_version, kind) = type_meta(wire)?,
            (2, wire) => raw = bytes_of(wire)?,
            _ => {}
        }
    }
    let Some(message) = message_name(&api_version, &kind).and_then(|name| SCHEMA.get(&*name))
    else {
        return Err(ProtobufError::Kind { api_version, kind });
    };
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    decode::message(message, raw, 0, &mut object)?;
    Ok(Value::Object(object))
}

fn type_meta(wire: Wire<'_>) -> Result<(String, String), ProtobufError> {
    let (mut api_version, mut kind) = (String::new(), String::new());
    for field in Fields::of(bytes_of(wire)?) {
        match field? {
            (1, wire) => api_version = text(bytes_of(wire)?)?,
            (2, wire) => kind = text(bytes_of(wire)?)?,
            _ => {}
        }
    }
    Ok((api_version, kind))
}

/// `core.Service`; of versions that are served only.
fn message_name(api_version: &str, kind: &str) -> Option<String> {
    // In every group's version.
    if kind == "DeleteOptions" {
        return Some(format!("meta.{kind}"));
    }
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("core", api_version));
    let group = group.split('.').next().unwrap_or_default();
    (version == "v1").then(|| format!("{group}.{kind}"))
}
