//! Strategic merge patches (k8s.io/apimachinery/pkg/util/strategicpatch): merge patches in which
//! lists are merged as their kind says, with directives:
//!
//! | directive | what it does |
//! |---|---|
//! | `$patch: replace` in an object, or in an item of a list | the rest of the patch takes its place |
//! | `$patch: delete` in an object, or in an item of a list | it goes; of a list, the item of that key |
//! | `$patch: merge` | nothing: it is what happens anyway |
//! | `$retainKeys: [...]` | all other fields of the object go |
//! | `$deleteFromPrimitiveList/<list>: [...]` | these values go from the list |
//! | `$setElementOrder/<list>: [...]` | the order of the merged list |

use serde_json::{Map, Value, json};

use crate::apiserver::kinds::merge_keys::ListMerge;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList/";
const ELEMENT_ORDER: &str = "$setElementOrder/";

/// How the list at a path is merged.
type Lists<'a> = &'a dyn Fn(&[&str]) -> ListMerge;

/// Merges a patch into an object.
pub(super) fn merge(lists: Lists<'_>, object: &mut Value, patch: &Value) -> Result<(), String> {
    let (Some(fields), Some(patch)) = (object.as_object_mut(), patch.as_object()) else {
        return Err("invalid JSON document".to_owned());
    };
    merge_objects(lists, &mut Vec::new(), fields, patch)
}

fn merge_objects<'a>(
    lists: Lists<'_>,
    path: &mut Vec<&'a str>,
    fields: &mut Map<String, Value>,
    patch: &'a Map<String, Value>,
) -> Result<(), String> {
    match patch.get(PATCH).map(|directive| directive.as_str().unwrap_or_default()) {
        None | Some("merge") => {}
        Some("replace") => {
            *fields = patch.clone();
            fields.remove(PATCH);
            return Ok(());
        }
        Some("delete") => {
            fields.clear();
            return Ok(());
        }
        Some(other) => return Err(format!("unknown patch type found: {other}")),
    }
    retain_keys(fields, patch)?;
    let orders: Vec<_> = patch
        .iter()
        .filter_map(|(name, order)| Some((name.strip_prefix(ELEMENT_ORDER)?, order)))
        .map(|(list, order)| (list, order, fields.get(list).cloned().unwrap_or_default()))
        .collect();
    for (name, change) in patch {
        if let Some(list) = name.strip_prefix(DELETE_FROM_LIST) {
            delete_from_list(fields, list, change)?;
        }
    }
    for (name, change) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
        path.push(name);
        merge_field(lists, path, fields, name, change)?;
        path.pop();
    }
    for (list, order, live) in orders {
        path.push(list);
        set_order(lists(path), fields, list, order, (&live, patch.get(list)))?;
        path.pop();
    }
    Ok(())
}

fn merge_field<'a>(
    lists: Lists<'_>,
    path: &mut Vec<&'a str>,
    fields: &mut Map<String, Value>,
    name: &str,
    change: &'a Value,
) -> Result<(), String> {
    match change {
        Value::Null => {
            fields.remove(name);
        }
        Value::Object(change) => {
            let field = fields.entry(name).or_insert_with(|| json!({}));
            if !field.is_object() {
                *field = json!({});
            }
            if let Value::Object(field) = field {
                merge_objects(lists, path, field, change)?;
            }
        }
        Value::Array(change) => {
            let field = fields.entry(name).or_insert_with(|| json!([]));
            if !field.is_array() {
                *field = json!([]);
            }
            if let Value::Array(field) = field {
                merge_lists(lists, path, field, change)?;
            }
        }
        plain => {
            fields.insert(name.to_owned(), plain.clone());
        }
    }
    Ok(())
}

