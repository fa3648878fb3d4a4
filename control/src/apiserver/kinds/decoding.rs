//! JSON into the typed object of a kind, and back.

use std::fmt::Write;

use k8s_openapi::Resource as Typed;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_ignored::Path;
use serde_json::Value;

use super::quantity;
use crate::apiserver::resource::{DecodeError, Decoded, Names, Resource};
use crate::model::typed::located;

/// A kind without rules of its own: what its type alone says.
pub(super) const fn plain<T>(singular: &'static str) -> Resource
where
    T: Typed + DeserializeOwned + Serialize + JsonSchema,
{
    Resource {
        group: T::GROUP,
        version: T::VERSION,
        kind: T::KIND,
        plural: T::URL_PATH_SEGMENT,
        singular,
        short_names: &[],
        categories: &[],
        namespaced: true,
        names: Names::Subdomain,
        subresources: &[],
        decode: decode::<T>,
        schema: schema::<T>,
        default: |_| {},
        prepare: |_, _| {},
        validate: |_, _| Vec::new(),
        warnings: |_, _| Vec::new(),
        deprecation: "",
        selectable_fields: &[],
        columns: &[],
    }
}

/// What [`Resource::decode`] says.
fn decode<T: DeserializeOwned + Serialize>(value: Value) -> Result<Decoded, DecodeError> {
    let mut unknown = Vec::new();
    let typed: Result<T, _> =
        serde_ignored::deserialize(&value, |path| unknown.push(path_of(&path)));
    let object = typed.and_then(|typed| serde_json::to_value(typed)).map_err(|error| {
        let (field, message) = located::<T>(&value, &error);
        DecodeError { field, message }
    })?;
    Ok(Decoded { object, unknown })
}

/// The same of a kind that quantities stand in.
pub(super) fn with_quantities<T: DeserializeOwned + Serialize>(
    mut value: Value,
) -> Result<Decoded, DecodeError> {
    quantity::quote(&mut value);
    decode::<T>(value)
}

/// An object as its type; what was decoded once can be read again.
pub(crate) fn read<T: DeserializeOwned + Default>(object: &Value) -> T {
    T::deserialize(object).unwrap_or_default()
}

/// Changes an object as its type.
pub(crate) fn change<T>(object: &mut Value, change: impl FnOnce(&mut T))
where
    T: DeserializeOwned + Serialize,
{
    let Ok(mut typed) = T::deserialize(&*object) else { return };
    change(&mut typed);
    if let Ok(changed) = serde_json::to_value(typed) {
        *object = changed;
    }
}

/// What [`Resource::schema`] says.
fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> String {
    generator.subschema_for::<T>();
    T::schema_name().into_owned()
}

/// As Kubernetes writes it: `spec.ports[0].prot`.
fn path_of(path: &Path<'_>) -> String {
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => {
            let mut text = path_of(parent);
            let _ = write!(text, "[{index}]");
            text
        }
        Path::Map { parent, key } => {
            let text = path_of(parent);
            if text.is_empty() { key.clone() } else { format!("{text}.{key}") }
        }
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => path_of(parent),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_kind_does_not_have_is_named_and_gone() {
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "nam": 1},
            "spec": {"ports": [{"port": 80, "prot": "TCP"}, {"port": 81}]}, "state": {},
        });
        let decoded = decode::<Service>(service).unwrap();
        assert_eq!(decoded.unknown, ["metadata.nam", "spec.ports[0].prot", "state"]);
        assert_eq!(decoded.object["spec"]["ports"], json!([{"port": 80}, {"port": 81}]));
        assert_eq!(decoded.object["kind"], "Service");
    }

    #[test]
    fn a_field_of_the_wrong_type_is_named() {
        let service = json!({
            "apiVersion": "v1", "kind": "Service",
            "spec": {"ports": [{"port": 80}, {"port": "eighty"}]},
        });
        let error = decode::<Service>(service).unwrap_err();
        assert_eq!(error.field, "spec.ports[1].port");
    }

    #[test]
    fn a_schema_brings_those_that_it_refers_to() {
        let mut generator = SchemaGenerator::default();
        assert_eq!(schema::<Service>(&mut generator), "io.k8s.api.core.v1.Service");
        let definitions = generator.definitions();
        assert!(definitions.contains_key("io.k8s.api.core.v1.ServicePort"));
        assert!(definitions.contains_key("io.k8s.api.core.v1.Service"));
    }
}
