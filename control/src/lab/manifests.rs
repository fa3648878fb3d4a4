//! Manifests as people give them to a lab, and objects as it writes them for its agent.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::report::Report;
use super::state::write_whole;
use super::{LabError, Result, Site};
use crate::model::{Object, ObjectId, Problem};
use crate::source::files::Files;
use crate::source::manifest::Located;

/// Reads manifests. What cannot be used is reported, and the rest is there all the same.
pub(super) fn read(files: &[PathBuf], report: &mut Report) -> Vec<Located> {
    let manifest = Files::new(files.iter().cloned()).read();
    report.problems.extend(manifest.problems);
    let mut objects = manifest.objects;
    objects.retain(|located| match check_names(&located.object.id()) {
        Ok(()) => true,
        Err(problem) => {
            report.problems.push(problem.origin(located.origin.clone()));
            false
        }
    });
    objects
}

/// Reads the lab's objects.
pub(super) fn load_stored(site: &Site) -> BTreeMap<ObjectId, Object> {
    let stored = Files::new([site.objects()]).read();
    stored.objects.into_iter().map(|located| (located.object.id(), located.object)).collect()
}

/// Writes one object where the agent reads it.
pub(super) fn store(site: &Site, object: &Object) -> Result<()> {
    let path = site.object(&object.id());
    let text = serde_yaml_ng::to_string(object)
        .map_err(|cause| LabError::io("write", &path)(std::io::Error::other(cause)))?;
    write_whole(&path, text.as_bytes()).map_err(LabError::io("write", path))
}

/// Takes an object away from the agent. One that is not there is fine.
pub(super) fn unstore(site: &Site, id: &ObjectId) -> Result<()> {
    let path = site.object(id);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(LabError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Checks what becomes the names of files and network namespaces, as the API server does.
fn check_names(id: &ObjectId) -> std::result::Result<(), Problem> {
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
    let refuse = |field: &str, message| Err(Problem::new(message).object(id).field(field));
    let (name, namespace) = (&id.key.name, &id.key.namespace);
    if !valid(name, 253, true) {
        return refuse("metadata.name", format!("{name:?} is not a DNS subdomain (RFC 1123)"));
    }
    if !valid(namespace, 63, false) {
        let message = format!("{namespace:?} is not a DNS label (RFC 1123)");
        return refuse("metadata.namespace", message);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(directory: &tempfile::TempDir) -> Site {
        Site::for_test(directory.path().to_owned(), "mgltest-".to_owned(), PathBuf::new())
    }

    #[test]
    fn what_is_wrong_in_one_document_does_not_hide_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("f.yaml");
        let text = "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: n}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}
---
---
{apiVersion: v1, kind: Service, metadata: {name: b}, spec: {ports: [{port: http}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: ../../etc/passwd}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: a.b}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: n}}
---
{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod, metadata: {name: p}}]}
---
kind: Pod
---
a: [
---
{apiVersion: v1, kind: Pod, metadata: {name: last}}
";
        std::fs::write(&file, text).unwrap();
        let mut report = Report::new(|_| {});
        let objects = read(std::slice::from_ref(&file), &mut report);
        let names: Vec<_> = objects.iter().map(|of| of.object.id().to_string()).collect();
        assert_eq!(names, ["Service n/a", "Pod default/p", "Pod default/last"]);
        let file = file.display();
        let expected = [
            format!("{file}:3: Deployment default/d: kind Deployment of apps/v1 is not known"),
            format!(
                "{file}: Service default/b: spec.ports[0].port: invalid type: string \"http\", expected i32"
            ),
            format!("{file}:16: apiVersion: Required value"),
            format!("{file}:19: not valid YAML: "),
            format!(
                "{file}: Pod default/../../etc/passwd: metadata.name: \"../../etc/passwd\" is not a DNS subdomain (RFC 1123)"
            ),
            format!("{file}: Pod a.b/p: metadata.namespace: \"a.b\" is not a DNS label (RFC 1123)"),
        ];
        let problems: Vec<_> = report.problems.iter().map(Problem::to_string).collect();
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.starts_with(&expected), "{problem:?} is not {expected:?}");
        }
    }

    #[test]
    fn objects_survive_being_stored() {
        let directory = tempfile::tempdir().unwrap();
        let site = site(&directory);
        std::fs::create_dir(site.objects()).unwrap();
        let text = "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {clusterIP: None}}";
        let file = directory.path().join("f.yaml");
        std::fs::write(&file, text).unwrap();
        let object = read(&[file], &mut Report::new(|_| {})).remove(0).object;
        store(&site, &object).unwrap();
        assert!(site.objects().join("service_default_a.yaml").exists());
        assert_eq!(load_stored(&site), BTreeMap::from([(object.id(), object.clone())]));
        unstore(&site, &object.id()).unwrap();
        unstore(&site, &object.id()).unwrap();
        assert!(load_stored(&site).is_empty());
    }
}
