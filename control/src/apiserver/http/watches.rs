//! Watches: a line of JSON for every event, for as long as the client listens.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::{FutureExt, Stream, stream};
use hyper::Response;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::accept::{self, Shape};
use super::in_flight::LongRunning;
use super::objects::Asked;
use super::path::Target;
use super::pieces::Pieces;
use super::{Api, answer, limits, refusals, table};
use crate::apiserver::registry::Object;
use crate::apiserver::registry::watch::{Event, Watch};
use crate::apiserver::resource::Resource;
use crate::apiserver::status::Refusal;

pub(super) fn watch(
    api: &Api,
    target: Target<'_>,
    asked: &Asked,
) -> Result<Response<Body>, Refusal> {
    let form = accept::form(&asked.headers, &asked.query, true)?;
    let mut options = asked.query.list_options()?;
    if let Some(name) = target.name {
        // The old way to watch one object.
        let one = format!("metadata.name={name}");
        let all = [one.as_str(), &options.field_selector];
        options.field_selector =
            all.into_iter().filter(|each| !each.is_empty()).collect::<Vec<_>>().join(",");
    }
    options.timeout = options.timeout.or_else(|| Some(default_timeout()));
    let place = api.0.watches.clone().try_acquire_owned().map_err(|_| refusals::too_many())?;
    let watch = api.0.registry.watch(target.of, target.namespace, &options)?;
    let telling = Telling {
        watch,
        writer: Writer { of: target.of, shape: form.shape, columns_told: false },
        pieces: Pieces::default(),
        stop: api.0.stop.clone(),
        _place: place,
    };
    Ok(long_running(form.encoding.content_type(), Body::from_stream(stream_of(telling))))
}

/// An answer that goes on for as long as the client likes; it has a place among [`limits::WATCHES`].
pub(super) fn long_running(content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = answer::with(200, content_type, body);
    response.extensions_mut().insert(LongRunning);
    response
}

/// Between once and twice [`limits::WATCH_AT_LEAST`], so that not all clients come again at once.
fn default_timeout() -> Duration {
    let (_, random) = uuid::Uuid::new_v4().as_u64_pair();
    let part = random as f64 / u64::MAX as f64;
    limits::WATCH_AT_LEAST.mul_f64(1.0 + part)
}

/// A watch on its way to a client.
struct Telling {
    watch: Watch,
    writer: Writer,
    pieces: Pieces,
    stop: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

/// The events as they come; those that are there already are written together.
fn stream_of(telling: Telling) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    stream::unfold(telling, async |mut telling| {
        if let Some(piece) = telling.pieces.take() {
            return Some((Ok(piece), telling));
        }
        let Telling { watch, writer, pieces, stop, .. } = &mut telling;
        let first = tokio::select! {
            event = watch.next() => event?,
            _ = stop.wait_for(|stop| *stop) => return None,
        };
        writer.write(pieces, first);
        while !pieces.is_full()
            && let Some(Some(event)) = watch.next().now_or_never()
        {
            writer.write(pieces, event);
        }
        Some((Ok(pieces.take()?), telling))
    })
}

/// Writes events in the shape that a client wants.
struct Writer {
    of: &'static Resource,
    shape: Shape,
    columns_told: bool,
}

impl Writer {
    fn write(&mut self, pieces: &mut Pieces, event: Result<Event, Refusal>) {
        match event {
            Ok(event) => {
                let object = self.object(&event.object);
                line(pieces, event.kind.as_str(), &object);
            }
            Err(refusal) => line(pieces, "ERROR", &refusal.to_status().to_string().into()),
        }
    }

    fn object(&mut self, object: &Object) -> Bytes {
        let value: Value = match self.shape {
            Shape::Whole => return object.json().clone(),
            Shape::Metadata => table::metadata(object.value()),
            Shape::Table(rows) => {
                let first = !std::mem::replace(&mut self.columns_told, true);
                table::of_one(self.of, object, rows, Timestamp::now(), first)
            }
        };
        value.to_string().into()
    }
}

fn line(pieces: &mut Pieces, kind: &str, object: &Bytes) {
    pieces.copy(b"{\"type\":\"");
    pieces.copy(kind.as_bytes());
    pieces.copy(b"\",\"object\":");
    pieces.share(object);
    pieces.copy(b"}\n");
}
