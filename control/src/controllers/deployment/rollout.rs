//! One look at a Deployment and its ReplicaSets, and the next step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStatus, ReplicaSet, ReplicaSetSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};

use super::progress::{self, PROGRESSING, TIMED_OUT, desired};
use super::scaling::{Limits, Size};
use super::template::{HASH_LABEL, hash, is_same, labelled};
use super::{COMPONENT, revision};
use crate::controllers::change::{Change, Told, Verb, key_of, reference};
use crate::controllers::kind::Kind;
use crate::controllers::replica_set::owner_reference;
use crate::controllers::task::{Attempt, Moment, Plan};
use crate::controllers::world::annotation;

/// A Deployment, its ReplicaSets as they shall be, and what has been decided.
pub(super) struct Rollout<'a> {
    deployment: &'a Deployment,
    spec: &'a DeploymentSpec,
    moment: &'a Moment<'a>,
    limits: Limits,
    new: Option<Member>,
    /// The oldest first.
    old: Vec<Member>,
    /// The status so far, with what this look adds to it.
    known: DeploymentStatus,
    status: Option<DeploymentStatus>,
    changes: Vec<Change>,
    /// The annotation that the Deployment shall have.
    revision: Option<String>,
    again_after: Option<Duration>,
}

/// A ReplicaSet, and what it shall be.
struct Member {
    set: Arc<ReplicaSet>,
    replicas: i32,
    annotations: BTreeMap<String, String>,
    min_ready_seconds: Option<i32>,
}

impl Member {
    fn new(set: Arc<ReplicaSet>) -> Self {
        Self {
            replicas: desired(&set),
            annotations: set.metadata.annotations.clone().unwrap_or_default(),
            min_ready_seconds: set.spec.as_ref().and_then(|spec| spec.min_ready_seconds),
            set,
        }
    }

    fn size(&self) -> Size {
        let status = self.set.status.as_ref();
        let available = status.and_then(|status| status.available_replicas).unwrap_or(0);
        Size { replicas: self.replicas, available }
    }

    fn scale(&mut self, replicas: i32, limits: Limits) {
        self.replicas = replicas;
        self.annotations.insert(revision::DESIRED.to_owned(), limits.replicas.to_string());
        self.annotations.insert(revision::MAX.to_owned(), limits.most().to_string());
    }
}

impl<'a> Rollout<'a> {
    /// `sets` are the Deployment's, the oldest first.
    pub(super) fn new(
        deployment: &'a Deployment,
        spec: &'a DeploymentSpec,
        sets: Vec<Arc<ReplicaSet>>,
        moment: &'a Moment<'a>,
    ) -> Self {
        let template = |set: &ReplicaSet| set.spec.as_ref().and_then(|spec| spec.template.clone());
        let mut old: Vec<_> = sets.into_iter().map(Member::new).collect();
        let place = old.iter().position(|member| {
            template(&member.set).is_some_and(|template| is_same(&template, &spec.template))
        });
        let new = place.map(|place| old.remove(place));
        Self {
            deployment,
            spec,
            moment,
            limits: Limits::of(spec),
            new,
            old,
            known: deployment.status.clone().unwrap_or_default(),
            status: None,
            changes: Vec::new(),
            revision: None,
            again_after: None,
        }
    }

    /// A paused rollout is not late; one that goes on begins to be timed.
    pub(super) fn note_pause(&mut self) {
        let reason = progress::find(&self.known, PROGRESSING).and_then(|of| of.reason.as_deref());
        if !progress::has_deadline(self.spec) || reason == Some(TIMED_OUT) {
            return;
        }
        let paused = self.spec.paused.unwrap_or(false);
        let was_paused = reason == Some("DeploymentPaused");
        let (reason, message) = match (paused, was_paused) {
            (true, false) => ("DeploymentPaused", "Deployment is paused"),
            (false, true) => ("DeploymentResumed", "Deployment is resumed"),
            _ => return,
        };
        let condition =
            progress::condition(PROGRESSING, "Unknown", reason, message, self.moment.now);
        progress::set(&mut self.known, condition);
    }

    /// Whether the number of replicas was changed since they were last scaled.
    pub(super) fn is_scaled(&self) -> bool {
        self.old.iter().chain(&self.new).filter(|member| member.replicas > 0).any(|member| {
            let text = annotation(&member.set.metadata, revision::DESIRED);
            text.and_then(|text| text.parse::<i32>().ok())
                .is_some_and(|desired| desired != self.limits.replicas)
        })
    }

