//! What a manifest's errors say, and what files do while somebody writes them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::files::Files;
use super::manifest::{Manifest, parse};
use super::watch::FileWatch;
use crate::model::Model;

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n";

fn read(text: &str) -> Manifest {
    parse(text, &Arc::from("svc.yaml"))
}

fn names(manifest: &Manifest) -> Vec<String> {
    manifest.objects.iter().map(|located| located.object.id().to_string()).collect()
}

fn problems(manifest: &Manifest) -> Vec<String> {
    manifest.problems.iter().map(ToString::to_string).collect()
}

/// One bad document between two good ones: it is named, they are read.
fn check(bad: &str, expect: &str) {
    let other = SERVICE.replace("web", "other");
    let manifest = read(&format!("{SERVICE}---\n{bad}\n---\n{other}"));
    assert_eq!(names(&manifest), ["Service default/web", "Service default/other"], "{bad}");
    assert_eq!(problems(&manifest), [expect], "{bad}");
}

#[test]
fn broken_yaml_names_file_and_line() {
    let manifest = read(&format!("{SERVICE}---\nkind: Service\nspec: [1, 2\n---\n{SERVICE}"));
    assert_eq!(names(&manifest).len(), 2, "one bad document does not hide the others");
    assert!(manifest.broken);
    let line = &problems(&manifest)[0];
    assert!(
        line.starts_with("svc.yaml:7: not valid YAML: ") || line.starts_with("svc.yaml:8: "),
        "{line}"
    );
    assert!(!line.contains(" at line "), "only the file's own lines are named: {line}");
    assert!(line.ends_with("while parsing a flow sequence from line 7"), "{line}");
}

#[test]
fn duplicate_keys_are_refused() {
    let manifest = read("kind: Service\napiVersion: v1\nkind: Pod\n");
    let line = &problems(&manifest)[0];
    assert!(line.starts_with("svc.yaml:") && line.contains("duplicate entry"), "{line}");
}

#[test]
fn objects_that_are_none() {
    check(
        "- a\n- b",
        "svc.yaml:6: not a Kubernetes object: expected a mapping with apiVersion and kind",
    );
    check("kind: Service", "svc.yaml:6: apiVersion: Required value");
    check("apiVersion: v1", "svc.yaml:6: kind: Required value");
    check("kind: ''\napiVersion: v1", "svc.yaml:6: kind: Required value");
}

#[test]
fn names_are_required() {
    check("apiVersion: v1\nkind: Service", "svc.yaml: Service: metadata.name: Required value");
    check(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: ''}",
        "svc.yaml: Pod: metadata.name: Required value",
    );
}

#[test]
fn unsupported_kinds() {
    let reads =
        "Maglane reads Service, Endpoints and Pod of v1 and EndpointSlice of discovery.k8s.io/v1";
    check(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: x}",
        &format!(
            "svc.yaml:6: Deployment x/d: kind Deployment of apps/v1 is not known, ignored: {reads}"
        ),
    );
    check(
        "apiVersion: v2\nkind: Service\nmetadata: {name: d}",
        &format!(
            "svc.yaml:6: Service default/d: kind Service of v2 is not known, ignored: {reads}"
        ),
    );
}

#[test]
fn wrong_types_name_the_field() {
    let head = "apiVersion: v1\nkind: Service\nmetadata: {name: web2}\n";
    check(
        &format!("{head}spec: {{ports: [{{port: 80}}, {{port: eighty}}]}}"),
        "svc.yaml: Service default/web2: spec.ports[1].port: invalid type: string \"eighty\", expected i32",
    );
    check(
        &format!("{head}spec: {{selector: {{app: web, version: 1}}}}"),
        "svc.yaml: Service default/web2: spec.selector.version: invalid type: integer `1`, expected a string",
    );
    check(
        &format!("{head}spec: {{ports: {{port: 80}}}}"),
        "svc.yaml: Service default/web2: spec.ports: invalid type: map, expected a sequence",
    );
    check(
        &format!("{head}spec: {{ports: [{{port: 99999999999}}]}}"),
        "svc.yaml: Service default/web2: spec.ports[0].port: invalid value: integer `99999999999`, \
         expected i32",
    );
}

#[test]
fn out_of_range_ports_are_found_by_the_model() {
    let manifest =
        read(&format!("{SERVICE}spec: {{clusterIP: 10.0.0.1, ports: [{{port: 70000}}]}}"));
    let mut model = Model::default();
    manifest.objects.iter().for_each(|of| model.apply(&of.object, &of.origin));
    assert_eq!(
        model.problems()[0].to_string(),
        "svc.yaml: Service default/web: spec.ports[0].port: Invalid value: 70000: must be between \
         1 and 65535, inclusive"
    );
}

