//! How endpoints are spread over slices, with few writes: every watcher of slices gets every slice
//! that is written, as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use super::Slices;

/// How large slices are.
#[derive(Clone, Copy)]
pub(in super::super) struct Sizes {
    /// Endpoints in one.
    pub(in super::super) max: usize,
}

/// What has to become of the existing slices of one set of ports, so that they hold the wanted
/// endpoints and nothing else.
///
/// 1. Endpoints stay where they are; those that are not wanted go, those that changed are changed.
/// 2. New ones fill up slices that have to be written anyway, the fullest first.
/// 3. Those that are left go, all together, into the slice that they fill best, or into new ones.
pub(in super::super) fn pack(
    template: &EndpointSlice,
    wanted: Vec<Endpoint>,
    existing: Vec<Arc<EndpointSlice>>,
    sizes: Sizes,
) -> Slices {
    let mut missing: BTreeMap<Identity, Endpoint> =
        wanted.into_iter().map(|endpoint| (identity(&endpoint), endpoint)).collect();
    let mut slices = Slices::default();
    let mut unchanged = Vec::new();
    for slice in existing {
        let mut changed = slice.metadata.labels != template.metadata.labels;
        let mut endpoints = Vec::with_capacity(slice.endpoints.len());
        for known in &slice.endpoints {
            match missing.remove(&identity(known)) {
                Some(endpoint) => {
                    changed |= endpoint != *known;
                    endpoints.push(endpoint);
                }
                None => changed = true,
            }
        }
        if endpoints.is_empty() {
            slices.delete.push(slice);
        } else if changed {
            slices.update.push(rewritten(&slice, template, endpoints));
        } else {
            unchanged.push(slice);
        }
    }

    let mut missing = missing.into_values();
    slices.update.sort_by_key(|slice| std::cmp::Reverse(slice.endpoints.len()));
    for slice in &mut slices.update {
        let room = sizes.max.saturating_sub(slice.endpoints.len());
        slice.endpoints.extend(missing.by_ref().take(room));
    }
    let rest = missing.len();
    if rest > 0 && rest < sizes.max {
        let fits = |slice: &&Arc<EndpointSlice>| slice.endpoints.len() + rest <= sizes.max;
        let fullest = unchanged.iter().filter(fits).max_by_key(|slice| slice.endpoints.len());
        if let Some(slice) = fullest {
            let endpoints = slice.endpoints.iter().cloned().chain(missing.by_ref()).collect();
            slices.update.push(rewritten(slice, template, endpoints));
        }
    }
    while missing.len() > 0 {
        let endpoints = missing.by_ref().take(sizes.max).collect();
        slices.create.push(EndpointSlice { endpoints, ..template.clone() });
    }
    slices
}

/// What makes an endpoint the same one, whatever its state.
type Identity = (Option<String>, Vec<String>, Option<String>);

fn identity(endpoint: &Endpoint) -> Identity {
    let target = endpoint.target_ref.as_ref();
    let uid = target.and_then(|target| target.uid.clone().or_else(|| target.name.clone()));
    (uid, endpoint.addresses.clone(), endpoint.hostname.clone())
}

fn rewritten(
    slice: &EndpointSlice,
    template: &EndpointSlice,
    endpoints: Vec<Endpoint>,
) -> EndpointSlice {
    let mut slice = EndpointSlice { endpoints, ..slice.clone() };
    slice.metadata.labels.clone_from(&template.metadata.labels);
    slice
}
