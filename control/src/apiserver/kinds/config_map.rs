//! ConfigMaps.

use k8s_openapi::api::core::v1::ConfigMap;

use super::decoding::plain;
use crate::apiserver::resource::Resource;

/// What there is to know of the kind.
pub(super) const CONFIG_MAP: Resource =
    Resource { short_names: &["cm"], ..plain::<ConfigMap>("configmap") };
