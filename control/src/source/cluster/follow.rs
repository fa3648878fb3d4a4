//! One resource: a list, then a watch of what changes, for ever.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::Version;
use http::header::RETRY_AFTER;
use http_body_util::BodyExt;
use kube::api::{ListParams, WatchParams};
use kube::client::Body;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::backoff::Backoff;
use super::connection::Connection;
use super::failure::Failure;
use super::health::Health;
use super::watched::{Change, Watched};
use super::wire::{Line, Named, Page, parse};

/// Objects in the first page of a list, and in none more.
const PAGE: u32 = 500;
/// How large a page may become before the next ones are made smaller, in bytes.
const PAGE_BYTES: usize = 4 << 20;
/// How large an answer may be at all, in bytes: one object has at most some 1.5 MB.
const ANSWER_LIMIT_BYTES: usize = 512 << 20;
const LINE_LIMIT_BYTES: usize = 64 << 20;
/// How patient a follower is.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    /// How long the server may take to begin an answer, and how long it may pause within a list.
    pub(super) answer: Duration,
    /// How long a watch goes on, in seconds, drawn from this range so that not all nodes begin a
    /// new one at once. Over HTTP/2 a dead connection is noticed by itself.
    pub(super) watch_s: Range<u32>,
    /// The same over HTTP/1.1, where a dead connection is noticed by a watch that does not end
    /// when it should.
    pub(super) watch_without_ping_s: Range<u32>,
    /// How long after its time a watch must have ended.
    pub(super) grace: Duration,
    /// Between tries.
    pub(super) backoff: Backoff,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(30),
            watch_s: 230..290,
            watch_without_ping_s: 18..24,
            grace: Duration::from_secs(5),
            backoff: Backoff::default(),
        }
    }
}

/// A watch that is over sooner has not worked.
const SHORT: Duration = Duration::from_secs(1);
/// How long a resource that the server does not have is left alone.
pub(super) const WITHHELD: Duration = Duration::from_secs(300);

/// Follows one resource.
pub(super) struct Follower {
    pub(super) what: Watched,
    pub(super) label_selector: Option<String>,
    pub(super) field_selector: Option<String>,
    pub(super) connection: Arc<Connection>,
    pub(super) patience: Patience,
    pub(super) health: Health,
    pub(super) changes: mpsc::Sender<Change>,
    /// 0 means wait; a new number means list again.
    pub(super) round: watch::Receiver<u64>,
}

/// Why a watch is over that did not fail.
enum Over {
    /// Its time was over; from this version on it goes on.
    Time,
    /// Everything is to be listed again.
    Relist,
}

/// Nobody wants to know any more.
struct Unheard;

