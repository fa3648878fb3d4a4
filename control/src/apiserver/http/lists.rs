//! Lists: written piece by piece, so that a long one does not stand in memory a second time.

use std::convert::Infallible;

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, stream};
use hyper::Response;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::accept::{self, Encoding, Form, Shape};
use super::objects::Asked;
use super::path::Target;
use super::pieces::Pieces;
use super::{Api, answer as answers, table};
use crate::apiserver::registry::{List, Object};
use crate::apiserver::resource::Resource;
use crate::apiserver::status::Refusal;

pub(super) fn list(
    api: &Api,
    target: Target<'_>,
    asked: &Asked,
) -> Result<Response<Body>, Refusal> {
    let form = accept::form(&asked.headers, &asked.query, false)?;
    let options = asked.query.list_options()?;
    let list = api.0.registry.list(target.of, target.namespace, &options)?;
    Ok(answer(target.of, list, form))
}

/// A list in the form that the client wants.
pub(super) fn answer(of: &'static Resource, list: List, form: Form) -> Response<Body> {
    let head = head(of, &list, form.shape);
    if form.encoding == Encoding::Json {
        let body = Body::from_stream(stream_of(of, list, head, form.shape));
        return answers::with(200, form.encoding.content_type(), body);
    }
    let now = Timestamp::now();
    let mut whole = head;
    whole[items_name(form.shape)] =
        list.items.iter().map(|object| item_value(of, object, form.shape, now)).collect();
    answers::value(200, form.encoding, &whole)
}

/// All but the items.
fn head(of: &Resource, list: &List, shape: Shape) -> Value {
    let mut metadata = json!({"resourceVersion": list.revision.to_string()});
    if !list.continue_token.is_empty() {
        metadata["continue"] = list.continue_token.as_str().into();
    }
    if let Some(remaining) = list.remaining {
        metadata["remainingItemCount"] = remaining.into();
    }
    let (kind, version) = match shape {
        Shape::Whole => (format!("{}List", of.kind), of.api_version()),
        Shape::Metadata => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
        Shape::Table(_) => ("Table".to_owned(), "meta.k8s.io/v1".to_owned()),
    };
    let mut head = json!({"kind": kind, "apiVersion": version, "metadata": metadata});
    if matches!(shape, Shape::Table(_)) {
        head["columnDefinitions"] = table::columns(of);
    }
    head
}

fn items_name(shape: Shape) -> &'static str {
    if matches!(shape, Shape::Table(_)) { "rows" } else { "items" }
}

fn item_value(of: &Resource, object: &Object, shape: Shape, now: Timestamp) -> Value {
    match shape {
        Shape::Whole => object.value(),
        Shape::Metadata => table::metadata(object.value()),
        Shape::Table(rows) => table::row(of, object, rows, now),
    }
}

/// The list as text, made as it is taken.
fn stream_of(
    of: &'static Resource,
    list: List,
    head: Value,
    shape: Shape,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    let now = Timestamp::now();
    let mut head = head.to_string();
    // `{…}` becomes `{…,"items":[`.
    head.pop();
    head.push_str(&format!(",\"{}\":[", items_name(shape)));
    let mut pieces = Pieces::default();
    pieces.copy(head.as_bytes());
    // The end is written in the place of an object.
    let items = list.items.into_iter().map(Some).chain([None]).enumerate();
    stream::unfold((pieces, items), move |(mut pieces, mut items)| async move {
        while !pieces.is_full() {
            let Some((index, item)) = items.next() else { break };
            let Some(object) = item else {
                pieces.copy(b"]}\n");
                break;
            };
            if index > 0 {
                pieces.copy(b",");
            }
            match shape {
                Shape::Whole => pieces.share(object.json()),
                _ => pieces.share(&item_value(of, &object, shape, now).to_string().into()),
            }
        }
        Some((Ok(pieces.take()?), (pieces, items)))
    })
}
