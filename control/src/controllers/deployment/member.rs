//! A ReplicaSet of a Deployment.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use serde_json::{Map, Value, json};

use super::progress::desired;
use super::scaling::{Limits, Size};
use super::{revision, told};
use crate::controllers::change::{Change, Verb, key_of};
use crate::controllers::kind::Kind;

/// A ReplicaSet, and what it shall be.
pub(super) struct Member {
    pub(super) set: Arc<ReplicaSet>,
    pub(super) replicas: i32,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) min_ready_seconds: Option<i32>,
}

impl Member {
    /// As it is.
    pub(super) fn new(set: Arc<ReplicaSet>) -> Self {
        Self {
            replicas: desired(&set),
            annotations: set.metadata.annotations.clone().unwrap_or_default(),
            min_ready_seconds: set.spec.as_ref().and_then(|spec| spec.min_ready_seconds),
            set,
        }
    }

    /// As the limits see it.
    pub(super) fn size(&self) -> Size {
        let status = self.set.status.as_ref();
        let available = status.and_then(|status| status.available_replicas).unwrap_or(0);
        Size { replicas: self.replicas, available }
    }

    /// It shall have so many replicas.
    pub(super) fn scale(&mut self, replicas: i32, limits: Limits) {
        self.replicas = replicas;
        self.annotations.insert(revision::DESIRED.to_owned(), limits.replicas.to_string());
        self.annotations.insert(revision::MAX.to_owned(), limits.most().to_string());
    }

    /// The change of a ReplicaSet from what it is to what it shall be.
    pub(super) fn change(&self, deployment: &Deployment) -> Option<Change> {
        let set = &self.set;
        let before = desired(set);
        let known = set.metadata.annotations.clone().unwrap_or_default();
        let annotations: Map<String, Value> = self
            .annotations
            .iter()
            .filter(|(name, value)| known.get(*name) != Some(value))
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        let mut spec = Map::new();
        if self.replicas != before {
            spec.insert("replicas".to_owned(), json!(self.replicas));
        }
        if self.min_ready_seconds != set.spec.as_ref().and_then(|of| of.min_ready_seconds) {
            spec.insert("minReadySeconds".to_owned(), json!(self.min_ready_seconds));
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
        if self.replicas == before {
            return Some(change);
        }
        let way = if self.replicas > before { "up" } else { "down" };
        let after = self.replicas;
        let message = format!("Scaled {way} replica set {{name}} from {before} to {after}");
        Some(change.telling(told(deployment, Some(message), None)))
    }
}
