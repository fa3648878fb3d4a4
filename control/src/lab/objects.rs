//! Kubernetes objects from manifests: files, directories and standard input.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_yaml_ng::Value;

use super::Problem;

/// The kinds a lab knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// v1 Service.
    Service,
    /// v1 Endpoints.
    Endpoints,
    /// discovery.k8s.io/v1 EndpointSlice.
    EndpointSlice,
    /// v1 Pod.
    Pod,
}

impl Kind {
    /// As kubectl prints it before a name.
    pub(crate) fn resource(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Endpoints => "endpoints",
            Self::EndpointSlice => "endpointslice.discovery.k8s.io",
            Self::Pod => "pod",
        }
    }
}

/// Which object: kind, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectKey {
    /// Its kind. Services sort first: a Pod's environment knows those that were there before it.
    pub(crate) kind: Kind,
    /// Its Kubernetes namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
}

impl ObjectKey {
    /// `namespace/name`, without the kind.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The object's file in the lab's directory. Kubernetes names hold no underscore, so no two
    /// objects share one.
    pub(crate) fn file_name(&self) -> String {
        format!("{:?}_{}_{}.yaml", self.kind, self.namespace, self.name).to_ascii_lowercase()
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// One object.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Object {
    /// A Service.
    Service(Box<Service>),
    /// An Endpoints.
    Endpoints(Box<Endpoints>),
    /// An EndpointSlice.
    EndpointSlice(Box<EndpointSlice>),
    /// A Pod.
    Pod(Box<Pod>),
}

impl Object {
    /// Which object this is.
    pub(crate) fn key(&self) -> ObjectKey {
        let (kind, metadata) = match self {
            Self::Service(object) => (Kind::Service, &object.metadata),
            Self::Endpoints(object) => (Kind::Endpoints, &object.metadata),
            Self::EndpointSlice(object) => (Kind::EndpointSlice, &object.metadata),
            Self::Pod(object) => (Kind::Pod, &object.metadata),
        };
        let namespace = metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
        ObjectKey { kind, namespace, name: metadata.name.clone().unwrap_or_default() }
    }

    /// Its metadata, to be filled in.
    pub(crate) fn metadata_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Service(object) => &mut object.metadata,
            Self::Endpoints(object) => &mut object.metadata,
            Self::EndpointSlice(object) => &mut object.metadata,
            Self::Pod(object) => &mut object.metadata,
        }
    }
}

/// An object and the manifest it stands in.
#[derive(Debug, Clone)]
pub(crate) struct Located {
    /// The manifest's name, as it was given.
    pub(crate) file: String,
    /// The object.
    pub(crate) object: Object,
}

/// Reads manifests: files, directories (their .yaml, .yml and .json files) and `-` for standard
/// input. What cannot be used is a problem, and the rest is there all the same.
pub(crate) fn load_objects(paths: &[PathBuf]) -> (Vec<Located>, Vec<Problem>) {
    let (mut objects, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        let name = path.display().to_string();
        match expand(path) {
            Ok(files) => {
                for (file, text) in files {
                    parse(&file, &text, &mut objects, &mut problems);
                }
            }
            Err(cause) => problems.push(Problem::with_file(&name, cause)),
        }
    }
    (objects, problems)
}

/// Reads back what a lab wrote.
pub(crate) fn read_stored(directory: &Path) -> (Vec<Object>, Vec<Problem>) {
    let (located, problems) = load_objects(&[directory.to_path_buf()]);
    (located.into_iter().map(|located| located.object).collect(), problems)
}

fn expand(path: &Path) -> std::io::Result<Vec<(String, String)>> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(vec![("standard input".to_owned(), text)]);
    }
    let mut files = vec![path.to_path_buf()];
    if path.is_dir() {
        files = std::fs::read_dir(path)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        files.retain(|file| {
            let extension = file.extension().and_then(|extension| extension.to_str());
            matches!(extension, Some("yaml" | "yml" | "json")) && file.is_file()
        });
        files.sort();
    }
    files
        .into_iter()
        .map(|file| Ok((file.display().to_string(), std::fs::read_to_string(&file)?)))
        .collect()
}

fn parse(file: &str, text: &str, objects: &mut Vec<Located>, problems: &mut Vec<Problem>) {
    for document in serde_yaml_ng::Deserializer::from_str(text) {
        match Value::deserialize(document) {
            Ok(Value::Null) => {}
            Ok(value) => parse_value(file, value, objects, problems),
            Err(error) => {
                problems.push(Problem::with_file(file, error));
                return; // after a syntax error the parser does not find the next document
            }
        }
    }
}

