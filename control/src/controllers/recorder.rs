//! Events, as people read them in `kubectl describe`: what was done about an object, and why not.
//!
//! Many equal ones are one Event that counts; and one object makes only so many (as client-go's
//! `EventCorrelator` has it). Writing them never holds up what they tell of: when too many wait,
//! the newest are left out.

use std::collections::{HashMap, VecDeque};
use std::future::Future;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::sync::mpsc;

/// Events that may wait to be written.
const WAITING_MAX: usize = 1024;
/// Different Events that are remembered, to count them when they come again.
const REMEMBERED_MAX: usize = 4096;
/// Events of one object at once; then one every [`REFILL_SECONDS`].
const BURST: f64 = 25.0;
/// As client-go has it: one in five minutes.
const REFILL_SECONDS: f64 = 300.0;
/// Longer messages are cut, as the API would refuse them.
const MESSAGE_MAX: usize = 1024;

/// Takes Events. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    sender: mpsc::Sender<News>,
    component: &'static str,
}

/// `Normal` or `Warning`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Severity {
    /// Something was done.
    Normal,
    /// Something is wrong.
    Warning,
}

/// What happened.
#[derive(Clone, PartialEq, Debug)]
struct News {
    component: &'static str,
    about: ObjectReference,
    severity: Severity,
    reason: String,
    message: String,
    at: Timestamp,
}

impl Recorder {
    /// One that writes with `client`, while the future is polled.
    pub(crate) fn new(
        client: Client,
        component: &'static str,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Self { sender, component }, write_all(client, receiver))
    }

    /// The same, for another component.
    pub(crate) fn for_component(&self, component: &'static str) -> Self {
        Self { component, ..self.clone() }
    }

    /// Something happened to an object.
    pub(crate) fn record(
        &self,
        about: &ObjectReference,
        severity: Severity,
        reason: &str,
        message: &str,
    ) {
        let mut message = message.to_owned();
        while message.len() > MESSAGE_MAX {
            message.pop();
        }
        let news = News {
            component: self.component,
            about: about.clone(),
            severity,
            reason: reason.to_owned(),
            message,
            at: Timestamp::now(),
        };
        if self.sender.try_send(news).is_err() {
            tracing::debug!(reason, "an Event is left out: too many wait");
        }
    }
}

/// What to do about news.
#[derive(PartialEq, Debug)]
enum Entry {
    /// Nothing: there is too much of it.
    Drop,
    /// A new Event.
    Create,
    /// The Event of this name has happened so often.
    Count { name: String, count: i32 },
}

