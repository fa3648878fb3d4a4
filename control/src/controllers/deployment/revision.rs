//! What `kubectl rollout history` and `rollout undo` read: revisions, in annotations.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::controllers::world::annotation;

/// Which rollout a ReplicaSet was last made the new one by.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
/// By which ones before.
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// How many replicas the Deployment wanted when the ReplicaSet was last scaled.
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// How many it allowed then.
pub(super) const MAX: &str = "deployment.kubernetes.io/max-replicas";
/// Annotations of the Deployment that are its own.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];
/// Characters of [`REVISION_HISTORY`].
const HISTORY_MAX: usize = 2000;

/// A ReplicaSet's revision; 0 when it has none.
pub(super) fn of(metadata: &ObjectMeta) -> i64 {
    annotation(metadata, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// One more than any of these has.
pub(super) fn next(sets: &[&ReplicaSet]) -> i64 {
    sets.iter().map(|set| of(&set.metadata)).max().unwrap_or(0) + 1
}

/// What the annotations of the new ReplicaSet have to be, when the old ones' revisions are lower
/// than `revision`.
pub(super) fn annotations(
    deployment: &Deployment,
    known: &BTreeMap<String, String>,
    revision: i64,
) -> BTreeMap<String, String> {
    let mut annotations = known.clone();
    let own = deployment.metadata.annotations.iter().flatten();
    let copied = own.filter(|(name, _)| !NOT_COPIED.contains(&name.as_str()));
    annotations.extend(copied.map(|(name, value)| (name.clone(), value.clone())));
    let before = known.get(REVISION);
    let number = before.and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    if number < revision {
        annotations.insert(REVISION.to_owned(), revision.to_string());
        if let Some(before) = before {
            let history = annotations.entry(REVISION_HISTORY.to_owned()).or_default();
            *history = remember(history, before);
        }
    }
    annotations
}

fn remember(history: &str, revision: &str) -> String {
    let mut revisions: Vec<_> = history.split(',').filter(|text| !text.is_empty()).collect();
    revisions.push(revision);
    while revisions.len() > 1 && revisions.join(",").len() > HISTORY_MAX {
        revisions.remove(0);
    }
    revisions.join(",")
}
