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

/// How deep an object may be nested; what comes in as JSON is read to a depth of 128.
const DEEPEST: usize = 256;

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
        check_growth(object, &operation, &mut copied)?;
        json_patch::patch(object, &[operation])
            .map_err(|error| cannot_apply(&error.to_string()))?;
    }
    Ok(())
}

/// A few operations can make an object huge, or nest it deeper than a stack is.
fn check_growth(
    object: &Value,
    operation: &PatchOperation,
    copied: &mut usize,
) -> Result<(), Refusal> {
    let (to, depth_of_value) = match operation {
        PatchOperation::Add(add) => (&add.path, depth(&add.value)),
        PatchOperation::Replace(replace) => (&replace.path, depth(&replace.value)),
        PatchOperation::Move(moves) => (&moves.path, moves.from.resolve(object).map_or(0, depth)),
        PatchOperation::Copy(copy) => {
            let source = copy.from.resolve(object).unwrap_or(&Value::Null);
            *copied += source.to_string().len();
            (&copy.path, depth(source))
        }
        PatchOperation::Remove(_) | PatchOperation::Test(_) => return Ok(()),
    };
    if *copied > MOST_COPIED_BYTES {
        return Err(cannot_apply(&format!(
            "Unable to complete the copy, the accumulated size increase of copy is {copied}, \
             exceeding the limit {MOST_COPIED_BYTES}"
        )));
    }
    if to.count() + depth_of_value > DEEPEST {
        return Err(cannot_apply(&format!("the object would be nested deeper than {DEEPEST}")));
    }
    Ok(())
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn cannot_apply(detail: &str) -> Refusal {
    let message =
        format!("the server rejected our request due to an error in our request: {detail}");
    Refusal::new(422, "Invalid", message)
}
