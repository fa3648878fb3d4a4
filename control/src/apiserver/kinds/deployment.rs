//! Deployments.

use k8s_openapi::api::apps::v1::Deployment;

use super::decoding::plain;
use crate::apiserver::resource::{Resource, Subresource};

/// What there is to know of the kind.
pub(super) const DEPLOYMENT: Resource = Resource {
    short_names: &["deploy"],
    categories: &["all"],
    subresources: &[Subresource::Status, Subresource::Scale],
    ..plain::<Deployment>("deployment")
};
