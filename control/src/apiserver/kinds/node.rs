//! Nodes.

use k8s_openapi::api::core::v1::Node;

use super::decoding::plain;
use crate::apiserver::resource::{Resource, Subresource};

/// What there is to know of the kind.
pub(super) const NODE: Resource = Resource {
    short_names: &["no"],
    namespaced: false,
    subresources: &[Subresource::Status],
    ..plain::<Node>("node")
};
