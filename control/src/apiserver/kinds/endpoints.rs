//! Endpoints, which EndpointSlices have replaced and people still ask for.

use k8s_openapi::api::core::v1::Endpoints;

use super::decoding::plain;
use crate::apiserver::resource::Resource;

/// What there is to know of the kind.
pub(super) const ENDPOINTS: Resource =
    Resource { short_names: &["ep"], ..plain::<Endpoints>("endpoints") };
