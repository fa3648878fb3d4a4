//! Watches of all kinds, as one stream.

use std::convert::identity;
use std::time::Duration;

use futures::stream::{BoxStream, SelectAll};
use futures::{Stream, StreamExt};
use kube::api::{Api, DynamicObject};
use kube::runtime::utils::{Backoff, StreamBackoff};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::kind::Kind;
use super::world::Observed;
use super::world::record::{Bare, EventRecord, NodeRecord, PodRecord, service};

/// Pause after the first error of a watch; twice that after the next, and so on.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Pauses are not longer.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// What all watches say. They never end: when the server goes away they try again, and when it has
/// forgotten where they were they begin anew.
pub(super) fn watch_all(client: &Client) -> SelectAll<BoxStream<'static, Observed>> {
    let mut streams = SelectAll::new();
    streams.push(watch(client, Kind::Deployment, identity, Observed::Deployment));
    streams.push(watch(client, Kind::Endpoints, identity, Observed::Endpoints));
    streams.push(watch(client, Kind::Event, EventRecord::read, Observed::Event));
    streams.push(watch(client, Kind::Namespace, identity, Observed::Namespace));
    streams.push(watch(client, Kind::Node, NodeRecord::read, Observed::Node));
    streams.push(watch(client, Kind::Pod, PodRecord::read, Observed::Pod));
    streams.push(watch(client, Kind::ReplicaSet, identity, Observed::ReplicaSet));
    streams.push(watch(client, Kind::Service, service, Observed::Service));
    streams.push(watch(client, Kind::ServiceCidr, identity, Observed::ServiceCidr));
    streams.push(watch(client, Kind::EndpointSlice, identity, Observed::Slice));
    for kind in Kind::KEPT_ONLY {
        let objects = Api::<DynamicObject>::all_with(client.clone(), &kind.api_resource());
        let read = |object: DynamicObject| Bare::read(object.metadata);
        let stream =
            events(objects, kind).map(move |event| Observed::Other(kind, map(event, read)));
        streams.push(stream.boxed());
    }
    streams
}

/// Watches one kind, and keeps of each object what `read` does.
fn watch<K, T>(
    client: &Client,
    kind: Kind,
    read: fn(K) -> T,
    wrap: fn(Event<T>) -> Observed,
) -> BoxStream<'static, Observed>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
    T: 'static,
{
    let objects = Api::<K>::all(client.clone());
    events(objects, kind).map(move |event| wrap(map(event, read))).boxed()
}

fn events<K>(objects: Api<K>, kind: Kind) -> impl Stream<Item = Event<K>> + Send
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let mut failing = false;
    let stream = StreamBackoff::new(watcher(objects, watcher::Config::default()), Pauses::new());
    stream.filter_map(move |result| {
        let event = match result {
            Ok(mut event) => {
                // The watcher says that it begins before it asks.
                if failing && !matches!(event, Event::Init) {
                    failing = false;
                    tracing::info!(kind = kind.kind(), "watching again");
                }
                if let Event::Apply(object) | Event::InitApply(object) = &mut event {
                    object.managed_fields_mut().clear();
                }
                Some(event)
            }
            Err(error) => {
                if !failing {
                    failing = true;
                    tracing::warn!(kind = kind.kind(), %error, "cannot watch, trying on");
                }
                None
            }
        };
        futures::future::ready(event)
    })
}

fn map<K, T>(event: Event<K>, read: impl Fn(K) -> T) -> Event<T> {
    match event {
        Event::Apply(object) => Event::Apply(read(object)),
        Event::Delete(object) => Event::Delete(read(object)),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(read(object)),
        Event::InitDone => Event::InitDone,
    }
}

/// Pauses between attempts, each twice the one before.
struct Pauses(Duration);

impl Pauses {
    fn new() -> Self {
        Self(BACKOFF_MIN)
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.0;
        self.0 = (pause * 2).min(BACKOFF_MAX);
        Some(pause)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0 = BACKOFF_MIN;
    }
}
