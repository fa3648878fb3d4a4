//! Services.

use k8s_openapi::api::core::v1::Service;

use super::decoding::plain;
use crate::apiserver::resource::{Names, Resource, Subresource};

/// What there is to know of the kind.
pub(super) const SERVICE: Resource = Resource {
    short_names: &["svc"],
    categories: &["all"],
    names: Names::Label1035,
    subresources: &[Subresource::Status],
    ..plain::<Service>("service")
};
