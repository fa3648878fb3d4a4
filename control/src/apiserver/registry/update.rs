//! Changes of objects: by a whole new one, and, in [`change`], by whatever else makes one.

use serde_json::{Value, json};

use super::create::{insert, may_put_new};
use super::object::Object;
use super::options::WriteOptions;
use super::writing::Transaction;
use super::{Place, Registry, Written, body, metadata, namespaces, scale};
use crate::apiserver::resource::Subresource;
use crate::apiserver::status::Refusal;

pub(super) fn update(
    registry: &Registry,
    place: Place<'_>,
    name: &str,
    subresource: Option<Subresource>,
    body: Value,
    options: &WriteOptions,
) -> Result<Written, Refusal> {
    if subresource == Some(Subresource::Scale) {
        return scale::update(registry, place, name, body, options);
    }
    let (new, warnings) = body::read(place.of, body, options.field_validation)?;
    metadata::check_place(&new, place.namespace, name)?;
    registry.write(options.dry_run, |transaction| {
        match transaction.get(place.kind, place.namespace, name) {
            Some(before) => change(transaction, place, subresource, &before, new, warnings),
            None if may_put_new(place, subresource) => put_new(transaction, place, new, warnings),
            None => Err(Refusal::not_found(place.of, name)),
        }
    })
}

fn put_new(
    transaction: &mut Transaction<'_>,
    place: Place<'_>,
    mut new: Value,
    warnings: Vec<String>,
) -> Result<Written, Refusal> {
    let name = new["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    // It is for one object, and that is gone.
    metadata::check_version(place.of, &name, &new, &json!({}))?;
    metadata::take_namespace(&mut new, place.namespace)?;
    insert(transaction, place, new, warnings)
}

/// Checks what is to become of an object and writes it. Of a subresource, only its side is taken
/// from `new`.
pub(super) fn change(
    transaction: &mut Transaction<'_>,
    place: Place<'_>,
    subresource: Option<Subresource>,
    before: &Object,
    mut new: Value,
    mut warnings: Vec<String>,
) -> Result<Written, Refusal> {
    let of = place.of;
    let old = before.value();
    metadata::check_version(of, before.name(), &new, &old)?;
    match subresource {
        Some(Subresource::Status) => {
            let mut with_status = old.clone();
            metadata::set(&mut with_status, "status", &new["status"]);
            new = with_status;
        }
        Some(Subresource::Finalize) => {
            let mut finalized = old.clone();
            metadata::set(&mut finalized["spec"], "finalizers", &new["spec"]["finalizers"]);
            new = finalized;
        }
        _ => {
            metadata::take_namespace(&mut new, place.namespace)?;
            metadata::carry_over(&mut new, &old);
            (of.prepare)(&mut new, Some(&old));
            transaction.assign_addresses(of, &mut new, Some(&old))?;
        }
    }
    new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
    let mut errors = (of.validate)(&new, Some(&old));
    errors.splice(0..0, metadata::validate_update(of, &new, &old));
    if !errors.is_empty() {
        return Err(Refusal::invalid(of, before.name(), &errors));
    }
    let length = body::check_size(&new)?;
    transaction.check_room(length.saturating_sub(before.json().len()))?;
    warnings.extend((of.warnings)(&new, Some(&old)));
    let written = |object| Written { object, created: false, warnings };
    if is_last_change(place, &new, &old) {
        return Ok(written(transaction.remove(of, place.kind, before.clone(), new)));
    }
    if new == old {
        return Ok(written(before.clone()));
    }
    Ok(written(transaction.put(of, place.kind, Some(before.clone()), new)))
}

/// Whether an object was only waiting for this to be gone.
fn is_last_change(place: Place<'_>, new: &Value, old: &Value) -> bool {
    let (new_metadata, old_metadata) = (&new["metadata"], &old["metadata"]);
    metadata::list(&new_metadata["finalizers"]).is_empty()
        && !old_metadata["deletionTimestamp"].is_null()
        && old_metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
        && !(namespaces::is_namespace(place.of) && namespaces::has_content(new))
}
