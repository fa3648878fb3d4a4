//! Objects as people give them to a lab: documents of files, each of a kind that the API serves.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::addresses::POD_IPS_ANNOTATION;
use super::report::Report;
use crate::apiserver::kinds;
use crate::apiserver::resource::Resource;
use crate::model::Problem;
use crate::source::files;
use crate::source::objects::{Stated, objects};

/// Kinds in the order in which they are made: what others need comes first. Those that are not
/// listed come before those that make Pods.
const FIRST: [&str; 6] =
    ["Namespace", "ServiceCIDR", "ConfigMap", "Secret", "ServiceAccount", "Service"];
const LAST: [&str; 4] = ["Pod", "ReplicaSet", "Deployment", "DaemonSet"];

/// An object by its name.
#[derive(Clone)]
pub(crate) struct Name {
    /// Its kind.
    pub(crate) resource: &'static Resource,
    /// Empty outside of namespaces.
    pub(crate) namespace: String,
    /// `metadata.name`.
    pub(crate) name: String,
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `Service default/web`, `Namespace shop`.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, namespace, name } = self;
        match namespace.as_str() {
            "" => write!(f, "{} {name}", resource.kind),
            namespace => write!(f, "{} {namespace}/{name}", resource.kind),
        }
    }
}

impl Name {
    /// `service/web`, `deployment.apps/web`: as kubectl prints it.
    pub(crate) fn short(&self) -> String {
        format!("{}/{}", self.kind(), self.name)
    }

    /// `service`, `deployment.apps`.
    pub(crate) fn kind(&self) -> String {
        match self.resource.group {
            "" => self.resource.singular.to_owned(),
            group => format!("{}.{group}", self.resource.singular),
        }
    }
}

/// An object that somebody gave.
#[derive(Debug, Clone)]
pub(super) struct Given {
    /// What it is called.
    pub(super) name: Name,
    /// All of it, with its namespace.
    pub(super) value: Value,
    /// The file.
    pub(super) origin: Arc<str>,
    /// The line on which its document begins, counted from 1.
    line: usize,
}

#[cfg(test)]
impl Given {
    pub(super) fn for_test(name: Name, origin: &str) -> Self {
        Self { name, value: Value::Null, origin: origin.into(), line: 1 }
    }
}

/// Reads manifests. What cannot be used is reported, and the rest is there all the same.
pub(super) fn read(paths: &[PathBuf], report: &mut Report) -> Vec<Given> {
    let (texts, problems) = files::texts(paths);
    report.problems.extend(problems);
    let mut given = Vec::new();
    for (origin, text) in &texts {
        for found in objects(text, origin) {
            match found.map_err(|unusable| unusable.problem).and_then(|stated| give(stated, origin))
            {
                Ok(one) => given.push(one),
                Err(problem) => report.problems.push(problem),
            }
        }
    }
    in_order(once(given, report))
}

fn give(stated: Stated, origin: &Arc<str>) -> Result<Given, Problem> {
    let Stated { value, version, kind, line } = stated;
    let located = locate(value, &version, &kind);
    let (name, value) = located.map_err(|problem| problem.origin(format!("{origin}:{line}")))?;
    Ok(Given { name, value, origin: origin.clone(), line })
}

/// Finds an object's kind and name, and gives it the namespace it stands in.
fn locate(mut value: Value, version: &str, kind: &str) -> Result<(Name, Value), Problem> {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let name = text("/metadata/name").to_owned();
    let mut namespace = text("/metadata/namespace").to_owned();
    let (group, only_version) = version.split_once('/').unwrap_or(("", version));
    let found = kinds::all()
        .iter()
        .find(|of| of.group == group && of.version == only_version && of.kind == kind);
    let Some(resource) = found else {
        let namespace = if namespace.is_empty() { "default" } else { &namespace };
        let message = format!("kind {kind} of {version} is not known");
        return Err(Problem::new(message).object(format_args!("{kind} {namespace}/{name}")));
    };
    if !resource.namespaced {
        namespace.clear();
    } else if namespace.is_empty() {
        "default".clone_into(&mut namespace);
    }
    let located = Name { resource, namespace, name };
    if located.name.is_empty() {
        let problem = Problem::new("Required value: name is required").object(&located);
        return Err(problem.field("metadata.name"));
    }
    if !value["metadata"].is_object() {
        value["metadata"] = json!({});
    }
    if resource.namespaced {
        value["metadata"]["namespace"] = located.namespace.clone().into();
    }
    Ok((located, value))
}

