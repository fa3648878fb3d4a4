//! What there is to ask for: `/version`, `/api`, `/apis`, and whether the server is well.
//!
//! Clients since 1.26 read all kinds with two requests (aggregated discovery, KEP-3352), others ask
//! for every group and version.

use axum::body::Body;
use hyper::header::HOST;
use hyper::{Request, Response};
use serde_json::{Value, json};

use super::accept::{self, Encoding};
use super::openapi::v2;
use super::query::Query;
use super::served::{Served, Version, served};
use super::{Api, answer, refusals};
use crate::apiserver::status::Refusal;

/// Whose API this is, and in which version.
pub(super) const GIT_VERSION: &str = concat!("v1.34.0+maglane-", env!("CARGO_PKG_VERSION"));

/// Answers what does not ask for objects.
pub(super) fn answer(
    api: &Api,
    segments: &[&str],
    request: &Request<Body>,
) -> Result<Response<Body>, Refusal> {
    let query = Query::parse(request.uri())?;
    let encoding = || accept::encoding(request.headers(), &query);
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let versions = served(api.0.kinds);
    let found = match segments {
        ["healthz" | "livez" | "readyz", ..] => {
            return Ok(answer::with(200, "text/plain; charset=utf-8", "ok"));
        }
        ["version"] => version(),
        [] => paths(&versions),
        ["openapi", "v3"] => api.documents().index(),
        ["openapi", "v3", path @ ..] => {
            return api.documents().one(&path.join("/"), request, &query);
        }
        ["openapi", "v2"] => return openapi_v2(api, request),
        ["api"] => match aggregated_version(request, &query)? {
            Some(version) => return Ok(aggregated(version, &versions, true)),
            None => json!({
                "kind": "APIVersions", "versions": ["v1"],
                "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}],
            }),
        },
        ["apis"] => match aggregated_version(request, &query)? {
            Some(version) => return Ok(aggregated(version, &versions, false)),
            None => json!({
                "kind": "APIGroupList", "apiVersion": "v1",
                "groups": groups(&versions).into_iter().map(|name| group(name, &versions)).collect::<Vec<_>>(),
            }),
        },
        ["apis", name] if groups(&versions).contains(name) => {
            let mut group = group(name, &versions);
            group["kind"] = "APIGroup".into();
            group["apiVersion"] = "v1".into();
            group
        }
        ["api", version] => resources(&versions, "", version)?,
        ["apis", group, version] => resources(&versions, group, version)?,
        _ => return Err(refusals::no_such_path()),
    };
    Ok(answer::value(200, encoding()?, &found))
}

/// There is no JSON of it: whoever reads that reads v3 as well.
fn openapi_v2(api: &Api, request: &Request<Body>) -> Result<Response<Body>, Refusal> {
    let clauses = accept::clauses(request.headers());
    let ours = [v2::MEDIA_TYPE, v2::OLD_MEDIA_TYPE, "application/*", "*/*"];
    if clauses.iter().any(|clause| ours.contains(&clause.media_type)) {
        Ok(answer::with(200, v2::MEDIA_TYPE, v2::document(api.0.kinds)))
    } else {
        Err(refusals::not_acceptable(v2::MEDIA_TYPE))
    }
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "34", "gitVersion": GIT_VERSION, "gitCommit": "", "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc",
        "platform": format!("linux/{}", match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        }),
    })
}

/// What a browser sees at the root.
fn paths(versions: &[Version]) -> Value {
    let mut paths = vec!["/api".to_owned(), "/apis".to_owned()];
    for version in versions {
        if !version.group.is_empty() {
            paths.push(format!("/apis/{}", version.group));
        }
        paths.push(version.path());
    }
    paths.extend(
        ["/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]
            .map(str::to_owned),
    );
    paths.sort();
    paths.dedup();
    json!({"paths": paths})
}

/// Names of the groups but the core one, each once.
fn groups(versions: &[Version]) -> Vec<&'static str> {
    let mut names: Vec<_> =
        versions.iter().map(|version| version.group).filter(|name| !name.is_empty()).collect();
    names.dedup();
    names
}

