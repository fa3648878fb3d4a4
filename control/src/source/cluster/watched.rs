use std::collections::HashSet;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use kube::core::Request;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::failure::Failure;
use super::options::Followed;
use super::wire::{self, Named};
use crate::model::labels::{HEADLESS_LABEL, PROXY_NAME_LABEL, ZONE_LABEL};
use crate::model::typed::typed;
use crate::model::{Kind, Object, ObjectKey, Problem};
use crate::source::manifest;

/// The resources that are watched.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Watched {
    /// `networking.k8s.io/v1 servicecidrs`; older servers have none.
    ServiceCidrs,
    /// `v1 nodes`: this one.
    Node,
    /// `v1 services`.
    Services,
    /// `discovery.k8s.io/v1 endpointslices`.
    EndpointSlices,
}

/// Something that came from the server.
#[derive(Debug)]
pub(crate) enum Change {
    /// An object is as this says.
    Applied(Item),
    /// An object is gone.
    Deleted(Watched, ObjectKey),
    /// A list is complete: what it did not name is gone.
    Listed(Watched, HashSet<ObjectKey>),
    /// An object is there and makes no sense.
    Unreadable(Watched, Option<ObjectKey>, Problem),
    /// The server does not have this resource, or does not show it to us.
    Withheld(Watched, Failure),
}

/// An object, as far as it matters.
#[derive(Debug)]
pub(crate) enum Item {
    /// What the model reads.
    Object(Object),
    /// This node.
    Node(ObjectKey, NodeInfo),
    /// Where virtual IPs come from.
    ServiceCidr(ObjectKey, Vec<IpNet>),
}

/// What is known of the own Node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct NodeInfo {
    /// Its zone, if it is in one.
    pub(crate) zone: Option<String>,
}

impl Watched {
    /// All of them; ServiceCIDRs first, since Services are read by them.
    pub(super) const ALL: [Self; 4] =
        [Self::ServiceCidrs, Self::Node, Self::Services, Self::EndpointSlices];

