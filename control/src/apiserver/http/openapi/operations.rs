//! The operations of a group and version: what can be asked where, with which parameters.

use serde_json::{Map, Value, json};

use super::schemas::{DELETE_OPTIONS, Names, PATCH, STATUS, reference};
use crate::apiserver::http::objects::says_what_it_was;
use crate::apiserver::http::served::{Served, Under, Version};

/// What bodies and answers are written as.
const JSON: &str = "application/json";
const PATCHES: [&str; 3] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// Parameters of a write.
const WRITE: [&str; 3] = ["dryRun", "fieldManager", "fieldValidation"];
/// Parameters of a list and of a watch.
const LIST: [&str; 10] = [
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
];
/// Parameters of a deletion.
const DELETE: [&str; 4] = ["dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy"];

/// `paths` of a document.
pub(super) fn of_version(version: &Version, names: &Names) -> Value {
    let mut paths = Map::new();
    let root = version.path();
    for of in &version.resources {
        let Some(name) = names.get(of.kind) else { continue };
        let whole = Whole { version, of, name };
        let under =
            if of.namespaced { format!("{root}/namespaces/{{namespace}}") } else { root.clone() };
        let collection = format!("{under}/{}", of.plural);
        if of.namespaced && of.verbs.contains(&"list") {
            let everywhere =
                json!({"get": whole.list("ForAllNamespaces"), "parameters": shared(&[])});
            paths.insert(format!("{root}/{}", of.plural), everywhere);
        }
        paths.insert(collection.clone(), whole.collection());
        if of.verbs.contains(&"get") {
            let one = format!("{collection}/{{name}}");
            for under in &of.subresources {
                if let Some(item) = whole.subresource(under, names) {
                    paths.insert(format!("{one}/{}", under.name), item);
                }
            }
            paths.insert(one, whole.one());
        }
    }
    paths.into()
}

/// A kind and the name of its schema.
struct Whole<'a> {
    version: &'a Version,
    of: &'a Served,
    name: &'a str,
}

