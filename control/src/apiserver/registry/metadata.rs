//! The rules of `metadata`, which all kinds share (k8s.io/apiserver/pkg/registry/rest and
//! k8s.io/apimachinery/pkg/api/validation/objectmeta.go).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::apiserver::kinds::checks;
use crate::apiserver::resource::{FieldError, FieldReason, Names, Resource};
use crate::apiserver::status::Refusal;

/// Annotations of an object may be this large together.
const ANNOTATIONS_BYTES: usize = 256 << 10;

/// Added to `generateName`: no vowels, so that no words come out, and nothing that looks like
/// something else.
const SUFFIX_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// How many of them.
const SUFFIX_LENGTH: usize = 5;
/// What of `generateName` fits in front of them.
const LONGEST_PREFIX: usize = 63 - SUFFIX_LENGTH;

/// The namespace of the request is that of the object.
pub(super) fn take_namespace(new: &mut Value, namespace: &str) -> Result<(), Refusal> {
    let metadata = &mut new["metadata"];
    match metadata["namespace"].as_str() {
        _ if namespace.is_empty() => {
            remove(metadata, "namespace");
            Ok(())
        }
        Some(given) if given == namespace => Ok(()),
        None | Some("") => {
            metadata["namespace"] = namespace.into();
            Ok(())
        }
        Some(_) => Err(Refusal::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        )),
    }
}

/// An object that replaces another is for the place that the URL says.
pub(super) fn check_place(new: &Value, namespace: &str, name: &str) -> Result<(), Refusal> {
    let metadata = &new["metadata"];
    let given = metadata["name"].as_str().unwrap_or_default();
    let given_namespace = metadata["namespace"].as_str().unwrap_or_default();
    let refuse = |message: String| Err(Refusal::bad_request(message));
    if given.is_empty() {
        return refuse(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        ));
    }
    if given != name {
        return refuse(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        ));
    }
    if !namespace.is_empty() && !given_namespace.is_empty() && given_namespace != namespace {
        return refuse(format!(
            "the namespace of the object ({given_namespace}) does not match the namespace on the \
             request ({namespace})"
        ));
    }
    Ok(())
}

/// What the server says of a new object, and nobody else.
pub(super) fn fill(new: &mut Value, now: Timestamp) {
    let metadata = &mut new["metadata"];
    for field in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
    ] {
        remove(metadata, field);
    }
    metadata["uid"] = Uuid::new_v4().to_string().into();
    metadata["creationTimestamp"] = time(now).into();
}

/// `generateName` with a suffix; none where it is not asked for.
pub(super) fn generated_name(new: &Value) -> Option<String> {
    let metadata = &new["metadata"];
    let prefix = metadata["generateName"].as_str().filter(|prefix| !prefix.is_empty())?;
    if metadata["name"].as_str().is_some_and(|name| !name.is_empty()) {
        return None;
    }
    let fits = prefix.char_indices().map(|(at, _)| at).take_while(|at| *at <= LONGEST_PREFIX);
    let end = if prefix.len() <= LONGEST_PREFIX { prefix.len() } else { fits.last().unwrap_or(0) };
    let random = Uuid::new_v4().into_bytes();
    let suffix = random[..SUFFIX_LENGTH]
        .iter()
        .map(|byte| char::from(SUFFIX_LETTERS[usize::from(*byte) % SUFFIX_LETTERS.len()]));
    Some(prefix[..end].chars().chain(suffix).collect())
}

/// What an update cannot change is as it was; what it may leave out, too.
pub(super) fn carry_over(new: &mut Value, old: &Value) {
    let (metadata, old) = (&mut new["metadata"], &old["metadata"]);
    remove(metadata, "managedFields");
    remove(metadata, "selfLink");
    for field in ["generation", "creationTimestamp"] {
        set(metadata, field, &old[field]);
    }
    for field in ["uid", "namespace"] {
        if metadata[field].as_str().is_none_or(str::is_empty) {
            set(metadata, field, &old[field]);
        }
    }
    if !old["deletionTimestamp"].is_null() {
        set(metadata, "deletionTimestamp", &old["deletionTimestamp"]);
    }
    if !old["deletionGracePeriodSeconds"].is_null()
        && metadata["deletionGracePeriodSeconds"].is_null()
    {
        set(metadata, "deletionGracePeriodSeconds", &old["deletionGracePeriodSeconds"]);
    }
}

/// Whether an update is of what the client saw last.
pub(super) fn check_version(
    of: &Resource,
    name: &str,
    new: &Value,
    old: &Value,
) -> Result<(), Refusal> {
    let (new, old) = (&new["metadata"], &old["metadata"]);
    let uid = new["uid"].as_str().unwrap_or_default();
    let old_uid = old["uid"].as_str().unwrap_or_default();
    if !uid.is_empty() && uid != old_uid {
        let detail = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {old_uid}"
        );
        return Err(Refusal::conflict(of, name, &detail));
    }
    match new["resourceVersion"].as_str() {
        None | Some("" | "0") => Ok(()),
        given if given == old["resourceVersion"].as_str() => Ok(()),
        Some(given) if given.parse::<u64>().is_err() => {
            let error = FieldError::invalid(
                "metadata.resourceVersion",
                &json!(given),
                &format!("strconv.ParseUint: parsing {given:?}: invalid syntax"),
            );
            Err(Refusal::invalid(of, name, &[error]))
        }
        Some(_) => Err(Refusal::conflict(
            of,
            name,
            "the object has been modified; please apply your changes to the latest version and \
             try again",
        )),
    }
}

