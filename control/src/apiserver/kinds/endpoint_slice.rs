//! EndpointSlices.

use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::decoding::plain;
use crate::apiserver::resource::Resource;

/// What there is to know of the kind.
pub(super) const ENDPOINT_SLICE: Resource = plain::<EndpointSlice>("endpointslice");
