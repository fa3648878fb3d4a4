//! Namespaces.

use k8s_openapi::api::core::v1::Namespace;

use super::decoding::plain;
use crate::apiserver::resource::{Names, Resource, Subresource};

/// What there is to know of the kind.
pub(super) const NAMESPACE: Resource = Resource {
    short_names: &["ns"],
    namespaced: false,
    names: Names::Label,
    subresources: &[Subresource::Status],
    ..plain::<Namespace>("namespace")
};
