//! The end of objects: at once, after a grace period, or when everybody who asked to be waited for
//! (`metadata.finalizers`) is done.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::options::{DeleteOptions, ListOptions, Propagation};
use super::writing::Transaction;
use super::{Deleted, List, Place, Registry, list, metadata, namespaces};
use crate::apiserver::resource::Resource;
use crate::apiserver::status::Refusal;

/// Finalizers by which the garbage collector is told what to do with the objects that one owns.
const GARBAGE_COLLECTOR: [&str; 2] = ["orphan", "foregroundDeletion"];

/// How an object wants to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Grace {
    /// It does not mind when.
    None,
    /// It is going already.
    Pending,
    /// After so many seconds; somebody takes it away then.
    Seconds(i64),
}

pub(super) fn delete(
    registry: &Registry,
    place: Place<'_>,
    name: &str,
    options: &DeleteOptions,
) -> Result<Deleted, Refusal> {
    registry.write(options.dry_run, |transaction| end(transaction, place, name, options))
}

pub(super) fn delete_collection(
    registry: &Registry,
    place: Place<'_>,
    options: &DeleteOptions,
    selected: &ListOptions,
) -> Result<List, Refusal> {
    let mut list = list::list(registry, place, selected)?;
    registry.write(options.dry_run, |transaction| {
        for object in &mut list.items {
            let place = Place { namespace: object.namespace(), ..place };
            match end(transaction, place, object.name(), options) {
                Ok(deleted) => *object = deleted.object,
                // Somebody else was faster.
                Err(refusal) if refusal.code == 404 => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(())
    })?;
    Ok(list)
}

fn end(
    transaction: &mut Transaction<'_>,
    place: Place<'_>,
    name: &str,
    options: &DeleteOptions,
) -> Result<Deleted, Refusal> {
    let of = place.of;
    let before = transaction
        .get(place.kind, place.namespace, name)
        .ok_or_else(|| Refusal::not_found(of, name))?;
    let mut value = before.value();
    check_preconditions(of, name, &value, options)?;
    if namespaces::is_namespace(of)
        && let Some(deleted) = namespaces::delete(transaction, place, &before, &mut value)?
    {
        return Ok(deleted);
    }
    let old = value.clone();
    let now = Timestamp::now();
    let grace = mark_grace(of, &mut value, options, now);
    if grace == Grace::Pending {
        return Ok(Deleted { object: before, gone: false });
    }
    mark_propagation(&mut value, options);
    let waits_for_finalizers = !metadata::list(&value["metadata"]["finalizers"]).is_empty();
    if waits_for_finalizers && grace == Grace::None {
        mark_deleting(&mut value["metadata"], now);
    }
    let waits = waits_for_finalizers || matches!(grace, Grace::Seconds(1..));
    let object = match waits {
        true if value == old => before,
        true => transaction.put(of, place.kind, Some(before), value),
        false => transaction.remove(of, place.kind, before, value),
    };
    Ok(Deleted { object, gone: !waits })
}

fn check_preconditions(
    of: &Resource,
    name: &str,
    value: &Value,
    options: &DeleteOptions,
) -> Result<(), Refusal> {
    let metadata = &value["metadata"];
    for (wanted, found, what, happened) in [
        (&options.uid, &metadata["uid"], "UID", "deleted and then recreated"),
        (&options.resource_version, &metadata["resourceVersion"], "ResourceVersion", "modified"),
    ] {
        if let Some(wanted) = wanted
            && found != wanted.as_str()
        {
            let found = found.as_str().unwrap_or_default();
            let detail = format!(
                "the {what} in the precondition ({wanted}) does not match the {what} in record \
                 ({found}). The object might have been {happened}"
            );
            return Err(Refusal::conflict(of, name, &detail));
        }
    }
    Ok(())
}

/// Says in the object how long it still has. Only Pods are asked: what runs wants to end in peace.
fn mark_grace(of: &Resource, value: &mut Value, options: &DeleteOptions, now: Timestamp) -> Grace {
    if !of.group.is_empty() || of.kind != "Pod" {
        return Grace::None;
    }
    // As the real server takes negative ones.
    let asked = options.grace_period_seconds.map(|seconds| if seconds < 0 { 1 } else { seconds });
    let metadata = &value["metadata"];
    if !metadata["deletionTimestamp"].is_null() {
        return match metadata["deletionGracePeriodSeconds"].as_i64() {
            None | Some(0) => Grace::None,
            Some(period) => shorten_grace(&mut value["metadata"], period, asked, now),
        };
    }
    let phase = value["status"]["phase"].as_str().unwrap_or_default();
    let scheduled = !value["spec"]["nodeName"].as_str().unwrap_or_default().is_empty();
    let seconds = if !scheduled || matches!(phase, "Failed" | "Succeeded") {
        0
    } else {
        let own = value["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(0);
        asked.unwrap_or(if own < 0 { 1 } else { own })
    };
    count_generation(&mut value["metadata"]);
    let ends = now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(now);
    value["metadata"]["deletionTimestamp"] = metadata::time(ends).into();
    value["metadata"]["deletionGracePeriodSeconds"] = seconds.into();
    Grace::Seconds(seconds)
}

/// A grace period that runs can only become shorter.
fn shorten_grace(metadata: &mut Value, period: i64, asked: Option<i64>, now: Timestamp) -> Grace {
    let Some(mut seconds) = asked.filter(|asked| *asked < period) else {
        return Grace::Pending;
    };
    let ends = metadata["deletionTimestamp"].as_str().and_then(|text| text.parse().ok());
    let ends: Timestamp = ends.unwrap_or(now);
    let mut ends = ends.saturating_sub(SignedDuration::from_secs(period - seconds)).unwrap_or(now);
    if ends < now {
        ends = now;
        // Whoever runs it is still to be told.
        seconds = seconds.min(1);
    }
    metadata["deletionTimestamp"] = metadata::time(ends).into();
    metadata["deletionGracePeriodSeconds"] = seconds.into();
    Grace::Seconds(seconds)
}

/// Tells the garbage collector what to do with what the object owns.
fn mark_propagation(value: &mut Value, options: &DeleteOptions) {
    let finalizers = metadata::list(&value["metadata"]["finalizers"]);
    let wanted = match options.propagation {
        Some(Propagation::Orphan) => Some("orphan"),
        Some(Propagation::Foreground) => Some("foregroundDeletion"),
        Some(Propagation::Background) => None,
        None => GARBAGE_COLLECTOR.into_iter().find(|each| finalizers.contains(each)),
    };
    let kept = finalizers.iter().filter(|each| !GARBAGE_COLLECTOR.contains(each)).copied();
    let finalizers: Vec<_> = kept.chain(wanted).collect();
    let finalizers = if finalizers.is_empty() { Value::Null } else { json!(finalizers) };
    metadata::set(&mut value["metadata"], "finalizers", &finalizers);
}

/// The object is to be gone as soon as nobody is waited for.
fn mark_deleting(metadata: &mut Value, now: Timestamp) {
    if metadata["deletionTimestamp"].is_null() {
        count_generation(metadata);
        metadata["deletionTimestamp"] = metadata::time(now).into();
    }
    metadata["deletionGracePeriodSeconds"] = 0.into();
}

fn count_generation(metadata: &mut Value) {
    if let Some(generation) = metadata["generation"].as_i64().filter(|each| *each > 0) {
        metadata["generation"] = (generation + 1).into();
    }
}
