//! New objects.

use jiff::Timestamp;
use serde_json::Value;

use super::options::WriteOptions;
use super::writing::Transaction;
use super::{Place, Registry, Written, body, metadata, namespaces};
use crate::apiserver::resource::Subresource;
use crate::apiserver::status::Refusal;

/// How often another name is made up for `generateName` when the last one is taken.
const NAMES_TRIED: usize = 8;

pub(super) fn create(
    registry: &Registry,
    place: Place<'_>,
    body: Value,
    options: &WriteOptions,
) -> Result<Written, Refusal> {
    if place.of.namespaced && place.namespace.is_empty() {
        return Err(Refusal::bad_request("an empty namespace may not be set during creation"));
    }
    let (mut new, warnings) = body::read(place.of, body, options.field_validation)?;
    metadata::take_namespace(&mut new, place.namespace)?;
    registry.write(options.dry_run, |transaction| insert(transaction, place, new, warnings))
}

/// Checks a new object and writes it.
pub(super) fn insert(
    transaction: &mut Transaction<'_>,
    place: Place<'_>,
    mut new: Value,
    mut warnings: Vec<String>,
) -> Result<Written, Refusal> {
    let of = place.of;
    let given = new["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    namespaces::check(transaction, place, &given)?;
    if !matches!(new["metadata"]["resourceVersion"].as_str(), None | Some("" | "0")) {
        let message = "resourceVersion should not be set on objects to be created";
        return Err(Refusal::new(500, "", message));
    }
    metadata::fill(&mut new, Timestamp::now());
    for _ in 0..NAMES_TRIED {
        let Some(name) = metadata::generated_name(&new) else { break };
        if transaction.get(place.kind, place.namespace, &name).is_none() {
            new["metadata"]["name"] = name.into();
        }
    }
    (of.prepare)(&mut new, None);
    transaction.assign_addresses(of, &mut new, None)?;

    let name = new["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let mut errors = (of.validate)(&new, None);
    errors.splice(0..0, metadata::validate(of, &new));
    if !errors.is_empty() {
        return Err(Refusal::invalid(of, &name, &errors));
    }
    if let Some(there) = transaction.get(place.kind, place.namespace, &name) {
        let mut refusal = Refusal::already_exists(of, &name);
        if there.is_ending() {
            refusal.message = format!("object is being deleted: {}", refusal.message);
        }
        return Err(refusal);
    }
    transaction.check_room(body::check_size(&new)?)?;
    warnings.extend((of.warnings)(&new, None));
    let object = transaction.put(of, place.kind, None, new);
    Ok(Written { object, created: true, warnings })
}

/// Whether a PUT to where nothing is makes it, as it is for these kinds in the real server.
pub(super) fn may_put_new(place: Place<'_>, subresource: Option<Subresource>) -> bool {
    subresource.is_none()
        && matches!(
            (place.of.group, place.of.plural),
            ("", "services" | "endpoints" | "events")
                | ("discovery.k8s.io", "endpointslices")
                | ("events.k8s.io", "events")
                | ("coordination.k8s.io", "leases")
                | ("rbac.authorization.k8s.io", _)
        )
}