fn merge_lists<'a>(
    lists: Lists<'_>,
    path: &mut Vec<&'a str>,
    items: &mut Vec<Value>,
    patch: &'a [Value],
) -> Result<(), String> {
    match lists(path) {
        ListMerge::Replace => *items = patch.to_vec(),
        ListMerge::Union => {
            for value in patch {
                if !items.contains(value) {
                    items.push(value.clone());
                }
            }
        }
        ListMerge::ByKey(key) => {
            let directive = |item: &Value| item[PATCH].as_str().unwrap_or_default().to_owned();
            let replaces = patch.iter().any(|item| directive(item) == "replace");
            if replaces {
                items.clear();
            }
            for item in patch.iter().filter(|item| directive(item) != "replace") {
                let Some(change) = item.as_object() else {
                    return Err(format!("invalid JSON document: {item} in a list of objects"));
                };
                let id = change.get(key).ok_or_else(|| {
                    format!("map: {item} does not contain declared merge key: {key}")
                })?;
                let here = items.iter_mut().find(|each| &each[key] == id);
                match (directive(item).as_str(), here) {
                    ("delete", _) => items.retain(|each| &each[key] != id),
                    ("" | "merge", Some(Value::Object(here))) => {
                        merge_objects(lists, path, here, change)?;
                    }
                    ("" | "merge", _) => {
                        let mut new = Map::new();
                        merge_objects(lists, path, &mut new, change)?;
                        items.push(new.into());
                    }
                    (other, _) => return Err(format!("unknown patch type found: {other}")),
                }
            }
        }
    }
    Ok(())
}

fn retain_keys(fields: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), String> {
    let Some(retained) = patch.get(RETAIN_KEYS) else { return Ok(()) };
    let Some(retained) = retained.as_array() else {
        return Err("invalid patch format of retainKeys: a list is wanted".to_owned());
    };
    let is_retained = |name: &str| retained.iter().any(|each| each == name);
    let strange = patch
        .iter()
        .find(|(name, value)| !name.starts_with('$') && !value.is_null() && !is_retained(name));
    if strange.is_some() {
        return Err("$retainKeys directive doesn't contain all the keys of the patch".to_owned());
    }
    fields.retain(|name, _| is_retained(name));
    Ok(())
}

fn delete_from_list(
    fields: &mut Map<String, Value>,
    name: &str,
    values: &Value,
) -> Result<(), String> {
    let Some(values) = values.as_array() else {
        return Err("invalid patch format of primitive list: a list is wanted".to_owned());
    };
    if let Some(Value::Array(items)) = fields.get_mut(name) {
        items.retain(|item| !values.contains(item));
    }
    Ok(())
}