fn group(name: &str, versions: &[Version]) -> Value {
    let versions: Vec<_> = versions
        .iter()
        .filter(|version| version.group == name)
        .map(|version| json!({"groupVersion": version.api_version(), "version": version.version}))
        .collect();
    json!({"name": name, "preferredVersion": versions.first(), "versions": versions})
}

fn resources(versions: &[Version], group: &str, version: &str) -> Result<Value, Refusal> {
    let found = versions
        .iter()
        .find(|each| each.group == group && each.version == version)
        .ok_or_else(refusals::no_such_path)?;
    let resources: Vec<_> = found.resources.iter().flat_map(|of| flat(found, of)).collect();
    Ok(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": found.api_version(),
        "resources": resources,
    }))
}

/// A kind and what stands under it, one beside the other.
fn flat(version: &Version, of: &Served) -> Vec<Value> {
    let mut resource = json!({
        "name": of.plural, "singularName": of.singular, "namespaced": of.namespaced,
        "kind": of.kind, "verbs": of.verbs,
    });
    if !of.short_names.is_empty() {
        resource["shortNames"] = json!(of.short_names);
    }
    if !of.categories.is_empty() {
        resource["categories"] = json!(of.categories);
    }
    let under = of.subresources.iter().map(|under| {
        let mut resource = json!({
            "name": format!("{}/{}", of.plural, under.name), "singularName": "",
            "namespaced": of.namespaced, "kind": under.kind, "verbs": under.verbs,
        });
        if (under.group, under.version) != (version.group, version.version) {
            resource["group"] = under.group.into();
            resource["version"] = under.version.into();
        }
        resource
    });
    std::iter::once(resource).chain(under).collect()
}

/// `v2` or `v2beta1`, when that is what the client wants most.
fn aggregated_version(
    request: &Request<Body>,
    query: &Query,
) -> Result<Option<&'static str>, Refusal> {
    for clause in accept::clauses(request.headers()) {
        let as_list = clause.param("as") == "APIGroupDiscoveryList"
            && clause.param("g") == "apidiscovery.k8s.io";
        match (clause.media_type, clause.param("v")) {
            ("application/json", "v2") if as_list => return Ok(Some("v2")),
            ("application/json", "v2beta1") if as_list => return Ok(Some("v2beta1")),
            _ if as_list || !clause.param("as").is_empty() => {}
            ("application/json" | "application/*" | "*/*" | "application/yaml", _) => {
                return Ok(None);
            }
            _ => {}
        }
    }
    // Refuses what is left.
    accept::encoding(request.headers(), query).map(|_| None)
}

fn aggregated(version: &'static str, versions: &[Version], core: bool) -> Response<Body> {
    let names = if core { vec![""] } else { groups(versions) };
    let items: Vec<_> = names
        .into_iter()
        .map(|name| {
            let versions: Vec<_> = versions
                .iter()
                .filter(|version| version.group == name)
                .map(|version| {
                    let resources: Vec<_> =
                        version.resources.iter().map(|of| nested(version, of)).collect();
                    json!({"version": version.version, "freshness": "Current", "resources": resources})
                })
                .collect();
            let metadata = if core { json!({}) } else { json!({"name": name}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let list = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {}, "items": items,
    });
    let content_type = match version {
        "v2" => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        _ => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
    };
    answer::with(200, content_type, answer::encode(Encoding::Json, &list))
}

/// A kind with what stands under it inside.
fn nested(version: &Version, of: &Served) -> Value {
    let mut resource = json!({
        "resource": of.plural, "singularResource": of.singular, "verbs": of.verbs,
        "scope": if of.namespaced { "Namespaced" } else { "Cluster" },
        "responseKind": {"group": version.group, "version": version.version, "kind": of.kind},
    });
    for (field, names) in [("shortNames", of.short_names), ("categories", of.categories)] {
        if !names.is_empty() {
            resource[field] = json!(names);
        }
    }
    if !of.subresources.is_empty() {
        resource["subresources"] = of
            .subresources
            .iter()
            .map(|under| {
                json!({
                    "subresource": under.name, "verbs": under.verbs,
                    "responseKind":
                        {"group": under.group, "version": under.version, "kind": under.kind},
                })
            })
            .collect();
    }
    resource
}
