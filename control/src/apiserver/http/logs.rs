//! `kubectl logs`: `GET …/pods/<name>/log`, plain text.

use std::convert::Infallible;

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, stream};
use hyper::Response;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use super::containers::{ask, container, somebody_runs_pods};
use super::objects::Asked;
use super::path::Target;
use super::query::Query;
use super::watches::long_running;
use super::{Api, refusals};
use crate::apiserver::pods::{LogOptions, LogRequest, PodRequest};
use crate::apiserver::resource::FieldError;
use crate::apiserver::status::Refusal;

pub(super) async fn logs(
    api: &Api,
    target: Target<'_>,
    pod: &str,
    asked: &Asked,
) -> Result<Response<Body>, Refusal> {
    let options = options(&asked.query, pod)?;
    let limit = positive(&asked.query, pod, "limitBytes", 1)?;
    let container = container(api, target, pod, &asked.query)?;
    somebody_runs_pods(api)?;
    let place = api.0.watches.clone().try_acquire_owned().map_err(|_| refusals::too_many())?;
    let (reply, replied) = oneshot::channel();
    ask(api, PodRequest::Logs(LogRequest { container, options, reply })).await?;
    let pieces =
        replied.await.map_err(|_| refusals::internal("the Pod's runner did not answer"))??;
    let left = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let text = Text { pieces, left, stop: api.0.stop.clone(), _place: place };
    Ok(long_running("text/plain", Body::from_stream(stream_of(text))))
}

/// A log on its way to a client.
struct Text {
    pieces: mpsc::Receiver<Bytes>,
    /// Bytes that may still be sent.
    left: usize,
    stop: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

fn stream_of(text: Text) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    stream::unfold(text, async |mut text| {
        if text.left == 0 {
            return None;
        }
        let mut piece = tokio::select! {
            piece = text.pieces.recv() => piece?,
            _ = text.stop.wait_for(|stop| *stop) => return None,
        };
        piece.truncate(text.left);
        text.left -= piece.len();
        Some((Ok(piece), text))
    })
}

/// `PodLogOptions` of a query.
fn options(query: &Query, pod: &str) -> Result<LogOptions, Refusal> {
    let seconds = positive(query, pod, "sinceSeconds", 1)?;
    let time = query.get("sinceTime").filter(|time| !time.is_empty());
    let since = match (seconds, time) {
        (Some(_), Some(_)) => {
            let message = "at most one of `sinceTime` or `sinceSeconds` may be specified";
            return Err(invalid(pod, FieldError::forbidden("", message)));
        }
        (Some(seconds), None) => {
            let before = SignedDuration::from_secs(seconds.try_into().unwrap_or(i64::MAX));
            // As far back as can be told.
            Some(Timestamp::now().checked_sub(before).unwrap_or(Timestamp::MIN))
        }
        (None, Some(time)) => {
            let wrong = |error: jiff::Error| Refusal::bad_request(error.to_string());
            Some(time.parse().map_err(wrong)?)
        }
        (None, None) => None,
    };
    Ok(LogOptions {
        follow: query.flag("follow"),
        previous: query.flag("previous"),
        timestamps: query.flag("timestamps"),
        tail_lines: positive(query, pod, "tailLines", 0)?,
        since,
    })
}

/// A number that is not below `least`.
fn positive(query: &Query, pod: &str, name: &str, least: i64) -> Result<Option<u64>, Refusal> {
    let Some(number) = query.number::<i64>(name)? else { return Ok(None) };
    if number < least {
        let detail = format!("must be greater than or equal to {least}");
        return Err(invalid(pod, FieldError::invalid(name, &number.into(), &detail)));
    }
    Ok(u64::try_from(number).ok())
}

fn invalid(pod: &str, error: FieldError) -> Refusal {
    let message = format!("PodLogOptions {pod:?} is invalid: {error}");
    let causes = json!([{
        "reason": error.reason.as_str(), "message": error.message, "field": error.field,
    }]);
    Refusal {
        details: json!({"name": pod, "kind": "PodLogOptions", "causes": causes}),
        ..Refusal::new(422, "Invalid", message)
    }
}