    /// Sees to the annotations of the new ReplicaSet, if it is there.
    pub(super) fn note_new_set(&mut self) {
        let old: Vec<_> = self.old.iter().map(|member| &*member.set).collect();
        let next = revision::next(&old);
        let Some(new) = &mut self.new else { return };
        new.annotations = revision::annotations(self.deployment, &new.annotations, next);
        new.min_ready_seconds = self.spec.min_ready_seconds.or(new.min_ready_seconds);
        self.revision = new.annotations.get(revision::REVISION).cloned();
        if progress::has_deadline(self.spec) && progress::find(&self.known, PROGRESSING).is_none() {
            let name = new.set.metadata.name.as_deref().unwrap_or_default();
            let message = format!("Found new replica set {name:?}");
            let now = self.moment.now;
            let condition =
                progress::condition(PROGRESSING, "True", "FoundNewReplicaSet", &message, now);
            progress::set(&mut self.known, condition);
        }
    }

    /// Follows a change of the number of replicas.
    pub(super) fn scale(&mut self) {
        let limits = self.limits;
        let active = self.old.iter().chain(&self.new).filter(|of| of.replicas > 0).count();
        if active <= 1 {
            // The active one; if there is none, the new one, or the newest of the old ones.
            let mut members = self.new.iter_mut().chain(self.old.iter_mut().rev());
            let only = if active == 1 {
                members.find(|member| member.replicas > 0)
            } else {
                members.next()
            };
            if let Some(member) = only {
                member.scale(limits.replicas, limits);
            }
            return;
        }
        if self.is_saturated() {
            self.old.iter_mut().filter(|of| of.replicas > 0).for_each(|of| of.scale(0, limits));
            return;
        }
        let mut members: Vec<_> =
            self.old.iter_mut().chain(&mut self.new).filter(|of| of.replicas > 0).collect();
        // The largest gets what is left over; among equals the newest when growing, the oldest when
        // shrinking.
        let growing = members.iter().map(|of| of.replicas).sum::<i32>() < limits.most();
        members.sort_by(|a, b| {
            let age = a.set.metadata.creation_timestamp.cmp(&b.set.metadata.creation_timestamp);
            let age = if growing { age.reverse() } else { age };
            b.replicas.cmp(&a.replicas).then(age)
        });
        let before: Vec<_> = members
            .iter()
            .map(|member| {
                let most = annotation(&member.set.metadata, revision::MAX);
                let most = most.and_then(|text| text.parse().ok());
                let shown = self.known.replicas.unwrap_or(0);
                (member.replicas, most.unwrap_or(shown))
            })
            .collect();
        for (member, replicas) in members.into_iter().zip(limits.shares(&before)) {
            member.scale(replicas, limits);
        }
    }

    /// All old Pods go, and only when they have gone the new ones come.
    pub(super) fn recreate(
        &mut self,
        taken: &dyn Fn(&str) -> bool,
        has_pods: &dyn Fn(&ReplicaSet) -> bool,
    ) {
        let limits = self.limits;
        self.note_new_set();
        let active = self.old.iter_mut().filter(|of| of.replicas > 0);
        if active.map(|member| member.scale(0, limits)).count() > 0 {
            return;
        }
        if self.old.iter().any(|member| has_pods(&member.set)) {
            return;
        }
        match &mut self.new {
            Some(new) if new.replicas != limits.replicas => new.scale(limits.replicas, limits),
            Some(_) => {}
            None => self.make_new_set(true, taken),
        }
        if progress::is_complete(self.deployment, self.spec, &self.known) {
            self.forget_history();
        }
    }

    /// New Pods come while old ones go, within the limits.
    pub(super) fn roll(&mut self, taken: &dyn Fn(&str) -> bool) {
        let limits = self.limits;
        if self.new.is_none() {
            self.make_new_set(false, taken);
            return;
        }
        self.note_new_set();
        let all: i32 = self.old.iter().chain(&self.new).map(|of| of.replicas).sum();
        let Some(new) = &mut self.new else { return };
        let replicas = limits.new_set(new.replicas, all, false);
        if replicas != new.replicas {
            new.scale(replicas, limits);
            return;
        }
        let old: Vec<_> = self.old.iter().map(Member::size).collect();
        let sizes = limits.old_sets(&old, new.size());
        let mut scaled = false;
        for (member, replicas) in self.old.iter_mut().zip(sizes) {
            if replicas != member.replicas {
                member.scale(replicas, limits);
                scaled = true;
            }
        }
        if !scaled && progress::is_complete(self.deployment, self.spec, &self.known) {
            self.forget_history();
        }
    }

    /// Deletes old ReplicaSets beyond the history limit.
    pub(super) fn forget_history(&mut self) {
        let Some(limit) = self.spec.revision_history_limit.filter(|of| *of != i32::MAX) else {
            return;
        };
        let limit = usize::try_from(limit).unwrap_or(0);
        let mut old: Vec<_> = self
            .old
            .iter()
            .map(|member| &member.set)
            .filter(|set| set.metadata.deletion_timestamp.is_none())
            .collect();
        old.sort_by_key(|set| revision::of(&set.metadata));
        let surplus = old.len().saturating_sub(limit);
        let is_idle = |set: &&&Arc<ReplicaSet>| {
            let status = set.status.clone().unwrap_or_default();
            desired(set) == 0
                && status.replicas == 0
                && status.observed_generation >= set.metadata.generation
        };
        let forgotten = old.iter().take(surplus).filter(is_idle);
        let deletions = forgotten.map(|set| Change::delete(Kind::ReplicaSet, &set.metadata));
        let deletions: Vec<_> = deletions.collect();
        self.changes.extend(deletions);
    }

