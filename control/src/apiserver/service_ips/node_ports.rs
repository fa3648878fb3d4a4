//! Which node ports are free, and which are whose. A number belongs to one Service, for all of its
//! protocols.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use serde_json::json;

use crate::apiserver::resource::FieldError;

/// `--service-node-port-range`.
const RANGE: RangeInclusive<i32> = 30_000..=32_767;
/// From here on ports are given to whoever asks for none in particular: below are a thirty-second,
/// 16 to 128, that people choose from (KEP-3668).
const DYNAMIC: i32 = 30_000 + 86;

/// Why a Service gets no node ports.
pub(super) enum Denied {
    /// It asks for one that it cannot have.
    Field(FieldError),
    /// There are none.
    Other(String),
}

/// The node ports that are given away.
#[derive(Debug, Default)]
pub(super) struct NodePorts {
    /// `namespace/name` of the Service.
    owners: BTreeMap<i32, String>,
}

impl NodePorts {
    /// Remembers an owner. The first one keeps a port that two claim.
    pub(super) fn give(&mut self, port: i32, owner: &str) {
        self.owners.entry(port).or_insert_with(|| owner.to_owned());
    }

    /// The owner no longer has it.
    pub(super) fn release(&mut self, port: i32, owner: &str) {
        if self.owners.get(&port).is_some_and(|holder| holder == owner) {
            self.owners.remove(&port);
        }
    }

    /// Fills in the node ports of a Service that needs some; it keeps those that it has.
    pub(super) fn assign(
        &self,
        service: &mut Service,
        old: Option<&Service>,
    ) -> Result<(), Denied> {
        let mut claims = Claims { all: self, held: old.map(held).unwrap_or_default() };
        let exists = old.is_some();
        let Some(spec) = &mut service.spec else { return Ok(()) };
        if needs_node_ports(spec) {
            claims.assign_ports(spec, exists)?;
        }
        if needs_health_check(spec) {
            claims.assign_health_check(spec)?;
        }
        Ok(())
    }
}

/// Whether connections to a port of every node reach a Service.
pub(crate) fn needs_node_ports(spec: &ServiceSpec) -> bool {
    matches!(spec.type_.as_deref(), Some("NodePort" | "LoadBalancer"))
}

/// Whether load balancers ask nodes if they have endpoints of a Service.
pub(crate) fn needs_health_check(spec: &ServiceSpec) -> bool {
    spec.type_.as_deref() == Some("LoadBalancer")
        && spec.external_traffic_policy.as_deref() == Some("Local")
}

/// The node ports of a Service.
pub(super) fn held(service: &Service) -> BTreeSet<i32> {
    let Some(spec) = &service.spec else { return BTreeSet::new() };
    let ports = spec.ports.iter().flatten().filter_map(|port| port.node_port);
    ports.chain(spec.health_check_node_port).filter(|port| *port != 0).collect()
}

/// What a Service has or is about to have.
struct Claims<'a> {
    all: &'a NodePorts,
    held: BTreeSet<i32>,
}

impl Claims<'_> {
    fn assign_ports(&mut self, spec: &mut ServiceSpec, exists: bool) -> Result<(), Denied> {
        let allocate = spec.type_.as_deref() == Some("NodePort")
            || spec.allocate_load_balancer_node_ports == Some(true);
        // By port: TCP and UDP of the same port get the same number.
        let mut numbers: BTreeMap<i32, i32> = BTreeMap::new();
        let ports = spec.ports.get_or_insert_default();
        for index in 0..ports.len() {
            let port = ports[index].port;
            let mut asked = node_port(&ports[index]);
            if asked.is_none() && allocate && !exists {
                let wanted = ports[index..].iter().filter(|other| other.port == port);
                asked = numbers.get(&port).copied().or_else(|| wanted.filter_map(node_port).next());
            }
            let number = match asked {
                Some(number) => self.claim(number).map_err(|error| {
                    let field = format!("spec.ports[{index}].nodePort");
                    Denied::Field(FieldError::invalid(field, &json!(number), &error))
                })?,
                None if allocate => self.free("failed to allocate a nodePort")?,
                None => continue,
            };
            ports[index].node_port = Some(number);
            numbers.entry(port).or_insert(number);
        }
        Ok(())
    }

    fn assign_health_check(&mut self, spec: &mut ServiceSpec) -> Result<(), Denied> {
        let number = match spec.health_check_node_port.filter(|port| *port != 0) {
            Some(number) => self.claim(number).map_err(|error| {
                let what = "failed to allocate requested HealthCheck NodePort";
                Denied::Other(format!("{what} {number}: {error}"))
            })?,
            None => self.free("failed to allocate a HealthCheck NodePort 0")?,
        };
        spec.health_check_node_port = Some(number);
        Ok(())
    }

    fn claim(&mut self, number: i32) -> Result<i32, String> {
        if self.held.contains(&number) {
            return Ok(number);
        }
        if !RANGE.contains(&number) {
            return Err(format!(
                "provided port is not in the valid range. The range of valid ports is {}-{}",
                RANGE.start(),
                RANGE.end()
            ));
        }
        if self.all.owners.contains_key(&number) {
            return Err("provided port is already allocated".to_owned());
        }
        self.held.insert(number);
        Ok(number)
    }

    fn free(&mut self, what: &str) -> Result<i32, Denied> {
        let taken = |port: &i32| self.held.contains(port) || self.all.owners.contains_key(port);
        let mut candidates = (DYNAMIC..=*RANGE.end()).chain(*RANGE.start()..DYNAMIC);
        let number = candidates.find(|port| !taken(port));
        let number = number.ok_or_else(|| Denied::Other(format!("{what}: range is full")))?;
        self.held.insert(number);
        Ok(number)
    }
}

fn node_port(port: &ServicePort) -> Option<i32> {
    port.node_port.filter(|number| *number != 0)
}