fn parse_value(file: &str, value: Value, objects: &mut Vec<Located>, out: &mut Vec<Problem>) {
    let text = |value: &Value, key: &str| {
        value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (version, kind) = (text(&value, "apiVersion"), text(&value, "kind"));
    let name = value.get("metadata").map(|metadata| text(metadata, "name")).unwrap_or_default();
    let namespace = value.get("metadata").map(|metadata| text(metadata, "namespace"));
    let namespace = namespace.filter(|namespace| !namespace.is_empty());
    let label = format!("{kind} {}/{name}", namespace.as_deref().unwrap_or("default"));
    let parsed = match (version.as_str(), kind.as_str()) {
        ("v1", "List") => {
            for item in value.get("items").and_then(Value::as_sequence).into_iter().flatten() {
                parse_value(file, item.clone(), objects, out);
            }
            return;
        }
        // Kubernetes namespaces need no making here.
        ("v1", "Namespace") => return,
        ("v1", "Service") => typed(value).map(|object| Object::Service(Box::new(object))),
        ("v1", "Pod") => typed(value).map(|object| Object::Pod(Box::new(object))),
        ("v1", "Endpoints") => typed(value).map(|object| Object::Endpoints(Box::new(object))),
        ("discovery.k8s.io/v1", "EndpointSlice") => {
            typed(value).map(|object| Object::EndpointSlice(Box::new(object)))
        }
        ("", _) | (_, "") => Err("apiVersion and kind are needed".to_owned()),
        _ => Err(format!(
            "{version} {kind} is not known here: a lab takes Service, Pod, Endpoints and EndpointSlice"
        )),
    };
    match parsed.and_then(|mut object| named(&mut object).map(|()| object)) {
        Ok(object) => objects.push(Located { file: file.to_owned(), object }),
        Err(message) => out.push(Problem::with_object(label, message).file(file)),
    }
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_yaml_ng::from_value(value.clone()).map_err(|error| {
        // A value knows no path to what is wrong; its text does. Its lines are not the file's.
        let text = serde_yaml_ng::to_string(&value).unwrap_or_default();
        let from_text = serde_yaml_ng::from_str::<T>(&text).err().unwrap_or(error).to_string();
        from_text.rsplit_once(" at line ").map_or(from_text.clone(), |(before, _)| before.into())
    })
}

/// Fills in the namespace and checks both names: they become file and namespace names.
fn named(object: &mut Object) -> Result<(), String> {
    let key = object.key();
    let valid = |text: &str, most: usize, dots: bool| {
        (1..=most).contains(&text.len())
            && !text.starts_with(['.', '-'])
            && text.bytes().all(|byte| {
                byte.is_ascii_lowercase()
                    || byte.is_ascii_digit()
                    || byte == b'-'
                    || (dots && byte == b'.')
            })
    };
    if !valid(&key.name, 253, true) {
        return Err(format!("metadata.name: {:?} is not a DNS subdomain (RFC 1123)", key.name));
    }
    if !valid(&key.namespace, 63, false) {
        let namespace = &key.namespace;
        return Err(format!("metadata.namespace: {namespace:?} is not a DNS label (RFC 1123)"));
    }
    object.metadata_mut().namespace = Some(key.namespace);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let (mut objects, mut problems) = (Vec::new(), Vec::new());
        parse("f.yaml", text, &mut objects, &mut problems);
        (
            objects.iter().map(|located| located.object.key().to_string()).collect(),
            problems.iter().map(Problem::to_string).collect(),
        )
    }

    #[test]
    fn what_is_wrong_in_one_document_does_not_hide_the_others() {
        let (objects, problems) = read(
            "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: n}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}
---
---
{apiVersion: v1, kind: Service, metadata: {name: b}, spec: {ports: [{port: http}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: ../../etc/passwd}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: n}}
---
{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod, metadata: {name: p}}]}
---
kind: Pod
",
        );
        assert_eq!(objects, ["Service n/a", "Pod default/p"]);
        assert_eq!(problems.len(), 4, "{problems:#?}");
        assert!(problems[0].starts_with("f.yaml: Deployment default/d: apps/v1 Deployment is not"));
        let expected = "f.yaml: Service default/b: spec.ports[0].port: invalid type: string \"http\", expected i32";
        assert_eq!(problems[1], expected);
        assert!(problems[2].contains("metadata.name: \"../../etc/passwd\" is not a DNS subdomain"));
        assert!(problems[3].contains("apiVersion and kind are needed"));
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        let (objects, problems) =
            read("{apiVersion: v1, kind: Pod, metadata: {name: p}}\n---\na: [\n");
        assert_eq!(objects, ["Pod default/p"]);
        assert!(
            problems[0].starts_with("f.yaml: ") && problems[0].contains("line 4"),
            "{problems:?}"
        );
    }

    #[test]
    fn objects_survive_being_stored() {
        let directory = tempfile::tempdir().unwrap();
        let text = "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {clusterIP: None}}";
        let (mut objects, mut problems) = (Vec::new(), Vec::new());
        parse("f.yaml", text, &mut objects, &mut problems);
        let object = objects.remove(0).object;
        let path = directory.path().join(object.key().file_name());
        assert!(path.ends_with("service_default_a.yaml"));
        std::fs::write(path, serde_yaml_ng::to_string(&object).unwrap()).unwrap();
        assert_eq!(read_stored(directory.path()).0, [object]);
    }
}
