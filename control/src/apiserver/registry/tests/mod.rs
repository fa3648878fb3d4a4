//! The rules of the API, tried with kinds that are served.

mod crashes;
mod deletion;
mod full_disk;
mod lists;
mod patches;
mod watches;
mod writes;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::options::{DeleteOptions, ListOptions, WriteOptions};
use super::{Deleted, List, Object, Registry, Settings, Written};
use crate::apiserver::kinds::by_plural;
use crate::apiserver::resource::Resource;
use crate::apiserver::status::Refusal;

/// A registry in a directory of its own.
struct Fixture {
    registry: Registry,
    _directory: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::open(&directory.path().join("data"), &settings).unwrap();
        Self { registry, _directory: directory }
    }

    fn create(&self, plural: &str, body: Value) -> Result<Written, Refusal> {
        self.registry.create(of(plural), "default", body, &WriteOptions::default())
    }

    /// A ConfigMap, which has no rules of its own.
    fn config_map(&self, name: &str, labels: &Value) -> Value {
        let body = json!({"metadata": {"name": name, "labels": labels}});
        self.create("configmaps", body).unwrap().object.value()
    }

    fn get(&self, plural: &str, name: &str) -> Result<Value, Refusal> {
        self.registry.get(of(plural), "default", name).map(|object| object.value())
    }

    fn update(&self, plural: &str, body: Value) -> Result<Written, Refusal> {
        let name = body["metadata"]["name"].as_str().unwrap().to_owned();
        self.registry.update(of(plural), "default", &name, None, body, &WriteOptions::default())
    }

    fn delete(
        &self,
        plural: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, Refusal> {
        self.registry.delete(of(plural), "default", name, options)
    }

    fn list(&self, plural: &str, options: &ListOptions) -> Result<List, Refusal> {
        self.registry.list(of(plural), Some("default"), options)
    }

    fn revision(&self) -> u64 {
        self.registry.read(|state| state.revision)
    }
}

/// A kind by its plural, of whatever group.
fn of(plural: &str) -> &'static Resource {
    ["", "apps", "discovery.k8s.io", "networking.k8s.io"]
        .into_iter()
        .find_map(|group| by_plural(group, "v1", plural))
        .unwrap()
}

fn names(list: &List) -> Vec<&str> {
    list.items.iter().map(Object::name).collect()
}

/// The message of a refusal with this code.
fn refused<T: std::fmt::Debug>(result: Result<T, Refusal>, code: u16) -> String {
    let refusal = result.unwrap_err();
    assert_eq!(refusal.code, code, "{}", refusal.message);
    refusal.message
}