#[test]
fn lists_json_and_comments() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n\
                - {apiVersion: v1, kind: Pod}\n";
    assert_eq!(names(&read(list)), ["Pod default/a"]);
    assert_eq!(problems(&read(list)), ["svc.yaml: Pod: metadata.name: Required value"]);
    let typed = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSliceList\nitems: [{addressType: IPv4, \
                 endpoints: [], metadata: {name: a}}]";
    assert_eq!(names(&read(typed)), ["EndpointSlice default/a"]);
    let json = "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Pod\", \"metadata\": {\"name\": \"a\"}}\n\
                {\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"b\"}}";
    assert_eq!(names(&read(json)), ["Pod default/a", "Pod default/b"]);
    let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: a}}";
    assert_eq!(read(namespace), Manifest::default(), "it needs no making");
    let sparse = format!("# a comment\n---\n---\n# nothing\n--- # begins\n{SERVICE}...\n---\n");
    assert_eq!(names(&read(&sparse)), ["Service default/web"]);
    assert_eq!(problems(&read(&sparse)), [""; 0]);
    let quoted = format!("{SERVICE}  annotations:\n    text: |\n      ---\n      more\n");
    assert_eq!(names(&read(&quoted)), ["Service default/web"]);
}

#[test]
fn text_never_panics() {
    for text in [
        "",
        "---",
        "--- ",
        "---\n---",
        "\u{feff}",
        "{",
        "}",
        "\0",
        "a: &a [*a]",
        "? ",
        "- - -",
        "---é",
    ] {
        read(text);
    }
}

fn write(directory: &Path, name: &str, text: &str) {
    fs::write(directory.join(name), text).expect("a temporary file");
}

#[test]
fn files_keep_their_last_good_version() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut files = Files::new([directory.path().to_owned()]);
    write(directory.path(), "a.yaml", SERVICE);
    write(directory.path(), "b.json", "{\"apiVersion\": \"v1\"");
    write(directory.path(), "c.txt", "not a manifest");
    write(directory.path(), ".hidden.yaml", "not a manifest");
    let first = files.read();
    assert_eq!(names(&first), ["Service default/web"]);
    assert_eq!(first.problems.len(), 1, "only b.json is broken");
    fs::remove_file(directory.path().join("b.json")).expect("it exists");
    write(
        directory.path(),
        "a.yaml",
        &SERVICE[..SERVICE.len() - 5].replace("metadata", "metadata: ["),
    );
    let half = files.read();
    assert_eq!(names(&half), ["Service default/web"]);
    assert!(problems(&half)[0].ends_with("last good version stays in force"), "{half:?}");
    assert_eq!(problems(&files.read()), problems(&half), "reading again changes nothing");
    write(directory.path(), "a.yaml", &SERVICE.replace("web", "new"));
    assert_eq!(names(&files.read()), ["Service default/new"]);
    assert_eq!(problems(&files.read()), [""; 0]);
    fs::remove_file(directory.path().join("a.yaml")).expect("it exists");
    assert_eq!(names(&files.read()), [""; 0]);
}

#[test]
fn of_two_definitions_the_first_counts() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (a, b) = (directory.path().join("a.yaml"), directory.path().join("b.yaml"));
    write(directory.path(), "a.yaml", &format!("\n{SERVICE}"));
    write(directory.path(), "b.yaml", SERVICE);
    let manifest = Files::new([a.clone(), b.clone(), a.clone()]).read();
    assert_eq!(names(&manifest), ["Service default/web"]);
    let (a, b) = (a.display(), b.display());
    assert_eq!(
        problems(&manifest),
        [format!("{b}: Service default/web: defined twice: {a}:2 counts, line 1 does not")]
    );
}

#[test]
fn missing_files_are_named() {
    let manifest = Files::new(["/nowhere/svc.yaml".into()]).read();
    assert_eq!(
        problems(&manifest),
        ["/nowhere/svc.yaml: cannot be read: No such file or directory (os error 2)"]
    );
}

#[tokio::test]
async fn saving_deleting_and_replacing_are_noticed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("a.yaml");
    write(directory.path(), "a.yaml", SERVICE);
    for watched in [directory.path(), &file] {
        let mut watch = FileWatch::start(&[watched.to_owned()]).expect("inotify");
        for change in ["write", "rename", "delete", "create"] {
            match change {
                "rename" => {
                    write(directory.path(), "a.yaml~", SERVICE);
                    fs::rename(directory.path().join("a.yaml~"), &file).expect("same directory");
                }
                "delete" => fs::remove_file(&file).expect("it exists"),
                _ => write(directory.path(), "a.yaml", SERVICE),
            }
            let noticed = tokio::time::timeout(std::time::Duration::from_secs(10), watch.changed());
            noticed.await.unwrap_or_else(|_| panic!("{change} of {watched:?} went unnoticed"));
        }
    }
}
