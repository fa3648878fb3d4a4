//! Changes of objects by patches.

mod strategic;

use json_patch::PatchOperation;
use serde_json::Value;

use super::options::{Patch, WriteOptions};
use super::update::change;
use super::{Place, Registry, Written, body, scale};
use crate::apiserver::kinds::merge_keys::{ListMerge, list_merge};
use crate::apiserver::resource::Subresource;
use crate::apiserver::status::Refusal;

/// As in the real server.
const MOST_OPERATIONS: usize = 10_000;

/// How many bytes of JSON the `copy` operations of one patch may make together: each can double
/// the object.
const MOST_COPIED_BYTES: usize = 3 << 20;

pub(super) fn patch(
    registry: &Registry,
    place: Place<'_>,
    name: &str,
    subresource: Option<Subresource>,
    patch: &Patch,
    options: &WriteOptions,
) -> Result<Written, Refusal> {
    registry.write(options.dry_run, |transaction| {
        let before = transaction
            .get(place.kind, place.namespace, name)
            .ok_or_else(|| Refusal::not_found(place.of, name))?;
        if subresource == Some(Subresource::Scale) {
            let scale = scale::to_scale(&before.value());
            let patched = apply(&|_| ListMerge::Replace, scale, patch)?;
            return scale::rescale(transaction, place, &before, patched);
        }
        let lists = |path: &[&str]| list_merge(place.of, path);
        let patched = apply(&lists, before.value(), patch)?;
        let (new, warnings) = body::read_patched(place.of, patched, options.field_validation)?;
        change(transaction, place, subresource, &before, new, warnings)
    })
}

/// What a patch makes of an object.
fn apply(
    lists: &dyn Fn(&[&str]) -> ListMerge,
    mut object: Value,
    patch: &Patch,
) -> Result<Value, Refusal> {
    match patch {
        Patch::Json(operations) => apply_operations(&mut object, operations)?,
        Patch::Merge(patch) => {
            check_is_object(patch)?;
            json_patch::merge(&mut object, patch);
        }
        Patch::Strategic(patch) => {
            check_is_object(patch)?;
            strategic::merge(lists, &mut object, patch).map_err(Refusal::bad_request)?;
        }
        Patch::Apply { .. } => {
            return Err(Refusal::new(
                415,
                "UnsupportedMediaType",
                "server-side apply is not served: use client-side apply (kubectl apply without \
                 --server-side), or one of application/json-patch+json, \
                 application/merge-patch+json, application/strategic-merge-patch+json",
            ));
        }
    }
    Ok(object)
}

fn check_is_object(patch: &Value) -> Result<(), Refusal> {
    if patch.is_object() {
        return Ok(());
    }
    Err(Refusal::bad_request(
        "error decoding patch: json: cannot unmarshal the patch into Go value of type \
         map[string]interface {}",
    ))
}

fn apply_operations(object: &mut Value, operations: &Value) -> Result<(), Refusal> {
    let operations: json_patch::Patch = serde_json::from_value(operations.clone())
        .map_err(|error| Refusal::bad_request(format!("error decoding patch: {error}")))?;
    if operations.len() > MOST_OPERATIONS {
        let message = format!(
            "The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {}",
            operations.len()
        );
        return Err(Refusal::new(413, "RequestEntityTooLarge", message));
    }
    let mut copied = 0;
    for operation in operations.0 {
        if let PatchOperation::Copy(copy) = &operation
            && let Ok(source) = copy.from.resolve(object)
        {
            copied += source.to_string().len();
            if copied > MOST_COPIED_BYTES {
                let message = format!(
                    "Unable to complete the copy, the accumulated size increase of copy is \
                     {copied}, exceeding the limit {MOST_COPIED_BYTES}"
                );
                return Err(cannot_apply(&message));
            }
        }
        json_patch::patch(object, &[operation])
            .map_err(|error| cannot_apply(&error.to_string()))?;
    }
    Ok(())
}

fn cannot_apply(detail: &str) -> Refusal {
    let message =
        format!("the server rejected our request due to an error in our request: {detail}");
    Refusal::new(422, "Invalid", message)
}
