//! Lists: written piece by piece, so that a long one does not stand in memory a second time.

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use futures::stream;
use hyper::Response;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::convert::Infallible;

use super::accept::{self, Encoding, Form, Shape};
use super::objects::Asked;
use super::path::Target;
use super::{Api, answer as answers, body, limits, table};
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
        let body = Body::from_stream(pieces(of, list, head, form.shape));
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
        Shape::Whole => (format!("{}List", of.kind), body::api_version(of)),
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

/// The list as text, in pieces of about [`limits::CHUNK_BYTES`].
fn pieces(
    of: &'static Resource,
    list: List,
    head: Value,
    shape: Shape,
) -> impl futures::Stream<Item = Result<Bytes, Infallible>> + Send {
    let now = Timestamp::now();
    let mut head = head.to_string();
    // `{…}` becomes `{…,"items":[`.
    head.pop();
    head.push_str(&format!(",\"{}\":[", items_name(shape)));
    let state = Some((head, list.items.into_iter().enumerate()));
    stream::unfold(state, move |state| async move {
        let (start, mut items) = state?;
        let mut piece = BytesMut::from(start.as_str());
        while piece.len() < limits::CHUNK_BYTES {
            let Some((index, object)) = items.next() else {
                piece.put_slice(b"]}\n");
                return Some((Ok(piece.freeze()), None));
            };
            if index > 0 {
                piece.put_u8(b',');
            }
            match shape {
                Shape::Whole => piece.put_slice(object.json()),
                _ => piece.put_slice(item_value(of, &object, shape, now).to_string().as_bytes()),
            }
        }
        Some((Ok(piece.freeze()), Some((String::new(), items))))
    })
}