    /// As people know it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ServiceCidrs => "ServiceCIDRs",
            Self::Node => "Node",
            Self::Services => "Services",
            Self::EndpointSlices => "EndpointSlices",
        }
    }

    /// Whether packets can be forwarded without it.
    pub(super) fn is_optional(self) -> bool {
        matches!(self, Self::ServiceCidrs | Self::Node)
    }

    /// Its kind in the model.
    pub(crate) fn kind(self) -> Option<Kind> {
        match self {
            Self::Services => Some(Kind::Service),
            Self::EndpointSlices => Some(Kind::EndpointSlice),
            Self::ServiceCidrs | Self::Node => None,
        }
    }

    /// As RBAC names it.
    pub(super) fn resource(self) -> &'static str {
        match self {
            Self::ServiceCidrs => "servicecidrs",
            Self::Node => "nodes",
            Self::Services => "services",
            Self::EndpointSlices => "endpointslices",
        }
    }

    pub(super) fn request(self) -> Request {
        Request::new(match self {
            Self::ServiceCidrs => "/apis/networking.k8s.io/v1/servicecidrs",
            Self::Node => "/api/v1/nodes",
            Self::Services => "/api/v1/services",
            Self::EndpointSlices => "/apis/discovery.k8s.io/v1/endpointslices",
        })
    }

    /// kube-proxy's own selectors: a Service that another proxy is named for, or that is headless,
    /// never reaches us, and no more do its EndpointSlices, which have its labels.
    pub(super) fn label_selector(self, options: &Followed) -> Option<String> {
        self.kind()?;
        Some(match &options.service_proxy_name {
            Some(name) => format!("{PROXY_NAME_LABEL}={name},!{HEADLESS_LABEL}"),
            None => format!("!{PROXY_NAME_LABEL},!{HEADLESS_LABEL}"),
        })
    }

    pub(super) fn field_selector(self, options: &Followed) -> Option<String> {
        (self == Self::Node).then(|| format!("metadata.name={}", options.node_name))
    }

    /// Reads an object that is there.
    pub(super) fn read(self, raw: &RawValue) -> Change {
        let json = raw.get();
        let item = match self {
            Self::Services => wire::service(json).map(Item::Object),
            Self::EndpointSlices => wire::endpoint_slice(json).map(Item::Object),
            Self::Node => serde_json::from_str(json).map(|node: Node| node_info(&node)),
            Self::ServiceCidrs => match serde_json::from_str(json).map(service_cidr) {
                Ok(Ok(item)) => Ok(item),
                Ok(Err((key, problem))) => return Change::Unreadable(self, Some(key), problem),
                Err(error) => Err(error),
            },
        };
        match item {
            Ok(item) => Change::Applied(item),
            Err(error) => self.explain(json, &error.to_string()),
        }
    }

    /// What is wrong with an object, at which field. Slow, and rare.
    fn explain(self, json: &str, message: &str) -> Change {
        let (version, kind) = match self {
            Self::Services => ("v1", "Service"),
            Self::EndpointSlices => ("discovery.k8s.io/v1", "EndpointSlice"),
            Self::Node => ("v1", "Node"),
            Self::ServiceCidrs => ("networking.k8s.io/v1", "ServiceCIDR"),
        };
        let value: Value = serde_json::from_str(json).unwrap_or_default();
        let named: Option<Named> = serde_json::from_str(json).ok();
        let key = named.as_ref().and_then(Named::key);
        let object = key.as_ref().map_or(kind.to_owned(), |key| format!("{kind} {key}"));
        let field = match self {
            Self::Node => culprit::<Node>(value),
            Self::ServiceCidrs => culprit::<ServiceCIDR>(value),
            Self::Services | Self::EndpointSlices => match manifest::read(value, version, kind) {
                // Readable when nothing of it is skipped: then it is.
                Ok(object) => return Change::Applied(Item::Object(object)),
                Err(problem) => problem.field,
            },
        };
        let problem = Problem::new(format_args!("{message}; skipped"));
        Change::Unreadable(self, key, problem.object(object).field(field))
    }
}

fn culprit<T: DeserializeOwned>(value: Value) -> String {
    typed::<T>(&value).err().map(|(field, _)| field).unwrap_or_default()
}

fn node_info(node: &Node) -> Item {
    let labels = node.metadata.labels.as_ref();
    let info = NodeInfo { zone: labels.and_then(|labels| labels.get(ZONE_LABEL)).cloned() };
    Item::Node(cluster_scoped(node.metadata.name.as_deref()), info)
}

fn service_cidr(object: ServiceCIDR) -> Result<Item, (ObjectKey, Problem)> {
    let key = cluster_scoped(object.metadata.name.as_deref());
    let texts = object.spec.and_then(|spec| spec.cidrs).unwrap_or_default();
    let mut cidrs = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        match text.parse::<IpNet>() {
            Ok(cidr) => cidrs.push(cidr.trunc()),
            Err(error) => {
                let problem =
                    Problem::new(format_args!("Invalid value: {text:?}: {error}; skipped"));
                let problem = problem.object(format_args!("ServiceCIDR {}", key.name));
                return Err((key, problem.field(format_args!("spec.cidrs[{index}]"))));
            }
        }
    }
    Ok(Item::ServiceCidr(key, cidrs))
}

/// As every key has a namespace, so have these.
fn cluster_scoped(name: Option<&str>) -> ObjectKey {
    ObjectKey::new("default", name.unwrap_or_default())
}

impl Change {
    /// What the object is called that was read, readable or not.
    pub(super) fn key(&self) -> Option<ObjectKey> {
        match self {
            Self::Applied(Item::Object(object)) => Some(object.id().key),
            Self::Applied(Item::ServiceCidr(key, _) | Item::Node(key, _))
            | Self::Deleted(_, key) => Some(key.clone()),
            Self::Unreadable(_, key, _) => key.clone(),
            Self::Listed(..) | Self::Withheld(..) => None,
        }
    }
}
