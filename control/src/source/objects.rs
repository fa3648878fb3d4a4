//! The objects of a text, of whatever kind: its documents, and what lists among them hold.

use std::sync::Arc;

use serde_json::Value;

use super::document::{Document, documents};
use crate::model::Problem;

/// An object as it stands in a manifest. It has an `apiVersion` and a `kind`.
#[derive(Debug)]
pub(crate) struct Stated {
    /// All of it.
    pub(crate) value: Value,
    /// `apiVersion`.
    pub(crate) version: String,
    /// `kind`.
    pub(crate) kind: String,
    /// The line on which its document begins, counted from 1.
    pub(crate) line: usize,
}

/// What stands where an object should.
#[derive(Debug)]
pub(crate) struct Unusable {
    /// What is wrong, and where.
    pub(crate) problem: Problem,
    /// It is neither YAML nor JSON, as a half-written file is.
    pub(crate) broken: bool,
}

/// Reads a text, in the order in which its objects stand. What is wrong in one document does not
/// hide the others.
pub(crate) fn objects(text: &str, origin: &Arc<str>) -> Vec<Result<Stated, Unusable>> {
    let mut found = Vec::new();
    for Document { line, content } in documents(text) {
        match content {
            Ok(value) => add(value, origin, line, &mut found),
            Err(error) => {
                let problem = Problem::new(format_args!("not valid YAML: {error}"));
                let problem = problem.origin(format!("{origin}:{}", error.line));
                found.push(Err(Unusable { problem, broken: true }));
            }
        }
    }
    found
}

fn add(mut value: Value, origin: &str, line: usize, found: &mut Vec<Result<Stated, Unusable>>) {
    let refuse = |problem: Problem| {
        let problem = problem.origin(format!("{origin}:{line}"));
        Err(Unusable { problem, broken: false })
    };
    if !value.is_object() {
        let message = "not a Kubernetes object: expected a mapping with apiVersion and kind";
        return found.push(refuse(Problem::new(message)));
    }
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("apiVersion").to_owned(), text("kind").to_owned());
    for (field, text) in [("apiVersion", &version), ("kind", &kind)] {
        if text.is_empty() {
            return found.push(refuse(Problem::new("Required value").field(field)));
        }
    }
    if kind != "List" && (!kind.ends_with("List") || value.get("items").is_none()) {
        return found.push(Ok(Stated { value, version, kind, line }));
    }
    let Some(Value::Array(items)) = value.get_mut("items").map(Value::take) else {
        return found.push(refuse(Problem::new("must be a list").object(kind).field("items")));
    };
    let item_kind = kind.trim_end_matches("List");
    for item in items {
        add(with_type(item, &version, item_kind), origin, line, found);
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
