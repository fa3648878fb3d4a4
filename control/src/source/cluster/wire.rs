//! What an API server writes, as far as it is read.
//!
//! Of a list of ten thousand objects most bytes are of no use here: `managedFields`, `status`,
//! who an endpoint is the address of. They are skipped where they stand, and no object is in
//! memory whole but the one that is read.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use k8s_openapi::api::discovery::v1::{
    Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::failure::Failure;
use crate::model::{Object, ObjectKey};

/// A page of a list; its items are read one by one.
#[derive(Deserialize)]
pub(super) struct Page<'a> {
    #[serde(default)]
    pub(super) metadata: ListMeta,
    #[serde(borrow, default)]
    pub(super) items: Option<Vec<&'a RawValue>>,
}

/// `metav1.ListMeta`.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListMeta {
    #[serde(default)]
    pub(super) resource_version: String,
    #[serde(default, rename = "continue")]
    pub(super) token: String,
}

/// A line of a watch.
#[derive(Deserialize)]
pub(super) struct Line<'a> {
    #[serde(rename = "type")]
    pub(super) what: String,
    #[serde(borrow)]
    pub(super) object: &'a RawValue,
}

/// `metav1.ObjectMeta`, as far as it is read.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta {
    pub(super) name: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) labels: Option<BTreeMap<String, String>>,
    pub(super) resource_version: Option<String>,
    creation_timestamp: Option<Time>,
}

/// Any object: what it is called and which version it is.
#[derive(Deserialize)]
pub(super) struct Named {
    #[serde(default)]
    pub(super) metadata: Meta,
}

#[derive(Deserialize)]
struct ServiceWire {
    #[serde(default)]
    metadata: Meta,
    spec: Option<ServiceSpec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SliceWire {
    #[serde(default)]
    metadata: Meta,
    #[serde(default)]
    address_type: String,
    endpoints: Option<Vec<EndpointWire>>,
    ports: Option<Vec<EndpointPort>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EndpointWire {
    #[serde(default)]
    addresses: Option<Vec<String>>,
    conditions: Option<EndpointConditions>,
    hints: Option<EndpointHints>,
    node_name: Option<String>,
    zone: Option<String>,
}

/// Reads JSON.
///
/// # Errors
/// [`Failure::Garbage`], with the parser's words.
pub(super) fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(json).map_err(|error| Failure::Garbage(error.to_string()))
}

impl Named {
    /// What it is called, if it has a name.
    pub(super) fn key(&self) -> Option<ObjectKey> {
        let name = self.metadata.name.as_deref().filter(|name| !name.is_empty())?;
        let namespace = self.metadata.namespace.as_deref().filter(|space| !space.is_empty());
        Some(ObjectKey::new(namespace.unwrap_or("default"), name))
    }
}

/// Reads a Service.
pub(super) fn service(json: &str) -> serde_json::Result<Object> {
    let wire: ServiceWire = serde_json::from_str(json)?;
    let service = Service { metadata: wire.metadata.into(), spec: wire.spec, ..Service::default() };
    Ok(service.into())
}

/// Reads an EndpointSlice.
pub(super) fn endpoint_slice(json: &str) -> serde_json::Result<Object> {
    let wire: SliceWire = serde_json::from_str(json)?;
    let slice = EndpointSlice {
        metadata: wire.metadata.into(),
        address_type: wire.address_type,
        endpoints: wire.endpoints.unwrap_or_default().into_iter().map(Endpoint::from).collect(),
        ports: wire.ports,
    };
    Ok(slice.into())
}

impl From<Meta> for ObjectMeta {
    fn from(meta: Meta) -> Self {
        Self {
            name: meta.name,
            namespace: meta.namespace,
            labels: meta.labels,
            creation_timestamp: meta.creation_timestamp,
            ..Self::default()
        }
    }
}

impl From<EndpointWire> for Endpoint {
    fn from(wire: EndpointWire) -> Self {
        Self {
            addresses: wire.addresses.unwrap_or_default(),
            conditions: wire.conditions,
            hints: wire.hints,
            node_name: wire.node_name,
            zone: wire.zone,
            ..Self::default()
        }
    }
}
