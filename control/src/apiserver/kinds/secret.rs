//! Secrets.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use super::cells::{AGE, NAME, map_at, str_at, text};
use super::checks;
use super::config_map;
use super::decoding::plain;
use crate::apiserver::resource::{Column, FieldError, Resource};

/// What there is to know of the kind.
pub(super) const SECRET: Resource = Resource {
    default,
    validate,
    selectable_fields: &["type"],
    columns: COLUMNS,
    ..plain::<Secret>("secret")
};

const COLUMNS: &[Column] = &[
    NAME,
    text("Type", "What the values are for.", |object, _| str_at(object, "/type").into()),
    text("Data", "How many values there are.", |object, _| {
        map_at(object, "/data").map_or(0, serde_json::Map::len).to_string().into()
    }),
    AGE,
];

/// What is written as text is kept with the other values.
fn default(object: &mut Value) {
    if str_at(object, "/type").is_empty() {
        object["type"] = json!("Opaque");
    }
    let texts = object.as_object_mut().and_then(|fields| fields.remove("stringData"));
    for (key, text) in texts.as_ref().and_then(Value::as_object).into_iter().flatten() {
        let bytes = BASE64_STANDARD.encode(text.as_str().unwrap_or_default());
        object["data"][key] = bytes.into();
    }
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = config_map::validate(new, old, &["data"]);
    if old.is_some_and(|old| old["type"] != new["type"]) {
        errors.push(FieldError::invalid("type", &new["type"], checks::IMMUTABLE));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_data() {
        let mut object = json!({"stringData": {"a": "hi"}, "data": {"b": "aGk="}});
        default(&mut object);
        assert_eq!(object, json!({"type": "Opaque", "data": {"a": "aGk=", "b": "aGk="}}));
        let errors = validate(&json!({"type": "x"}), Some(&object));
        assert_eq!(errors[0].to_string(), "type: Invalid value: \"x\": field is immutable");
    }
}
