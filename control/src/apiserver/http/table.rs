//! Objects as rows for people (`meta.k8s.io/v1 Table`).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::accept::Rows;
use crate::apiserver::registry::Object;
use crate::apiserver::resource::Resource;

/// `columnDefinitions` of the kind.
pub(super) fn columns(of: &Resource) -> Value {
    let columns = of.columns.iter().map(|column| {
        json!({
            "name": column.name, "type": column.kind, "format": column.format,
            "description": column.description, "priority": column.priority,
        })
    });
    columns.collect()
}

/// An object's row.
pub(super) fn row(of: &Resource, object: &Object, rows: Rows, now: Timestamp) -> Value {
    let value = object.value();
    let cells: Vec<_> = of.columns.iter().map(|column| (column.cell)(&value, now)).collect();
    match rows {
        Rows::None => json!({"cells": cells}),
        Rows::Metadata => json!({"cells": cells, "object": metadata(value)}),
        Rows::Object => json!({"cells": cells, "object": value}),
    }
}

/// A Table of one object; the columns are told once in a watch.
pub(super) fn of_one(
    of: &Resource,
    object: &Object,
    rows: Rows,
    now: Timestamp,
    with_columns: bool,
) -> Value {
    let columns = if with_columns { columns(of) } else { json!([]) };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": object.revision().to_string()},
        "columnDefinitions": columns,
        "rows": [row(of, object, rows, now)],
    })
}

/// Nothing but the metadata (`meta.k8s.io/v1 PartialObjectMetadata`).
pub(super) fn metadata(mut value: Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": value["metadata"].take(),
    })
}
