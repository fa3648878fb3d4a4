//! ConfigMaps, and what they share with Secrets.

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use super::cells::{AGE, NAME, map_at, text};
use super::checks::invalid;
use super::decoding::plain;
use crate::apiserver::resource::{Column, FieldError, FieldReason, Resource};

/// What there is to know of the kind.
pub(super) const CONFIG_MAP: Resource = Resource {
    short_names: &["cm"],
    validate: |new, old| validate(new, old, &["data", "binaryData"]),
    columns: COLUMNS,
    ..plain::<ConfigMap>("configmap")
};

const COLUMNS: &[Column] = &[
    NAME,
    text("Data", "How many values there are.", |object, _| {
        let count = |list: &str| map_at(object, list).map_or(0, serde_json::Map::len);
        (count("/data") + count("/binaryData")).to_string().into()
    }),
    AGE,
];

const MOST_BYTES: usize = 1 << 20;
const KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' \
                   (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
                   '[-._a-zA-Z0-9]+')";

/// `ValidateConfigMap` and `ValidateSecret`, and their updates; `lists` are the fields that hold
/// values.
pub(super) fn validate(new: &Value, old: Option<&Value>, lists: &[&str]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(old) = old
        && old["immutable"] == true
    {
        let message = "field is immutable when `immutable` is set";
        if new["immutable"] != true {
            errors.push(FieldError::forbidden("immutable", message));
        }
        for list in lists.iter().filter(|list| new.get(**list) != old.get(**list)) {
            errors.push(FieldError::forbidden(*list, message));
        }
    }
    let mut bytes = 0;
    for list in lists {
        for (key, value) in new[*list].as_object().into_iter().flatten() {
            errors.extend(invalid(&format!("{list}[{key}]"), &json!(key), config_key(key)));
            bytes += value.as_str().map_or(0, str::len);
        }
    }
    if bytes > MOST_BYTES {
        let message = format!("Too long: may not be more than {MOST_BYTES} bytes");
        errors.push(FieldError::new("", FieldReason::TooLong, message));
    }
    errors
}

/// `IsConfigMapKey`.
fn config_key(key: &str) -> Vec<String> {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let mut errors = Vec::new();
    if key.len() > 253 {
        errors.push("must be no more than 253 bytes".to_owned());
    }
    if key.is_empty() || !key.bytes().all(inside) {
        errors.push(KEY.to_owned());
    }
    match key {
        "." => errors.push("must not be '.'".to_owned()),
        ".." => errors.push("must not be '..'".to_owned()),
        _ if key.starts_with("..") => errors.push("must not start with '..'".to_owned()),
        _ => {}
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_checked_and_immutable_ones_stay() {
        let errors = |new: Value, old: Option<Value>| {
            let errors = (CONFIG_MAP.validate)(&new, old.as_ref());
            errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        for (data, expected) in [
            (json!({"a.b_c-D": "1"}), String::new()),
            (json!({"a b": ""}), format!("data[a b]: Invalid value: \"a b\": {KEY}")),
            (
                json!({"..x": ""}),
                "data[..x]: Invalid value: \"..x\": must not start with '..'".into(),
            ),
            (
                json!({"a": "x".repeat(MOST_BYTES + 1)}),
                ": Too long: may not be more than 1048576 bytes".into(),
            ),
        ] {
            assert_eq!(errors(json!({"data": data}), None), expected);
        }
        let old = json!({"data": {"a": "1"}, "immutable": true});
        assert_eq!(
            errors(json!({"data": {"a": "2"}}), Some(old)),
            "immutable: Forbidden: field is immutable when `immutable` is set\n\
             data: Forbidden: field is immutable when `immutable` is set"
        );
    }
}
