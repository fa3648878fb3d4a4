//! The scenarios of Kubernetes' own proxies, by their numbers in the project's list, with the
//! addresses that they use: Services in 172.30.0.0/16 and fd00:10:96::/112, endpoints in
//! 10.180.0.0/16 and fd00:10::/64.

mod clusterip;
mod endpoints;
mod maps;
mod pods;
mod problems;
mod properties;
mod slices;
mod terminating;

use std::net::SocketAddr;
use std::sync::Arc;

use maglane_dataplane::service::{Frontend, Lookup, Service};
use maglane_dataplane::wire::{Endpoint, Protocol};

use super::{Kind, Model, ObjectId, ObjectKey, Settings};
use crate::source::manifest;

/// A model, fed with YAML and asked in text.
struct World {
    model: Model,
}

impl World {
    fn new() -> Self {
        let service_cidrs = ["172.30.0.0/16", "fd00:10:96::/112"];
        let service_cidrs =
            service_cidrs.iter().map(|cidr| cidr.parse().expect("a CIDR")).collect();
        Self { model: Model::new(Settings { service_cidrs, ..Settings::default() }) }
    }

    fn of(yaml: &str) -> Self {
        let mut world = Self::new();
        world.apply(yaml);
        world
    }

    /// Applies every document; true when packets would notice.
    fn apply(&mut self, yaml: &str) -> bool {
        let origin: Arc<str> = "test.yaml".into();
        let manifest = manifest::parse(yaml, &origin);
        assert_eq!(manifest.problems, [], "the test's own YAML is to be read");
        manifest.objects.iter().for_each(|located| self.model.apply(&located.object, &origin));
        self.model.update()
    }

    /// Deletes one object of the namespace `default`; true when packets would notice.
    fn delete(&mut self, kind: Kind, name: &str) -> bool {
        self.model.delete(&ObjectId { kind, key: ObjectKey::new("default", name) });
        self.model.update()
    }

    /// Who answers at `address:port/TCP`: endpoints, `REJECT`, or `-` when it is nobody's.
    fn to(&self, frontend: &str) -> String {
        match self.model.table().lookup(&parse_frontend(frontend)) {
            Lookup::Service(service) if !service.backends().is_empty() => backends(service),
            Lookup::Service(_) | Lookup::UnknownPort => "REJECT".to_owned(),
            Lookup::NotAService => "-".to_owned(),
        }
    }

    /// Whether flows to `endpoint` may stay.
    fn serves(&self, frontend: &str, endpoint: &str) -> bool {
        let service = self.service(frontend);
        service.is_some_and(|service| service.serves(&parse_endpoint(endpoint)))
    }

    fn service(&self, frontend: &str) -> Option<Service> {
        let wanted = parse_frontend(frontend);
        let table = self.model.table();
        table.frontends().find(|(known, _)| **known == wanted).map(|(_, service)| service.clone())
    }

    fn frontends(&self) -> usize {
        self.model.table().frontends().count()
    }

    fn problems(&self) -> Vec<String> {
        self.model.problems().iter().map(ToString::to_string).collect()
    }
}

fn backends(service: &Service) -> String {
    let text =
        |endpoint: Endpoint| SocketAddr::new(endpoint.address.to_ip(), endpoint.port).to_string();
    let all: Vec<_> = service.backends().iter().map(|backend| text(backend.endpoint)).collect();
    all.join(" ")
}

fn parse_frontend(text: &str) -> Frontend {
    let (endpoint, protocol) = text.split_once('/').unwrap_or((text, "TCP"));
    let protocol = if protocol == "UDP" { Protocol::Udp } else { Protocol::Tcp };
    Frontend { endpoint: parse_endpoint(endpoint), protocol }
}

fn parse_endpoint(text: &str) -> Endpoint {
    let socket: SocketAddr = text.parse().expect("address:port");
    Endpoint { address: socket.ip().into(), port: socket.port() }
}

/// `Service default/<name>`; `spec` in YAML's flow style, without its braces.
fn service(name: &str, spec: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{{spec}}}}}\n"
    )
}

/// An IPv4 EndpointSlice of the Service `svc`; `ports` and `endpoints` in flow style.
fn slice(name: &str, svc: &str, ports: &str, endpoints: &str) -> String {
    slice_of(name, svc, "IPv4", ports, endpoints)
}

fn slice_of(name: &str, svc: &str, family: &str, ports: &str, endpoints: &str) -> String {
    format!(
        "---\n{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: {family}, \
         metadata: {{name: {name}, labels: {{kubernetes.io/service-name: {svc}}}}}, \
         ports: [{ports}], endpoints: [{endpoints}]}}\n"
    )
}

/// One endpoint of a slice; `conditions` in flow style.
fn endpoint(address: &str, conditions: &str) -> String {
    format!("{{addresses: ['{address}'], conditions: {{{conditions}}}}}, ")
}

const READY: &str = "ready: true, serving: true, terminating: false";
const UNREADY: &str = "ready: false, serving: false, terminating: false";
const LEAVING: &str = "ready: false, serving: true, terminating: true";
const GONE: &str = "ready: false, serving: false, terminating: true";
