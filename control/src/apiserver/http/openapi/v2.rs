//! OpenAPI v2, as little of it as kubectl needs: which kinds have their fields validated by the
//! server. kubectl before 1.36 asks here for a `List`, and before 1.29 for everything; to it, 406
//! means that nothing can be applied without `--validate=false`. It reads protobuf only
//! (github.com/google/gnostic, openapiv2/OpenAPIv2.proto).

use crate::apiserver::resource::Resource;

/// `Content-Type` of the answer.
pub(in crate::apiserver::http) const MEDIA_TYPE: &str =
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// What clients accept by its older name, which they could not parse in an answer.
pub(in crate::apiserver::http) const OLD_MEDIA_TYPE: &str =
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// Parameters of every PATCH that kubectl looks for.
const PARAMETERS: [&str; 3] = ["dryRun", "fieldManager", "fieldValidation"];

/// `Document`, with a path for each kind.
pub(in crate::apiserver::http) fn document(kinds: &[Resource]) -> Vec<u8> {
    let info = [text(1, "Kubernetes"), text(2, super::super::discovery::GIT_VERSION)].concat();
    let paths: Vec<_> = kinds.iter().map(|of| field(2, &path(of))).collect();
    [text(1, "2.0"), field(2, &info), field(8, &paths.concat())].concat()
}

/// `NamedPathItem`.
fn path(of: &Resource) -> Vec<u8> {
    let root = if of.group.is_empty() { "api".to_owned() } else { format!("apis/{}", of.group) };
    let namespace = if of.namespaced { "/namespaces/{namespace}" } else { "" };
    let path = format!("/{root}/{}{namespace}/{}/{{name}}", of.version, of.plural);
    // `PathItem { patch }`.
    [text(1, &path), field(2, &field(8, &patch(of)))].concat()
}

/// `Operation`.
fn patch(of: &Resource) -> Vec<u8> {
    let parameters = PARAMETERS.map(|name| {
        // `ParametersItem { Parameter { NonBodyParameter { QueryParameterSubSchema } } }`.
        let query = [text(2, "query"), text(4, name), text(6, "string")].concat();
        field(8, &field(1, &field(2, &field(3, &query))))
    });
    let kind = format!("group: {:?}\nversion: {}\nkind: {}\n", of.group, of.version, of.kind);
    // `NamedAny { Any { yaml } }`.
    let extension = [text(1, "x-kubernetes-group-version-kind"), field(2, &text(2, &kind))];
    [parameters.concat(), field(13, &extension.concat())].concat()
}

fn text(number: u8, text: &str) -> Vec<u8> {
    field(number, text.as_bytes())
}

/// A field whose length is told. Its number is below 16.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    const LENGTH_DELIMITED: u8 = 2;
    let mut field = vec![number << 3 | LENGTH_DELIMITED];
    let mut length = bytes.len();
    while length >= 0x80 {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend(bytes);
    field
}

#[cfg(test)]
mod tests {
    use super::super::super::protobuf::wire::{Fields, Wire};
    use super::*;
    use crate::apiserver::kinds;

    /// What stands in the fields with this number.
    fn all(message: &[u8], number: u32) -> Vec<&[u8]> {
        Fields::of(message)
            .map(Result::unwrap)
            .filter(|(this, _)| *this == number)
            .map(|(_, wire)| if let Wire::Bytes(bytes) = wire { bytes } else { panic!("{wire:?}") })
            .collect()
    }

    fn one(message: &[u8], number: u32) -> &[u8] {
        all(message, number)[0]
    }

    #[test]
    fn every_kind_has_its_fields_validated() {
        let document = document(kinds::all());
        assert_eq!(one(&document, 1), b"2.0");
        let paths = all(one(&document, 8), 2);
        assert_eq!(paths.len(), kinds::all().len());
        for (path, of) in paths.iter().zip(kinds::all()) {
            let patch = one(one(path, 2), 8);
            let names: Vec<_> =
                all(patch, 8).iter().map(|item| one(one(one(one(item, 1), 2), 3), 4)).collect();
            assert_eq!(names, PARAMETERS.map(str::as_bytes));
            let extension = one(patch, 13);
            assert_eq!(one(extension, 1), b"x-kubernetes-group-version-kind");
            let yaml = one(one(extension, 2), 2);
            let kind: serde_json::Value = serde_yaml_ng::from_slice(yaml).unwrap();
            assert_eq!(kind["group"], of.group);
            assert_eq!((&kind["version"], &kind["kind"]), (&of.version.into(), &of.kind.into()));
        }
        assert_eq!(one(paths[0], 1), b"/api/v1/namespaces/{namespace}/configmaps/{name}");
    }
}