/// Of an object that stands in several places the first counts.
fn once(given: Vec<Given>, report: &mut Report) -> Vec<Given> {
    let mut seen: BTreeMap<String, (Arc<str>, usize)> = BTreeMap::new();
    let mut kept = Vec::new();
    for one in given {
        let name = one.name.to_string();
        if let Some((origin, line)) = seen.get(&name) {
            let problem = Problem::new(format_args!(
                "defined twice: {origin}:{line} counts, line {} does not",
                one.line
            ));
            report.problems.push(problem.origin(one.origin.clone()).object(name));
        } else {
            seen.insert(name, (one.origin.clone(), one.line));
            kept.push(one);
        }
    }
    kept
}

/// What others need first; who asks for an address before who takes any; and else as they stand in
/// the manifests: a Pod's environment knows the Services that were there before it.
fn in_order(mut given: Vec<Given>) -> Vec<Given> {
    given.sort_by_cached_key(|one| (rank(one.name.resource.kind), !asks_for_address(&one.value)));
    given
}

fn rank(kind: &str) -> usize {
    let at = |list: &[&str]| list.iter().position(|other| *other == kind);
    at(&FIRST).or_else(|| at(&LAST).map(|at| FIRST.len() + 1 + at)).unwrap_or(FIRST.len())
}

fn asks_for_address(value: &Value) -> bool {
    let annotations = value.pointer("/metadata/annotations").and_then(Value::as_object);
    ["/spec/clusterIP", "/spec/clusterIPs"].iter().any(|field| value.pointer(field).is_some())
        || annotations.is_some_and(|all| all.contains_key(POD_IPS_ANNOTATION))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (String, Vec<Given>, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("f.yaml");
        std::fs::write(&file, text).unwrap();
        let mut report = Report::new(|_| {});
        let given = read(std::slice::from_ref(&file), &mut report);
        let problems = report.problems.iter().map(ToString::to_string).collect();
        (file.display().to_string(), given, problems)
    }

    #[test]
    fn what_is_wrong_in_one_document_does_not_hide_the_others() {
        let (file, given, problems) = read_text(
            "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: n}}
---
{apiVersion: apps/v2, kind: Deployment, metadata: {name: d}}
---
---
{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: a}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: n, namespace: ignored}}
---
{apiVersion: v1, kind: PodList, items: [{metadata: {name: p}}, {metadata: {name: p}}]}
---
kind: Pod
---
a: [
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: last}}
",
        );
        let names: Vec<_> = given.iter().map(|one| one.name.to_string()).collect();
        let expected =
            ["Namespace n", "Service n/a", "Pod a/p", "Pod default/p", "Deployment default/last"];
        assert_eq!(names, expected);
        assert_eq!(given[4].name.short(), "deployment.apps/last");
        assert_eq!(given[3].value["metadata"]["namespace"], "default");
        let expected = [
            format!("{file}:3: Deployment default/d: kind Deployment of apps/v2 is not known"),
            format!("{file}:12: apiVersion: Required value"),
            format!("{file}:15: not valid YAML: "),
            format!("{file}: Pod default/p: defined twice: {file}:10 counts, line 10 does not"),
        ];
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.starts_with(&expected), "{problem:?} is not {expected:?}");
        }
    }

    #[test]
    fn who_asks_for_an_address_is_served_first() {
        let (_, given, _) = read_text(
            "{apiVersion: v1, kind: Pod, metadata: {name: any}}
---
{apiVersion: v1, kind: Pod, metadata: {name: asks, annotations: {maglane.io/pod-ips: 10.0.0.1}}}
---
{apiVersion: v1, kind: Service, metadata: {name: any}}
---
{apiVersion: v1, kind: Service, metadata: {name: asks}, spec: {clusterIP: 10.96.0.9}}
",
        );
        let names: Vec<_> = given.iter().map(|one| one.name.to_string()).collect();
        let expected =
            ["Service default/asks", "Service default/any", "Pod default/asks", "Pod default/any"];
        assert_eq!(names, expected);
    }
}
