//! What happens to Pods, told as Events, which `kubectl describe` shows.

use k8s_openapi::api::core::v1::{ObjectReference, Pod};

use crate::controllers::recorder::{Recorder, Severity};

/// Tells of Pods: as the kubelet, and as the scheduler.
pub(super) struct Events {
    kubelet: Recorder,
    scheduler: Recorder,
}

impl Events {
    /// Hands them to this recorder.
    pub(super) fn new(recorder: &Recorder) -> Self {
        Self {
            kubelet: recorder.for_component("kubelet"),
            scheduler: recorder.for_component("default-scheduler"),
        }
    }

    /// Something about the whole Pod is wrong.
    pub(super) fn warning(&self, pod: &Pod, reason: &str, message: &str) {
        tracing::warn!(pod = %name(pod), "{reason}: {message}");
        self.kubelet.record(&reference(pod, ""), Severity::Warning, reason, message);
    }

    /// About one of its containers, by its path in the specification.
    pub(super) fn container(
        &self,
        pod: &Pod,
        field: &str,
        severity: Severity,
        reason: &str,
        message: &str,
    ) {
        if severity == Severity::Warning {
            tracing::info!(pod = %name(pod), "{reason}: {message}");
        }
        self.kubelet.record(&reference(pod, field), severity, reason, message);
    }

    /// It has a node.
    pub(super) fn scheduled(&self, pod: &Pod, message: &str) {
        self.scheduler.record(&reference(pod, ""), Severity::Normal, "Scheduled", message);
    }

    /// It cannot have one.
    pub(super) fn not_scheduled(&self, pod: &Pod, message: &str) {
        self.scheduler.record(&reference(pod, ""), Severity::Warning, "FailedScheduling", message);
    }
}

fn name(pod: &Pod) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    format!("{}/{}", text(&pod.metadata.namespace), text(&pod.metadata.name))
}

fn reference(pod: &Pod, field: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        field_path: (!field.is_empty()).then(|| field.to_owned()),
        ..ObjectReference::default()
    }
}
