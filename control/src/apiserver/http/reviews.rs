//! Questions about the client itself: kinds that are only answered, never kept
//! (`kubectl auth can-i`, `kubectl auth whoami`). Whoever has the token may do everything.

use axum::body::Body;
use hyper::{Method, Request, Response};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{SelfSubjectAccessReview, SelfSubjectRulesReview};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::query::Query;
use super::served::Served;
use super::{Api, accept, answer, body, refusals};
use crate::apiserver::status::Refusal;

/// Such a kind.
pub(super) struct Review {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    /// As [`Resource::schema`](crate::apiserver::resource::Resource::schema).
    pub(super) schema: fn(&mut SchemaGenerator) -> String,
    /// Its `status`.
    answer: fn() -> Value,
}

/// All of them.
pub(super) const REVIEWS: [Review; 3] = [
    Review {
        group: "authentication.k8s.io",
        version: "v1",
        kind: "SelfSubjectReview",
        schema: schema::<SelfSubjectReview>,
        plural: "selfsubjectreviews",
        singular: "selfsubjectreview",
        answer: || json!({"userInfo": {"username": USER, "groups": GROUPS}}),
    },
    Review {
        group: "authorization.k8s.io",
        version: "v1",
        kind: "SelfSubjectAccessReview",
        schema: schema::<SelfSubjectAccessReview>,
        plural: "selfsubjectaccessreviews",
        singular: "selfsubjectaccessreview",
        answer: || json!({"allowed": true}),
    },
    Review {
        group: "authorization.k8s.io",
        version: "v1",
        kind: "SelfSubjectRulesReview",
        schema: schema::<SelfSubjectRulesReview>,
        plural: "selfsubjectrulesreviews",
        singular: "selfsubjectrulesreview",
        answer: || {
            json!({
                "incomplete": false,
                "resourceRules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
                "nonResourceRules": [{"nonResourceURLs": ["*"], "verbs": ["*"]}],
            })
        },
    },
];

/// The only client that there is.
const USER: &str = "maglane";
const GROUPS: [&str; 2] = ["system:masters", "system:authenticated"];

impl Review {
    /// As discovery tells it.
    pub(super) fn served(&self) -> Served {
        Served {
            kind: self.kind,
            plural: self.plural,
            singular: self.singular,
            namespaced: false,
            verbs: &["create"],
            short_names: &[],
            categories: &[],
            subresources: Vec::new(),
        }
    }
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> String {
    generator.subschema_for::<T>();
    T::schema_name().into_owned()
}

/// The kind that a path names.
pub(super) fn find(group: &str, version: &str, segments: &[&str]) -> Option<&'static Review> {
    let [plural] = segments else { return None };
    REVIEWS.iter().find(|of| of.group == group && of.version == version && of.plural == *plural)
}

/// Answers a question.
pub(super) async fn answer(
    api: &Api,
    of: &Review,
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return Err(refusals::method_not_allowed());
    }
    let query = Query::parse(&parts.uri)?;
    let encoding = accept::encoding(&parts.headers, &query)?;
    query.write_options("CreateOptions")?;
    let bytes = body::read(body, &api.0.bodies).await?;
    let version = format!("{}/{}", of.group, of.version);
    let mut review = body::object(&parts.headers, &bytes, &version, of.kind)?;
    review["status"] = (of.answer)();
    Ok(answer::value(201, encoding, &review))
}
