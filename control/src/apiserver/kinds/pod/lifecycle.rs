use k8s_openapi::api::core::v1::{Pod, PodSpec, Toleration};
use serde_json::{Value, json};

use crate::apiserver::kinds::decoding::{change, read};
use crate::apiserver::kinds::generation;
use crate::apiserver::resource::FieldError;

/// What the real server's admission adds to every Pod: how long it stays on a node that is gone.
const NODE_TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
const NODE_GONE_SECONDS: i64 = 300;

const IMMUTABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
                         `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
                         `spec.tolerations` (only additions to existing tolerations),\
                         `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
                         previously negative)";

/// A new Pod is pending; an update leaves its status alone.
pub(super) fn prepare(new: &mut Value, old: Option<&Value>) {
    match old {
        Some(old) => new["status"] = old["status"].clone(),
        None => {
            change(new, |pod: &mut Pod| admit(pod.spec.get_or_insert_default()));
            let pod: Pod = read(new);
            let quality = pod.spec.as_ref().map_or("BestEffort", quality_of_service);
            new["status"] = json!({"phase": "Pending", "qosClass": quality});
        }
    }
    generation::count(new, old, &["spec"]);
}

fn admit(spec: &mut PodSpec) {
    let account = spec.service_account_name.get_or_insert_with(|| "default".to_owned());
    spec.service_account = Some(account.clone());
    spec.priority.get_or_insert(0);
    spec.preemption_policy.get_or_insert_with(|| "PreemptLowerPriority".to_owned());
    let tolerations = spec.tolerations.get_or_insert_default();
    for taint in NODE_TAINTS {
        let tolerated = tolerations.iter().any(|toleration| {
            toleration.key.as_deref().is_none_or(|key| key.is_empty() || key == taint)
                && toleration.effect.as_deref().is_none_or(|e| e.is_empty() || e == "NoExecute")
        });
        if !tolerated {
            tolerations.push(Toleration {
                key: Some(taint.to_owned()),
                operator: Some("Exists".to_owned()),
                effect: Some("NoExecute".to_owned()),
                toleration_seconds: Some(NODE_GONE_SECONDS),
                ..Toleration::default()
            });
        }
    }
}

/// `GetPodQOS`.
fn quality_of_service(spec: &PodSpec) -> &'static str {
    let mut any = false;
    let mut guaranteed = true;
    for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
        for name in ["cpu", "memory"] {
            let resources = container.resources.as_ref();
            let limit = resources.and_then(|all| all.limits.as_ref()?.get(name));
            let request = resources.and_then(|all| all.requests.as_ref()?.get(name));
            any |= limit.is_some() || request.is_some();
            guaranteed &= limit.is_some() && limit == request;
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// `ValidatePodUpdate`. Beside what the real server allows, a Pod without a node may be given one,
/// which there is the `binding` subresource's.
pub(super) fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (new, old): (Pod, Pod) = (read(new), read(old));
    let (Some(new), Some(old)) = (new.spec, old.spec) else { return errors };
    if new.containers.len() != old.containers.len() {
        let message = "pod updates may not add or remove containers";
        return vec![FieldError::forbidden("spec.containers", message)];
    }
    errors.extend(deadline(&new, &old));
    errors.extend(tolerations(&new, &old));
    let mut masked = new.clone();
    for (container, old) in masked.containers.iter_mut().zip(&old.containers) {
        container.image.clone_from(&old.image);
    }
    let inits = masked.init_containers.iter_mut().flatten();
    for (container, old) in inits.zip(old.init_containers.iter().flatten()) {
        container.image.clone_from(&old.image);
    }
    masked.active_deadline_seconds = old.active_deadline_seconds;
    masked.tolerations.clone_from(&old.tolerations);
    if old.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0)
        && new.termination_grace_period_seconds == Some(1)
    {
        masked.termination_grace_period_seconds = old.termination_grace_period_seconds;
    }
    if old.node_name.as_deref().unwrap_or_default().is_empty() {
        masked.node_name.clone_from(&old.node_name);
    }
    if masked != old {
        let message = format!("{IMMUTABLE}\n{}", difference(&masked, &old));
        errors.push(FieldError::forbidden("spec", &message));
    }
    errors
}

fn deadline(new: &PodSpec, old: &PodSpec) -> Option<FieldError> {
    const FIELD: &str = "spec.activeDeadlineSeconds";
    let before = old.active_deadline_seconds?;
    match new.active_deadline_seconds {
        None => Some(FieldError::invalid(
            FIELD,
            &json!("null"),
            "must not update from a positive integer to nil value",
        )),
        Some(now) if now > before => {
            let message = format!("must be less than or equal to previous value: {before}");
            Some(FieldError::invalid(FIELD, &json!(now), &message))
        }
        Some(_) => None,
    }
}

fn tolerations(new: &PodSpec, old: &PodSpec) -> Option<FieldError> {
    let all = new.tolerations.as_deref().unwrap_or_default();
    let kept = |old: &Toleration| {
        all.iter().any(|new| {
            let seconds = old.toleration_seconds;
            Toleration { toleration_seconds: seconds, ..new.clone() } == *old
        })
    };
    let removed = old.tolerations.iter().flatten().any(|old| !kept(old));
    removed.then(|| {
        let message = "existing toleration can not be modified except its tolerationSeconds";
        FieldError::forbidden("spec.tolerations", message)
    })
}

/// The fields that differ, before and after.
fn difference(new: &PodSpec, old: &PodSpec) -> String {
    let (new, old) = (json!(new), json!(old));
    let mut names: Vec<_> = [&new, &old]
        .into_iter()
        .filter_map(Value::as_object)
        .flat_map(|fields| fields.keys())
        .filter(|name| new.get(name.as_str()) != old.get(name.as_str()))
        .collect();
    names.sort();
    names.dedup();
    let mut lines = String::new();
    for name in names {
        for (sign, spec) in [('-', &old), ('+', &new)] {
            if let Some(value) = spec.get(name.as_str()) {
                lines.push_str(&format!("{sign} {name}: {value}\n"));
            }
        }
    }
    lines
}
