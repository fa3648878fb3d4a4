//! Plans become requests.

use futures::future::join_all;
use kube::Client;
use kube::api::{DeleteParams, GetParams, PatchParams, PostParams};
use kube::core::Request;
use kube::core::params::{Patch, Preconditions, PropagationPolicy};
use serde::Deserialize;

use super::change::{Change, Propagation, Told, Verb};
use super::queue::Awaited;
use super::recorder::{Recorder, Severity};
use super::task::{Attempt, Failure};

/// How a plan went.
#[derive(Default, Debug)]
pub(super) struct Outcome {
    /// What watches have to show.
    pub(super) awaited: Awaited,
    pub(super) end: End,
}

/// Why a plan ended.
#[derive(PartialEq, Eq, Default, Debug)]
pub(super) enum End {
    /// All was done.
    #[default]
    Done,
    /// Something is not as it was watched.
    Stale,
    /// It cannot be done, and need not be: the namespace ends.
    Pointless,
    /// It was refused.
    Failed(Failure),
}

/// Makes changes, in their order, until one fails. Objects that are created are tried one first,
/// then two, then four and so on: what is refused is not refused a hundred times.
pub(super) async fn execute(client: &Client, recorder: &Recorder, changes: Vec<Change>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut changes = changes.into_iter().peekable();
    let mut batch = 1;
    while let Some(first) = changes.next() {
        let alike = std::mem::discriminant(&first.verb);
        let mut group = vec![first];
        let together = matches!(group[0].verb, Verb::Create(_) | Verb::Delete { .. });
        while together && group.len() < batch {
            let next = changes.next_if(|next| std::mem::discriminant(&next.verb) == alike);
            let Some(next) = next else { break };
            group.push(next);
        }
        batch *= 2;
        let results = join_all(group.iter().map(|change| perform(client, change))).await;
        for (change, result) in group.iter().zip(results) {
            note(change, result, recorder, &mut outcome);
        }
        if outcome.end != End::Done {
            break;
        }
    }
    outcome
}

/// What an answer says of an object.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
struct Answer {
    metadata: AnswerMetadata,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
struct AnswerMetadata {
    name: String,
    uid: String,
    resource_version: String,
}

/// What became of a change.
enum Made {
    Written(Answer),
    /// It is gone, or is about to go.
    Gone,
    /// What a change depends on is not so.
    NotSo,
    /// A condition holds.
    Confirmed,
}

async fn perform(client: &Client, change: &Change) -> kube::Result<Made> {
    let Change { kind, key, verb, .. } = change;
    let requests = Request::new(kind.path(&key.namespace));
    let body = |object: &serde_json::Value| object.to_string().into_bytes();
    let post = PostParams::default();
    let name = key.name.as_str();
    let request = match verb {
        Verb::Create(object) => requests.create(&post, body(object)),
        Verb::Replace(object) => requests.replace(name, &post, body(object)),
        Verb::ReplaceStatus(object) => {
            requests.replace_subresource("status", name, &post, body(object))
        }
        Verb::Finalize(object) => {
            requests.replace_subresource("finalize", name, &post, body(object))
        }
        Verb::Patch(patch) => requests.patch(name, &PatchParams::default(), &Patch::Merge(patch)),
        Verb::Delete { uid, propagation } => requests.delete(name, &delete(uid, *propagation)),
        Verb::Confirm { uid, exists } => {
            return confirm(client, &requests, name, uid, *exists).await;
        }
    };
    let answer = client.request::<Answer>(request.map_err(kube::Error::BuildRequest)?).await;
    if matches!(verb, Verb::Delete { .. }) {
        return match answer {
            // Another object has the name by now, or none.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(Made::Gone),
            other => other.map(|_| Made::Gone),
        };
    }
    match answer {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Made::NotSo),
        Err(kube::Error::Api(status)) if status.code == 404 && !matches!(verb, Verb::Create(_)) => {
            Ok(Made::NotSo)
        }
        other => other.map(Made::Written),
    }
}

async fn confirm(
    client: &Client,
    requests: &Request,
    name: &str,
    uid: &str,
    exists: bool,
) -> kube::Result<Made> {
    let request = requests.get(name, &GetParams::default()).map_err(kube::Error::BuildRequest)?;
    let found = match client.request::<Answer>(request).await {
        Ok(answer) => answer.metadata.uid == uid,
        Err(kube::Error::Api(status)) if status.code == 404 => false,
        Err(error) => return Err(error),
    };
    Ok(if found == exists { Made::Confirmed } else { Made::NotSo })
}

fn delete(uid: &str, propagation: Propagation) -> DeleteParams {
    let policy = match propagation {
        Propagation::Background => PropagationPolicy::Background,
        Propagation::Foreground => PropagationPolicy::Foreground,
        Propagation::Orphan => PropagationPolicy::Orphan,
    };
    DeleteParams {
        propagation_policy: Some(policy),
        preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
        ..DeleteParams::default()
    }
}

fn note(change: &Change, result: kube::Result<Made>, recorder: &Recorder, outcome: &mut Outcome) {
    match result {
        Ok(Made::Confirmed) => {}
        Ok(Made::NotSo) => {
            if outcome.end == End::Done {
                outcome.end = End::Stale;
            }
        }
        Ok(Made::Gone) => {
            if let Verb::Delete { uid, .. } = &change.verb {
                outcome.awaited.departures.insert(uid.clone());
            }
            tell(change, recorder, &change.key.name, None);
        }
        Ok(Made::Written(answer)) => {
            if let Ok(revision) = answer.metadata.resource_version.parse() {
                outcome.awaited.written(change.kind, revision);
            }
            let name = if answer.metadata.name.is_empty() {
                &change.key.name
            } else {
                &answer.metadata.name
            };
            tell(change, recorder, name, None);
        }
        Err(error) if is_terminating(&error) => outcome.end = End::Pointless,
        Err(error) => {
            let message = match &error {
                kube::Error::Api(status) => status.message.clone(),
                other => other.to_string(),
            };
            tell(change, recorder, &change.key.name, Some(&message));
            let attempt = match &change.verb {
                Verb::Create(_) => Attempt::Create,
                Verb::Delete { .. } => Attempt::Delete,
                _ => Attempt::Change,
            };
            outcome.end = End::Failed(Failure { message, attempt });
        }
    }
}

/// Nothing new can be made in a namespace that ends.
fn is_terminating(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.as_ref().map(|details| details.causes.as_slice());
    status.code == 403
        && (causes.unwrap_or_default().iter().any(|cause| cause.reason == "NamespaceTerminating")
            || status.message.contains("because it is being terminated"))
}

fn tell(change: &Change, recorder: &Recorder, name: &str, error: Option<&str>) {
    let Some(Told { about, component, done, failed }) = &change.told else { return };
    let recorder = recorder.for_component(component);
    match error {
        None => {
            if let Some((reason, message)) = done {
                let message = message.replace("{name}", name);
                recorder.record(about, Severity::Normal, reason, &message);
            }
        }
        Some(error) => {
            if let Some((reason, message)) = failed {
                let message = message.replace("{error}", error);
                recorder.record(about, Severity::Warning, reason, &message);
            }
        }
    }
}