impl Whole<'_> {
    /// Where all objects are.
    fn collection(&self) -> Value {
        let mut item = json!({
            "post": self.write("post", "create", self.of.kind, "", self.name),
            "parameters": self.shared(false),
        });
        if self.of.verbs.contains(&"list") {
            item["get"] = self.list("");
            item["delete"] = self.delete("deletecollection", "Collection");
        }
        item
    }

    /// Where one object is.
    fn one(&self) -> Value {
        let (kind, name) = (self.of.kind, self.name);
        json!({
            "get": self.operation("get", "read", kind, "", &[], None, name),
            "put": self.write("put", "replace", kind, "", name),
            "patch": self.patch(kind, "", name),
            "delete": self.delete("delete", ""),
            "parameters": self.shared(true),
        })
    }

    /// Where a side of one object is; none for those that are not objects.
    fn subresource(&self, under: &Under, names: &Names) -> Option<Value> {
        let name = if under.kind == self.of.kind { self.name } else { names.get(under.kind)? };
        let suffix = capitalized(under.name);
        let mut item = json!({"parameters": self.shared(true)});
        for verb in under.verbs {
            match (*verb, under.name) {
                ("get", "log") => item["get"] = self.log(),
                ("get", _) => {
                    item["get"] =
                        self.operation("get", "read", under.kind, &suffix, &[], None, name);
                }
                ("update", _) => {
                    item["put"] = self.write("put", "replace", under.kind, &suffix, name);
                }
                ("patch", _) => item["patch"] = self.patch(under.kind, &suffix, name),
                ("create", _) => {
                    item["post"] = self.write("post", "create", under.kind, &suffix, name);
                }
                _ => {}
            }
            if (under.group, under.kind) != (self.version.group, self.of.kind) {
                for method in ["get", "put", "patch", "post"] {
                    if let Some(operation) = item.get_mut(method) {
                        operation["x-kubernetes-group-version-kind"] = json!({
                            "group": under.group, "version": under.version, "kind": under.kind,
                        });
                    }
                }
            }
        }
        Some(item)
    }

    fn list(&self, suffix: &str) -> Value {
        let list = format!("{}List", self.name);
        self.operation("list", "list", self.of.kind, suffix, &LIST, None, &list)
    }

    fn write(&self, action: &str, verb: &str, kind: &str, suffix: &str, name: &str) -> Value {
        let body = json!({"content": {"*/*": {"schema": reference(name)}}, "required": true});
        self.operation(action, verb, kind, suffix, &WRITE, Some(body), name)
    }

    fn patch(&self, kind: &str, suffix: &str, name: &str) -> Value {
        let content: Map<_, _> = PATCHES
            .iter()
            .map(|patch| ((*patch).to_owned(), json!({"schema": reference(PATCH)})))
            .collect();
        let body = json!({"content": content, "required": true});
        self.operation("patch", "patch", kind, suffix, &WRITE, Some(body), name)
    }

    fn delete(&self, action: &str, suffix: &str) -> Value {
        let body = json!({"content": {"*/*": {"schema": reference(DELETE_OPTIONS)}}});
        let mut parameters = DELETE.to_vec();
        if action == "deletecollection" {
            parameters.extend([
                "continue",
                "fieldSelector",
                "labelSelector",
                "limit",
                "timeoutSeconds",
            ]);
        }
        let one = action == "delete" && says_what_it_was(self.version.group, self.of.plural);
        let answer = if one { self.name } else { STATUS };
        self.operation(action, "delete", self.of.kind, suffix, &parameters, Some(body), answer)
    }

    fn log(&self) -> Value {
        let parameters = [
            "container",
            "follow",
            "limitBytes",
            "previous",
            "sinceSeconds",
            "tailLines",
            "timestamps",
        ];
        let mut read =
            self.operation("get", "read", self.of.kind, "Log", &parameters, None, self.name);
        read["responses"] = json!({"200": {
            "description": "OK", "content": {"text/plain": {"schema": {"type": "string"}}},
        }});
        read
    }

    #[expect(clippy::too_many_arguments, reason = "an operation is all of that")]
    fn operation(
        &self,
        action: &str,
        verb: &str,
        kind: &str,
        suffix: &str,
        parameters: &[&str],
        body: Option<Value>,
        answer: &str,
    ) -> Value {
        let namespaced =
            if self.of.namespaced && suffix != "ForAllNamespaces" { "Namespaced" } else { "" };
        let kind_id = if kind == self.of.kind { kind } else { self.of.kind };
        let collection = if suffix == "Collection" { "Collection" } else { "" };
        let suffix = if collection.is_empty() { suffix } else { "" };
        let group = if self.version.group.is_empty() { "core" } else { self.version.group };
        let group = group.split('.').next().unwrap_or_default();
        let place = format!("{}{}", capitalized(group), capitalized(self.version.version));
        let responses = json!({"200": {
            "description": "OK", "content": {JSON: {"schema": reference(answer)}},
        }});
        let mut operation = json!({
            "operationId": format!("{verb}{place}{collection}{namespaced}{kind_id}{suffix}"),
            "tags": [format!("{group}_{}", self.version.version)],
            "description": format!("{verb} {}", self.of.plural),
            "parameters": parameters.iter().map(|name| parameter(name)).collect::<Vec<_>>(),
            "responses": responses,
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": {
                "group": self.version.group, "version": self.version.version, "kind": self.of.kind,
            },
        });
        if let Some(body) = body {
            operation["requestBody"] = body;
        }
        operation
    }

    fn shared(&self, named: bool) -> Value {
        let mut places = Vec::new();
        if named {
            places.push("name");
        }
        if self.of.namespaced {
            places.push("namespace");
        }
        shared(&places)
    }
}

/// Parameters of all operations at a path.
fn shared(places: &[&str]) -> Value {
    let in_path = places.iter().map(|name| {
        json!({
            "name": name, "in": "path", "required": true,
            "schema": {"type": "string", "uniqueItems": true},
        })
    });
    in_path.chain([parameter("pretty")]).collect()
}

fn parameter(name: &str) -> Value {
    let kind = match name {
        "allowWatchBookmarks"
        | "sendInitialEvents"
        | "watch"
        | "orphanDependents"
        | "follow"
        | "previous"
        | "timestamps" => "boolean",
        "limit" | "timeoutSeconds" | "gracePeriodSeconds" | "limitBytes" | "sinceSeconds"
        | "tailLines" => "integer",
        _ => "string",
    };
    json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}})
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