/// All that is wrong with the `metadata` of an object.
pub(super) fn validate(of: &Resource, new: &Value) -> Vec<FieldError> {
    let metadata = &new["metadata"];
    let mut errors = Vec::new();
    if let Some(prefix) = metadata["generateName"].as_str().filter(|prefix| !prefix.is_empty()) {
        let wrong = checks::name(prefix, of.names, true);
        errors.extend(checks::invalid("metadata.generateName", &json!(prefix), wrong));
    }
    match metadata["name"].as_str() {
        None | Some("") => {
            errors.push(FieldError::required("metadata.name", "name or generateName is required"));
        }
        Some(name) => {
            let wrong = checks::name(name, of.names, false);
            errors.extend(checks::invalid("metadata.name", &json!(name), wrong));
        }
    }
    if of.namespaced {
        let namespace = metadata["namespace"].as_str().unwrap_or_default();
        let wrong = checks::name(namespace, Names::Label, false);
        errors.extend(checks::invalid("metadata.namespace", &json!(namespace), wrong));
    }
    errors.extend(checks::labels(&texts(&metadata["labels"]), "metadata.labels"));
    errors.extend(validate_annotations(&texts(&metadata["annotations"])));
    errors.extend(validate_owners(&metadata["ownerReferences"]));
    errors.extend(validate_finalizers(&metadata["finalizers"]));
    errors
}

/// All that is wrong with an update of `metadata`.
pub(super) fn validate_update(of: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = validate(of, new);
    let (metadata, old) = (&new["metadata"], &old["metadata"]);
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        if metadata[field] != old[field] {
            let path = format!("metadata.{field}");
            errors.push(FieldError::invalid(path, &metadata[field], checks::IMMUTABLE));
        }
    }
    if !old["deletionTimestamp"].is_null() {
        let had = list(&old["finalizers"]);
        let mut added: Vec<_> = list(&metadata["finalizers"]);
        added.retain(|finalizer| !had.contains(finalizer));
        added.sort_unstable();
        added.dedup();
        if !added.is_empty() {
            let added: Vec<_> = added.iter().map(|finalizer| format!("{finalizer:?}")).collect();
            errors.push(FieldError::forbidden(
                "metadata.finalizers",
                &format!(
                    "no new finalizers can be added if the object is being deleted, found new \
                     finalizers []string{{{}}}",
                    added.join(", ")
                ),
            ));
        }
    }
    errors
}

/// As `metadata` writes times: `2024-02-29T12:00:00Z`.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The strings of a list.
pub(super) fn list(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Takes a field away.
pub(super) fn remove(object: &mut Value, field: &str) {
    if let Some(fields) = object.as_object_mut() {
        fields.remove(field);
    }
}

/// Sets a field; nothing takes it away.
pub(super) fn set(object: &mut Value, field: &str, value: &Value) {
    if value.is_null() {
        remove(object, field);
    } else {
        object[field] = value.clone();
    }
}

fn validate_annotations(annotations: &BTreeMap<String, String>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for key in annotations.keys() {
        let wrong = checks::qualified_name(&key.to_lowercase());
        errors.extend(checks::invalid("metadata.annotations", &json!(key), wrong));
    }
    let bytes: usize = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > ANNOTATIONS_BYTES {
        errors.push(FieldError::new(
            "metadata.annotations",
            FieldReason::TooLong,
            format!("Too long: may not be more than {ANNOTATIONS_BYTES} bytes"),
        ));
    }
    errors
}

fn validate_owners(owners: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut controller: Option<String> = None;
    for (index, owner) in owners.as_array().into_iter().flatten().enumerate() {
        let path = format!("metadata.ownerReferences[{index}]");
        let text = |field: &str| owner[field].as_str().unwrap_or_default();
        for field in ["apiVersion", "kind", "name", "uid"] {
            if text(field).is_empty() {
                errors.push(FieldError::required(format!("{path}.{field}"), "must not be empty"));
            }
        }
        if text("apiVersion") == "v1" && text("kind") == "Event" {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(FieldError::invalid(path, owner, detail));
        }
        if owner["controller"] == true {
            let this = format!("{}/{}", text("kind"), text("name"));
            match &controller {
                None => controller = Some(this),
                Some(first) => errors.push(FieldError::invalid(
                    "metadata.ownerReferences",
                    owners,
                    &format!(
                        "Only one reference can have Controller set to true. Found \"true\" in \
                         references for {first} and {this}"
                    ),
                )),
            }
        }
    }
    errors
}

fn validate_finalizers(finalizers: &Value) -> Vec<FieldError> {
    let names = list(finalizers);
    let mut errors = Vec::new();
    for name in &names {
        let wrong = checks::qualified_name(name);
        errors.extend(checks::invalid("metadata.finalizers", &json!(name), wrong));
    }
    if names.contains(&"orphan") && names.contains(&"foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid("metadata.finalizers", finalizers, detail));
    }
    errors
}

fn texts(map: &Value) -> BTreeMap<String, String> {
    map.as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}
