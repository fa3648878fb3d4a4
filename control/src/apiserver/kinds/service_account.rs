//! ServiceAccounts.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::decoding::plain;
use crate::apiserver::resource::Resource;

/// What there is to know of the kind.
pub(super) const SERVICE_ACCOUNT: Resource =
    Resource { short_names: &["sa"], ..plain::<ServiceAccount>("serviceaccount") };