/// What was written, to tell what comes again.
#[derive(Default)]
struct Memory {
    known: HashMap<Identity, (String, i32)>,
    order: VecDeque<Identity>,
    /// Of each component and object: how many Events it may make now, and since when.
    budgets: HashMap<(&'static str, String), (f64, Timestamp)>,
}

/// Component, object, severity, reason and message.
type Identity = (&'static str, String, Severity, String, String);

impl Memory {
    fn judge(&mut self, news: &News) -> Entry {
        let object = object_identity(&news.about);
        if self.budgets.len() >= REMEMBERED_MAX {
            self.budgets.clear();
        }
        let budget = self.budgets.entry((news.component, object)).or_insert((BURST, news.at));
        let elapsed = news.at.duration_since(budget.1).as_secs_f64().max(0.0);
        *budget = ((budget.0 + elapsed / REFILL_SECONDS).min(BURST), news.at);
        if budget.0 < 1.0 {
            return Entry::Drop;
        }
        budget.0 -= 1.0;
        match self.known.get_mut(&identity(news)) {
            Some((name, count)) => {
                *count = count.saturating_add(1);
                Entry::Count { name: name.clone(), count: *count }
            }
            None => Entry::Create,
        }
    }

    fn remember(&mut self, news: &News, name: String) {
        let identity = identity(news);
        self.order.push_back(identity.clone());
        self.known.insert(identity, (name, 1));
        while self.order.len() > REMEMBERED_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    fn forget(&mut self, news: &News) {
        let identity = identity(news);
        self.known.remove(&identity);
        self.order.retain(|of| *of != identity);
    }
}

fn object_identity(about: &ObjectReference) -> String {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    [&about.kind, &about.namespace, &about.name, &about.uid, &about.field_path].map(text).join("/")
}

fn identity(news: &News) -> Identity {
    let object = object_identity(&news.about);
    (news.component, object, news.severity, news.reason.clone(), news.message.clone())
}

async fn write_all(client: Client, mut receiver: mpsc::Receiver<News>) {
    let mut memory = Memory::default();
    while let Some(news) = receiver.recv().await {
        // Events about objects without a namespace are in the default one.
        let namespace = news.about.namespace.as_deref().unwrap_or("default");
        let events: Api<Event> = Api::namespaced(client.clone(), namespace);
        let entry = memory.judge(&news);
        if let Entry::Count { name, count } = &entry {
            let patch = json!({"count": count, "lastTimestamp": Time(news.at)});
            match events.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await {
                Err(kube::Error::Api(status)) if status.code == 404 => memory.forget(&news),
                _ => continue,
            }
        }
        if entry == Entry::Drop {
            continue;
        }
        match events.create(&PostParams::default(), &to_event(&news, namespace)).await {
            Ok(event) => memory.remember(&news, event.name_any()),
            Err(error) => tracing::debug!(%error, reason = news.reason, "an Event is lost"),
        }
    }
}

fn to_event(news: &News, namespace: &str) -> Event {
    let object = news.about.name.as_deref().unwrap_or_default();
    let at = Some(Time(news.at));
    let severity = match news.severity {
        Severity::Normal => "Normal",
        Severity::Warning => "Warning",
    };
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{object}.{:x}", news.at.as_nanosecond())),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: news.about.clone(),
        reason: Some(news.reason.clone()),
        message: Some(news.message.clone()),
        source: Some(EventSource { component: Some(news.component.to_owned()), host: None }),
        first_timestamp: at.clone(),
        last_timestamp: at,
        count: Some(1),
        type_: Some(severity.to_owned()),
        reporting_component: Some(news.component.to_owned()),
        reporting_instance: Some(String::new()),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn news(name: &str, message: &str, at: Timestamp) -> News {
        News {
            component: "tester",
            about: ObjectReference { name: Some(name.to_owned()), ..Default::default() },
            severity: Severity::Normal,
            reason: "Tested".to_owned(),
            message: message.to_owned(),
            at,
        }
    }

    #[test]
    fn what_comes_again_is_counted() {
        let (mut memory, now) = (Memory::default(), Timestamp::now());
        let first = news("web", "once", now);
        assert_eq!(memory.judge(&first), Entry::Create);
        memory.remember(&first, "web.1".to_owned());
        assert_eq!(memory.judge(&first), Entry::Count { name: "web.1".to_owned(), count: 2 });
        assert_eq!(memory.judge(&news("web", "another", now)), Entry::Create);
        assert_eq!(memory.judge(&news("other", "once", now)), Entry::Create);
        memory.forget(&first);
        assert_eq!(memory.judge(&first), Entry::Create);
    }

    #[test]
    fn an_object_makes_only_so_many() {
        let (mut memory, now) = (Memory::default(), Timestamp::now());
        let mut written = 0;
        for n in 0..100 {
            let entry = memory.judge(&news("web", &n.to_string(), now));
            written += i32::from(entry == Entry::Create);
        }
        assert_eq!(written, 25);
        assert_eq!(memory.judge(&news("other", "0", now)), Entry::Create);
        let later = now + SignedDuration::from_secs(301);
        assert_eq!(memory.judge(&news("web", "later", later)), Entry::Create);
        assert_eq!(memory.judge(&news("web", "at once", later)), Entry::Drop);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut memory, now) = (Memory::default(), Timestamp::now());
        for n in 0..REMEMBERED_MAX + 10 {
            let news = news(&n.to_string(), "once", now);
            memory.judge(&news);
            memory.remember(&news, n.to_string());
        }
        assert_eq!(memory.known.len(), REMEMBERED_MAX);
        assert!(memory.budgets.len() <= REMEMBERED_MAX);
        assert_eq!(memory.judge(&news("0", "once", now)), Entry::Create, "the oldest is forgotten");
    }
}
