//! ReplicaSets.

use k8s_openapi::api::apps::v1::ReplicaSet;

use super::decoding::plain;
use crate::apiserver::resource::{Resource, Subresource};

/// What there is to know of the kind.
pub(super) const REPLICA_SET: Resource = Resource {
    short_names: &["rs"],
    categories: &["all"],
    subresources: &[Subresource::Status, Subresource::Scale],
    ..plain::<ReplicaSet>("replicaset")
};
