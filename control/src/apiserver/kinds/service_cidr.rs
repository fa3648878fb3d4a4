//! ServiceCIDRs: where ClusterIPs come from (KEP-1880).

use k8s_openapi::api::networking::v1::ServiceCIDR;

use super::decoding::plain;
use crate::apiserver::resource::{Resource, Subresource};

/// What there is to know of the kind.
pub(super) const SERVICE_CIDR: Resource = Resource {
    namespaced: false,
    subresources: &[Subresource::Status],
    ..plain::<ServiceCIDR>("servicecidr")
};
