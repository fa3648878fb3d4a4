//! DaemonSets: kept, not run.

use k8s_openapi::api::apps::v1::DaemonSet;

use super::decoding::plain;
use crate::apiserver::resource::{Resource, Subresource};

/// What there is to know of the kind.
pub(super) const DAEMON_SET: Resource = Resource {
    short_names: &["ds"],
    categories: &["all"],
    subresources: &[Subresource::Status],
    ..plain::<DaemonSet>("daemonset")
};
