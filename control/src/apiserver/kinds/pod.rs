//! Pods.

use k8s_openapi::api::core::v1::Pod;

use super::decoding::plain;
use crate::apiserver::resource::{Resource, Subresource};

/// What there is to know of the kind.
pub(super) const POD: Resource = Resource {
    short_names: &["po"],
    categories: &["all"],
    subresources: &[
        Subresource::Status,
        Subresource::Log,
        Subresource::Exec,
        Subresource::Eviction,
    ],
    ..plain::<Pod>("pod")
};
