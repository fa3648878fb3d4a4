//! The ReplicaSet of a template that had none.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::progress::{self, PROGRESSING, desired};
use super::rollout::Rollout;
use super::template::{HASH_LABEL, hash, labelled};
use super::{revision, told};
use crate::controllers::change::{Change, key_of};
use crate::controllers::kind::Kind;
use crate::controllers::replica_set::owner_reference;
use crate::controllers::task::Attempt;

impl Rollout<'_> {
    /// Makes the ReplicaSet of the present template.
    pub(super) fn make_new_set(&mut self, recreate: bool, taken: &dyn Fn(&str) -> bool) {
        let collisions = self.known.collision_count.unwrap_or(0);
        let hash = hash(&self.spec.template, collisions);
        let key = key_of(&self.deployment.metadata);
        let name = format!("{}-{hash}", key.name);
        if taken(&name) {
            // Somebody else's, or of another template.
            self.known.collision_count = Some(collisions.saturating_add(1));
            return;
        }
        let limits = self.limits;
        let old: Vec<_> = self.old.iter().map(|member| &*member.set).collect();
        let all = old.iter().map(|set| desired(set)).sum();
        let replicas = limits.new_set(0, all, recreate);
        let mut annotations =
            revision::annotations(self.deployment, &BTreeMap::new(), revision::next(&old));
        annotations.insert(revision::DESIRED.to_owned(), limits.replicas.to_string());
        annotations.insert(revision::MAX.to_owned(), limits.most().to_string());
        self.revision = annotations.get(revision::REVISION).cloned();

        let template = labelled(&self.spec.template, &hash);
        let mut selector = self.spec.selector.clone();
        selector.match_labels.get_or_insert_default().insert(HASH_LABEL.to_owned(), hash);
        let set = ReplicaSet {
            metadata: ObjectMeta {
                namespace: Some(key.namespace),
                name: Some(name.clone()),
                labels: template.metadata.as_ref().and_then(|of| of.labels.clone()),
                annotations: Some(annotations),
                owner_references: Some(vec![owner_reference(
                    Kind::Deployment,
                    &self.deployment.metadata,
                )]),
                ..ObjectMeta::default()
            },
            spec: Some(ReplicaSetSpec {
                min_ready_seconds: self.spec.min_ready_seconds,
                replicas: Some(replicas),
                selector,
                template: Some(template),
            }),
            status: None,
        };
        let told = told(
            self.deployment,
            (replicas > 0).then(|| format!("Scaled up replica set {{name}} from 0 to {replicas}")),
            Some(format!("Failed to create new replica set {name:?}: {{error}}")),
        );
        let change = Change::create(Kind::ReplicaSet, &set.metadata, &set).telling(told);
        self.note_creation(&name);
        self.changes.push(change);
    }

    /// What the status says of a ReplicaSet that is being made; when the attempt before failed, why.
    fn note_creation(&mut self, name: &str) {
        if !progress::has_deadline(self.spec) {
            return;
        }
        let now = self.moment.now;
        let failure = self.moment.failure.filter(|failure| failure.attempt == Attempt::Create);
        let condition = match failure {
            Some(failure) => {
                let message =
                    format!("Failed to create new replica set {name:?}: {}", failure.message);
                progress::condition(PROGRESSING, "False", "ReplicaSetCreateError", &message, now)
            }
            None => {
                let message = format!("Created new replica set {name:?}");
                progress::condition(PROGRESSING, "True", "NewReplicaSetCreated", &message, now)
            }
        };
        progress::set(&mut self.known, condition);
    }
}