/// What ends a list or a watch before its time.
enum Stop {
    Failed(Failure),
    Unheard,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Unheard> for Stop {
    fn from(_: Unheard) -> Self {
        Self::Unheard
    }
}

/// A watch that the server has agreed to.
struct Watch {
    body: Body,
    /// How long it may take.
    limit: Duration,
    deadline: tokio::time::Instant,
}

impl Follower {
    /// Runs until nobody wants its changes any more.
    pub(super) async fn run(mut self) {
        if self.round.wait_for(|round| *round > 0).await.is_err() {
            return;
        }
        let mut backoff = self.patience.backoff.clone();
        // The version that is known; none means that a list is due.
        let mut version: Option<String> = None;
        loop {
            let ended = match &mut version {
                None => self.list().await.map(|listed| version = Some(listed)),
                Some(known) => match self.begin_watch(known).await {
                    Err(stop) => Err(stop),
                    Ok(watch) => {
                        // Not the wait for the answer: a server that is slow to refuse is none that
                        // is well.
                        let begun = Instant::now();
                        let over = self.watch(watch, known).await;
                        let lasted = begun.elapsed() > SHORT;
                        if lasted {
                            backoff.reset();
                        }
                        match over {
                            Ok(Over::Relist) => version = None,
                            // Whoever ends a watch at once would be asked without end.
                            Ok(Over::Time) if !lasted => {
                                tokio::time::sleep(backoff.wait(None)).await;
                            }
                            _ => {}
                        }
                        over.map(|_| ())
                    }
                },
            };
            match ended {
                Ok(()) => {}
                Err(Stop::Unheard) => return,
                Err(Stop::Failed(failure)) => {
                    if !failure.is_transient() {
                        version = None;
                    }
                    if self.recover(failure, &mut backoff).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for as long as it takes to try again, with credentials as they are then.
    async fn recover(&mut self, failure: Failure, backoff: &mut Backoff) -> Result<(), Unheard> {
        let withheld =
            self.what.is_optional() && matches!(&failure, Failure::Refused { code: 403 | 404, .. });
        if withheld {
            self.health.failed(&failure);
            self.send(Change::Withheld(self.what, failure)).await?;
            tokio::time::sleep(WITHHELD).await;
            return Ok(());
        }
        self.health.failed(&failure);
        tokio::time::sleep(backoff.wait(failure.retry_after())).await;
        if failure.is_of_the_connection()
            && let Err(error) = self.connection.renew().await
        {
            self.health.failed(&Failure::Unreachable(error.to_string()));
        }
        Ok(())
    }

    /// Reads everything, page by page, and returns the version that a watch goes on from.
    async fn list(&mut self) -> Result<String, Stop> {
        let started = Instant::now();
        let mut seen = HashSet::new();
        let mut params = ListParams {
            label_selector: self.label_selector.clone(),
            field_selector: self.field_selector.clone(),
            limit: Some(PAGE),
            ..ListParams::default()
        };
        loop {
            let body = self.page(&params).await?;
            let page: Page<'_> = parse(&body)?;
            for raw in page.items.unwrap_or_default() {
                let change = self.what.read(raw);
                seen.extend(change.key());
                self.send(change).await?;
            }
            self.health.alive();
            if page.metadata.token.is_empty() {
                let version = page.metadata.resource_version;
                if version.is_empty() {
                    return Err(
                        Failure::Garbage("a list without resourceVersion".to_owned()).into()
                    );
                }
                tracing::debug!(what = self.what.name(), objects = seen.len(), %version,
                                took = ?started.elapsed(), "listed");
                self.send(Change::Listed(self.what, seen)).await?;
                self.health.listed();
                return Ok(version);
            }
            params.continue_token = Some(page.metadata.token);
            params.limit = Some(next_limit(params.limit.unwrap_or(PAGE), body.len()));
        }
    }

    async fn page(&self, params: &ListParams) -> Result<Bytes, Failure> {
        let request = self.what.request().list(params);
        let request = request.map_err(|error| Failure::Garbage(error.to_string()))?;
        let mut body = self.ask(request).await?;
        read_all(&mut body, self.patience.answer).await
    }

    /// Reads what changes after `version`, which is kept up to date, until the watch's time is
    /// over.
    async fn begin_watch(&mut self, version: &str) -> Result<Watch, Stop> {
        let seconds = rand::random_range(match self.health.http_version() {
            Some(Version::HTTP_2) => self.patience.watch_s.clone(),
            _ => self.patience.watch_without_ping_s.clone(),
        });
        let params = WatchParams {
            label_selector: self.label_selector.clone(),
            field_selector: self.field_selector.clone(),
            timeout: Some(seconds),
            bookmarks: true,
            ..WatchParams::default()
        };
        let request = self.what.request().watch(&params, version);
        let request = request.map_err(|error| Failure::Garbage(error.to_string()))?;
        let limit = Duration::from_secs(seconds.into()) + self.patience.grace;
        let deadline = tokio::time::Instant::now() + limit;
        let body = self.ask(request).await?;
        self.health.alive();
        Ok(Watch { body, limit, deadline })
    }

    /// Passes on what a watch says, until it is over.
    async fn watch(&mut self, watch: Watch, version: &mut String) -> Result<Over, Stop> {
        let Watch { mut body, limit, deadline } = watch;
        let mut buffer = BytesMut::new();
        loop {
            let frame = tokio::select! {
                frame = tokio::time::timeout_at(deadline, body.frame()) => {
                    frame.map_err(|_| Failure::Silent(limit))?
                }
                round = self.round.changed() => {
                    return round.map(|()| Over::Relist).map_err(|_| Stop::Unheard);
                }
            };
            let Some(frame) = frame else { return Ok(Over::Time) };
            let frame = frame.map_err(|error| Failure::unreachable(&error))?;
            let Ok(data) = frame.into_data() else { continue };
            // What was there before has no line's end in it.
            let mut searched = buffer.len();
            buffer.extend_from_slice(&data);
            while let Some(end) = buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let line = buffer.split_to(searched + end + 1);
                self.event(&line, version).await?;
                searched = 0;
            }
            if buffer.len() > LINE_LIMIT_BYTES {
                return Err(Failure::Garbage("a line without end".to_owned()).into());
            }
        }
    }

    async fn event(&mut self, line: &[u8], version: &mut String) -> Result<(), Stop> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let Line { what, object } = parse(line)?;
        match what.as_str() {
            "ADDED" | "MODIFIED" => self.send(self.what.read(object)).await?,
            "DELETED" => match named(object)?.key() {
                Some(key) => self.send(Change::Deleted(self.what, key)).await?,
                None => return Err(Failure::Garbage("DELETED without a name".to_owned()).into()),
            },
            "BOOKMARK" => {}
            "ERROR" => return Err(Failure::refused(0, object.get().as_bytes(), None).into()),
            other => tracing::debug!(what = other, "an event of a type that is not known"),
        }
        self.health.heard(what != "BOOKMARK");
        if let Some(newer) = named(object)?.metadata.resource_version {
            *version = newer;
        }
        Ok(())
    }

    /// Asks, and returns an answer that is no refusal, unread.
    async fn ask(&self, request: http::Request<Vec<u8>>) -> Result<Body, Failure> {
        let client = self.connection.client();
        let answer = timeout(self.patience.answer, client.send(request.map(Body::from))).await;
        let answer = answer.map_err(|_| Failure::Silent(self.patience.answer))?;
        let (head, mut body) = answer.map_err(|error| Failure::unreachable(&error))?.into_parts();
        self.health.speaks(head.version);
        if head.status.is_success() {
            return Ok(body);
        }
        let asked = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let asked = asked.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        let text = read_all(&mut body, self.patience.answer).await.unwrap_or_default();
        Err(Failure::refused(head.status.as_u16(), &text, asked))
    }

    async fn send(&self, change: Change) -> Result<(), Unheard> {
        self.changes.send(change).await.map_err(|_| Unheard)
    }
}

fn named(object: &RawValue) -> Result<Named, Failure> {
    parse(object.get().as_bytes())
}

/// How many objects to ask for next, so that no page is much larger than it needs to be.
fn next_limit(last: u32, bytes: usize) -> u32 {
    if bytes <= PAGE_BYTES {
        return last;
    }
    let fitting = u64::from(last) * PAGE_BYTES as u64 / bytes as u64;
    u32::try_from(fitting).unwrap_or(PAGE).clamp(1, PAGE)
}

/// Reads a body that comes without long pauses.
async fn read_all(body: &mut Body, limit: Duration) -> Result<Bytes, Failure> {
    let mut whole = BytesMut::new();
    loop {
        let frame = timeout(limit, body.frame()).await;
        let Some(frame) = frame.map_err(|_| Failure::Silent(limit))? else {
            return Ok(whole.freeze());
        };
        let frame = frame.map_err(|error| Failure::unreachable(&error))?;
        if let Ok(data) = frame.into_data() {
            whole.extend_from_slice(&data);
        }
        if whole.len() > ANSWER_LIMIT_BYTES {
            return Err(Failure::Garbage("an answer without end".to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_shrink_to_what_is_worth_a_request() {
        assert_eq!(next_limit(PAGE, PAGE_BYTES), PAGE);
        assert_eq!(next_limit(PAGE, 2 * PAGE_BYTES), PAGE / 2);
        assert_eq!(next_limit(2, 100 * PAGE_BYTES), 1);
    }
}
