//! Events, of both groups that have them.

use k8s_openapi::api::{core, events};

use super::decoding::plain;
use crate::apiserver::resource::Resource;

/// `v1`: what `kubectl` reads and client-go's older recorder writes.
pub(super) const EVENT: Resource =
    Resource { short_names: &["ev"], ..plain::<core::v1::Event>("event") };

/// `events.k8s.io/v1`: what newer recorders write.
pub(super) const NEW_EVENT: Resource =
    Resource { short_names: &["ev"], ..plain::<events::v1::Event>("event") };
