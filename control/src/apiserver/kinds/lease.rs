//! Leases: how clients elect a leader.

use k8s_openapi::api::coordination::v1::Lease;

use super::decoding::plain;
use crate::apiserver::resource::Resource;

/// What there is to know of the kind.
pub(super) const LEASE: Resource = plain::<Lease>("lease");
