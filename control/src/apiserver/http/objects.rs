//! The verbs, on objects of every kind.

use axum::body::Body;
use hyper::{HeaderMap, Method, Request, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::accept::{self, Form, Shape};
use super::path::Target;
use super::query::{self, Query};
use super::{Api, answer, body, exec, lists, logs, refusals, table, watches};
use crate::apiserver::registry::options::{Patch, Propagation};
use crate::apiserver::registry::{Deleted, Object, Registry, Written};
use crate::apiserver::resource::{Resource, Subresource};
use crate::apiserver::status::Refusal;

/// What patches may be written as.
const PATCH_TYPES: &str = "application/json-patch+json, application/merge-patch+json, \
    application/strategic-merge-patch+json";

/// A request for what a path names.
pub(super) struct Asked {
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
}

/// Answers a request for objects, and warns of kinds that should no longer be used.
pub(super) async fn answer(
    api: &Api,
    target: Target<'_>,
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    let deprecation = target.of.deprecation;
    let mut response = answer_for(api, target, request).await?;
    if !deprecation.is_empty() {
        answer::warn(&mut response, &[deprecation.to_owned()]);
    }
    Ok(response)
}

async fn answer_for(
    api: &Api,
    target: Target<'_>,
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    let (parts, body) = request.into_parts();
    if let (Some(name), Some(Subresource::Exec)) = (target.name, target.subresource)
        && matches!(parts.method, Method::GET | Method::POST)
    {
        let query = Query::parse(&parts.uri)?;
        return exec::exec(api, target, name, &query, parts).await;
    }
    let asked = Asked { query: Query::parse(&parts.uri)?, headers: parts.headers };
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    let watch = target.watch || (target.name.is_none() && asked.query.flag("watch"));
    match (parts.method, target.name, target.subresource) {
        (_, _, None) if reads && watch => watches::watch(api, target, &asked),
        (_, None, _) if reads => lists::list(api, target, &asked),
        (_, Some(name), None | Some(Subresource::Status)) if reads => {
            let object = api.0.registry.get(target.of, target.namespace_or_none(), name)?;
            Ok(one(target.of, &object, 200, form(&asked)?))
        }
        (_, Some(name), Some(Subresource::Scale)) if reads => {
            let encoding = accept::encoding(&asked.headers, &asked.query)?;
            let scale = api.0.registry.get_scale(target.of, target.namespace_or_none(), name)?;
            Ok(answer::json(200, encoding, scale.json()))
        }
        (_, Some(name), Some(Subresource::Log)) if reads => {
            logs::logs(api, target, name, &asked).await
        }
        (Method::POST, None, None) if target.namespace.is_some() == target.of.namespaced => {
            create(api, target, &asked, body).await
        }
        (Method::POST, Some(name), Some(Subresource::Eviction)) => {
            evict(api, target, name, &asked, body).await
        }
        (
            Method::PUT,
            Some(name),
            None | Some(Subresource::Status | Subresource::Scale | Subresource::Finalize),
        ) => update(api, target, name, &asked, body).await,
        (Method::PATCH, Some(name), None | Some(Subresource::Status | Subresource::Scale)) => {
            patch(api, target, name, &asked, body).await
        }
        (Method::DELETE, Some(name), None) => delete(api, target, name, &asked, body).await,
        (Method::DELETE, None, None) => delete_collection(api, target, &asked, body).await,
        _ => Err(refusals::method_not_allowed()),
    }
}

fn form(asked: &Asked) -> Result<Form, Refusal> {
    accept::form(&asked.headers, &asked.query, false)
}

/// Runs something that waits for the disk where waiting is allowed.
async fn write<T: Send + 'static>(
    api: &Api,
    what: impl FnOnce(&Registry) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let registry = api.0.registry.clone();
    let outcome = tokio::task::spawn_blocking(move || what(&registry)).await;
    // It panicked; that was logged.
    outcome.map_err(refusals::internal)?
}

async fn create(
    api: &Api,
    target: Target<'_>,
    asked: &Asked,
    body: Body,
) -> Result<Response<Body>, Refusal> {
    let form = form(asked)?;
    let options = asked.query.write_options("CreateOptions")?;
    let bytes = body::read(body, &api.0.bodies).await?;
    let object = body::object_of(&asked.headers, &bytes, target.of)?;
    let (of, namespace) = (target.of, target.namespace_or_none().to_owned());
    let written =
        write(api, move |registry| registry.create(of, &namespace, object, &options)).await?;
    Ok(written_answer(target, written, form))
}

async fn update(
    api: &Api,
    target: Target<'_>,
    name: &str,
    asked: &Asked,
    body: Body,
) -> Result<Response<Body>, Refusal> {
    let form = form(asked)?;
    let options = asked.query.write_options("UpdateOptions")?;
    let bytes = body::read(body, &api.0.bodies).await?;
    let object = match target.subresource {
        Some(Subresource::Scale) => {
            body::object(&asked.headers, &bytes, "autoscaling/v1", "Scale")?
        }
        _ => body::object_of(&asked.headers, &bytes, target.of)?,
    };
    let (of, namespace, name) = (target.of, target.namespace_or_none().to_owned(), name.to_owned());
    let subresource = target.subresource;
    let written = write(api, move |registry| {
        registry.update(of, &namespace, &name, subresource, object, &options)
    });
    Ok(written_answer(target, written.await?, form))
}

