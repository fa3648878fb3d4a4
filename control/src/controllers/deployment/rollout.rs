//! One look at a Deployment and its ReplicaSets, and the next step.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStatus, ReplicaSet};
use serde_json::json;

use super::member::Member;
use super::progress::{self, PROGRESSING, TIMED_OUT, desired};
use super::revision;
use super::scaling::Limits;
use super::template::is_same;
use crate::controllers::change::{Change, Verb, key_of};
use crate::controllers::kind::Kind;
use crate::controllers::task::{Moment, Plan};
use crate::controllers::world::annotation;

/// A Deployment, its ReplicaSets as they shall be, and what has been decided.
pub(super) struct Rollout<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) spec: &'a DeploymentSpec,
    pub(super) moment: &'a Moment<'a>,
    pub(super) limits: Limits,
    pub(super) new: Option<Member>,
    /// The oldest first.
    pub(super) old: Vec<Member>,
    /// The status so far, with what this look adds to it.
    pub(super) known: DeploymentStatus,
    pub(super) status: Option<DeploymentStatus>,
    pub(super) changes: Vec<Change>,
    /// The annotation that the Deployment shall have.
    pub(super) revision: Option<String>,
    pub(super) again_after: Option<Duration>,
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
        changes
            .extend(self.old.iter().chain(&self.new).filter_map(|of| of.change(self.deployment)));
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
}
