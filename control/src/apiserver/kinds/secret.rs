//! Secrets.

use k8s_openapi::api::core::v1::Secret;

use super::decoding::plain;
use crate::apiserver::resource::Resource;

/// What there is to know of the kind.
pub(super) const SECRET: Resource = plain::<Secret>("secret");