async fn patch(
    api: &Api,
    target: Target<'_>,
    name: &str,
    asked: &Asked,
    body: Body,
) -> Result<Response<Body>, Refusal> {
    let form = form(asked)?;
    let options = asked.query.write_options("PatchOptions")?;
    let read: fn(Value) -> Patch = match body::media_type(&asked.headers) {
        "application/json-patch+json" => Patch::Json,
        "application/merge-patch+json" => Patch::Merge,
        "application/strategic-merge-patch+json" => Patch::Strategic,
        _ => return Err(refusals::unsupported_media_type(PATCH_TYPES)),
    };
    let bytes = body::read(body, &api.0.bodies).await?;
    let patch = serde_json::from_slice(&bytes).map(read).map_err(|error| {
        Refusal::bad_request(format!("error decoding patch: {}", body::json_error(&error)))
    })?;
    let (of, namespace, name) = (target.of, target.namespace_or_none().to_owned(), name.to_owned());
    let subresource = target.subresource;
    let written = write(api, move |registry| {
        registry.patch(of, &namespace, &name, subresource, &patch, &options)
    });
    Ok(written_answer(target, written.await?, form))
}

async fn delete(
    api: &Api,
    target: Target<'_>,
    name: &str,
    asked: &Asked,
    body: Body,
) -> Result<Response<Body>, Refusal> {
    let form = form(asked)?;
    let bytes = body::read(body, &api.0.bodies).await?;
    let options =
        query::delete_options(&asked.query, body::options(&asked.headers, &bytes)?.as_ref())?;
    let foreground = options.propagation == Some(Propagation::Foreground);
    let (of, namespace, name) = (target.of, target.namespace_or_none().to_owned(), name.to_owned());
    let deleted =
        write(api, move |registry| registry.delete(of, &namespace, &name, &options)).await?;
    if deleted.gone && !says_what_it_was(target.of.group, target.of.plural) {
        let details = details_of(target.of, &deleted);
        return Ok(answer::value(200, form.encoding, &success(200, Some(details))));
    }
    // As the real server, and for its reason: other codes for other delayed deletions would break
    // clients.
    let code = if foreground && !deleted.gone { 202 } else { 200 };
    Ok(one(target.of, &deleted.object, code, form))
}

/// Whether a deletion answers with the object that was, rather than with a Status; typed clients
/// fail on the other one (`ReturnDeletedObject` in k8s.io/kubernetes/pkg/registry).
pub(super) fn says_what_it_was(group: &str, plural: &str) -> bool {
    group.is_empty() && ["pods", "services", "serviceaccounts"].contains(&plural)
}

async fn delete_collection(
    api: &Api,
    target: Target<'_>,
    asked: &Asked,
    body: Body,
) -> Result<Response<Body>, Refusal> {
    let form = form(asked)?;
    let selected = asked.query.list_options()?;
    let bytes = body::read(body, &api.0.bodies).await?;
    let options =
        query::delete_options(&asked.query, body::options(&asked.headers, &bytes)?.as_ref())?;
    let (of, namespace) = (target.of, target.namespace.map(str::to_owned));
    let list = write(api, move |registry| {
        registry.delete_collection(of, namespace.as_deref(), &options, &selected)
    });
    Ok(lists::answer(target.of, list.await?, form))
}

/// `policy/v1 Eviction`: without disruption budgets it is a deletion.
async fn evict(
    api: &Api,
    target: Target<'_>,
    name: &str,
    asked: &Asked,
    body: Body,
) -> Result<Response<Body>, Refusal> {
    let encoding = accept::encoding(&asked.headers, &asked.query)?;
    let bytes = body::read(body, &api.0.bodies).await?;
    let eviction = body::object(&asked.headers, &bytes, "policy/v1", "Eviction")?;
    if eviction["metadata"]["name"].as_str().is_some_and(|theirs| theirs != name) {
        return Err(Refusal::bad_request("name in URL does not match name in Eviction object"));
    }
    let body = Some(&eviction["deleteOptions"]).filter(|options| !options.is_null());
    let mut options = query::delete_options(&asked.query, body)?;
    options.dry_run |= asked.query.write_options("CreateOptions")?.dry_run;
    let (of, namespace, name) = (target.of, target.namespace_or_none().to_owned(), name.to_owned());
    write(api, move |registry| registry.delete(of, &namespace, &name, &options)).await?;
    Ok(answer::value(201, encoding, &success(201, None)))
}

/// One object, in the form that the client wants.
fn one(of: &Resource, object: &Object, code: u16, form: Form) -> Response<Body> {
    match form.shape {
        Shape::Whole => answer::json(code, form.encoding, object.json()),
        Shape::Metadata => answer::value(code, form.encoding, &table::metadata(object.value())),
        Shape::Table(rows) => {
            let table = table::of_one(of, object, rows, Timestamp::now(), true);
            answer::value(code, form.encoding, &table)
        }
    }
}

fn written_answer(target: Target<'_>, written: Written, form: Form) -> Response<Body> {
    let code = if written.created { 201 } else { 200 };
    let mut response = match target.subresource {
        Some(Subresource::Scale) => answer::json(code, form.encoding, written.object.json()),
        _ => one(target.of, &written.object, code, form),
    };
    answer::warn(&mut response, &written.warnings);
    response
}

fn success(code: u16, details: Option<Value>) -> Value {
    let mut status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code,
    });
    if let Some(details) = details {
        status["details"] = details;
        // As in the real server, which does not say it twice.
        status.as_object_mut().and_then(|status| status.remove("code"));
    }
    status
}

fn details_of(of: &Resource, deleted: &Deleted) -> Value {
    let value = deleted.object.value();
    let mut details = json!({
        "name": deleted.object.name(), "kind": of.plural, "uid": value["metadata"]["uid"],
    });
    if !of.group.is_empty() {
        details["group"] = of.group.into();
    }
    details
}