/// Orders a merged list. What the order does not name, because only the server knows it, stays
/// before what it stood before in the `live` list.
fn set_order(
    merge: ListMerge,
    fields: &mut Map<String, Value>,
    name: &str,
    order: &Value,
    (live, patch): (&Value, Option<&Value>),
) -> Result<(), String> {
    let Some(order) = order.as_array() else {
        return Err("invalid patch format of setElementOrder: a list is wanted".to_owned());
    };
    let Some(Value::Array(items)) = fields.get_mut(name) else { return Ok(()) };
    // Where an item stands in a list like the order's.
    let place = |order: &[Value], item: &Value| match merge {
        ListMerge::ByKey(key) => order.iter().position(|each| each[key] == item[key]),
        _ => order.iter().position(|each| each == item),
    };
    for item in patch.and_then(Value::as_array).into_iter().flatten() {
        if item[PATCH].is_null() && place(order, item).is_none() {
            return Err(format!(
                "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                json!(patch),
                json!(order)
            ));
        }
    }
    let live = live.as_array().map_or(&[][..], Vec::as_slice);
    let (mut named, others): (Vec<_>, Vec<_>) =
        std::mem::take(items).into_iter().partition(|item| place(order, item).is_some());
    named.sort_by_key(|item| place(order, item));
    let mut after = 0;
    for other in others {
        let here = place(live, &other);
        let found = named[after..].iter().position(|item| place(live, item) > here);
        let at = found.map_or(named.len(), |found| after + found);
        named.insert(at, other);
        after = at + 1;
    }
    *items = named;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(path: &[&str]) -> ListMerge {
        match path {
            ["spec", "containers"] => ListMerge::ByKey("name"),
            ["spec", "containers", "ports"] => ListMerge::ByKey("containerPort"),
            ["metadata", "finalizers"] => ListMerge::Union,
            _ => ListMerge::Replace,
        }
    }

    fn check(object: &Value, patch: &Value, expected: &Value) {
        let mut patched = object.clone();
        merge(&lists, &mut patched, patch).unwrap();
        assert_eq!(&patched, expected, "{patch}");
    }

    #[test]
    fn fields_are_set_and_taken_away() {
        let object = json!({"a": 1, "b": {"c": 2, "d": 3}, "e": [1, 2]});
        check(&object, &json!({"a": 2}), &json!({"a": 2, "b": {"c": 2, "d": 3}, "e": [1, 2]}));
        check(
            &object,
            &json!({"b": {"c": null}, "e": [3]}),
            &json!({"a": 1, "b": {"d": 3}, "e": [3]}),
        );
        check(&json!({}), &json!({"n": {"x": null, "y": [1]}}), &json!({"n": {"y": [1]}}));
        check(
            &object,
            &json!({"b": {"$patch": "replace", "x": 1}}),
            &json!({"a": 1, "b": {"x": 1}, "e": [1, 2]}),
        );
        check(&object, &json!({"b": {"$patch": "delete"}}), &json!({"a": 1, "b": {}, "e": [1, 2]}));
        check(
            &object,
            &json!({"b": {"$retainKeys": ["d", "x"], "x": 1}}),
            &json!({"a": 1, "b": {"d": 3, "x": 1}, "e": [1, 2]}),
        );
    }

    #[test]
    fn lists_are_merged_by_their_key() {
        let object = json!({"spec": {"containers": [
            {"name": "a", "image": "1", "ports": [{"containerPort": 80}]}, {"name": "b", "image": "1"},
        ]}});
        for (patch, expected) in [
            (
                json!([{"name": "b", "image": "2"}, {"name": "c", "image": "3"}]),
                json!([
                    {"name": "a", "image": "1", "ports": [{"containerPort": 80}]},
                    {"name": "b", "image": "2"}, {"name": "c", "image": "3"},
                ]),
            ),
            (
                json!([{"name": "a", "ports": [{"containerPort": 81}], "image": null}]),
                json!([
                    {"name": "a", "ports": [{"containerPort": 80}, {"containerPort": 81}]},
                    {"name": "b", "image": "1"},
                ]),
            ),
            (json!([{"name": "a", "$patch": "delete"}]), json!([{"name": "b", "image": "1"}])),
            (json!([{"$patch": "replace"}, {"name": "z"}]), json!([{"name": "z"}])),
        ] {
            check(
                &object,
                &json!({"spec": {"containers": patch}}),
                &json!({"spec": {"containers": expected}}),
            );
        }
    }

    #[test]
    fn lists_of_values_are_joined_and_ordered() {
        let object = json!({"metadata": {"finalizers": ["a", "b", "c"]}});
        for (patch, expected) in [
            (json!({"finalizers": ["c", "d"]}), json!(["a", "b", "c", "d"])),
            (json!({"$deleteFromPrimitiveList/finalizers": ["b"]}), json!(["a", "c"])),
            (
                json!({"finalizers": ["d"], "$setElementOrder/finalizers": ["d", "c", "a"]}),
                json!(["d", "b", "c", "a"]),
            ),
            (json!({"$setElementOrder/finalizers": ["c", "a"]}), json!(["b", "c", "a"])),
        ] {
            check(
                &object,
                &json!({"metadata": patch}),
                &json!({"metadata": {"finalizers": expected}}),
            );
        }
        let object = json!({"spec": {"containers": [{"name": "a"}, {"name": "s"}, {"name": "b"}]}});
        check(
            &object,
            &json!({"spec": {
                "containers": [{"name": "c", "image": "1"}, {"name": "b", "image": "2"}],
                "$setElementOrder/containers": [{"name": "c"}, {"name": "b"}, {"name": "a"}],
            }}),
            &json!({"spec": {"containers": [
                {"name": "c", "image": "1"}, {"name": "s"}, {"name": "b", "image": "2"}, {"name": "a"},
            ]}}),
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for patch in [
            json!({"spec": {"$patch": "burn"}}),
            json!({"spec": {"containers": [{"image": "1"}]}}),
            json!({"spec": {"containers": ["a"]}}),
            json!({"spec": {"$retainKeys": ["a"], "b": 1}}),
            json!({"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b"}]}}),
        ] {
            assert!(merge(&lists, &mut json!({}), &patch).is_err(), "{patch}");
        }
    }
}
