//! OpenAPI v3 (KEP-2896): a document for every group and version, made of the kinds' schemas when
//! somebody first asks. `kubectl explain` reads the schemas, `kubectl apply` how lists are merged
//! and whether the server validates fields itself.
//!
//! Of v2 there is just what older clients cannot do without: [`v2`].

mod operations;
mod schemas;
pub(super) mod v2;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use axum::body::Body;
use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH, LOCATION, VARY};
use hyper::{Request, Response};
use serde_json::{Value, json};

use super::accept::Encoding;
use super::query::Query;
use super::served::{Version, served};
use super::{accept, answer, refusals};
use crate::apiserver::resource::Resource;
use crate::apiserver::status::Refusal;

/// All documents, by path: `api/v1`, `apis/apps/v1`.
pub(super) struct Documents(BTreeMap<String, Document>);

struct Document {
    json: Bytes,
    /// Changes with the document.
    hash: String,
}

impl Documents {
    /// Of these kinds, and of those that only answer.
    pub(super) fn new(kinds: &'static [Resource]) -> Self {
        let documents = served(kinds).into_iter().map(|version| {
            let path = version.path().trim_start_matches('/').to_owned();
            let json = Bytes::from(document(kinds, &version).to_string());
            let mut hasher = DefaultHasher::new();
            json.hash(&mut hasher);
            (path, Document { json, hash: format!("{:016X}", hasher.finish()) })
        });
        Self(documents.collect())
    }

    /// `/openapi/v3`: where the documents are.
    pub(super) fn index(&self) -> Value {
        let paths: serde_json::Map<_, _> = self
            .0
            .iter()
            .map(|(path, document)| {
                let url = format!("/openapi/v3/{path}?hash={}", document.hash);
                (path.clone(), json!({"serverRelativeURL": url}))
            })
            .collect();
        json!({"paths": paths})
    }

    /// `/openapi/v3/api/v1`. With its hash in the query it may be kept for ever.
    pub(super) fn one(
        &self,
        path: &str,
        request: &Request<Body>,
        query: &Query,
    ) -> Result<Response<Body>, Refusal> {
        let document = self.0.get(path).ok_or_else(refusals::no_such_path)?;
        if !accept::clauses(request.headers()).iter().any(accept::Clause::is_json) {
            return Err(refusals::not_acceptable("application/json"));
        }
        let asked = query.get("hash");
        if asked.is_some_and(|asked| asked != document.hash) {
            let mut moved = answer::with(301, "text/plain; charset=utf-8", "");
            let url = format!("/openapi/v3/{path}?hash={}", document.hash);
            if let Ok(url) = HeaderValue::from_str(&url) {
                moved.headers_mut().insert(LOCATION, url);
            }
            return Ok(moved);
        }
        let tag = format!("\"{}\"", document.hash);
        let known = request.headers().get(IF_NONE_MATCH);
        let mut response = if known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
            answer::with(304, Encoding::Json.content_type(), "")
        } else {
            answer::with(200, Encoding::Json.content_type(), document.json.clone())
        };
        let headers = response.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("Accept"));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(ETAG, tag);
        }
        if asked.is_some() {
            headers.insert(
                CACHE_CONTROL,
                HeaderValue::from_static("public, immutable, max-age=31536000"),
            );
        }
        Ok(response)
    }
}

fn document(kinds: &'static [Resource], version: &Version) -> Value {
    let mine: Vec<_> = kinds
        .iter()
        .filter(|of| (of.group, of.version) == (version.group, version.version))
        .collect();
    let (schemas, names) = schemas::of_kinds(&mine, version);
    let paths = operations::of_version(version, &names);
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": super::discovery::GIT_VERSION},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"BearerToken": {
                "type": "apiKey", "in": "header", "name": "authorization",
                "description": "Bearer Token authentication",
            }},
        },
    })
}
