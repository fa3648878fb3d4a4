//! Manifests into objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::Value;

use super::document::{Document, documents};
use super::typed::typed;
use crate::model::{Object, ObjectId, Problem};

/// An object and where it stands.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Located {
    /// The object.
    pub(crate) object: Object,
    /// The file.
    pub(crate) origin: Arc<str>,
    /// The line on which its document begins, counted from 1.
    pub(crate) line: usize,
}

/// What was read of manifests.
#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) struct Manifest {
    /// The objects, in the order in which they stand.
    pub(crate) objects: Vec<Located>,
    /// What is wrong.
    pub(crate) problems: Vec<Problem>,
    /// Whether all of the text could be parsed. Half-written files cannot.
    pub(crate) broken: bool,
}

/// Reads the documents of one file. What is wrong in one does not hide the others.
pub(crate) fn parse(text: &str, origin: &Arc<str>) -> Manifest {
    let mut manifest = Manifest::default();
    for Document { line, content } in documents(text) {
        match content {
            Ok(value) => add(value, origin, line, &mut manifest),
            Err(error) => {
                manifest.broken = true;
                let problem = Problem::new(format_args!("not valid YAML: {error}"));
                manifest.problems.push(problem.origin(format!("{origin}:{}", error.line)));
            }
        }
    }
    manifest
}

/// Puts files together. Of an object that stands in several places the first counts.
pub(crate) fn merge<'a>(manifests: impl IntoIterator<Item = &'a Manifest>) -> Manifest {
    let mut merged = Manifest::default();
    let mut seen: BTreeMap<ObjectId, (Arc<str>, usize)> = BTreeMap::new();
    for manifest in manifests {
        merged.problems.extend(manifest.problems.iter().cloned());
        merged.broken |= manifest.broken;
        for located in &manifest.objects {
            let id = located.object.id();
            if let Some((origin, line)) = seen.get(&id) {
                let problem = Problem::new(format_args!(
                    "defined twice: {origin}:{line} counts, line {} does not",
                    located.line
                ));
                merged.problems.push(problem.origin(located.origin.clone()).object(id));
            } else {
                seen.insert(id, (located.origin.clone(), located.line));
                merged.objects.push(located.clone());
            }
        }
    }
    merged
}

fn add(mut value: Value, origin: &Arc<str>, line: usize, manifest: &mut Manifest) {
    let place = format!("{origin}:{line}");
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("apiVersion").to_owned(), text("kind").to_owned());
    if !value.is_object() {
        let message = "not a Kubernetes object: expected a mapping with apiVersion and kind";
        return manifest.problems.push(Problem::new(message).origin(place));
    }
    for (field, text) in [("apiVersion", &version), ("kind", &kind)] {
        if text.is_empty() {
            let problem = Problem::new("Required value").origin(place).field(field);
            return manifest.problems.push(problem);
        }
    }
    if kind == "List" || (kind.ends_with("List") && value.get("items").is_some()) {
        let item_kind = kind.trim_end_matches("List");
        if let Some(Value::Array(items)) = value.get_mut("items").map(Value::take) {
            for item in items {
                add(with_type(item, &version, item_kind), origin, line, manifest);
            }
        } else {
            let problem = Problem::new("must be a list").origin(place).object(kind);
            manifest.problems.push(problem.field("items"));
        }
        return;
    }
    if (version.as_str(), kind.as_str()) == ("v1", "Namespace") {
        // What is in one says so; it needs no making.
        return;
    }
    match read(value, &version, &kind) {
        Ok(object) => manifest.objects.push(Located { object, origin: origin.clone(), line }),
        Err(problem) => {
            // A field says where to look; otherwise the line does.
            let place = if problem.field.is_empty() { &place } else { &**origin };
            manifest.problems.push(problem.origin(place));
        }
    }
}

/// The items of a `ServiceList` may leave out what they are.
fn with_type(mut item: Value, version: &str, kind: &str) -> Value {
    if let (Value::Object(fields), false) = (&mut item, kind.is_empty()) {
        fields.entry("apiVersion").or_insert_with(|| version.into());
        fields.entry("kind").or_insert_with(|| kind.into());
    }
    item
}

/// Reads an object of this version and kind.
///
/// # Errors
/// What is wrong, and with which field; where it came from is for the caller to add.
pub(super) fn read(value: Value, version: &str, kind: &str) -> Result<Object, Problem> {
    let object = name_of(&value, kind);
    let refuse = |field: &str, message: String| Problem::new(message).object(&object).field(field);
    let supported = matches!(
        (version, kind),
        ("v1", "Service" | "Endpoints" | "Pod") | ("discovery.k8s.io/v1", "EndpointSlice")
    );
    if !supported {
        let message = format!(
            "kind {kind} of {version} is not known, ignored: Maglane reads Service, Endpoints and \
             Pod of v1 and EndpointSlice of discovery.k8s.io/v1"
        );
        return Err(refuse("", message));
    }
    let name = value.pointer("/metadata/name");
    if name.is_none_or(|name| name.is_null() || name.as_str() == Some("")) {
        return Err(refuse("metadata.name", "Required value".to_owned()));
    }
    let object = match kind {
        "Service" => typed::<Service>(&value).map(Object::from),
        "Endpoints" => typed::<Endpoints>(&value).map(Object::from),
        "Pod" => typed::<Pod>(&value).map(Object::from),
        _ => typed::<EndpointSlice>(&value).map(Object::from),
    };
    object.map_err(|(field, message)| refuse(&field, message))
}

/// `Service default/web`, as far as it is known.
fn name_of(value: &Value, kind: &str) -> String {
    let text = |field: &str| value.pointer(field).and_then(Value::as_str).filter(|t| !t.is_empty());
    match text("/metadata/name") {
        Some(name) => format!("{kind} {}/{name}", text("/metadata/namespace").unwrap_or("default")),
        None => kind.to_owned(),
    }
}