    /// Judges how the rollout gets on.
    pub(super) fn track_progress(&mut self) {
        let all: Vec<_> = self.old.iter().chain(&self.new).map(|member| &*member.set).collect();
        let new = self.new.as_ref().map(|member| &*member.set);
        let now = self.moment.now;
        let mut status = progress::status(self.deployment, self.spec, &self.known, new, &all, now);
        let left =
            progress::judge(self.deployment, self.spec, &self.known, &mut status, new, &all, now);
        self.again_after =
            left.map(|left| Duration::try_from(left).unwrap_or_default() + Duration::from_secs(1));
        self.status = Some(status);
    }

    /// All that has been decided.
    pub(super) fn finish(mut self) -> Plan {
        let status = self.status.take().unwrap_or_else(|| {
            let all: Vec<_> = self.old.iter().chain(&self.new).map(|member| &*member.set).collect();
            let new = self.new.as_ref().map(|member| &*member.set);
            progress::status(self.deployment, self.spec, &self.known, new, &all, self.moment.now)
        });
        // First: what comes after may be refused, and the next look then says so here.
        let mut changes = Vec::new();
        if self.deployment.status.as_ref() != Some(&status) {
            let changed = Deployment { status: Some(status), ..self.deployment.clone() };
            changes.push(Change::status(Kind::Deployment, &changed.metadata, &changed));
        }
        changes.extend(self.old.iter().chain(&self.new).filter_map(|of| self.scaling(of)));
        changes.append(&mut self.changes);
        let shown = annotation(&self.deployment.metadata, revision::REVISION);
        if let Some(revision) = &self.revision
            && shown != Some(revision)
        {
            // Whatever the Deployment's resourceVersion is after its status was written.
            let patch = json!({"metadata": {"annotations": {revision::REVISION: revision}}});
            let key = key_of(&self.deployment.metadata);
            changes.push(Change::new(Kind::Deployment, key, Verb::Patch(patch)));
        }
        Plan { changes, again_after: self.again_after }
    }

    /// Makes the ReplicaSet of the present template.
    fn make_new_set(&mut self, recreate: bool, taken: &dyn Fn(&str) -> bool) {
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
        let told = self.told(
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

    /// The change of a ReplicaSet from what it is to what it shall be.
    fn scaling(&self, member: &Member) -> Option<Change> {
        let set = &member.set;
        let before = desired(set);
        let known = set.metadata.annotations.clone().unwrap_or_default();
        let annotations: Map<String, Value> = member
            .annotations
            .iter()
            .filter(|(name, value)| known.get(*name) != Some(value))
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        let mut spec = Map::new();
        if member.replicas != before {
            spec.insert("replicas".to_owned(), json!(member.replicas));
        }
        if member.min_ready_seconds != set.spec.as_ref().and_then(|of| of.min_ready_seconds) {
            spec.insert("minReadySeconds".to_owned(), json!(member.min_ready_seconds));
        }
        if annotations.is_empty() && spec.is_empty() {
            return None;
        }
        let mut metadata = Map::new();
        metadata.insert("resourceVersion".to_owned(), json!(set.metadata.resource_version));
        if !annotations.is_empty() {
            metadata.insert("annotations".to_owned(), annotations.into());
        }
        let mut patch = json!({ "metadata": metadata });
        if !spec.is_empty() {
            patch["spec"] = spec.into();
        }
        let change = Change::new(Kind::ReplicaSet, key_of(&set.metadata), Verb::Patch(patch));
        if member.replicas == before {
            return Some(change);
        }
        let way = if member.replicas > before { "up" } else { "down" };
        let after = member.replicas;
        let message = format!("Scaled {way} replica set {{name}} from {before} to {after}");
        Some(change.telling(self.told(Some(message), None)))
    }

    fn told(&self, done: Option<String>, failed: Option<String>) -> Told {
        Told {
            about: reference(Kind::Deployment, &self.deployment.metadata),
            component: COMPONENT,
            done: done.map(|message| ("ScalingReplicaSet", message)),
            failed: failed.map(|message| ("ReplicaSetCreateError", message)),
        }
    }

    /// Whether the new ReplicaSet alone is enough.
    fn is_saturated(&self) -> bool {
        self.new.as_ref().is_some_and(|new| {
            new.replicas == self.limits.replicas && new.size().available == self.limits.replicas
        })
    }
}
