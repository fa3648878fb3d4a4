//! The schemas of a group and version, as the real server writes them.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ListMeta, Status};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::apiserver::http::reviews::REVIEWS;
use crate::apiserver::http::served::Version;
use crate::apiserver::kinds::merge_keys::{ListMerge, list_merge};
use crate::apiserver::resource::Resource;

/// How references begin.
const REFERENCE: &str = "#/components/schemas/";
/// Of what is not of the kinds: what operations take and give beside them.
pub(super) const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
pub(super) const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
pub(super) const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";

/// The name of each kind's schema, by kind.
pub(super) type Names = BTreeMap<&'static str, String>;

/// The schemas of these kinds and of all that they refer to, and the names of the kinds' own.
pub(super) fn of_kinds(
    kinds: &[&'static Resource],
    version: &Version,
) -> (Map<String, Value>, Names) {
    let mut generator = SchemaSettings::openapi3().into_generator();
    let mut names: Names = kinds.iter().map(|of| (of.kind, (of.schema)(&mut generator))).collect();
    for review in
        REVIEWS.iter().filter(|of| (of.group, of.version) == (version.group, version.version))
    {
        names.insert(review.kind, (review.schema)(&mut generator));
    }
    generator.subschema_for::<Status>();
    generator.subschema_for::<DeleteOptions>();
    generator.subschema_for::<ListMeta>();
    let under = |kind: &str| {
        version.resources.iter().flat_map(|of| &of.subresources).any(|under| under.kind == kind)
    };
    if under("Scale") {
        generator.subschema_for::<Scale>();
        names.insert("Scale", "io.k8s.api.autoscaling.v1.Scale".to_owned());
    }
    if under("Eviction") {
        generator.subschema_for::<Eviction>();
        names.insert("Eviction", "io.k8s.api.policy.v1.Eviction".to_owned());
    }
    let mut schemas = generator.take_definitions(true);
    replace_untyped(&mut schemas);
    for of in kinds {
        say_how_lists_merge(&mut schemas, of, &names[of.kind]);
        schemas.insert(format!("{}List", names[of.kind]), list(of, &names[of.kind]));
    }
    for (kind, name) in &names {
        let (group, version) = match *kind {
            "Scale" => ("autoscaling", "v1"),
            "Eviction" => ("policy", "v1"),
            _ => (version.group, version.version),
        };
        if let Some(schema) = schemas.get_mut(name) {
            schema["x-kubernetes-group-version-kind"] = kinds_of(group, version, kind);
            // The Rust types cannot do without; clients can.
            if let Some(required) = schema["required"].as_array_mut() {
                required.retain(|field| field != "metadata");
            }
            if schema["required"].as_array().is_some_and(Vec::is_empty) {
                schema.as_object_mut().and_then(|schema| schema.remove("required"));
            }
        }
    }
    (schemas, names)
}

/// `x-kubernetes-group-version-kind` of a schema.
fn kinds_of(group: &str, version: &str, kind: &str) -> Value {
    json!([{"group": group, "version": version, "kind": kind}])
}

/// A reference to a schema.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("{REFERENCE}{name}")})
}

/// Numbers that may be texts have a form of their own in the real server's documents, and a patch
/// can be anything.
fn replace_untyped(schemas: &mut Map<String, Value>) {
    for (name, types) in [
        (
            INT_OR_STRING,
            json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}),
        ),
        (QUANTITY, json!({"oneOf": [{"type": "string"}, {"type": "number"}]})),
    ] {
        if let Some(schema) = schemas.get_mut(name) {
            let description = schema["description"].take();
            *schema = types;
            schema["description"] = description;
        }
    }
    let description = "Patch is provided to give a concrete name and type to the Kubernetes PATCH \
        request body.";
    schemas.insert(PATCH.to_owned(), json!({"type": "object", "description": description}));
}

/// The schema of a kind's list.
fn list(of: &Resource, item: &str) -> Value {
    json!({
        "type": "object",
        "description": format!("{0}List is a list of {0}", of.kind),
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"allOf": [reference(LIST_META)]},
            "items": {"type": "array", "items": {"allOf": [reference(item)]}},
        },
        "x-kubernetes-group-version-kind": kinds_of(of.group, of.version, &format!("{}List", of.kind)),
    })
}

/// Writes into the schemas of a kind, and of what is inside of it, how a strategic merge patch
/// merges its lists.
fn say_how_lists_merge(schemas: &mut Map<String, Value>, of: &'static Resource, name: &str) {
    let mut found = Vec::new();
    collect(schemas, of, name, &mut Vec::new(), &mut found);
    for (name, field, merge) in found {
        let Some(property) =
            schemas.get_mut(&name).and_then(|schema| schema["properties"].get_mut(&field))
        else {
            continue;
        };
        property["x-kubernetes-patch-strategy"] = "merge".into();
        if let ListMerge::ByKey(key) = merge {
            property["x-kubernetes-patch-merge-key"] = key.into();
            property["x-kubernetes-list-type"] = "map".into();
            property["x-kubernetes-list-map-keys"] = json!([key]);
        }
    }
}

/// Name of a schema, one of its properties, how that is merged.
type Merged = (String, String, ListMerge);

/// Walks through a schema and all that are inside of it.
fn collect(
    schemas: &Map<String, Value>,
    of: &'static Resource,
    name: &str,
    path: &mut Vec<String>,
    found: &mut Vec<Merged>,
) {
    let properties = schemas.get(name).and_then(|schema| schema["properties"].as_object());
    for (field, property) in properties.into_iter().flatten() {
        path.push(field.clone());
        let is_list = property["type"] == "array";
        if is_list {
            let names: Vec<_> = path.iter().map(String::as_str).collect();
            match list_merge(of, &names) {
                ListMerge::Replace => {}
                merge => found.push((name.to_owned(), field.clone(), merge)),
            }
        }
        let inner = if is_list { &property["items"] } else { property };
        // No schema of a kind that is served is inside of itself; the bound is for one that will be.
        if let Some(inner) = referred(inner)
            && path.len() < 16
        {
            collect(schemas, of, inner, path, found);
        }
        path.pop();
    }
}

/// The name that a schema refers to, by itself or as the only one of all.
fn referred(schema: &Value) -> Option<&str> {
    let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str())?;
    reference.strip_prefix(REFERENCE)
}
