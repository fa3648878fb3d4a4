//! Pod templates of Deployments and their ReplicaSets.

use k8s_openapi::api::core::v1::PodTemplateSpec;

/// Label of a ReplicaSet and its Pods: which template they come from.
pub(super) const HASH_LABEL: &str = "pod-template-hash";
/// Letters and digits that make no words.
const SAFE: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Whether templates are the same, apart from the label that tells ReplicaSets apart.
pub(super) fn is_same(a: &PodTemplateSpec, b: &PodTemplateSpec) -> bool {
    without_hash(a) == without_hash(b)
}

/// A name for a template. Another `collisions` gives another name.
pub(super) fn hash(template: &PodTemplateSpec, collisions: i32) -> String {
    // FNV-1a over the template's JSON, of which the order of fields is fixed. The real controller
    // hashes how Go prints it, so its names differ; nobody relies on them.
    let json = serde_json::to_vec(template).unwrap_or_default();
    let collisions = if collisions > 0 { collisions.to_le_bytes().to_vec() } else { Vec::new() };
    let hash = json
        .iter()
        .chain(&collisions)
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    let safe = |digit: u8| char::from(SAFE[usize::from(digit) % SAFE.len()]);
    hash.to_string().bytes().map(safe).collect()
}

/// The template with the label.
pub(super) fn labelled(template: &PodTemplateSpec, hash: &str) -> PodTemplateSpec {
    let mut template = template.clone();
    let metadata = template.metadata.get_or_insert_default();
    metadata.labels.get_or_insert_default().insert(HASH_LABEL.to_owned(), hash.to_owned());
    template
}

fn without_hash(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    let metadata = template.metadata.get_or_insert_default();
    if let Some(labels) = &mut metadata.labels {
        labels.remove(HASH_LABEL);
    }
    metadata.labels.take_if(|labels| labels.is_empty());
    template
}
