//! Manifests into objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::Value;

use super::objects::{Stated, objects};
use crate::model::typed::typed;
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
    for found in objects(text, origin) {
        match found {
            Ok(stated) => add(stated, origin, &mut manifest),
            Err(unusable) => {
                manifest.broken |= unusable.broken;
                manifest.problems.push(unusable.problem);
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

fn add(stated: Stated, origin: &Arc<str>, manifest: &mut Manifest) {
    let Stated { value, version, kind, line } = stated;
    if (version.as_str(), kind.as_str()) == ("v1", "Namespace") {
        // What is in one says so; it needs no making.
        return;
    }
    match read(value, &version, &kind) {
        Ok(object) => manifest.objects.push(Located { object, origin: origin.clone(), line }),
        Err(problem) => {
            // A field says where to look; otherwise the line does.
            let whole_file = !problem.field.is_empty();
            let place = if whole_file { origin.to_string() } else { format!("{origin}:{line}") };
            manifest.problems.push(problem.origin(place));
        }
    }
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
